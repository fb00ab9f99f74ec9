"""``guardsvc baseline``: what it needs of a configuration; what it does is tested with ``rug_pull``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Command


def test_a_policy_without_pins(guardsvc: Command, config: Path) -> None:
    ended = guardsvc("baseline", "list", "-c", config)

    assert (ended.code, ended.err) == (ExitCode.USAGE, f"guardsvc: {config} has no guard of type rug_pull\n")
