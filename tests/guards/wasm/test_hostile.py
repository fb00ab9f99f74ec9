"""Hostile components: each is contained, and each failure has its name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import pytest
import wasmtime

from guardsvc.guards.wasm.failures import KINDS, WasmFailure
from guardsvc.guards.wasm.loading import load as loading
from guardsvc.guards.wasm.options import WasmOptions
from guardsvc.model import ALLOW, ErrorKind, SettingsError, give_up_at
from tests.guards.wasm.components import ANSWER, CALL, PATIENCE, answer_of, ask, build, call_of, component, guard

if TYPE_CHECKING:
    from pathlib import Path

RETURN = f"(i32.const {ANSWER})"
LOG = '(import "host" "log" (func $log (param i32 i32 i32)))'


def evaluate(body: str) -> str:
    return f'(func (export "evaluate") (param i32) (result i32) {body})'


def answer(data: str) -> str:
    return f'(data (i32.const {ANSWER}) "{data}")' + evaluate(RETURN)


SPIN = evaluate("(loop (br 0)) unreachable")
RECURSION = "(func $r (param i32) (result i32) (i32.add (i32.const 1) (call $r (local.get 0))))" + evaluate(
    "(call $r (i32.const 0))"
)
LOG_FOREVER = LOG + evaluate("(loop (call $log (i32.const 2) (i32.const 65536) (i32.const {size})) (br 0)) unreachable")
# 400 texts of a megabyte, all of them the same megabyte.
AMPLIFIED = """(data (i32.const 1024) "\\00\\00\\00\\00\\03\\00\\00\\00\\00\\00\\02\\00\\90\\01\\00\\00")
  (func (export "evaluate") (param i32) (result i32) (local $i i32)
    (loop
      (i32.store offset=131072 (i32.shl (local.get $i) (i32.const 3)) (i32.const 0x800000))
      (i32.store offset=131076 (i32.shl (local.get $i) (i32.const 3)) (i32.const 1000000))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $i) (i32.const 400))))
    (i32.const 1024))"""

FAILING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "spins": ("deadline", SPIN, {"timeout": 0.05}),
    "burns fuel": ("fuel", SPIN, {"settings": {"limits": {"fuel": 100_000}}}),
    "grows until it cannot": (
        "unreachable",
        evaluate("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"),
        {},
    ),
    "recurses": ("stack", RECURSION, {}),
    "traps": ("unreachable", evaluate("unreachable"), {}),
    "divides by zero": (
        "trap",
        evaluate("(i32.div_u (i32.const 1) (local.get 0)) drop (i32.div_u (i32.const 1) (i32.const 0))"),
        {},
    ),
    "reads outside": ("out_of_bounds", evaluate("(i32.load (i32.const -16))"), {}),
    "answers from outside": ("out_of_bounds", evaluate("(i32.const -16)"), {}),
    "answers unaligned": ("bad_answer", evaluate("(i32.const 3)"), {}),
    "answers no known kind": ("bad_answer", answer("\\00\\00\\00\\00\\09"), {}),
    "answers no UTF-8": (
        "bad_answer",
        '(data (i32.const 2048) "\\ff\\fe")'
        + answer("\\00\\00\\00\\00\\02\\00\\00\\00\\00\\08\\00\\00\\02\\00\\00\\00"),
        {},
    ),
    "answers text longer than its memory": (
        "out_of_bounds",
        answer("\\00\\00\\00\\00\\02\\00\\00\\00\\00\\08\\00\\00\\ff\\ff\\ff\\7f"),
        {},
    ),
    "answers a megabyte": (
        "output",
        answer("\\00\\00\\00\\00\\02\\00\\00\\00\\00\\00\\10\\00\\00\\00\\10\\00"),
        {"memory": "64"},
    ),
    "answers one megabyte 400 times": ("output", AMPLIFIED, {"memory": "256"}),
    "answers a long list": (
        "output",
        answer("\\00\\00\\00\\00\\03\\00\\00\\00\\00\\00\\01\\00\\90\\01\\00\\00"),
        {},
    ),
    "modifies to no JSON": ("bad_answer", answer_of("modify", "{") + evaluate(RETURN), {}),
    "modifies to no object": ("bad_answer", answer_of("modify", "[]") + evaluate(RETURN), {}),
    "denies without a code": ("bad_answer", answer_of("deny", "", "no") + evaluate(RETURN), {}),
    "denies as a guard that took too long": (
        "bad_answer",
        answer_of("deny", "guard_timeout", "no") + evaluate(RETURN),
        {},
    ),
    "denies as if authorization were missing": (
        "bad_answer",
        answer_of("deny", "authorization_missing", "no") + evaluate(RETURN),
        {},
    ),
    "denies with other details": ("bad_answer", answer_of("deny", "no", "no", "[1]") + evaluate(RETURN), {}),
    "reports an error": ("guest_error", answer_of("", error="boom") + evaluate(RETURN), {}),
    "floods the log": ("host_calls", LOG_FOREVER.format(size=100), {"host": ("log",)}),
    "logs five megabytes": ("output", LOG_FOREVER.format(size=5_000_000), {"host": ("log",), "memory": "128"}),
    "calls the host slowly": (
        "deadline",
        LOG_FOREVER.format(size=4_000_000),
        {"host": ("log",), "memory": "128", "timeout": 0.05, "settings": {"limits": {"host_calls": 1_000_000}}},
    ),
    "allocates outside": (
        "bad_answer",
        evaluate(RETURN),
        {"realloc": '(func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))'},
    ),
    "spins while it allocates": (
        "deadline",
        evaluate(RETURN),
        {
            "realloc": '(func (export "realloc") (param i32 i32 i32 i32) (result i32) (loop (br 0)) unreachable)',
            "timeout": 0.05,
        },
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_contained(what: str, tmp_path: Path) -> None:
    kind, core, more = FAILING[what]
    hostile = guard(tmp_path, core, **more)
    begun = perf_counter()

    with pytest.raises(WasmFailure) as caught:
        ask(hostile)

    assert caught.value.name == kind
    assert caught.value.kind is KINDS[kind]
    assert perf_counter() - begun < PATIENCE / 2
    assert ask(guard(tmp_path, evaluate(RETURN))) is ALLOW


def test_the_error_text_is_short_and_of_one_line(tmp_path: Path) -> None:
    loud = guard(tmp_path, answer_of("", error="a\nb\x1b[31m" + "c" * 5000) + evaluate(RETURN))

    with pytest.raises(WasmFailure) as caught:
        ask(loud)

    assert str(caught.value).startswith("guest_error: a b [31mccc")
    assert len(str(caught.value)) < 300


REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "asks for too much memory": ("memory: memory minimum size of 1000 pages", evaluate(RETURN), {"memory": "1000"}),
    "asks for a large table": ("table: ", "(table 30000 funcref)" + evaluate(RETURN), {}),
    "asks for many tables": ("instances: ", "(table 1 funcref)" * 9 + evaluate(RETURN), {}),
    "has many memories": (
        "instances: ",
        evaluate(RETURN),
        {"more": "(core module $room (memory 1)) " + "(core instance (instantiate $room)) " * 4},
    ),
    "has many instances": (
        "instances: ",
        evaluate(RETURN),
        {"more": "(core module $nothing) " + "(core instance (instantiate $nothing)) " * 64},
    ),
    "traps when it starts": ("unreachable: ", "(func $s unreachable) (start $s)" + evaluate(RETURN), {}),
    "spins when it starts": ("deadline: ", "(func $s (loop (br 0))) (start $s)" + evaluate(RETURN), {"timeout": 0.1}),
    "imports a thousand": (
        "imports what no guard can have: x:y/i0, x:y/i1, x:y/i2, x:y/i3, x:y/i4 and 995 more",
        evaluate(RETURN),
        {"more": "".join(f'(import "x:y/i{number}" (instance (export "f" (func))))' for number in range(1000))},
    ),
    "reads the environment": (
        "imports what no guard can have: wasi:cli/environment@0.2.0",
        evaluate(RETURN),
        {
            "more": """(import "wasi:cli/environment@0.2.0" (instance
              (export "get-environment" (func (result (list (tuple string string)))))))"""
        },
    ),
    "opens files": (
        "imports what no guard can have: wasi:filesystem/preopens@0.2.0",
        evaluate(RETURN),
        {
            "more": """(import "wasi:filesystem/preopens@0.2.0" (instance
              (export "descriptor" (type (sub resource))) (export "get-directories" (func))))"""
        },
    ),
    "asks for the time itself": (
        "imports what no guard can have: wasi:clocks/wall-clock@0.2.0",
        evaluate(RETURN),
        {"more": '(import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64)))))'},
    ),
    "asks for random numbers": (
        "imports what no guard can have: wasi:random/random@0.2.0",
        evaluate(RETURN),
        {"more": '(import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result u64)))))'},
    ),
    "calls hosts": (
        "imports wasi:http/outgoing-handler@0.2.0 handle with other types than the host has",
        evaluate(RETURN),
        {"more": '(import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))'},
    ),
    "imports a bare function": (
        "imports what no guard can have: run",
        evaluate(RETURN),
        {"more": '(import "run" (func))'},
    ),
    "asks the host for more": (
        "imports what no guard can have: mcp:security-guard/host@0.1.0 exec",
        evaluate(RETURN),
        {"more": '(import "mcp:security-guard/host@0.1.0" (instance (export "exec" (func))))'},
    ),
    "asks the host otherwise": (
        "imports mcp:security-guard/host@0.1.0 log with other types",
        evaluate(RETURN),
        {"more": '(import "mcp:security-guard/host@0.1.0" (instance (export "log" (func (param "m" string)))))'},
    ),
    "is of another world": (
        "exports nothing that judges; it exports wasi:cli/run@0.2.0",
        evaluate(RETURN),
        {"interface": "wasi:cli/run@0.2.0"},
    ),
    "is of a version to come": (
        "exports nothing that judges",
        evaluate(RETURN),
        {"interface": "mcp:security-guard/tool-invoke@2.0.0"},
    ),
    "has other types": (
        "mcp:security-guard/tools-list@1.0.0 evaluate has other types",
        evaluate(RETURN),
        {"interface": "mcp:security-guard/tools-list@1.0.0"},
    ),
    "has no function": (
        "exports nothing that judges",
        evaluate(RETURN),
        {"interface": "mcp:security-guard/guard@0.1.0"},
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_when_it_is_loaded(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SETTLES_WITHIN", 0.1)
    text, core, more = REFUSED[what]

    with pytest.raises(SettingsError) as caught:
        guard(tmp_path, core, **more)

    assert caught.value.path == ("module",)
    assert text in str(caught.value)


@pytest.mark.parametrize(("most", "text"), [(0.001, ".wasm has 0."), (0.01, ".wasm when compiled has 0.")])
def test_a_large_module_is_refused_as_it_is_or_when_compiled(most: float, text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        guard(tmp_path, evaluate(RETURN), settings={"limits": {"module_mib": most}})

    assert caught.value.path == ("limits", "module_mib")
    assert text in str(caught.value)
    assert str(caught.value).endswith(f" MiB, more than {most}")


MALFORMED = {
    "empty": (b"", "is no WebAssembly"),
    "text": (b"(component)", "is no WebAssembly"),
    "half": (component(evaluate(RETURN))[:-40], "is no component that can be used"),
    "followed by more": (component(evaluate(RETURN)) + b"\xff\xff\xff", "is no component that can be used"),
    "a core module": (bytes(wasmtime.wat2wasm("(module)")), "is no component that can be used"),
    "of nothing": (bytes(wasmtime.wat2wasm("(component)")), "exports nothing that judges; it exports nothing"),
    "of another version": (b"\0asm\xff\xff\x01\x00", "is no component that can be used"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(what: str, tmp_path: Path) -> None:
    content, text = MALFORMED[what]

    with pytest.raises(SettingsError, match=text):
        build(tmp_path, content)


@pytest.mark.parametrize("at", range(0, 600, 23))
def test_a_component_with_a_flipped_byte_is_refused_or_contained(at: int, tmp_path: Path) -> None:
    content = bytearray(component(evaluate(RETURN)))
    content[8 + at] ^= 0x41

    with suppress(SettingsError, WasmFailure):
        ask(build(tmp_path, bytes(content)))


def test_logs_are_bounded_and_tell_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = (
        LOG
        + '(data (i32.const 65536) "one\\nline\\1b[2J")'
        + evaluate(
            f"""(local $i i32) (loop (call $log (i32.const 9) (i32.const 65536) (i32.const 12))
              (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $i) (i32.const 40))))
              {RETURN}"""
        )
    )

    assert ask(guard(tmp_path, core, host=("log",))) is ALLOW

    said = [line for line in "".join(capsys.readouterr()).splitlines() if "wasm_guard_says" in line]
    assert len(said) == 16
    assert all("one line [2J" in line for line in said)


def test_nothing_is_remembered_between_calls(tmp_path: Path) -> None:
    remembers = guard(
        tmp_path,
        f"""(global $seen (mut i32) (i32.const 0)) {answer_of("deny", "seen_before", "no")}
        (func (export "evaluate") (param i32) (result i32)
          (if (i32.or (global.get $seen) (i32.load (i32.const 300))) (then (return {RETURN})))
          (global.set $seen (i32.const 1)) (i32.store (i32.const 300) (i32.const 1))
          (i32.const 512))""",
    )

    assert {ask(remembers, call_of(tenant)) for tenant in ("a", "b", None) for _ in range(5)} == {ALLOW}


def test_a_guard_that_spins_leaves_others_their_threads(tmp_path: Path) -> None:
    spins = guard(tmp_path, SPIN, timeout=0.3)
    quick = guard(tmp_path, evaluate(RETURN))

    async def both() -> bool:
        flood = [asyncio.ensure_future(spins.evaluate(CALL, {})) for _ in range(20)]
        await asyncio.sleep(0.02)
        assert await quick.evaluate(CALL, {}) is ALLOW
        meanwhile = not any(each.done() for each in flood)
        failures = await asyncio.gather(*flood, return_exceptions=True)
        assert {failure.name for failure in failures if isinstance(failure, WasmFailure)} <= {"deadline", "queue"}
        assert len(failures) == 20
        return meanwhile

    assert any(asyncio.run(both()) for _ in range(20))  # the first time, unless the machine has no time to spare


def test_a_guard_that_spins_takes_no_more_than_the_pool_for_its_time(tmp_path: Path) -> None:
    spins = guard(tmp_path, SPIN, timeout=0.1, settings={"quarantine": {"first_s": 60}})

    async def flood() -> list[Any]:
        give_up_at.set(perf_counter() + 0.1)  # of all of them, however long it takes to submit them
        return await asyncio.gather(*(spins.evaluate(CALL, {}) for _ in range(30)), return_exceptions=True)

    before = process_time()
    names = [getattr(failure, "name", failure) for failure in asyncio.run(flood())]

    assert set(names) <= {"deadline", "queue", "quarantined"}
    assert names.count("deadline") <= WasmOptions().threads
    assert process_time() - before < 1
    with pytest.raises(WasmFailure, match="quarantined"):
        ask(spins)


def test_a_trap_storm_ends_in_quarantine_and_is_over_after_it(tmp_path: Path) -> None:
    storm = guard(
        tmp_path, evaluate("unreachable"), settings={"quarantine": {"failures": 3, "first_s": 0.05, "longest_s": 0.05}}
    )
    names = []
    for _ in range(5):
        with pytest.raises(WasmFailure) as caught:
            ask(storm)
        names.append(caught.value.name)

    assert names == ["unreachable"] * 3 + ["quarantined"] * 2
    assert caught.value.kind is ErrorKind.QUARANTINED
