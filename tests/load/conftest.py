"""What the load tests saw is printed at the end of the run, whether they passed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SEEN = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds a line to the report."""
    lines = request.config.stash.setdefault(SEEN, [])
    name = request.node.name.removeprefix("test_")

    def add(line: str) -> None:
        lines.append(f"{name}: {line}")

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash.get(SEEN, [])
    if lines:
        terminalreporter.section("seen under load and faults")
        for line in lines:
            terminalreporter.write_line(line)
