"""Packages as an installer leaves them, written by hand where building one would show nothing more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDMADE = Path(__file__).with_name("handmade_guards.py")


def install(folder: Path, package: str, source: str, guards: Mapping[str, str]) -> None:
    """Put a package of one module into a folder.

    Args:
        folder: the folder, later on ``PYTHONPATH``.
        package: name of the module and the distribution.
        source: text of the module.
        guards: entry points of the group ``guardsvc.guards`` and the objects they name.
    """
    (folder / f"{package}.py").write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    points = "".join(f"{name} = {package}:{target}\n" for name, target in guards.items())
    (info / "entry_points.txt").write_text(f"[guardsvc.guards]\n{points}")


def install_handmade(folder: Path) -> None:
    """Install the guards of ``handmade_guards.py``."""
    names = ("gate", "marker", "broken", "keyholder")
    install(folder, "handmade", HANDMADE.read_text(), {name: name.upper() for name in names})


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that sees packages in these folders, and of guardsvc's variables only these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUARDSVC_")}
    paths = [*map(str, folders), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **variables}
