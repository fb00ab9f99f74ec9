from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.state.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real redis-server."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
