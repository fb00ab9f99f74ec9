"""Verification: everything that is done to a file shows, and what is wrong is named."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.chain import Chain, Position
from guardsvc.observe.audit.keys import Mac
from guardsvc.observe.audit.verify import Report, verify
from tests.observe.audits import KEY, KEYS, OTHER_KEY, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Lines = list[bytes]
COUNT = 5
"""Decisions in the file; its lines are 1 to 6, its records 0 to 5."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "audit.jsonl"
    write(file, COUNT)
    return file


def report_of(path: Path, lines: Lines) -> Report:
    path.write_bytes(b"".join(lines))
    return verify([str(path)], KEYS)


def lines_of(path: Path) -> Lines:
    return path.read_bytes().splitlines(keepends=True)


def change(lines: Lines, number: int, old: bytes, new: bytes) -> Lines:
    assert old in lines[number]
    return [line.replace(old, new) if n == number else line for n, line in enumerate(lines)]


def remake(lines: Lines, number: int) -> Lines:
    """Change a line and make all codes from there on anew, with a key of one's own."""
    chain = Chain({"k1": AuditKey("k1", b"not the real key")}, {})
    seal = re.compile(rb',"chain":"([0-9a-f]{16})".*')
    found = seal.search(lines[0])
    assert found is not None
    mac = re.search(rb'"mac":"([0-9a-f]{64})"', lines[number - 1])
    assert mac is not None
    chain.end = Position(found[1].decode(), number - 1, mac[1].decode())
    bare = [seal.sub(b"}", line.rstrip(b"\n")).replace(b'"allow"', b'"deny"') for line in lines[number:]]
    return lines[:number] + chain.link(bare)[0]


@pytest.mark.parametrize(
    ("tamper", "line", "seq", "problem"),
    [
        (lambda lines: change(lines, 2, b'"d1"', b'"dX"'), 3, 2, "changed"),
        (lambda lines: change(lines, 5, b'"d4"', b'"dX"'), 6, 5, "changed"),
        (lambda lines: change(lines, 0, b'"worker":"0"', b'"worker":"1"'), 1, 0, "changed"),
        (lambda lines: change(lines, 2, b'"d1"', b'"d1" '), 3, 2, "changed"),
        (lambda lines: lines[:2] + lines[3:], 3, 3, "1 record missing before it, 2 the first"),
        (lambda lines: lines[:2] + lines[5:], 3, 5, "3 records missing before it, 2 the first"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3, 3, "1 record missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, 2, "out of its place: it follows record 2"),
        (lambda lines: [*lines[:3], b'{"type":"decision"}\n', *lines[3:]], 4, None, "no record of an audit"),
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4, None, "no record of an audit"),
        (lambda lines: [*lines[:3], lines[3][:-2] + b"\n", *lines[4:]], 4, None, "no record of an audit"),
        (lambda lines: change(lines, 3, b'"seq":3', b'"seq":2'), 4, 2, "changed"),
        (lambda lines: change(lines, 3, b'"key":"k1"', b'"key":"k2"'), 4, 3, "changed"),
        (lambda lines: change(lines, 3, b'"key":"k1"', b'"key":"k3"'), 4, 3, 'the key "k3", which was not given'),
        (lambda lines: remake(lines, 3), 4, 3, "changed, or not made with the key"),
    ],
)
def test_tampering_shows(
    path: Path, tamper: Callable[[Lines], Lines], line: int, seq: int | None, problem: str
) -> None:
    found = report_of(path, tamper(lines_of(path))).breaks[0]

    assert (found.file, found.line, found.seq) == (str(path), line, seq)
    assert problem in found.problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_changed_byte_shows(path: Path, data: st.DataObject) -> None:
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != before[at]))
    try:
        report = report_of(path, [before[:at], bytes([byte]), before[at + 1 :]])
        assert report.breaks
    finally:
        path.write_bytes(before)


