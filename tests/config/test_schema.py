from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel, Field

from guardsvc.config import MASK, Secret, json_schema, reference
from guardsvc.model import Settings


class Part(StrEnum):
    """Where it runs."""

    LEFT = "left"
    MIDDLE = "middle"
    RIGHT = "right"


class Http(Settings):
    """Asks a service.

    Attributes:
        type: of no interest to readers.
    """

    type: Literal["http"]
    url: Annotated[str, Field(pattern="^https?://|x")] = Field(description="Where it\nlistens | waits.")
    token: Secret | None = Field(None, description="Proof of identity.")


class Wasm(Settings):
    """Runs a module."""

    type: Literal["wasm"]
    key: Secret = Field(description="What it signs with.")
    spare: Secret | None = Secret("x")


class Match(Settings):
    tools: tuple[str, ...] | None = None
    every: bool = False


class Empty(Settings):
    """Has no keys."""


class Policy(Settings):
    """What is decided."""

    name: str = Field("p", min_length=1, max_length=8, description="Its name.")
    guards: tuple[Annotated[Http | Wasm, Field(discriminator="type")], ...] = Field((), description="The chain.")
    parts: frozenset[Part] = Field(frozenset(Part), description="Where.")
    mode: Literal["on", "off"] = "on"
    match: Match = Field(Match(), description="Scope.")
    strict: Match = Match(every=True)
    empty: Empty = Empty()
    ratio: float = Field(0.5, gt=0, le=1)
    limit: Annotated[int, Field(ge=1)] | Literal["none"] = 5
    by_name: dict[str, Match] = Field(default={})
    free: dict[str, Any] = Field(default={})
    pair: tuple[int, str] = (1, "x")
    since: datetime | None = None


SCHEMA = json_schema(Policy)
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one_of_2020_12() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA)[:5] == ["$schema", "$id", "title", "description", "type"]
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "Policy"
    assert list(SCHEMA)[-1] == "$defs"
    assert list(SCHEMA["$defs"]) == sorted(SCHEMA["$defs"])
    assert SCHEMA["$defs"]["Http"]["description"] == "Asks a service."


GOOD: list[dict[str, Any]] = [
    {},
    {"guards": [{"type": "http", "url": "https://x", "token": "${env:T}"}, {"type": "wasm", "key": "k"}]},
    {"parts": ["left"], "match": {"tools": ["a"]}, "limit": "none", "free": {"anything": [1]}},
]
BAD: list[dict[str, Any]] = [
    {"gaurds": []},
    {"guards": [{"type": "ftp"}]},
    {"guards": [{"type": "http", "url": "https://x", "tokn": "x"}]},
    {"guards": [{"type": "wasm", "key": ""}]},
    {"parts": ["up"]},
    {"name": ""},
    {"ratio": 0},
    {"by_name": {"x": {"y": 1}}},
    {"mode": True},
]


@pytest.mark.parametrize("value", GOOD)
def test_the_schema_accepts_what_the_model_accepts(value: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(value)


@pytest.mark.parametrize("value", BAD)
def test_the_schema_refuses_what_the_model_refuses(value: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(value)


def test_a_secret_is_written_and_never_read_back() -> None:
    keys = SCHEMA["$defs"]["Wasm"]["properties"]
    for key in (keys["key"], keys["spare"]["anyOf"][0]):
        assert key["type"] == "string"
        assert key["writeOnly"] is True
        assert key["examples"] == ["${env:NAME}", "${file:/path}"]
    assert keys["spare"]["default"] == MASK
    assert keys["key"]["description"] == "What it signs with."
    assert "${env:NAME} for an environment variable" in keys["spare"]["anyOf"][0]["description"]


def test_every_model_within_refuses_unknown_keys() -> None:
    class Loose(BaseModel):
        x: int = 0

    class Holder(Settings):
        loose: Loose = Loose()

    with pytest.raises(TypeError, match="Loose accepts unknown keys"):
        json_schema(Holder)


def test_schema_and_reference_do_not_depend_on_the_run() -> None:
    code = (
        "import importlib.util, json, sys\n"
        f"spec = importlib.util.spec_from_file_location('settings', {__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['settings'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(json.dumps([module.SCHEMA, module.reference(module.SCHEMA)]))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert [json.loads(output) for output in outputs] == [[SCHEMA, reference(SCHEMA)]]


REFERENCE = r"""## Policy

What is decided.

| key | value | default | meaning |
|---|---|---|---|
| `name` | text (length at least 1, length at most 8) | `p` | Its name. |
| `guards` | list of [Http](#http) or [Wasm](#wasm), by its `type` | `[]` | The chain. |
| `parts` | list (without repeats) of `left` or `middle` or `right` | `["left", "middle", "right"]` | Where. |
| `mode` | `on` or `off` | `on` |  |
| `match` | [Match](#match) | its defaults | Scope. |
| `strict` | [Match](#match) | `{"every": true}` |  |
| `empty` | [Empty](#empty) | its defaults | Has no keys. |
| `ratio` | number (more than 0, at most 1) | `0.5` |  |
| `limit` | integer (at least 1) or `none` | `5` |  |
| `by_name` | mapping of names to [Match](#match) | `{}` |  |
| `free` | mapping of names to any value | `{}` |  |
| `pair` | list of integer, then text | `[1, "x"]` |  |
| `since` | date and time or `null` | `null` |  |

## Http

Asks a service.

| key | value | default | meaning |
|---|---|---|---|
| `type` | `http` | required |  |
| `url` | text (matches `^https?://\|x`) | required | Where it listens \| waits. |
| `token` | secret: text, `${env:NAME}` or `${file:/path}` or `null` | `null` | Proof of identity. |

## Wasm

Runs a module.

| key | value | default | meaning |
|---|---|---|---|
| `type` | `wasm` | required |  |
| `key` | secret: text, `${env:NAME}` or `${file:/path}` | required | What it signs with. |
| `spare` | secret: text, `${env:NAME}` or `${file:/path}` or `null` | `********` |  |

## Match

| key | value | default | meaning |
|---|---|---|---|
| `tools` | list of text or `null` | `null` |  |
| `every` | `true` or `false` | `false` |  |

## Empty

Has no keys.

No keys.
"""


def test_the_reference_has_a_table_for_each_mapping() -> None:
    assert reference(SCHEMA) == REFERENCE
