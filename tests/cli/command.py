"""How a command ended."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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


def run_process(*args: object, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """The command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *map(str, args)],
        input=stdin,
        capture_output=True,
        env=dict(env or environment()),
        timeout=HANG,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
