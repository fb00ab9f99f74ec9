"""``make demo``: everything that it shows comes to what it should, in less than a minute."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

from deploy.demo.services import ROOT

AT_MOST = 60.0
"""Seconds of work; a machine with much else to do takes longer over them."""


def test_every_call_comes_to_what_it_should() -> None:
    before = _worked()
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert _worked() - before < AT_MOST
    assert re.search(r"\n\d+ calls, all as expected, [\d.]+ s\n$", done.stdout)
    for shown in (
        r"translate .* ok\n +decision +deny  rate_limited by rate_limit",
        r"acme's token: tools/call refund  ok\n +decision +allow ",
        r"globex's token: tools/call refund  ok\n +decision +deny  access_denied .* for agent-7 of globex ",
        r"not signed .* ok\n +decision +none: Envoy answered by itself\n +server +got nothing\n +client +HTTP 401",
    ):
        assert re.search(shown, done.stdout), shown


def _worked() -> float:
    """Seconds of work of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
