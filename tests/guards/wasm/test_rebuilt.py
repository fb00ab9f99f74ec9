"""The guards of ``wasm-guards`` that build in seconds, built anew where their toolchain is there: they decide the same.

``wasm-guards/build-all.sh`` does so for each language.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.guards.wasm import test_languages as languages
from tests.guards.wasm.conftest import GUARDS

if TYPE_CHECKING:
    from collections.abc import Callable

CLANG = next((name for name in ("clang-19", "clang") if shutil.which(name)), "clang")
SYSROOT = " --sysroot=/usr" if Path("/usr/include/wasm32-wasi").is_dir() else ""
MISSING = 3
"""With what a script ends where its toolchain is not there."""


@pytest.fixture(scope="module", params=["c", "cpp"])
def rebuilt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    language = str(request.param)
    out = tmp_path_factory.mktemp("rebuilt") / f"{language}.wasm"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CLANG": CLANG,
        "CXX": CLANG.replace("clang", "clang++") + SYSROOT,
        "OUT": str(out),
    }
    ended = subprocess.run(
        [str(GUARDS / language / "build.sh")], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode == MISSING:
        pytest.skip(ended.stderr.strip())
    assert ended.returncode == 0, ended.stderr
    return language, out


@pytest.mark.parametrize(
    "what",
    [
        languages.test_it_imports_the_host_and_nothing_else,
        languages.test_calls,
        languages.test_lists,
        languages.test_it_judges_its_settings,
    ],
)
def test_it_decides_the_same(
    what: Callable[[str], None], rebuilt: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    language, out = rebuilt
    monkeypatch.setattr(languages, "module_of", lambda _language: out)

    what(language)
