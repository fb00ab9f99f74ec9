from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARDS = Path(__file__).parents[3] / "wasm-guards"


@pytest.fixture(scope="session", autouse=True)
def _compiled_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled modules are kept where the tests are, not where the user's are, for all processes of one run."""
    before = os.environ.get("XDG_CACHE_HOME")
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "compiled"
    shared.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(shared)
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def forbidden_text() -> Path:
    return GUARDS / "rust" / "forbidden_text.wasm"


@pytest.fixture
def older() -> Path:
    return GUARDS / "c" / "older"
