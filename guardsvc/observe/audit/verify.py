"""Verify: whether the files of an audit are whole, and where they are not.

Each file is read once, line by line, into runs: stretches of one chain in which every line follows the one before.
Then the runs of all files are put in order, so that files may be given in any.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.observe.audit.chain import Position, link_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardsvc.observe.audit.chain import Link
    from guardsvc.observe.audit.keys import AuditKey

__all__ = ["Break", "Report", "verify"]

MAX_LINE = 4 << 20
MAX_BREAKS = 100


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A place where the audit is not as it was written.

    Attributes:
        file, line: the first line that shows it; line counts from 1.
        seq: what the line says of itself, None where it cannot be read.
        problem: what is wrong.
    """

    file: str
    line: int
    seq: int | None
    problem: str


class Run(msgspec.Struct, kw_only=True):
    """Lines of one chain that follow one another."""

    file: str
    line: int
    prev: str
    first: Position
    last: Position
    last_line: int


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a chain, and the end of another that it names."""

    file: str
    line: int
    chain: str
    after: Position | None


class Report(msgspec.Struct, kw_only=True):
    """What was found.

    Attributes:
        verified: whether the codes were checked with keys; without, only the structure was.
        records: lines that were read.
        decisions: how many of them are decisions.
        lost: records that the audit itself says were lost.
        chains: where each chain ends, by its id.
        breaks: what is wrong, in the order of files and lines; at most 100.
        notes: what is worth knowing and nothing wrong.
    """

    verified: bool
    records: int = 0
    decisions: int = 0
    lost: int = 0
    chains: dict[str, Position] = {}
    breaks: list[Break] = []
    notes: list[str] = []


class _Line(msgspec.Struct):
    type: str
    lost: int = 0
    bytes: int = 0
    after: dict[str, Any] | None = None
    after_unreadable: bool = False


def verify(files: Sequence[str], keys: Mapping[str, AuditKey]) -> Report:
    """Check files.

    Args:
        files: of any number of chains, in any order.
        keys: by id; none for the structure alone, which an editor who takes care can keep.

    Raises:
        OSError: a file cannot be read.
    """
    report = Report(verified=bool(keys))
    runs: list[Run] = []
    starts: list[Start] = []
    for file in files:
        _read(file, keys, report, runs, starts)
    _join(runs, report)
    _follow(starts, report)
    order = {file: number for number, file in enumerate(files)}
    report.breaks.sort(key=lambda found: (order[found.file], found.line))
    return report


def _read(file: str, keys: Mapping[str, AuditKey], report: Report, runs: list[Run], starts: list[Start]) -> None:
    run: Run | None = None
    number = 0
    for number, line in _lines(file):
        link = link_of(line)
        content = _content(line) if link is not None and line.endswith(b"\n") else None
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            report.notes.append(f"{file}:{number}: ends in the middle of a record: of a crash, or it is being written")
            continue
        if link is None or content is None:
            _say(report, file, number, link, "no record of an audit")
            continue
        if problem := _unsigned(link, keys):
            _say(report, file, number, link, problem)
        report.records += 1
        if problem := _unfit(run, link):
            _say(report, file, number, link, problem)
        if run is not None and link.position.chain == run.last.chain and link.position.seq > run.last.seq:
            run.last, run.last_line = link.position, number
        elif run is None or link.position.chain != run.last.chain:
            run = Run(file=file, line=number, prev=link.prev, first=link.position, last=link.position, last_line=number)
            runs.append(run)
        _note(report, file, number, link, content, starts)
    if not number:
        report.notes.append(f"{file}: holds no record")


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    with Path(file).open("rb") as opened:
        number = 0
        while line := opened.readline(MAX_LINE):
            number += 1
            yield number, line


def _content(line: bytes) -> _Line | None:
    try:
        return msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _unsigned(link: Link, keys: Mapping[str, AuditKey]) -> str | None:
    if not keys:
        return None
    key = keys.get(link.key)
    if key is None:
        return f'made with the key "{link.key}", which was not given'
    return None if link.is_signed_by(key) else "changed, or not made with the key: the code does not fit the line"


def _unfit(run: Run | None, link: Link) -> str | None:
    """Why a line does not follow the one before it in its file; the first of a chain there follows nothing."""
    position = link.position
    if run is None or position.chain != run.last.chain:
        return None
    return _gap(run.last, position, link.prev)


def _gap(before: Position, position: Position, prev: str) -> str | None:
    missing = position.seq - before.seq - 1
    if missing > 0:
        return f"{missing} record{'s' if missing > 1 else ''} missing before it, {before.seq + 1} the first"
    if missing < 0:
        return f"out of its place: it follows record {before.seq}"
    return None if prev == before.mac else "the record before it is not the one it was written after"


def _note(report: Report, file: str, number: int, link: Link, content: _Line, starts: list[Start]) -> None:
    at = f"{file}:{number}"
    if content.type == "decision":
        report.decisions += 1
    elif content.type == "gap":
        report.lost += content.lost
        report.notes.append(f"{at}: {content.lost} records were lost, as the audit could not be written")
    elif content.type == "torn":
        report.notes.append(f"{at}: the line before was torn by a crash, {content.bytes} bytes of it are kept here")
    elif content.type == "chain_start":
        try:
            after = msgspec.convert(content.after, Position | None)
        except msgspec.ValidationError:
            after = None
        if content.after_unreadable:
            report.notes.append(f"{at}: a new chain, after what could not be read")
        starts.append(Start(file=file, line=number, chain=link.position.chain, after=after))


def _join(runs: list[Run], report: Report) -> None:
    """Put the runs of each chain in order and look at where they meet."""
    before: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.first.chain, run.first.seq)):
        chain = run.first.chain
        if chain in before:
            if problem := _gap(before[chain].last, run.first, run.prev):
                report.breaks.append(Break(file=run.file, line=run.line, seq=run.first.seq, problem=problem))
        elif run.first.seq > 0:
            report.notes.append(
                f"{run.file}:{run.line}: begins at record {run.first.seq}; what was before is in none of the files"
            )
        elif run.prev:
            problem = "the first of its chain, and says it follows another"
            report.breaks.append(Break(file=run.file, line=run.line, seq=0, problem=problem))
        before[chain] = run
        report.chains[chain] = run.last


def _follow(starts: list[Start], report: Report) -> None:
    """Look whether chains end where the ones after them say."""
    for start in starts:
        after = start.after
        if after is None:
            continue
        end = report.chains.get(after.chain)
        at = f"{start.file}:{start.line}"
        if end is None:
            report.notes.append(f"{at}: follows chain {after.chain}, which is in none of the files")
        elif end != after:
            problem = f"follows record {after.seq} of chain {after.chain}, which ends at record {end.seq}"
            report.breaks.append(Break(file=start.file, line=start.line, seq=0, problem=problem))
        else:
            report.notes.append(f"{at}: a new chain, after the end of chain {after.chain} that could not be believed")


def _say(report: Report, file: str, number: int, link: Link | None, problem: str) -> None:
    if len(report.breaks) < MAX_BREAKS:
        seq = None if link is None else link.position.seq
        report.breaks.append(Break(file=file, line=number, seq=seq, problem=problem))
