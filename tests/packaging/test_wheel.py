"""What is published works without the source folder: the sdist builds a wheel that has all its parts."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import guardsvc
import guardsvc.model
from guardsvc._proto.envoy.service.auth.v3 import external_auth_pb2
from guardsvc._proto.guardsvc.v1 import guard_service_pb2

print(guardsvc.__file__)
print(guardsvc.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist in a folder of its own, never in the source folder."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (built,) = out.glob("guardsvc-*.whl")
    return built


def test_wheel_has_all_parts(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = ConfigParser()
        (listed,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        entry_points.read_string(archive.read(listed).decode())
    contracts = {
        path.relative_to(ROOT / "proto").with_suffix("") for path in (ROOT / "proto").rglob("*.proto")
    }

    assert "guardsvc/py.typed" in names
    assert {f"guardsvc/_proto/{contract}_pb2.py" for contract in contracts} <= names
    assert {f"guardsvc/_proto/{contract}_pb2.pyi" for contract in contracts} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert entry_points["console_scripts"]["guardsvc"] == "guardsvc.cli:main"
    assert not {name.partition("/")[0] for name in names} - {"guardsvc", listed.partition("/")[0]}


def test_wheel_runs_without_the_source_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--target",
            target,
            wheel,
        ],
        check=True,
    )
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    file, version = answer.stdout.split()

    assert Path(file).is_relative_to(target)
    assert version == wheel.name.split("-")[1]
