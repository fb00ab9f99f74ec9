"""An MCP server on standard input and output that means harm; what it does is its argument."""

from __future__ import annotations

import json
import sys
import time

HOW = sys.argv[1]
GREETING = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
    "serverInfo": {"name": "hostile", "version": "1"},
}


def say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tool(name: str) -> dict[str, object]:
    return {"name": name, "description": "Adds.", "inputSchema": {"type": "object"}, "x-unknown": "kept"}


def tools(cursor: str | None) -> dict[str, object]:
    if HOW == "loop":
        return {"tools": [tool("a")], "nextCursor": "again"}
    if HOW == "endless":
        number = int(cursor or 0)
        return {"tools": [tool(f"t{number}")], "nextCursor": str(number + 1)}
    if HOW == "many":
        return {"tools": [tool(f"t{number}") for number in range(50)], "nextCursor": "more"}
    return {"tools": [tool("a")]}


def answer(request: dict[str, object]) -> None:
    method, number = request.get("method"), request.get("id")
    params = request.get("params")
    cursor = params.get("cursor") if isinstance(params, dict) else None
    if method == "initialize":
        say({"jsonrpc": "2.0", "id": number, "result": GREETING})
    elif method == "tools/list":
        misbehave(number)
        say({"jsonrpc": "2.0", "id": number, "result": tools(cursor)})
    elif number is not None:
        say({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no such method"}})


def misbehave(number: object) -> None:
    if HOW == "silent":
        time.sleep(60)
    if HOW == "huge":
        while True:
            sys.stdout.write("x" * 65536)
    if HOW == "chatty":
        while True:
            say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}})
    if HOW == "asks":
        say({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {"messages": []}})
    if HOW == "twice":
        sys.stdout.write(
            f'{{"jsonrpc":"2.0","id":{number},"result":{{"tools":[{{"name":"a","name":"b","inputSchema":{{}}}}]}}}}\n'
        )
        sys.stdout.flush()


for line in sys.stdin:
    answer(json.loads(line))
