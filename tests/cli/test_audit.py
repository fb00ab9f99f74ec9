"""``guardsvc audit verify``: what it says, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from guardsvc.cli.exit_codes import ExitCode
from tests.cli.command import Command
from tests.observe.audits import write

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef"
"""The secret of the key that ``write`` uses."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "audit.jsonl"
    write(file, 3)
    return file


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    return f"k1=file:{file}"


def spoil(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))


def test_whole(guardsvc: Command, path: Path, key: str) -> None:
    answer = guardsvc("audit", "verify", "--key", key, path)

    assert (answer.code, answer.err) == (ExitCode.OK, "")
    assert answer.out.splitlines()[-1].startswith("whole: 4 records, 3 decisions, 0 lost")


def test_broken(guardsvc: Command, path: Path, key: str) -> None:
    spoil(path)
    answer = guardsvc("audit", "verify", path, "-k", key)

    assert (answer.code, int(ExitCode.BROKEN_CHAIN)) == (6, 6)
    assert answer.out.splitlines()[0] == f"{path}:3: record 3: 1 record missing before it, 2 the first"
    assert answer.out.splitlines()[-1].startswith("BROKEN: 3 records")


def test_json(guardsvc: Command, path: Path, key: str) -> None:
    spoil(path)
    report = guardsvc("audit", "verify", path, "-k", key, "-o", "json").object

    assert report["breaks"] == [
        {"file": str(path), "line": 3, "seq": 3, "problem": "1 record missing before it, 2 the first"}
    ]
    assert (report["verified"], report["decisions"]) == (True, 2)


def test_without_a_key_it_says_what_it_did_not_check(guardsvc: Command, path: Path) -> None:
    answer = guardsvc("audit", "verify", path)

    assert answer.code == ExitCode.OK
    assert "no key given: only the structure was checked" in answer.out
    assert answer.out.splitlines()[-1].startswith("whole in structure:")
    spoil(path)
    assert guardsvc("audit", "verify", path).code == ExitCode.BROKEN_CHAIN


def test_a_key_of_the_environment(guardsvc: Command, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_KEY", SECRET)
    assert guardsvc("audit", "verify", path, "-k", "k1=env:AUDIT_KEY").out.splitlines()[-1].startswith("whole: ")
    monkeypatch.setenv("AUDIT_KEY", "another key, not this one")
    assert guardsvc("audit", "verify", path, "-k", "k1=env:AUDIT_KEY").code == ExitCode.BROKEN_CHAIN


def test_the_keys_of_a_configuration(guardsvc: Command, path: Path, tmp_path: Path, key: str) -> None:
    config = tmp_path / "config.json"
    secret = f"${{file:{key.partition(':')[2]}}}"
    audit = {"output": "file", "path": str(path), "keys": [{"id": "k1", "secret": secret}]}
    config.write_text(json.dumps({"service": {"audit": audit}, "policy": {}}))

    assert guardsvc("audit", "verify", "-c", config, path).out.splitlines()[-1].startswith("whole: ")


def test_many_problems_are_cut(guardsvc: Command, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"\x1b[2J\n" * 50)
    answer = guardsvc("audit", "verify", path)

    assert answer.code == ExitCode.BROKEN_CHAIN
    assert "… and 40 more" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("k1", "not of the form"),
        ("k1=secret", "not of the form"),
        ("k 1=env:X", "not of the form"),
        ("k1=http:X", "not of the form"),
        ("k1=env:NO_SUCH_VARIABLE", "is not set"),
        ("k1=file:/no/such/file", "cannot be read"),
        ("k1=file:/dev/null", "the key is empty"),
    ],
)
def test_a_key_that_cannot_be_used(guardsvc: Command, path: Path, wrong: str, problem: str) -> None:
    answer = guardsvc("audit", "verify", path, "-k", wrong)

    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert problem in answer.err


def test_a_file_that_is_not_there(guardsvc: Command, tmp_path: Path) -> None:
    answer = guardsvc("audit", "verify", tmp_path / "missing")

    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert answer.err == f"guardsvc: {tmp_path / 'missing'} cannot be read: No such file or directory\n"
    assert guardsvc("audit", "verify").code == ExitCode.USAGE
