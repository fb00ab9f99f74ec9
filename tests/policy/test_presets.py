"""Presets: they build, a policy builds on them, and their page tells of every line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardsvc.config import ConfigError
from guardsvc.guards.native import NATIVE
from guardsvc.model import Mode
from guardsvc.policy import Policy
from guardsvc.policy.presets import PRESETS, PresetName, over_preset, preset_text
from guardsvc.server.configuration import load_configuration

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"


def built(tmp_path: Path, policy: Any) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"policy": policy}))
    return load_configuration(path).policy


def settings_of(policy: Policy) -> dict[str, Any]:
    return {entry.name: entry for entry in policy.settings.guards}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_and_bears_its_name(tmp_path: Path, name: PresetName) -> None:
    policy = built(tmp_path, {"preset": name})
    assert policy.settings.name == name


def test_the_service_without_a_file_runs_the_default(tmp_path: Path) -> None:
    assert load_configuration(None).policy.hash == built(tmp_path, {"preset": "default"}).hash


def test_strict_has_every_native_guard_but_the_one_that_needs_a_place_to_remember(tmp_path: Path) -> None:
    strict = {bound.type.name for bound in built(tmp_path, {"preset": "strict"}).guards}
    assert {guard.name for guard in NATIVE} - strict == {"rug_pull"}


def test_observe_runs_the_guards_of_the_default_and_applies_nothing(tmp_path: Path) -> None:
    observe, default = (built(tmp_path, {"preset": name}) for name in ("observe", "default"))
    assert observe.settings.mode is Mode.SHADOW
    assert [bound.id for bound in observe.guards] == [bound.id for bound in default.guards]


def test_what_a_policy_says_counts_over_its_preset(tmp_path: Path) -> None:
    policy = built(
        tmp_path,
        {
            "preset": "default",
            "name": "mine",
            "transport": {"preflight": "deny"},
            "guards": [
                {"type": "access_list", "settings": {"default": "deny"}},
                {"type": "secrets", "enabled": False},
                {"type": "access_list", "id": "second", "settings": {"default": "allow"}},
            ],
        },
    )
    entries = settings_of(policy)
    assert policy.settings.name == "mine"
    assert policy.settings.transport.preflight == "deny"
    assert policy.settings.transport.well_known == "allow"
    assert entries["access_list"].priority == 30
    assert entries["access_list"].settings.default == "deny"
    assert entries["access_list"].settings.unknown_server == "allow"
    assert "second" in entries
    assert "secrets" not in {bound.id for bound in policy.guards}


def test_a_problem_is_named_where_the_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "policy:\n  preset: default\n  guards:\n    - {type: secrets}\n    - {type: access_list, priority: x}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load_configuration(path)
    assert f"{path}:5: policy.guards[1].priority" in str(refused.value)


def test_a_guard_of_another_type_does_not_take_the_place_of_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="secrets"):
        built(tmp_path, {"preset": "default", "guards": [{"type": "argument_limits", "id": "secrets"}]})


@pytest.mark.parametrize("policy", [None, [], "default", {"preset": "unheard_of"}, {"preset": ["default"]}, {}])
def test_what_names_no_preset_is_left_as_it_is(policy: Any) -> None:
    assert over_preset(policy) == policy


def test_a_list_of_guards_in_the_wrong_form_is_left_to_be_named() -> None:
    assert over_preset({"preset": "default", "guards": {"type": "secrets"}})["guards"] == {"type": "secrets"}
    assert over_preset({"preset": "default", "guards": [None]})["guards"][0] is None


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_tells_of_every_line(name: PresetName) -> None:
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(f"`{name}`"))
    for path in _lines(yaml.safe_load(preset_text(name))):
        assert f"`{path}`" in text, path


def _lines(policy: dict[str, Any]) -> list[str]:
    told = []
    for key, value in policy.items():
        if key == "guards":
            for guard in value:
                told.append(guard["type"])
                told += [f"{guard['type']}.{setting}" for setting in guard.get("settings", {})]
        elif isinstance(value, dict):
            told += [f"{key}.{inner}" for inner in value]
        elif key != "name":
            told.append(key)
    return told
