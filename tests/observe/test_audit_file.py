"""Files: the chain goes on over restarts, rotation, the operator's own rotation and crashes."""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from guardsvc.observe.audit import AuditError
from guardsvc.observe.audit.verify import Report, verify
from tests.observe.audits import KEY, KEYS, OTHER_KEY, auditing, records, types, wait_until, write
from tests.observe.decisions import decision, operation

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
LARGE = decision(id="large", operation=operation(payload={"name": "t", "arguments": {"q": "x" * 60_000}}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def whole(*paths: Path) -> Report:
    """The report of files that must be whole."""
    report = verify([str(path) for path in paths], KEYS)
    assert report.breaks == []
    assert len(report.chains) == 1
    return report


def rotations(path: Path) -> list[Path]:
    """The file and its rotated ones, the newest first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: int(file.suffix[1:]))
    return [path, *older]


def test_a_new_file_begins_a_chain(path: Path) -> None:
    write(path, 3)

    start, *decisions = records(path)
    assert (start["type"], start["seq"], start["prev"], start["after"], start["worker"]) == (
        "chain_start",
        0,
        "",
        None,
        "0",
    )
    assert [record["decision_id"] for record in decisions] == ["d0", "d1", "d2"]
    assert [record["seq"] for record in decisions] == [1, 2, 3]
    assert {record["chain"] for record in decisions} == {start["chain"]}
    assert {record["key"] for record in decisions} == {"k1"}
    assert whole(path).notes == []


def test_only_the_operator_and_the_group_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o640


def test_a_restart_goes_on(path: Path) -> None:
    write(path, 2)
    write(path, 2)

    assert [record["seq"] for record in records(path)] == [0, 1, 2, 3, 4]
    assert whole(path).notes == []


def test_a_start_without_a_decision_changes_nothing(path: Path) -> None:
    write(path, 2)
    before = path.read_bytes()
    with auditing(path):
        pass

    assert path.read_bytes() == before


def test_a_new_key_goes_on_where_the_old_one_is_still_believed(path: Path) -> None:
    write(path, 2)
    write(path, 2, keys=(OTHER_KEY, KEY))

    assert [record["key"] for record in records(path)] == ["k1", "k1", "k1", "k2", "k2"]
    assert whole(path).notes == []


def test_a_key_that_does_not_know_the_old_end_begins_a_new_chain_and_names_it(path: Path) -> None:
    write(path, 2)
    end = records(path)[-1]
    write(path, 2, keys=(OTHER_KEY,))

    start = records(path)[3]
    assert start["type"] == "chain_start"
    assert start["after"] == {key: end[key] for key in ("chain", "seq", "mac")}
    report = verify([str(path)], KEYS)
    assert report.breaks == []
    assert len(report.chains) == 2
    (note,) = report.notes
    assert "a new chain, after the end of chain" in note


def test_a_changed_end_begins_a_new_chain_and_the_change_shows(path: Path) -> None:
    write(path, 2)
    path.write_bytes(path.read_bytes().replace(b'"decision_id":"d1"', b'"decision_id":"d9"'))
    write(path, 1)

    assert types(path) == ["chain_start", "decision", "decision", "chain_start", "decision"]
    (found,) = verify([str(path)], KEYS).breaks
    assert (found.line, found.seq) == (3, 2)


def test_a_file_that_ends_in_something_else_begins_a_new_chain(path: Path) -> None:
    path.write_text("not ours\n")
    write(path, 1)

    assert b'"after_unreadable":true' in path.read_bytes().splitlines()[1]
    report = verify([str(path)], KEYS)
    assert [(found.line, found.problem) for found in report.breaks] == [(1, "no record of an audit")]


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_line_that_a_crash_tore_is_kept_beside_the_chain(path: Path, cut: int) -> None:
    write(path, 3)
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    (note,) = verify([str(path)], KEYS).notes
    assert "ends in the middle of a record" in note

    write(path, 1)
    assert types(path) == ["chain_start", "decision", "decision", "torn", "decision"]
    record = records(path)[3]
    kept = torn.rpartition(b"\n")[2]
    assert (record["bytes"], record["text"]) == (len(kept), kept.decode())
    report = whole(path)
    assert len(report.notes) == 1


def test_a_file_of_one_torn_line_begins_a_chain_that_says_so(path: Path) -> None:
    path.write_bytes(b'{"type":"chain_st')
    write(path, 1)

    assert types(path) == ["chain_start", "torn", "decision"]
    whole(path)


def test_what_a_power_cut_leaves_is_torn_too(path: Path) -> None:
    write(path, 1)
    with path.open("ab") as file:
        file.write(bytes(5_000))
    write(path, 1)

    assert types(path) == ["chain_start", "decision", "torn", "decision"]
    whole(path)


def test_what_is_not_ours_is_never_cut(path: Path) -> None:
    path.write_bytes(b"\x89PNG somebody's picture")
    with pytest.raises(AuditError, match="ends in what is no record"):
        write(path, 1, mode="required")

    assert path.read_bytes() == b"\x89PNG somebody's picture"


def test_rotation_by_size_keeps_so_many_and_carries_the_chain_over(path: Path) -> None:
    with auditing(path, max_file_bytes=MIB, keep=3, include_arguments=True) as kept:
        for number in range(120):
            kept.add(LARGE)
            kept.wait_for("written", number + 1)
    files = rotations(path)

    assert [file.name for file in files] == ["audit.jsonl", *(f"audit.jsonl.{n}" for n in (1, 2, 3))]
    assert all(file.stat().st_size <= MIB for file in files)
    report = whole(*files)
    (note,) = report.notes
    assert "what was before is in none of the files" in note
    assert (next(iter(report.chains.values())).seq, report.lost) == (120, 0)
    assert whole(*reversed(files)).records == report.records


def test_a_batch_that_fills_files_is_split_between_them(path: Path) -> None:
    with auditing(path, max_file_bytes=MIB, keep=9, include_arguments=True, queue_bytes=64 * MIB) as kept:
        kept.add(*[LARGE] * 60)
    report = whole(*rotations(path))

    assert (report.decisions, report.notes) == (60, [])
    assert all(file.stat().st_size <= MIB for file in rotations(path))


def test_nothing_is_kept_where_nothing_shall_be(path: Path) -> None:
    with auditing(path, max_file_bytes=MIB, keep=0, include_arguments=True) as kept:
        for number in range(40):
            kept.add(LARGE)
            kept.wait_for("written", number + 1)

    assert rotations(path) == [path]
    assert path.stat().st_size <= MIB
    whole(path)


def test_rotation_by_age(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 1, max_file_age_s=3600)
    write(path, 1, max_file_age_s=3600)
    assert rotations(path) == [path]
    monkeypatch.setattr("guardsvc.observe.audit.files.time", lambda: 1e10)
    write(path, 1, max_file_age_s=3600)
    write(path, 1, max_file_age_s=3600)

    assert [[record["seq"] for record in records(file)] for file in rotations(path)] == [[4], [3], [0, 1, 2]]
    assert whole(*rotations(path)).notes == []


def test_a_restart_right_after_rotation_goes_on_from_the_rotated_file(path: Path) -> None:
    write(path, 2)
    path.rename(path.with_name("audit.jsonl.1"))
    write(path, 2)

    assert [record["seq"] for record in records(path)] == [3, 4]
    assert whole(*rotations(path)).notes == []


def test_a_file_that_another_program_moves_away_is_begun_anew_in_the_same_chain(path: Path) -> None:
    moved = path.with_name("audit-20260930")
    with auditing(path) as kept:
        kept.add(decision(id="before"))
        kept.wait_for("written", 1)
        path.rename(moved)
        kept.add(decision(id="after"))
        kept.wait_for("written", 2)

    assert [record["decision_id"] for record in records(path)] == ["after"]
    assert whole(moved, path).notes == []


def test_a_file_that_another_program_creates_anew_is_taken(path: Path) -> None:
    with auditing(path) as kept:
        kept.add()
        kept.wait_for("written", 1)
        path.rename(path.with_name("old"))
        path.touch(mode=0o600)
        kept.add()

    assert [record["seq"] for record in records(path)] == [2]
    whole(path.with_name("old"), path)


def test_lines_that_are_cut_off_while_it_runs_show_as_missing(path: Path) -> None:
    with auditing(path) as kept:
        kept.add(decision(id="a"), decision(id="b"))
        kept.wait_for("written", 2)
        lines = path.read_bytes().splitlines(keepends=True)
        path.with_name("edited").write_bytes(b"".join(lines[:-1]))
        path.with_name("edited").replace(path)
        kept.add(decision(id="c"))
        kept.wait_for("written", 3)

    (found,) = verify([str(path)], KEYS).breaks
    assert found.problem == "1 record missing before it, 2 the first"


def test_a_second_process_does_not_write_into_it(path: Path) -> None:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AuditError, match="is written by another process"):
            write(path, 1, mode="required")
        with auditing(path) as kept:
            kept.add()
            wait_until(lambda: kept.metric("broken") == 1, "broken")
            fcntl.flock(file, fcntl.LOCK_UN)
            kept.wait_for("written", 1)
            assert kept.metric("broken") == 0

    whole(path)


def test_two_workers_have_chains_of_their_own(tmp_path: Path) -> None:
    paths = [tmp_path / f"audit-{worker}.jsonl" for worker in (0, 1)]
    for worker, path in enumerate(paths):
        write(path, 3, worker=str(worker))
    report = verify([str(path) for path in paths], KEYS)

    assert (report.breaks, len(report.chains), report.decisions) == ([], 2, 6)
    assert [records(path)[1]["worker"] for path in paths] == ["0", "1"]


def test_a_removed_folder_is_noticed_and_its_return_too(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "audit.jsonl"
    with auditing(path) as kept:
        kept.add(decision(id="before"))
        kept.wait_for("written", 1)
        shutil.move(folder, tmp_path / "away")
        kept.add(decision(id="meanwhile"))
        wait_until(lambda: kept.metric("broken") == 1, "broken")
        assert kept.metric("queue") == 1
        folder.mkdir()
        kept.wait_for("written", 2)
        assert (kept.metric("broken"), kept.metric("queue")) == (0, 0)

    assert [record["decision_id"] for record in records(path)] == ["meanwhile"]
    whole(tmp_path / "away" / "audit.jsonl", path)


def test_rotation_that_cannot_be_done_loses_nothing(path: Path) -> None:
    path.with_name("audit.jsonl.1").mkdir()
    (path.with_name("audit.jsonl.1") / "occupied").touch()
    path.with_name("audit.jsonl.2").mkdir()
    (path.with_name("audit.jsonl.2") / "occupied").touch()
    with auditing(path, max_file_bytes=MIB, keep=2, include_arguments=True) as kept:
        for number in range(40):
            kept.add(LARGE)
            kept.wait_for("written", number + 1)

    assert path.stat().st_size > MIB
    assert whole(path).decisions == 40


@pytest.mark.parametrize("fsync", ["never", "interval", "always"])
def test_every_way_of_syncing_writes(path: Path, fsync: str) -> None:
    write(path, 100, fsync=fsync)

    assert whole(path).decisions == 100
