"""The server of ``upstream`` as a process that speaks MCP over standard input and output."""

from __future__ import annotations

import json
import sys

from tests.gateways.ext_mcp.upstream import Server


def main(method: str, says: str) -> None:
    """Answer each line; only this method says something that is not fine."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        asked = message["method"]
        result = Server(says if asked == method else "fine").answer(asked, message.get("params"))
        if asked == "initialize":
            result["capabilities"] = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
