"""Event streams are cut the same wherever their bytes are, at a cost that is linear in them."""

from __future__ import annotations

import re
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.mcp import Refusal
from guardsvc.mcp.event_stream import EventSplitter, read_event
from guardsvc.mcp.shape import points_of
from guardsvc.model import Phase

PIECES = st.sampled_from([b"\r", b"\n", b"\r\n", b"data: x", b"data:", b":", b"id: 1", b"a", b"\xe2\x80\xa8"])
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


def cut(data: bytes, *places: int) -> tuple[list[tuple[bytes, ...]], bytes]:
    """The lines of each event, and what is left, of bytes that come in parts."""
    splitter = EventSplitter(1_000_000)
    events: list[bytes] = []
    for start, end in zip((0, *places), (*places, len(data)), strict=True):
        events += splitter.feed(data[start:end])
    rest = splitter.rest()
    assert b"".join(events) + rest == data
    lines = [tuple(line for line in re.split(rb"\r\n|\n|\r", event) if line) for event in events]
    return [event for event in lines if event], rest.strip(b"\r\n")


@given(STREAMS, st.data())
def test_where_the_bytes_are_cut_does_not_matter(data: bytes, draw: st.DataObject) -> None:
    whole = cut(data)
    assert cut(data, *range(1, len(data))) == whole
    places = draw.draw(st.lists(st.integers(0, len(data)), max_size=5).map(sorted))
    assert cut(data, *places) == whole


@given(STREAMS)
def test_events_are_those_of_the_specification(data: bytes) -> None:
    expected: list[tuple[bytes, ...]] = []
    lines: list[bytes] = []
    *complete, last = re.split(rb"\r\n|\n|\r", data)
    for line in complete:
        if line:
            lines.append(line)
        elif lines:
            expected.append(tuple(lines))
            lines = []
    assert cut(data)[0] == expected
    assert bool(cut(data)[1]) is bool(lines or last)


@given(STREAMS)
def test_reading_keeps_data_or_refuses(data: bytes) -> None:
    for event in cut(data)[0]:
        try:
            read = read_event(b"\n".join((*event, b"", b"")))
        except Refusal:
            continue
        assert read.lines == event
        assert read_event(read.with_data(b"{}")).data == (b"{}" if any(e.startswith(b"data") for e in event) else b"")


def test_it_says_when_an_event_began() -> None:
    splitter = EventSplitter(100)
    assert splitter.begun is None
    splitter.feed(b"data")
    assert splitter.begun is not None
    splitter.feed(b": x\n\n")
    assert splitter.begun is None


@pytest.mark.parametrize("unit", [b"\n", b"\r", b"\r\n", b":\n\n", b":\n", b"a", b"data:x\n\n", b"\r\r\n"])
def test_the_cost_is_linear(unit: bytes) -> None:
    def seconds(size: int) -> float:
        data = unit * (size // len(unit))
        best = 1e9
        for _ in range(3):
            started = process_time()
            splitter = EventSplitter(size)
            for start in range(0, len(data), 4096):
                splitter.feed(data[start : start + 4096])
            best = min(best, process_time() - started)
        return best

    assert seconds(400_000) < 12 * seconds(100_000) + 0.05


def test_many_small_pieces_of_one_large_event_cost_what_they_are() -> None:
    started = process_time()
    splitter = EventSplitter(1 << 20)
    for _ in range(200_000):
        splitter.feed(b"xxxxx")
    assert process_time() - started < 3
    assert splitter.pending == 1_000_000


@pytest.mark.parametrize(
    ("result", "phases"),
    [
        ({"tools": []}, (Phase.TOOLS_LIST,)),
        ({"content": [], "tools": []}, (Phase.TOOLS_LIST, Phase.TOOL_RESULT)),
        ({"serverInfo": {}}, (Phase.CONNECTION,)),
        ({"contents": []}, (Phase.RESOURCE_RESULT,)),
        ({"x": 1}, (Phase.OTHER,)),
        ([], (Phase.OTHER,)),
    ],
)
def test_the_shape_of_a_result(result: object, phases: tuple[Phase, ...]) -> None:
    assert points_of(result) == phases
