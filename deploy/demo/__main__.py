"""``python -m deploy.demo``: sends calls through Envoy and shows what became of each.

Exit code 0 only if every call came to what it should.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.markup import escape

from deploy.demo import calls, tenants
from deploy.demo.process import NotReadyError
from deploy.demo.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from deploy.demo.observation import Observation

SCENES: tuple[tuple[str, Callable[[Stack], AsyncIterator[Observation]]], ...] = (
    ("The MCP SDK's client, revision 2026-07-28, one connection", calls.modern_client),
    ("The MCP SDK's client, revision 2025-11-25, one session", calls.old_client),
    ("The MCP SDK's client, headers or body changed on the way", calls.tampered_client),
    ("Plain HTTP", calls.raw_http),
    ("A burst over the rate limit", calls.burst),
    ("Two tenants, told apart by a claim of the token that Envoy verified", tenants.two_tenants),
    ("Callers who would like to be another tenant", tenants.impostors),
    ("Without guardsvc nothing passes", calls.fail_closed),
)


async def _play(stack: Stack, console: Console) -> tuple[int, int]:
    """Show every scene.

    Returns:
        How many calls were made, and how many came to something else than they should.
    """
    total = failed = 0
    for title, scene in SCENES:
        console.print(f"\n[bold]{escape(title)}[/]")
        async for observation in scene(stack):
            total += 1
            failed += bool(observation.problems)
            _show(console, total, observation)
    return total, failed


def _show(console: Console, number: int, observation: Observation) -> None:
    mark = "[red]NOT AS EXPECTED[/]" if observation.problems else "[green]ok[/]"
    colour = "green" if observation.decision.startswith("allow") else "yellow"
    console.print(f"{number:3}  {escape(observation.sent)}  {mark}")
    console.print(f"       decision  [{colour}]{escape(observation.decision)}[/]")
    console.print(f"       server    {escape(observation.server)}")
    console.print(f"       client    {escape(observation.client)}")
    for problem in observation.problems:
        console.print(f"       [red]problem   {escape(problem)}[/]")


def _run(console: Console) -> int:
    started = time.monotonic()
    stack = Stack()
    try:
        with stack:
            console.print(f"client → Envoy {stack.url()} → MCP server, Envoy asks guardsvc")
            total, failed = asyncio.run(_play(stack, console))
            if failed:
                stack.keep_logs = True
                console.print(escape(stack.tails()))
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started has ended")
        return 130
    except (FileNotFoundError, NotReadyError) as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    words = f"[red]{failed} of {total} calls were not as expected[/]" if failed else f"{total} calls, all as expected"
    console.print(f"\n{words}, {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(_run(Console(highlight=False, soft_wrap=True)))
