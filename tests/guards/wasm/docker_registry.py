"""A real registry, Debian's ``docker-registry``, of a test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["docker_registry"]

READY_WITHIN = 20.0
REQUIRED = "GUARDSVC_REGISTRY_REQUIRED"
"""Set where a missing docker-registry is a failure, as in CI."""
LISTENS = re.compile(r"listening on (127\.0\.0\.1:[0-9]+)")


def _program() -> str:
    """docker-registry, or the end of the test: it is skipped, or fails where it may not be missing."""
    program = shutil.which("docker-registry")
    if program is not None:
        return program
    reason = "no docker-registry; on Debian: apt-get install docker-registry"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Host and port of a registry that keeps everything in a folder."""
    storage = {"filesystem": {"rootdirectory": str(folder)}}
    config = {"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:0"}}
    (folder / "config.yml").write_text(json.dumps(config))
    log = folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen([_program(), "serve", folder / "config.yml"], stdout=written, stderr=written)
    try:
        yield _address(log, process)
    finally:
        process.terminate()
        process.wait(10)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < end:
        found = LISTENS.search(log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"docker-registry does not listen: {log.read_text()}")
