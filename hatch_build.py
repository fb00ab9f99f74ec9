"""Compiles the protobuf contracts under ``proto/`` into ``guardsvc/_proto`` when a wheel or an editable install is built."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "guardsvc/_proto"


class ProtoBuildHook(BuildHookInterface):
    """Generates the message classes; the virtual path keeps every import below ``guardsvc._proto``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run protoc over every contract; a contract that does not compile stops the build."""
        del version, build_data
        root = Path(self.root)
        target = root / PACKAGE
        sources = sorted(f"{PACKAGE}/{path.relative_to(root / 'proto')}" for path in (root / "proto").rglob("*.proto"))
        well_known = str(files("grpc_tools") / "_proto")
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={PACKAGE}={root / 'proto'}",
                f"--proto_path={well_known}",
                *self._googleapis(),
                f"--python_out={root}",
                f"--pyi_out={root}",
                *sources,
            ]
        )
        if status:
            raise RuntimeError(f"protoc failed with status {status}")
        for folder in {target, *(path.parent for path in target.rglob("*_pb2.py"))}:
            (folder / "__init__.py").touch()

    @staticmethod
    def _googleapis() -> list[str]:
        import google.rpc  # type: ignore[import-untyped]

        return [f"--proto_path={Path(path).parents[1]}" for path in google.rpc.__path__]