def test_a_file_that_is_whole(path: Path) -> None:
    report = verify([str(path)], KEYS)

    assert (report.breaks, report.notes, report.verified) == ([], [], True)
    assert (report.records, report.decisions, report.lost) == (COUNT + 1, COUNT, 0)
    assert [end.seq for end in report.chains.values()] == [COUNT]


def test_an_empty_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()

    report = verify([str(path)], KEYS)
    assert (report.breaks, report.notes) == ([], [f"{path}: holds no record"])


def test_a_beginning_that_was_cut_off_is_told(path: Path) -> None:
    report = report_of(path, lines_of(path)[2:])

    assert report.breaks == []
    assert report.notes == [f"{path}:1: begins at record 2; what was before is in none of the files"]


def test_an_end_that_was_cut_off_is_seen_only_by_where_it_ends(path: Path) -> None:
    report = report_of(path, lines_of(path)[:-2])

    assert report.breaks == []
    assert [end.seq for end in report.chains.values()] == [COUNT - 2]


def test_without_a_key_the_structure_is_checked(path: Path) -> None:
    lines = lines_of(path)
    path.write_bytes(b"".join(change(lines, 2, b'"d1"', b'"dX"')))
    report = verify([str(path)], {})
    assert (report.breaks, report.verified) == ([], False)

    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert verify([str(path)], {}).breaks != []
    path.write_bytes(b"".join(change(lines, 2, b'"prev":"', b'"prev":"0')))
    assert verify([str(path)], {}).breaks != []


def test_the_other_key_alone_verifies_nothing(path: Path) -> None:
    report = verify([str(path)], {OTHER_KEY.id: OTHER_KEY})

    assert len(report.breaks) == COUNT + 1


def test_a_file_that_is_missing_between_two_shows(path: Path) -> None:
    lines = lines_of(path)
    names = []
    for number, part in enumerate((lines[:2], lines[2:4], lines[4:])):
        names.append(path.with_name(f"part-{number}"))
        names[-1].write_bytes(b"".join(part))

    assert verify([str(name) for name in names], KEYS).breaks == []
    (found,) = verify([str(names[0]), str(names[2])], KEYS).breaks
    assert (found.file, found.line, found.problem) == (str(names[2]), 1, "2 records missing before it, 2 the first")


def test_a_file_given_twice_is_not_whole(path: Path) -> None:
    assert verify([str(path), str(path)], KEYS).breaks != []


def test_the_end_that_a_new_chain_names_must_be_there(path: Path) -> None:
    """Someone breaks the last line so that a new chain begins, and then removes it and the one before."""
    write(path, 1, keys=(OTHER_KEY,))
    lines = lines_of(path)

    found = report_of(path, [*lines[:4], *lines[6:]]).breaks
    assert [(each.line, each.seq) for each in found] == [(5, 0)]
    assert "follows record 5 of chain" in found[0].problem
    assert "which ends at record 3" in found[0].problem


def test_problems_come_in_the_order_of_files_and_lines(path: Path) -> None:
    other = path.with_name("other.jsonl")
    write(other, 3)
    for file in (path, other):
        lines = lines_of(file)
        file.write_bytes(b"".join([lines[0], *lines[2:]]))

    assert [found.file for found in verify([str(other), str(path)], KEYS).breaks] == [str(other), str(path)]


def test_problems_of_a_file_that_is_none_of_ours_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"x\n" * 100_000 + b"y" * 10_000_000)

    assert len(verify([str(path)], KEYS).breaks) == 100


@pytest.mark.parametrize("size", [0, 1, 55, 63, 64, 65, 1_000])
def test_codes_are_hmac_sha256(size: int) -> None:
    data = b"x" * size
    assert Mac(b"key").hex(data) == hmac.digest(b"key", data, "sha256").hex()


def test_a_key_has_another_one_for_each_purpose() -> None:
    assert len({KEY.line.hex(b""), KEY.argument.hex(b""), KEY.session.hex(b"")}) == 3
