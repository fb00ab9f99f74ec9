"""Large bodies are judged by another process: with the same result, in time, and whatever becomes of the process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.gateways.statement import Statement, judge_statement
from guardsvc.model import Caller, Direction, GatewayProtocol, Headers, Kind, Phase
from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.record import Encoder
from guardsvc.policy import IdentityError
from guardsvc.server.configuration import Configuration, load_configuration
from guardsvc.server.judges import Elsewhere, Judges
from guardsvc.server.judges import pool as pool_module
from guardsvc.server.judges.messages import Begin
from guardsvc.server.judges.process import BUILDING_NICE
from guardsvc.server.judges.slim import slim, with_headers
from guardsvc.state import Sources
from tests.gateways.posted import ASKER, post, request
from tests.guards.wasm.conftest import GUARDS
from tests.server.process import HANG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guardsvc.model import Decision

KEY = ("k", b"0123456789abcdef0123456789abcdef")
ACCEPT = ("accept", "application/json, text/event-stream")
FIELDS = (ACCEPT, ("mcp-protocol-version", "2025-06-18"))
ENCODER = Encoder("0", AuditKey(*KEY), include_arguments=True)
BEGIN = Begin(worker=None, level="info", format="json", nice=15, memory=2 << 30, audit=KEY, include_arguments=True)
POLICY: dict[str, Any] = {
    "mode": "enforce",
    "default": "allow",
    "integrity": {"batches": True},
    "guards": [
        {"type": "protocol_compliance"},
        {
            "type": "access_list",
            "settings": {
                "rules": [{"action": "deny", "tools": ["hidden"]}, {"action": "allow"}],
                "unknown_server": "allow",
                "default": "allow",
            },
        },
        {
            "type": "rate_limit",
            "settings": {
                "limits": [
                    {"name": "few", "key": ["principal"], "windows": ["3 per hour"], "match": {"tools": ["limited"]}}
                ]
            },
        },
    ],
}


def configuration(folder: Path, **policy: Any) -> Configuration:
    file = folder / f"{len(list(folder.iterdir()))}.yaml"
    file.write_text(json.dumps({"policy": {**POLICY, **policy}}))
    return load_configuration(file)


@asynccontextmanager
async def judges(*known: Configuration, processes: int = 1, most_waiting: int = 8) -> AsyncIterator[Judges]:
    lost: list[None] = []
    pool = Judges(BEGIN, processes=processes, most_waiting=most_waiting, restarted=lambda: lost.append(None))
    for each in known:
        pool.adopt(each)
    pool.start()
    try:
        async with asyncio.timeout(HANG):
            while pool.ready < processes:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.02)
        yield pool
    finally:
        await pool.stop()


def soon() -> float:
    return perf_counter() + HANG


def described(exchange: Exchange) -> list[dict[str, Any]]:
    """What is told and kept of an exchange, but for ids and times."""
    told = []
    for decision in exchange.decisions:
        record = json.loads(ENCODER.encode(decision, 0.0, policy_name="p", size=1))
        record.pop("decision_id")
        record.pop("duration_us")
        for of_guard in record.get("guards", ()):
            of_guard.pop("duration_us")
        told.append({"record": record, **_plain(decision)})
    return [{"batch": exchange.batch, "id_readable": exchange.id_readable}, *told]


def _plain(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.operation.id,
        "kind": decision.operation.kind,
        "details": decision.details,
        "message": decision.message,
        "headers": decision.operation.headers,
        "path": decision.operation.path,
        "caller": decision.operation.caller,
        "payload": decision.payload,
        "outcomes": [msgspec.structs.replace(outcome, duration=0.0) for outcome in decision.outcomes],
    }


PAD = "x" * 70_000
META = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
BODIES: dict[str, Any] = {
    "a call": request(name="read", arguments={"a": PAD, "b": [1, 2.5, None, {"c": True}], "d": 10**30}),
    "a call that is refused": request(name="hidden", arguments={"a": PAD}),
    "a call that is not known": request(method="tools/nosuch", a=PAD),
    "a retry": request(
        name="read", requestState="s" * 70_000, inputResponses={"q": {"action": "accept", "content": {}}}, _meta=META
    ),
    "a completion": request(
        method="completion/complete",
        ref={"type": "ref/prompt", "name": "p"},
        argument={"name": "a", "value": PAD},
    ),
    "wrong params": request(name="read", arguments=[PAD]),
    "no JSON": b'{"jsonrpc":"2.0","id":1,"method":' + b" " * 70_000,
    "a repeated member": b'{"jsonrpc":"2.0","id":"7","method":"tools/call","params":{"a":1,"a":"'
    + PAD.encode()
    + b'"}}',
    "half a surrogate": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800'
    + PAD.encode()
    + b'"}}',
    "too deep": b"[" * 70_000 + b"]" * 70_000,
    "too many members": json.dumps(request(name="r", arguments={f"k{n}": n for n in range(10_001)})).encode(),
    "a batch": [request(name="read", arguments={"a": PAD}), request(request_id=2, name="hidden")],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judges")


async def test_the_result_is_that_of_judging_here(folder: Path) -> None:
    known = configuration(folder)
    shadow = configuration(folder, mode="shadow", default="deny", guards=POLICY["guards"][:2])
    askers = {
        "named": ASKER,
        "refused": Asker(
            protocol=GatewayProtocol.EXT_AUTHZ,
            caller=Caller(address="203.0.113.9"),
            refusal=IdentityError("identity_conflict", "two tenants"),
        ),
    }
    async with judges(known, shadow) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        for conf in (known, shadow):
            for name, body in BODIES.items():
                for asker_name, asker in askers.items():
                    http = post(
                        body, ACCEPT, ("mcp-protocol-version", "2025-03-26"), ("mcp-session-id", "s1"), path="/mcp?x"
                    )
                    expected = await judge(conf.policy, http, asker, deadline=soon(), sources=sources.facts)
                    got = await there.request(conf.policy, http, asker, deadline=soon(), sources=sources.facts)
                    assert described(got) == described(expected), (name, asker_name)
                    assert len(got.leading.id) == len(expected.leading.id) == 32


async def test_statements_too(folder: Path) -> None:
    known = configuration(folder)
    statements = [
        Statement(
            direction=Direction.REQUEST,
            phase=Phase.TOOL_INVOKE,
            kind=Kind.REQUEST,
            method="tools/call",
            id=1,
            payload=json.dumps({"name": "hidden", "arguments": {"a": PAD}}).encode(),
            headers=Headers([("mcp-protocol-version", "2025-06-18")]),
        ),
        Statement(
            direction=Direction.RESPONSE,
            phase=Phase.TOOLS_LIST,
            kind=Kind.RESULT,
            method="tools/list",
            id=1,
            payload=json.dumps({"tools": [{"name": "t", "description": PAD, "inputSchema": {}}]}).encode(),
        ),
    ]
    asker = Asker(protocol=GatewayProtocol.GUARD_SERVICE, can_modify=True)
    async with judges(known) as pool:
        there = Elsewhere(pool, 1024)
        for statement in statements:
            expected = await judge_statement(known.policy, statement, asker, deadline=soon(), sources={})
            got = await there.statement(known.policy, statement, asker, deadline=soon(), sources={})
            assert described(got) == described(expected)


async def test_what_is_counted_is_counted_at_the_worker(folder: Path) -> None:
    known = configuration(folder)
    large = post(request(name="limited", arguments={"a": PAD}), *FIELDS)
    small = post(request(name="limited", arguments={}), *FIELDS)
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        verdicts = []
        for http in (large, small, large, small, large):
            exchange = await there.request(known.policy, http, ASKER, deadline=soon(), sources=sources.facts)
            verdicts.append(exchange.leading.code)
    assert verdicts == [None, None, None, "rate_limited", "rate_limited"]


async def test_a_decision_is_made_by_the_policy_it_began_with(folder: Path) -> None:
    before, after = configuration(folder), configuration(folder, guards=[], default="deny")
    http = post(request(name="read", arguments={"a": PAD}), *FIELDS)
    async with judges(before) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        asked = [there.request(before.policy, http, ASKER, deadline=soon(), sources=sources.facts) for _ in range(3)]
        first = asyncio.gather(*asked)
        await asyncio.sleep(0)
        pool.adopt(after)
        new = await there.request(after.policy, http, ASKER, deadline=soon(), sources=sources.facts)
        old = await there.request(before.policy, http, ASKER, deadline=soon(), sources=sources.facts)
        assert {exchange.leading.policy_hash for exchange in await first} == {before.policy.hash}
    assert (new.leading.code, new.leading.policy_hash) == ("default_deny", after.policy.hash)
    assert (old.leading.code, old.leading.policy_hash) == (None, before.policy.hash)


SLOW = post(request(name="read", arguments={"a": [0] * 300_000}), *FIELDS)
"""Takes a process tens of milliseconds."""


def pids() -> set[int]:
    """The processes that judge for this one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children if b"judges.process" in Path(f"/proc/{pid}/cmdline").read_bytes()}


