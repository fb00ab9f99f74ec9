"""Hostile messages: each kind of ``hostile.yaml`` as a message of any size."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.config.shipped import read_shipped
from guardsvc.mcp.mirror import conforming_post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardsvc.mcp import HttpRequest

__all__ = ["MAX_HEADER", "TOOL", "Kind", "hostile_kinds"]

TOOL = "hostile"
MAX_HEADER = 61_440
"""Bytes of all header fields that Envoy accepts unless it is configured otherwise."""
STRING = 200_000
"""Characters of one string at most, fewer than ``argument_limits`` has as its limit."""
ITEMS, KEYS = 4_000, 400
"""Members of one array, of one object; fewer than ``argument_limits`` has as its limit."""
DESCRIPTION = 4_000
"""Characters of a tool's description."""
MESSAGE = 16_000
"""Characters of one message that a server would have sampled."""
FIELD = 36
"""Bytes of a field of a form, without its title."""

_HEADERS = ("authorization", "path")
_ANSWERED = {
    "tools": "tools/list",
    "descriptions": "tools/list",
    "results": "tools/call",
    "sampling": "tools/call",
    "form": "tools/call",
}


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of hostile text; see ``hostile.yaml``."""

    name: str
    guard: str
    shape: str
    unit: str
    field: str = ""
    times: int = 1

    @property
    def in_header(self) -> bool:
        """Whether it stands in a header field or the path, which bounds its size by ``MAX_HEADER``."""
        return self.shape in _HEADERS

    @property
    def answers(self) -> str:
        """The method that it answers, empty where it is a request."""
        return _ANSWERED.get(self.shape, "")

    def body(self, size: int) -> bytes:
        """The body, of ``size`` bytes or a little less."""
        make = _SHAPES.get(self.shape, _call)
        room = size - len(make(self, 0))
        while len(body := make(self, room)) > size:
            room -= len(body) - size
        return body

    def request(self, size: int) -> HttpRequest:
        """The request; with a header of ``size`` bytes where it stands there."""
        if not self.in_header:
            return conforming_post(self.body(size), "localhost")
        text = "".join(_units(self, size))
        if self.shape == "path":
            request = conforming_post(_call(self, 0), "localhost")
            return msgspec.structs.replace(request, path=f"/mcp{text}")
        return conforming_post(_call(self, 0), "localhost", [("authorization", f"Bearer {text}")])


def hostile_kinds() -> tuple[Kind, ...]:
    """All kinds, in the order of the file."""
    rows = read_shipped("guardsvc.cli.bench", "hostile.yaml")
    return tuple(msgspec.convert(row, Kind) for row in rows)


def _units(kind: Kind, room: int, *, extra: int = 0) -> Iterator[str]:
    """Units that take ``room`` bytes of JSON together, each with ``extra`` bytes around it."""
    as_json = kind.shape in ("items", "tools")
    for number in count():
        unit = kind.unit.replace("#", str(number)) * kind.times
        room -= extra + (len(unit.encode()) if as_json else len(_json(unit)) - 2)
        if room < 0:
            return
        yield unit


def _call(kind: Kind, room: int) -> bytes:
    arguments = _arguments(kind, room) if kind.field else "{}"
    return _message("tools/call", f'{{"name":"{TOOL}","arguments":{arguments}}}')


def _arguments(kind: Kind, room: int) -> str:
    match kind.shape:
        case "text":
            joined = "".join(_units(kind, room))
            parts = [_json(joined[start : start + STRING]).decode() for start in range(0, len(joined), STRING)]
        case "values":
            parts = _grouped([_json(unit).decode() for unit in _units(kind, room, extra=3)], "[]")
        case "keys":
            parts = _grouped([f"{_json(unit).decode()}:1" for unit in _units(kind, room, extra=5)], "{}")
        case _:
            parts = _grouped(list(_units(kind, room, extra=1)), "[]")
    # A schema that judges single values is for the only string, or for the items of one array.
    whole = parts[0] if len(parts) == 1 else f"[{','.join(parts)}]"
    return f'{{"{kind.field}":{whole}}}'


def _grouped(parts: list[str], brackets: str) -> list[str]:
    """Arrays or objects of some of the parts each."""
    most = ITEMS if brackets == "[]" else KEYS
    groups = [",".join(parts[start : start + most]) for start in range(0, len(parts), most)]
    return [f"{brackets[0]}{group}{brackets[1]}" for group in groups or [""]]


def _answers(kind: Kind, room: int) -> bytes:
    answer = '{"action":"accept","content":{}}'
    answers = ",".join(f'"{unit}":{answer}' for unit in _units(kind, room, extra=len(answer) + 4))
    meta = (
        '{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},'
        '"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}'
    )
    params = f'{{"name":"{TOOL}","arguments":{{}},"inputResponses":{{{answers}}},"_meta":{meta}}}'
    return _message("tools/call", params)


def _tools(kind: Kind, room: int) -> bytes:
    return _listing(list(_units(kind, room, extra=1)))


def _descriptions(kind: Kind, room: int) -> bytes:
    around = len(_described(0, "")) + 8
    text = "".join(_units(kind, room - (room // DESCRIPTION + 1) * around))
    texts = [text[start : start + DESCRIPTION] for start in range(0, len(text), DESCRIPTION)]
    return _listing([_described(number, each) for number, each in enumerate(texts)])


def _result(kind: Kind, room: int) -> bytes:
    joined = "".join(_units(kind, room))
    texts = [joined[start : start + STRING] for start in range(0, len(joined), STRING)]
    content = ",".join(f'{{"type":"text","text":{_json(text).decode()}}}' for text in texts)
    return f'{{"jsonrpc":"2.0","id":1,"result":{{"content":[{content}]}}}}'.encode()


def _sampling(kind: Kind, room: int) -> bytes:
    joined = "".join(_units(kind, room))
    texts = [joined[start : start + MESSAGE] for start in range(0, len(joined), MESSAGE)]
    messages = ",".join(
        f'{{"role":"user","content":{{"type":"text","text":{_json(text).decode()}}}}}' for text in texts
    )
    return _asked("sampling/createMessage", f'{{"maxTokens":9,"messages":[{messages}]}}')


def _form(kind: Kind, room: int) -> bytes:
    texts = list(_units(kind, room, extra=FIELD))
    fields = ",".join(
        f'"f{number}":{{"type":"string","title":{_json(text).decode()}}}' for number, text in enumerate(texts)
    )
    return _asked("elicitation/create", f'{{"message":"Which?","requestedSchema":{{"properties":{{{fields}}}}}}}')


def _asked(method: str, params: str) -> bytes:
    asked = f'{{"a":{{"method":"{method}","params":{params}}}}}'
    return f'{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required","inputRequests":{asked}}}}}'.encode()


def _described(number: int, text: str) -> str:
    tool: dict[str, Any] = {"name": f"t{number}", "description": text, "inputSchema": {"type": "object"}}
    return _json(tool).decode()


def _listing(tools: list[str]) -> bytes:
    return f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{",".join(tools)}]}}}}'.encode()


def _message(method: str, params: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_SHAPES: dict[str, Callable[[Kind, int], bytes]] = {
    "answers": _answers,
    "tools": _tools,
    "descriptions": _descriptions,
    "results": _result,
    "sampling": _sampling,
    "form": _form,
}
