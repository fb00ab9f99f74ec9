"""guardsvc needs no network: it starts and answers where there is nothing but loopback, in little memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.demo.services import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
MOST_MEMORY = 90 * MIB


def _in_own_network(*command: str) -> list[str]:
    """The command in a new network namespace; skips the test where none can be made."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare here")
    options = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    tried = subprocess.run([unshare, *options, "true"], check=False, capture_output=True, text=True, timeout=30)
    if tried.returncode:
        pytest.skip(f"a network namespace cannot be made here: {tried.stderr.strip()}")
    return [unshare, *options, *command]


def test_it_answers_without_network_in_little_memory(record_property: Callable[[str, object], None]) -> None:
    policy_file = str(ROOT / "deploy" / "demo" / "policy.yaml")
    command = _in_own_network(sys.executable, "-m", "tests.e2e.offline_probe", policy_file)
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout)
    report = f"ready after {found['ready_after']:.2f} s, {found['resident'] / MIB:.1f} MiB resident when idle"
    record_property("guardsvc", report)
    print(report)  # noqa: T201  shown by pytest -rP
    assert found["offline"]
    assert found["allowed"]
    assert found["resident"] <= MOST_MEMORY