async def test_a_process_that_is_killed_fails_its_decision_and_is_replaced(folder: Path) -> None:
    known = configuration(folder)
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        (pid,) = pids()
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(there.request(known.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        lost = await asked
        assert (lost.leading.verdict, lost.leading.code, lost.id_readable) == ("deny", "internal_error", False)
        again = await there.request(known.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts)
        assert again.leading.verdict == "allow"
        assert pids() != {pid}


async def test_what_takes_too_long_is_late_and_its_process_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "OVERRUN", 0.5)
    known = configuration(folder)
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        (pid,) = pids()
        os.kill(pid, signal.SIGSTOP)
        late = await asyncio.wait_for(
            there.request(known.policy, SLOW, ASKER, deadline=perf_counter() + 0.1, sources=sources.facts), HANG
        )
        assert late.leading.code == "deadline_exceeded"
        again = await there.request(known.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts)
        assert again.leading.verdict == "allow"
        assert pid not in pids()


async def test_the_line_before_the_processes_is_short(folder: Path) -> None:
    known = configuration(folder)
    async with judges(known, most_waiting=2) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        results = await asyncio.gather(
            *(there.request(known.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts) for _ in range(5)),
            return_exceptions=True,
        )
        shed = [result for result in results if isinstance(result, OverloadedError)]
        assert [error.limit for error in shed] == ["large_bodies"] * 2
        assert [r.leading.verdict for r in results if isinstance(r, Exchange)] == ["allow"] * 3


async def test_a_caller_that_leaves_takes_nobody_elses_turn(folder: Path) -> None:
    known = configuration(folder)
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        asked = [
            asyncio.ensure_future(there.request(known.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts))
            for _ in range(4)
        ]
        await asyncio.sleep(0.01)
        for task in asked[:3]:
            task.cancel()
        assert (await asked[3]).leading.verdict == "allow"
        while pool.ready < 1:  # noqa: ASYNC110  the same
            await asyncio.sleep(0.01)


async def test_bodies_beyond_what_is_read_and_unknown_policies_are_judged_here(folder: Path) -> None:
    known, unknown = configuration(folder), configuration(folder)
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        (pid,) = pids()
        os.kill(pid, signal.SIGSTOP)
        huge = post(b" " * 1_100_000)
        result = await there.request(known.policy, huge, ASKER, deadline=soon(), sources=sources.facts)
        assert result.leading.code == "too_large"
        other = await there.request(unknown.policy, SLOW, ASKER, deadline=soon(), sources=sources.facts)
        assert other.leading.verdict == "allow"


async def test_processes_end_with_the_pool(folder: Path) -> None:
    async with judges(configuration(folder), processes=2):
        assert len(pids()) == 2
    assert pids() == set()


def threads(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


async def test_who_judges_stands_back_further_than_who_builds(folder: Path) -> None:
    async with judges(configuration(folder)):
        (pid,) = pids()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        niceness = {task: os.getpriority(os.PRIO_PROCESS, task) for task in threads(pid)}
        assert niceness.pop(pid) == min(own + BEGIN.nice, 19)
        assert set(niceness.values()) == {min(own + BUILDING_NICE, 19)}


def mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


async def test_a_wasm_guard_is_asked_at_the_worker_and_built_nowhere_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    module = folder / "guard.wasm"
    shutil.copy(GUARDS / "rust" / "forbidden_text.wasm", module)
    wasm = {"module": str(module), "allow_unsigned": True, "config": {"in_arguments": "/etc/passwd"}}
    guard = {"type": "wasm", "timeout_ms": 30_000, "settings": wasm}
    times = {"deadline_ms": 30_000, "responses": {"deadline_ms": 30_000}}
    known = configuration(folder, guards=[*POLICY["guards"], guard], **times)
    module.unlink()
    async with judges(known) as pool, Sources() as sources:
        there = Elsewhere(pool, 1024)
        for path, code in (("/etc/passwd", "forbidden_text"), ("/etc/hosts", None)):
            http = post(request(name="read", arguments={"path": path, "a": PAD}), *FIELDS)
            expected = await judge(known.policy, http, ASKER, deadline=soon(), sources=sources.facts)
            got = await there.request(known.policy, http, ASKER, deadline=soon(), sources=sources.facts)
            assert described(got) == described(expected)
            assert (got.leading.code, got.leading.policy_hash) == (code, known.policy.hash)
        assert not any("wasmtime" in mapped(pid) for pid in pids())


async def test_a_slim_exchange_says_what_the_whole_one_says(folder: Path) -> None:
    http = post(BODIES["a retry"], *FIELDS)
    whole = await judge(configuration(folder).policy, http, ASKER, deadline=soon(), sources={})
    small = with_headers(slim(whole, ENCODER.digests), http.headers)
    assert described(small) == described(whole)
    assert len(msgspec.json.encode(small.leading.operation.payload)) < 100_000
