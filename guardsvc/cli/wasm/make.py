"""``guardsvc wasm new`` and ``build``: a guard's source, and the component that is made of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm.inspect import described, told
from guardsvc.cli.wasm.options import Asked, end

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LANGUAGES", "run_build", "run_new"]

LANGUAGES = ("assemblyscript", "c", "cpp", "go", "javascript", "python", "rust")
NAMED = "guard-name"
"""What stands for the name of the guard in a template, in the manner of WIT; with _ in code."""
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*")


def run_new(language: str, folder: str) -> None:
    """Make a folder with a guard that can be built."""
    if language not in LANGUAGES:
        end(f'"{language}" is not one of {", ".join(LANGUAGES)}', ExitCode.USAGE)
    target = Path(folder)
    name = target.resolve().name.replace("_", "-").lower()
    if not NAME.fullmatch(name):
        end(f'"{name}" cannot be the name of a guard: words of letters and digits, joined by -', ExitCode.USAGE)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        end(f"{folder} is there already and not empty", ExitCode.USAGE)
    with as_file(files("guardsvc.cli.wasm") / "templates") as templates:
        try:
            for source in (templates / "shared", templates / language):
                shutil.copytree(source, target, dirs_exist_ok=True)
            for path in _texts(target):
                text = path.read_text(encoding="utf-8")
                named = text.replace(NAMED, name).replace(NAMED.replace("-", "_"), name.replace("-", "_"))
                path.write_text(named, encoding="utf-8")
        except OSError as error:
            end(f"{folder} cannot be written: {error.strerror}", ExitCode.USAGE)
    (target / "build.sh").chmod(0o755)
    print(f"made {folder}; next:\n  guardsvc wasm build {folder}")
    print(f"  guardsvc wasm test {folder}/{name}.wasm {folder}/suites")


def run_build(folder: str, *, as_json: bool) -> None:
    """Run ``build.sh`` and show the component that it wrote."""
    script = Path(folder) / "build.sh"
    if not script.is_file():
        end(f"{script} is not there; it writes a *.wasm into {folder}", ExitCode.USAGE)
    before = {path: path.stat().st_mtime_ns for path in Path(folder).glob("*.wasm")}
    try:
        done = subprocess.run(  # noqa: S603  what the command is for
            [script.resolve()], cwd=folder, check=False, stdout=2, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        end(f"{script} cannot be run: {error.strerror}", ExitCode.FAILED)
    if done.returncode != 0:
        end(f"{script} ended with code {done.returncode}", ExitCode.FAILED)
    made = [path for path in Path(folder).glob("*.wasm") if before.get(path) != path.stat().st_mtime_ns]
    if len(made) != 1:
        names = ", ".join(sorted(path.name for path in made)) or "none"
        end(f"{script} must write one *.wasm into {folder} and wrote {names}", ExitCode.FAILED)
    report = {"module": str(made[0]), **described(Asked.of(str(made[0]), None).read())}
    print(json.dumps(report) if as_json else told(report))


def _texts(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
