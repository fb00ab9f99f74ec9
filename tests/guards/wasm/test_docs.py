"""The page of ``wasm``: the headings of the others, every setting, limit and kind of failure, examples that build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardsvc.config import Checker, Document
from guardsvc.engine import FAILURE_CODES
from guardsvc.guards.registry import load_registry
from guardsvc.guards.wasm.contract.interface import EVALUATIONS
from guardsvc.guards.wasm.failures import KINDS
from guardsvc.guards.wasm.options import WasmOptions
from guardsvc.guards.wasm.settings import GrantSettings, LimitSettings, WasmSettings
from guardsvc.guards.wasm.variants import VariantSettings
from guardsvc.policy import build_policy, policy_model

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "guards" / "wasm.md").read_text()
WIT = (ROOT / "wasm-guards" / "wit" / "guard.wit").read_text()
HEADINGS = ["Name", "What it refuses", "Settings", "Rules", "Examples", "Limits"]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_headings() -> None:
    assert PAGE.startswith("# wasm\n")
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("model", [WasmSettings, LimitSettings, GrantSettings, WasmOptions])
def test_every_setting_is_told(model: Any) -> None:
    told = PAGE.partition("## Settings")[2].partition("## Rules")[0]

    assert [name for name in model.model_fields if f"`{name}`" not in told] == []


def test_every_setting_of_a_candidate_is_told() -> None:
    told = (ROOT / "docs" / "wasm-ab.md").read_text().partition("| setting |")[2].partition("## ")[0]

    assert [name for name in VariantSettings.model_fields if f"`{name}`" not in told] == []


def test_every_kind_of_failure_is_told_with_its_code() -> None:
    rows = [line for line in PAGE.partition("## Rules")[2].splitlines() if line.startswith("| `")]
    told = {
        kind: (row.split("|")[2].strip(" `"), row.split("|")[3].strip(" `"))
        for row in rows
        for kind in re.findall(r"`([a-z_]+)`", row.split("|")[1])
    }

    assert told == {name: (kind.value, FAILURE_CODES[kind]) for name, kind in KINDS.items()}


def test_every_interface_is_told_and_in_the_contract() -> None:
    told = PAGE.partition("## What it refuses")[2].partition("## Settings")[0]

    assert [kind for kind in EVALUATIONS if f"| `{kind}` |" not in told] == []
    assert re.findall(r"^interface %?([a-z-]+) \{", WIT, re.MULTILINE) == [
        "types",
        *EVALUATIONS,
        "settings",
        "host",
        "kv",
        "http",
    ]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_build(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    registry = load_registry()
    document = Document.parse(yaml.safe_dump({"policy": {"guards": yaml.safe_load(example)}}), "example")
    checker = Checker(document)
    settings = checker.check(policy_model(registry), document.value["policy"], ("policy",))
    checker.raise_if_any()
    assert settings is not None

    assert build_policy(settings, registry, checker) is not None, checker.problems
