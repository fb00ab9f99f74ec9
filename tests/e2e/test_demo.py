"""``make demo``: everything that it shows comes to what it should, in less than a minute."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from deploy.demo.services import ROOT

AT_MOST = 60.0


def test_every_call_comes_to_what_it_should() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert time.monotonic() - started < AT_MOST
    assert re.search(r"\n\d+ calls, all as expected, [\d.]+ s\n$", done.stdout)
    for shown in (
        r"translate .* ok\n +decision +deny  rate_limited by rate_limit",
        r"acme's token: tools/call refund  ok\n +decision +allow ",
        r"globex's token: tools/call refund  ok\n +decision +deny  access_denied .* for agent-7 of globex ",
        r"not signed .* ok\n +decision +none: Envoy answered by itself\n +server +got nothing\n +client +HTTP 401",
    ):
        assert re.search(shown, done.stdout), shown
