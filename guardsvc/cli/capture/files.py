"""Files: the operations of capture files, opened with the keys at hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.plain import plain
from guardsvc.observe.capture import CaptureKey, KeyTextError, OpeningError, SealedOperation
from guardsvc.observe.capture.read import CaptureFileError, opened, read_lines
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.observe.capture import CapturedGap, CapturedOperation

__all__ = ["KeyRing", "captured_in", "wrong"]

KEY_FORM = "env:NAME or file:PATH"


class KeyRing:
    """The keys at hand, by id.

    Args:
        keys: as ``env:NAME`` or ``file:PATH``; others are refused, as arguments are seen by everybody on the host.
        config: configuration file whose key is at hand too.
    """

    def __init__(self, keys: Sequence[str], config: str | None) -> None:
        self.by_id: dict[str, CaptureKey] = {}
        for key in keys:
            self._add(_text(key), key)
        if config is not None:
            of_service = load_configuration(Path(config)).service.capture.key
            if of_service is not None:
                self._add(of_service.reveal(), config)

    def _add(self, text: str, source: str) -> None:
        try:
            key = CaptureKey(text)
        except KeyTextError as error:
            wrong(f"{source}: {error}")
        self.by_id[key.id] = key


def captured_in(files: Sequence[str], keys: KeyRing) -> Iterator[CapturedOperation | CapturedGap | SealedOperation]:
    """The records of files, opened as far as there are keys; the end of the command where one is none."""
    for name in files:
        try:
            with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
                for line in read_lines(file, name):
                    try:
                        yield opened(line, keys.by_id)
                    except OpeningError as error:
                        which = line.decision_id if isinstance(line, SealedOperation) else ""
                        wrong(f"{name}: decision {which} cannot be opened: {error}")
        except OSError as error:
            wrong(f"{name} cannot be read: {error.strerror}")
        except CaptureFileError as error:
            wrong(str(error))


def wrong(message: str) -> NoReturn:
    """End the command: it is used wrongly, or a file is."""
    print(f"guardsvc: {plain(message)}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)


def _text(key: str) -> str:
    kind, _, name = key.partition(":")
    if kind == "env" and name in os.environ:
        return os.environ[name]
    if kind == "file":
        try:
            return Path(name).read_text(encoding="ascii", errors="replace")
        except OSError as error:
            wrong(f"--key {name} cannot be read: {error.strerror}")
    if kind == "env":
        wrong(f"--key env:{name}: there is no such variable")
    wrong(f"--key is not of the form {KEY_FORM}")
