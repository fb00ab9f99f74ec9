"""Messages between supervisor and worker arrive whole, and the end of one side is seen by the other."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.workers.channel import (
    Begin,
    Commit,
    Discard,
    Done,
    Prepare,
    Refresh,
    Refused,
    Serving,
    ShowLevel,
    framed,
    receive,
    receive_async,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.server.workers.channel import Answer, Order

MESSAGES: list[Order | Answer] = [
    Begin(
        worker=1,
        source="/etc/guardsvc.yaml",
        content=b"policy: {}",
        overrides={"workers": 2, "log": {"level": "info"}},
        service=b"\x80pickle",
        metrics="/tmp/metrics",
        level="info",
    ),
    Prepare(content=bytes(300_000)),
    Commit(),
    Discard(),
    Refresh(),
    ShowLevel(level="debug"),
    Serving(listeners={"default": "127.0.0.1:1"}, policy="abcd"),
    Refused(kind="address", text="taken"),
    Done(policy="abcd"),
    Done(problems=["policy: wrong (line 3)"]),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
async def test_a_message_arrives_as_it_was_sent(
    pair: tuple[socket.socket, socket.socket], message: Order | Answer
) -> None:
    one, other = pair
    sending = threading.Thread(target=send, args=(one, message))
    sending.start()
    assert receive(other) == message
    sending.join()

    reader = asyncio.StreamReader()
    reader.feed_data(framed(message))
    assert await receive_async(reader) == message


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5ab"])
async def test_the_end_of_the_other_side(pair: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    one, other = pair
    one.sendall(sent)
    one.close()
    assert receive(other) is None

    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    assert await receive_async(reader) is None
