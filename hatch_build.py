"""Compiles the protobuf contracts under ``proto/`` into ``guardsvc/_proto``.

It runs whenever a wheel or an editable install is built, so generated code is never kept in git.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import google.rpc
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "guardsvc/_proto"


class ProtoBuildHook(BuildHookInterface[Any]):
    """Generates the message classes; the virtual path keeps every import below ``guardsvc._proto``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run protoc over every contract; a contract that does not compile stops the build."""
        del version, build_data
        root = Path(self.root)
        contracts = root / "proto"
        target = root / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={PACKAGE}={contracts}",
                f"--proto_path={files('grpc_tools') / '_proto'}",
                *(f"--proto_path={Path(folder).parents[1]}" for folder in google.rpc.__path__),
                f"--python_out={root}",
                f"--pyi_out={root}",
                *sorted(f"{PACKAGE}/{path.relative_to(contracts)}" for path in contracts.rglob("*.proto")),
            ]
        )
        if status:
            raise RuntimeError(f"protoc failed with status {status}")
        for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
            (folder / "__init__.py").touch()
