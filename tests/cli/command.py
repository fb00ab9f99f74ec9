"""How a command ended."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch

import pytest

from guardsvc.cli import main
from tests.packages.installed import environment
from tests.server.process import COMMAND, HANG

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Outcome:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output, which is one JSON object per line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        """Standard output, which is one JSON object."""
        (only,) = self.objects
        return only


class Command(Protocol):
    """``guardsvc`` with these arguments."""

    def __call__(self, *args: object, stdin: bytes = b"") -> Outcome: ...


def run_here(*args: object, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """The command in this process, where nothing of the process itself is in question: a second and more is saved."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(content), "utf-8") for content in (stdin, b"", b""))
    with (
        patch.dict(os.environ, dict(env or environment()), clear=True),
        patch.multiple(sys, argv=["guardsvc", *map(str, args)], stdin=given, stdout=out, stderr=err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    for stream in (out, err):
        stream.flush()
    return Outcome(int(ended.value.code or 0), *(stream.buffer.getvalue().decode() for stream in (out, err)))


def run_process(
    *args: object, stdin: bytes = b"", env: Mapping[str, str] | None = None, within: float = HANG
) -> Outcome:
    """The command in a process of its own, which it ends with all that it started if it takes too long."""
    with subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env or environment()),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, within)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Outcome(process.returncode, out.decode(), err.decode())
