"""The others: callers who do nothing wrong, beside whatever happens to the service."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from tests.load.client import Pacer, connect, framed
from tests.load.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.load.client import Call

MESSAGE = framed((files("guardsvc.cli.bench") / "check_request.bin").read_bytes())
"""A request as Envoy sends it, with a body of 1 KiB."""
RATE = 300.0
QUIET_S = 3.0
NO_ANSWER = "no answer"
"""It ended, and not with a decision."""
NONE_YET = "none yet"
"""It has not ended."""


@dataclass(frozen=True)
class Beside:
    """The others before and during a disturbance.

    Attributes:
        quiet: before.
        during: while it lasted.
        late: milliseconds that the client was late itself, at most.
        answers: how many of each, before and during.
    """

    quiet: Figures
    during: Figures
    late: float
    answers: Counter[str]

    @property
    def ratio(self) -> float:
        return self.during.p99 / self.quiet.p99

    def __str__(self) -> str:
        return (
            f"others quiet: {self.quiet}; meanwhile: {self.during}; p99 {self.ratio:.1f} times quiet, "
            f"client at most {self.late:.1f} ms late, answers {dict(self.answers)}"
        )


async def beside(
    address: str, disturb: Callable[[], Awaitable[object]], *, rate: float = RATE, quiet: float = QUIET_S
) -> Beside:
    """Ask at a fixed rate before and as long as something happens."""
    connections = await connect(address, 2)
    pacer = Pacer(connections, MESSAGE, rate)
    await pacer.run(0.5)
    pacer.latest = 0.0
    before = await pacer.run(quiet)
    happening = asyncio.ensure_future(disturb())
    during: list[Call] = []
    while not happening.done():
        during += await pacer.run(0.5, settle=False)
    await happening
    await pacer.settled(during)
    for connection in connections:
        connection.close()
    return Beside(Figures.of(before), Figures.of(during), pacer.latest * 1000, Counter(map(answer_of, before + during)))


def answer_of(call: Call) -> str:
    """``allow``, the reason of the denial, or what happened instead of an answer."""
    if call.answer is None:
        return NO_ANSWER if call.ended else NONE_YET
    response = CheckResponse.FromString(call.answer[5:])
    if response.status.code == 0:
        return "allow"
    return str(response.dynamic_metadata.fields["reason"].string_value)
