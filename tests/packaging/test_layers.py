"""Imports point downwards only, so that the way of the data can be read from the names of the folders."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "guardsvc"

LAYERS = (
    {"cli"},
    {"suites", "evaluation", "suggestion"},
    {"server", "traffic"},
    {"gateways"},
    {"engine"},
    {"policy"},
    {"guards"},
    {"mcp", "state", "config"},
    {"model"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Packages beside the layers, and who may import them. Gateways and hooks put protobuf messages on the
# wire; the server tells of them by reflection and health.
BESIDE = {
    "observe": ("cli", "server", "gateways"),
    "_proto": ("server", "gateways", "guards.hooks"),
}
FORBIDDEN = {("gateways", "guards")}


def may_import(importer: str, imported: str) -> bool:
    """Whether a module may import another; both are dotted names below ``guardsvc``."""
    above, below = importer.partition(".")[0], imported.partition(".")[0]
    if above == below:
        return True
    if below in BESIDE:
        return any(f"{importer}.".startswith(f"{name}.") for name in BESIDE[below])
    if above == "observe":
        return below == "model"
    return (above, below) not in FORBIDDEN and RANK[above] < RANK[below]


def imports_of(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and name below ``guardsvc`` of every import of a module in ``package``, also for types only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            root, _, below = name.partition(".")
            if root == "guardsvc" and below and (PACKAGE / below.partition(".")[0]).is_dir():
                yield node.lineno, below


def violations(source: str, module: str, package: str) -> list[str]:
    """The imports of a module that the layers do not allow, as ``module:line imports name``."""
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports_of(source, package)
        if not may_import(module.removeprefix("guardsvc."), name)
    ]


def test_imports_point_downwards() -> None:
    found = []
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "_proto" in parts:
            continue
        module = ".".join(part for part in parts if part != "__init__")
        found += violations(path.read_text(encoding="utf-8"), module, ".".join(parts[:-1]))

    assert found == []


def test_every_folder_has_its_place() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert folders <= RANK.keys() | BESIDE.keys()


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("cli.main", "server.run", True),
        ("server.run", "cli.main", False),
        ("gateways.ext_authz", "engine.chain", True),
        ("gateways.ext_authz", "guards.native.access", False),
        ("gateways.ext_authz", "_proto.envoy", True),
        ("guards.native.access", "gateways.ext_authz", False),
        ("guards.native.access", "_proto.envoy", False),
        ("guards.hooks.grpc", "_proto.guardsvc", True),
        ("engine.chain", "policy.policy", True),
        ("policy.policy", "engine.chain", False),
        ("engine.chain", "observe.metrics", False),
        ("server.run", "observe.metrics", True),
        ("observe.metrics", "model.decision", True),
        ("observe.metrics", "config.load", False),
        ("mcp.parse", "state.store", False),
        ("state.store", "state.memory", True),
        ("model.guard", "config.load", False),
    ],
)
def test_rule(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


@pytest.mark.parametrize(
    "source",
    [
        "import guardsvc.gateways",
        "import guardsvc.gateways.ext_authz as wire",
        "from guardsvc import gateways",
        "from guardsvc.gateways import ext_authz",
        "from .. import gateways",
        "from ..gateways.ext_authz import decode",
        "def late():\n    import guardsvc.gateways",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from guardsvc.gateways import ext_authz",
    ],
)
def test_import_upwards_is_found(source: str) -> None:
    assert violations(source, "guardsvc.guards.access", "guardsvc.guards")


def test_imports_of_the_same_package_and_of_others_are_no_violation() -> None:
    source = "import os\nfrom . import registry\nfrom guardsvc import __version__\nfrom guardsvc.model import Deny"

    assert violations(source, "guardsvc.guards.access", "guardsvc.guards") == []
