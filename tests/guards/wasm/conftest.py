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
    """Compiled modules are kept where the tests are, not where the user's are."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
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
