"""What is published works without the source folder: the sdist builds a wheel that has all its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
FROM_WHEEL = (sys.executable, "-W", "error", "-m", "guardsvc")

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
    contracts = {path.relative_to(ROOT / "proto").with_suffix("") for path in (ROOT / "proto").rglob("*.proto")}

    assert "guardsvc/py.typed" in names
    assert {f"guardsvc/_proto/{contract}_pb2.py" for contract in contracts} <= names
    assert {f"guardsvc/_proto/{contract}_pb2.pyi" for contract in contracts} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert entry_points["console_scripts"]["guardsvc"] == "guardsvc.cli:main"
    assert not {name.partition("/")[0] for name in names} - {"guardsvc", listed.partition("/")[0]}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder that a process can be given instead of the source."""
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def test_wheel_runs_without_the_source_folder(wheel: Path, installed: Path, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    file, version = answer.stdout.split()

    assert Path(file).is_relative_to(installed)
    assert version == wheel.name.split("-")[1]


@pytest.mark.parametrize(
    ("args", "stdin", "starts"),
    [
        (("version",), "", "guardsvc "),
        (("check",), '{"jsonrpc":"2.0","id":1,"method":"ping"}', "ALLOW   ping"),
        (("config", "schema"), "", "{"),
    ],
)
def test_commands_of_the_wheel(installed: Path, tmp_path: Path, args: tuple[str, ...], stdin: str, starts: str) -> None:
    answer = subprocess.run(
        [*FROM_WHEEL, *args],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(starts)


def test_service_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    addresses = ("--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0")
    with subprocess.Popen(
        [*FROM_WHEEL, "serve", "--quiet", *addresses],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        ready = process.stderr.readline()
        process.terminate()
        rest = process.stderr.read()

    events = [json.loads(line)["event"] for line in (ready, *rest.splitlines())]
    assert (process.returncode, events) == (0, ["ready", "stopping", "stopped"])
