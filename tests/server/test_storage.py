"""The folders of guards' storage are made for the service alone, or it says which one cannot be had and why."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from guardsvc.config import ConfigError
from guardsvc.server.storage import load_to_serve

if TYPE_CHECKING:
    from pathlib import Path


def configured(folder: Path, storage: str, **more: object) -> Path:
    file = folder / "policy.yaml"
    guard = {"type": "rug_pull", "settings": {"storage": storage}, **more}
    file.write_text(json.dumps({"policy": {"guards": [{"type": "protocol_compliance"}, guard]}}, indent=1))
    return file


def test_a_folder_that_is_not_there_is_made_for_this_user_alone(tmp_path: Path) -> None:
    for _ in range(2):
        load_to_serve(configured(tmp_path, f"sqlite:{tmp_path}/state/baseline.db"), {})
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "state").iterdir()) == []


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    load_to_serve(configured(tmp_path, f"sqlite:{tmp_path}/state/baseline.db"), {})
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("storage", ["memory", "redis://127.0.0.1:1/0"])
def test_other_storage_needs_no_folder(tmp_path: Path, storage: str) -> None:
    load_to_serve(configured(tmp_path, storage), {})
    assert [each.name for each in tmp_path.iterdir()] == ["policy.yaml"]


def test_a_guard_that_is_not_enabled_needs_none(tmp_path: Path) -> None:
    load_to_serve(configured(tmp_path, f"sqlite:{tmp_path}/a/b/baseline.db", enabled=False), {})


@pytest.mark.parametrize(
    ("folder", "why"), [("no/such", "No such file or directory"), ("policy.yaml/state", "Not a directory")]
)
def test_a_mistyped_path_is_a_problem_of_the_configuration(tmp_path: Path, folder: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_to_serve(configured(tmp_path, f"sqlite:{tmp_path}/{folder}/baseline.db"), {})
    (problem,) = caught.value.problems
    assert problem.path == "policy.guards[1].settings.storage"
    assert problem.line == 10
    assert problem.message == (
        f"the folder {tmp_path}/{folder} is not there and cannot be made: {why}; "
        "expected memory, sqlite:/path in a folder that can be written to, or the URL of a Redis"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written to by user"):
        load_to_serve(configured(tmp_path, f"sqlite:{tmp_path}/state/baseline.db"), {})


def test_a_configuration_that_is_built_in_needs_nothing() -> None:
    assert load_to_serve(None, {}).content == b""
