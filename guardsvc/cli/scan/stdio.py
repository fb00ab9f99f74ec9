"""Stdio: a server as a process of its own, whose output is bounded.

The SDK's own transport keeps a line of any length; everything else is as there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from guardsvc.cli.scan.catalog import ScanError
from guardsvc.cli.scan.meter import BoundError, Meter

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from mcp.client._transport import TransportStreams

__all__ = ["stdio"]

GRACE = 0.5
"""Seconds that a server has to end once its input is closed."""
POLL = 0.01


@asynccontextmanager
async def stdio(
    command: Sequence[str], environment: Mapping[str, str], meter: Meter
) -> AsyncGenerator[TransportStreams, None]:
    """Run a server; its process group ends with the context.

    Args:
        command: program and arguments.
        environment: variables beside the few that every server gets.
        meter: counts what it sends.

    Raises:
        ScanError: it cannot be started, or ended before it answered.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=meter.bounds.message_bytes,
            env=get_default_environment() | dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise ScanError(f"the command cannot be started: {error.strerror}") from None
    into, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
    answered = False

    async def read() -> None:
        nonlocal answered
        async with into:
            with suppress(BoundError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                while (line := await _line(process.stdout, meter)) is not None:
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:
                        meter.count()
                        continue
                    answered = True
                    meter.read(line.rstrip(b"\r\n"))
                    await into.send(SessionMessage(message))

    async def write() -> None:
        async with out:
            with suppress(OSError):
                async for message in out:
                    if process.stdin is None:
                        return
                    data = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    process.stdin.write(data.encode() + b"\n")
                    await process.stdin.drain()
        await into.aclose()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(write)
            try:
                yield messages, outgoing
            except Exception as error:
                if not answered and (code := await _exited(process)) is not None:
                    how = f"code {code}" if code >= 0 else f"signal {-code}"
                    raise ScanError(f"the command ended with {how} before it answered") from error
                raise
            finally:
                tasks.cancel_scope.cancel()
    finally:
        messages.close()
        outgoing.close()
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _line(output: StreamReader | None, meter: Meter) -> bytes | None:
    """The next line that is not empty, None at the end."""
    while output is not None:
        try:
            line = await output.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            meter.refuse(f"a message of more than {meter.bounds.message_bytes} bytes")
            return None
        meter.add(len(line), len(line))
        if line.strip():
            return line
    return None


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    await _exited(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Not before its pipes are closed is it over for asyncio, and nobody reads them any more.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  there is no other way
    await _exited(process)


async def _exited(process: Process) -> int | None:
    """Wait until a process has ended, for a while; with which code, negative for a signal."""
    for _ in range(round(GRACE / POLL)):
        await asyncio.sleep(POLL)
        if process.returncode is not None:
            break
    return process.returncode
