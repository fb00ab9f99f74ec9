"""``guardsvc audit``: whether the files of the audit are whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.observe.audit import KEY_ID, AuditKey
from guardsvc.observe.audit.verify import Report, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["run_verify"]

MAX_SHOWN = 10


def run_verify(files: Sequence[str], keys: Sequence[str], config: str | None, *, as_json: bool) -> None:
    """Check files; end with code 6 if anything was changed, removed or added.

    Args:
        files: of any number of workers, rotated or not, in any order.
        keys: ``ID=env:NAME`` or ``ID=file:PATH`` each.
        config: a configuration whose keys are used too.
        as_json: the report as one JSON object.
    """
    known = dict(map(_key, keys))
    if config is not None:
        known |= _configured(config)
    try:
        report = verify(files, known)
    except OSError as error:
        _wrong(f"{error.filename} cannot be read: {error.strerror}")
    print(msgspec.json.encode(report).decode() if as_json else _told(report))
    if report.breaks:
        sys.exit(ExitCode.BROKEN_CHAIN)


def _key(text: str) -> tuple[str, AuditKey]:
    key_id, equals, source = text.partition("=")
    kind, colon, name = source.partition(":")
    if not (equals and colon and KEY_ID.fullmatch(key_id)) or kind not in {"env", "file"}:
        _wrong(f'--key "{text}" is not of the form ID=env:NAME or ID=file:PATH')
    if kind == "env":
        secret = os.environ.get(name)
        if secret is None:
            _wrong(f"--key {key_id}: the environment variable {name} is not set")
    else:
        try:
            secret = Path(name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            _wrong(f"--key {key_id}: {name} cannot be read: {getattr(error, 'strerror', None) or error}")
    if not secret:
        _wrong(f"--key {key_id}: the key is empty")
    return key_id, AuditKey(key_id, secret.encode())


def _configured(config: str) -> dict[str, AuditKey]:
    from guardsvc.server.configuration import load_configuration

    settings = load_configuration(Path(config)).service.audit
    return {key.id: AuditKey(key.id, key.secret.reveal().encode()) for key in settings.keys}


def _told(report: Report) -> str:
    lines = [
        f"{found.file}:{found.line}: record {'?' if found.seq is None else found.seq}: {_plain(found.problem)}"
        for found in report.breaks[:MAX_SHOWN]
    ]
    if len(report.breaks) > MAX_SHOWN:
        lines.append(f"… and {len(report.breaks) - MAX_SHOWN} more")
    lines += [f"note: {_plain(note)}" for note in report.notes]
    lines += [f"chain {chain} ends at record {end.seq}, {end.mac}" for chain, end in report.chains.items()]
    if not report.verified:
        lines.append("no key given: only the structure was checked, which an editor who takes care can keep")
    verdict = "BROKEN" if report.breaks else "whole" if report.verified else "whole in structure"
    lines.append(
        f"{verdict}: {report.records} records, {report.decisions} decisions, {report.lost} lost by the service's own "
        "account"
    )
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
