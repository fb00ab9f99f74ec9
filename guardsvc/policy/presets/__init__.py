"""Presets: policies that come with guardsvc, to run as they are or to build on."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from guardsvc.config.shipped import read_shipped

__all__ = ["PRESETS", "PresetName", "over_preset", "preset_text"]

PresetName = Literal["default", "strict", "observe"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)


def preset_text(name: PresetName) -> str:
    """The ``policy`` section of a preset as YAML, with its comments."""
    return (files("guardsvc.policy.presets") / f"{name}.yaml").read_text()


def over_preset(policy: Any) -> Any:
    """A ``policy`` section over the preset that it names; itself where it names none.

    What the section says counts, key by key. A guard of the section with the name of one of the preset's
    (its ``id``, or its ``type`` where it has none) changes that one; the others are added, so that one of
    another type under the name is a problem and no replacement. The section's own guards keep their place in
    the list, so that problems name the right line.

    Args:
        policy: plain data of any form; what is not the form of a policy is left as it is, to be named.
    """
    if not isinstance(policy, dict) or policy.get("preset") not in PRESETS:
        return policy
    base = _preset(policy["preset"])
    merged = _over(base, policy)
    guards = policy.get("guards", [])
    if isinstance(guards, list):
        named = {_name(guard): guard for guard in base["guards"]}
        own = [_over(named.pop(_name(guard)), guard) if _changes(guard, named) else guard for guard in guards]
        merged["guards"] = own + list(named.values())
    return merged


@cache
def _preset(name: PresetName) -> dict[str, Any]:
    policy: dict[str, Any] = read_shipped(__name__, f"{name}.yaml")
    return policy


def _changes(guard: Any, named: dict[Any, dict[str, Any]]) -> bool:
    base = named.get(_name(guard))
    return base is not None and guard.get("type") == base["type"]


def _name(guard: Any) -> Any:
    name = (guard.get("id") or guard.get("type")) if isinstance(guard, dict) else None
    return name if isinstance(name, str) else None


def _over(base: Any, value: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(value, dict):
        return value
    return {**base, **{key: _over(base.get(key), inner) for key, inner in value.items()}}
