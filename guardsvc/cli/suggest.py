"""``guardsvc policy suggest``: an access list and limits made of what was seen and allowed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.config import Document
from guardsvc.policy.presets import PRESETS
from guardsvc.server.configuration import load_configuration
from guardsvc.suggestion import Evidence, EvidenceError, Wishes, read_evidence, suggest

__all__ = ["SuggestOptions", "run_suggest"]

NO_PRESET = "none"


@dataclass(frozen=True)
class SuggestOptions:
    """What the command line says; see ``guardsvc policy suggest --help``."""

    files: tuple[str, ...]
    config: str | None
    glob_from: int
    headroom: float
    preset: str


def run_suggest(options: SuggestOptions) -> None:
    """Print the policy. It has been built, so that ``guardsvc validate`` accepts it."""
    if options.preset not in (*PRESETS, NO_PRESET):
        _wrong(
            f"{options.preset!r} is no preset; there are {', '.join(PRESETS)}, and {NO_PRESET} for a policy of its own"
        )
    configuration = load_configuration(None if options.config is None else Path(options.config))
    evidence = Evidence()
    for name in options.files:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            read_evidence(data, name, evidence, configuration.policy)
        except OSError as error:
            _wrong(f"{name} cannot be read: {error.strerror}")
        except EvidenceError as error:
            _wrong(str(error))
    if not evidence.seen:
        _wrong(f"nothing that was allowed is in {', '.join(options.files)}")
    servers: dict[str, Any] = {}
    if configuration.content:
        servers = Document.parse(configuration.content, configuration.source).value["policy"].get("servers") or {}
    wishes = Wishes(
        glob_from=options.glob_from,
        headroom=options.headroom,
        servers=servers,
        preset=None if options.preset == NO_PRESET else options.preset,
    )
    text = suggest(evidence, wishes)
    load_configuration(Path("suggested policy"), content=text.encode())
    print(text, end="")


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
