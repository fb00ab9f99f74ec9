"""Process: a child process with a log file, waited for until it is ready and ended for certain."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["NotReadyError", "Process"]

T = TypeVar("T")

READY_WITHIN = 120.0
ENDS_WITHIN = 5.0
TAIL_LINES = 15


class NotReadyError(RuntimeError):
    """A process ended or stayed silent before it was ready; the message shows the tail of its log."""


class Process:
    """One child process, in a process group of its own so that Ctrl-C reaches only its parent.

    Args:
        name: of the process and its log.
        command: program and arguments.
        folder: where the log is written.
        environment: variables over those of this process.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child."""
        if self._child is None:
            raise NotReadyError(f"{self.name} does not run")
        return self._child.pid

    def start(self) -> None:
        """Start the process with an empty log; it need not be ready yet."""
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def wait_for(self, ready: Callable[[], T | None]) -> T:
        """What ``ready`` returns once it is not None.

        Raises:
            NotReadyError: the process ended first, or took too long.
        """
        give_up = time.monotonic() + READY_WITHIN
        while (found := ready()) is None:
            if self._child is None or self._child.poll() is not None:
                raise NotReadyError(f"{self.name} ended before it was ready\n{self.tail()}")
            if time.monotonic() > give_up:
                raise NotReadyError(f"{self.name} is not ready after {READY_WITHIN:.0f} s\n{self.tail()}")
            time.sleep(0.01)
        return found

    def stop(self) -> None:
        """End the process, by force if it does not follow."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def events(self) -> Iterator[dict[str, Any]]:
        """The JSON objects among the complete lines of the log."""
        for line in self._lines():
            if line.startswith("{") and line.endswith("}\n"):
                yield json.loads(line)

    def tail(self) -> str:
        """The last lines of the log, under the name of its file."""
        lines = [line.rstrip() for line in self._lines()][-TAIL_LINES:]
        return "\n".join((f"--- {self.log}", *lines))

    def _lines(self) -> list[str]:
        if not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines(keepends=True)
