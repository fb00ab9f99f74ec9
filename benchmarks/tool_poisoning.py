"""What ``tool_poisoning`` costs, from the parsed list to the verdict, in milliseconds.

Run it as ``python -m benchmarks.tool_poisoning [repeats]``. With ``GUARDSVC_CORPUS`` naming a folder that has
``benign_tools.jsonl``, the definitions are those; without, they are made up. A list has fifty tools, and each list
is judged once, so that none of its tools was ever seen: half of the definitions warm the automata up, the other half
is measured. Every repeat is a process of its own, since automata are kept by process, and has another half. A list is
parsed right before the clock starts, as it is when a gateway asks. What is there at the start is left out of garbage
collection, as the service does. ``cold`` is the first list of a new guard. The ten patterns keep nothing
of a list: their automata are warmed up by all of them.
"""  # noqa: INP001  a script

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from guardsvc.guards.native.tool_poisoning import ToolPoisoning, ToolPoisoningSettings
from guardsvc.model import Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase

TOOLS = 50
REPEATS = 7
MADE_UP = 3_000
PATTERNS = (
    r"(?i)ignore (all )?previous instructions",
    r"(?i)do not tell the user",
    r"(?i)<important>",
    r"(?i)system prompt",
    r"(?i)\bexfiltrate\b",
    r"(?i)~/\.ssh/",
    r"(?i)base64",
    r"(?i)curl\s+https?://",
    r"(?i)without (the )?user'?s? (knowledge|consent)",
    r"(?i)send .{0,40} to https?://",
)
_WORDS = (
    "a an the of in for to with by and or list get set create update delete find item user file page name value "
    "number date status id key query result project issue branch table column row message channel report account "
    "optional required default returns given existing new all each text format path limit order filter field "
    "returned must before should call tool response data server"
)
WORDS = _WORDS.split()


def definitions() -> list[dict[str, Any]]:
    """Definitions of tools, each different from the others."""
    folder = os.environ.get("GUARDSVC_CORPUS")
    if folder is None:
        source = random.Random(7)  # noqa: S311  nothing secret
        return [_made_up(number, source) for number in range(MADE_UP)]
    lines = (Path(folder) / "benign_tools.jsonl").read_text("utf-8").splitlines()
    members = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "_meta")
    return [{member: row[member] for member in members if row.get(member)} for row in map(json.loads, lines)]


def _made_up(number: int, source: random.Random) -> dict[str, Any]:
    def prose(length: int) -> str:
        return " ".join(source.choices(WORDS, k=length)).capitalize() + "."

    properties = {f"{source.choice(WORDS)}_{index}": {"type": "string", "description": prose(9)} for index in range(4)}
    description = f"{prose(14)} {prose(12)} {prose(10)}"
    return {"name": f"tool_{number}", "description": description, "inputSchema": {"properties": properties}}


def listing(tools: bytes) -> Operation:
    """The answer to ``tools/list`` that has these tools."""
    return Operation(
        protocol=GatewayProtocol.GUARD_SERVICE,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        server="bench",
        servers=("bench",),
        payload={"tools": msgspec.json.decode(tools)},
    )


def built(**settings: Any) -> ToolPoisoning:
    """A guard that has seen nothing."""
    return ToolPoisoning(ToolPoisoningSettings.model_validate(settings), GuardContext(guard_id="tool_poisoning"))


def judge(guard: ToolPoisoning, lists: list[bytes]) -> list[float]:
    """Milliseconds of each list, sorted."""
    times = []
    for tools in lists:
        operation = listing(tools)
        begun = perf_counter()
        guard.evaluate(operation, {})
        times.append((perf_counter() - begun) * 1e3)
    return sorted(times)


def once(seed: int) -> dict[str, float]:
    """Measure everything with one new guard each."""
    tools = definitions()
    random.Random(seed).shuffle(tools)  # noqa: S311  nothing secret
    lists = [msgspec.json.encode(tools[at : at + TOOLS]) for at in range(0, len(tools) - TOOLS + 1, TOOLS)]
    warm, fresh = lists[::2], lists[1::2]
    guard = built()
    gc.collect()
    gc.freeze()
    cold = judge(guard, warm[:1])[0]
    judge(guard, warm)
    unseen = judge(guard, fresh)
    again = judge(guard, fresh)
    ten = built(custom_patterns=PATTERNS, builtin_rules=False, scan_fields=["description"], cache_entries=0)
    judge(ten, lists)
    few = judge(ten, fresh)
    return {
        "cold": cold,
        "unseen_p50": statistics.median(unseen),
        "unseen_p99": unseen[min(len(unseen) - 1, len(unseen) * 99 // 100)],
        "seen_p50": statistics.median(again),
        "ten_patterns_p50": statistics.median(few),
    }


def main(repeats: int) -> None:
    """Print the least and the median of several repeats."""
    tools = definitions()
    with ProcessPoolExecutor(max_workers=1, max_tasks_per_child=1) as processes:
        found = list(processes.map(once, range(repeats)))
    sizes = [len(json.dumps(tool, ensure_ascii=False).encode()) for tool in tools]
    sys.stdout.write(f"{len(tools)} tools, {statistics.mean(sizes):.0f} bytes each, {repeats} repeats\n")
    for name in found[0]:
        values = [each[name] for each in found]
        sys.stdout.write(f"{name:18} min {min(values):6.3f} ms  median {statistics.median(values):6.3f} ms\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS)
