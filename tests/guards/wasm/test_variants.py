"""Two versions of a guard: who gets which, what is compared, and that neither touches the other."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.wasm.pool import Job, Pool
from guardsvc.guards.wasm.reports import Silent, listen, report
from guardsvc.guards.wasm.runtime import Runtime
from guardsvc.guards.wasm.variants import Assignment
from guardsvc.model import ALLOW, Allow, Caller, Deny, SettingsError, give_up_at
from tests.guards.wasm.components import ANSWER, CALL, PATIENCE, answer_of, build, component

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guardsvc.guards.wasm.guard import WasmGuard
    from guardsvc.model import Operation, Verdict

RETURN = f'(func (export "evaluate") (param i32) (result i32) (i32.const {ANSWER}))'
ALLOWS = component(RETURN)
DENIES = component(answer_of("deny", "candidate_denies", "No.") + RETURN)
DENIES_OTHERWISE = component(answer_of("deny", "for_another_reason", "No.") + RETURN)
WARNS = component(answer_of("warn", "look") + RETURN)
TRAPS = component('(func (export "evaluate") (param i32) (result i32) unreachable)')
SPINS = component('(func (export "evaluate") (param i32) (result i32) (loop $l (br $l)) (i32.const 0))')

REMEMBERS = component(
    """(import "kv" "get" (func $get (param i32 i32 i32)))
    (import "kv" "set" (func $set (param i32 i32 i32 i32 i64 i32)))
    (data (i32.const 512) "seen") """
    + answer_of("deny", "seen_before", "No.")
    + f"""(func (export "evaluate") (param i32) (result i32)
      (call $get (i32.const 512) (i32.const 4) (i32.const 8192))
      (if (i32.load8_u (i32.const 8192)) (then (return (i32.const {ANSWER}))))
      (call $set (i32.const 512) (i32.const 4) (i32.const 512) (i32.const 4) (i64.const 0) (i32.const 8224))
      (i32.const 8448))""",
    kv=("get", "set"),
)


class Heard(Silent):
    """What was reported."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.took: list[str] = []
        self.compared: list[tuple[str, str, bool]] = []
        self.shed = 0

    def variant_told(self, guard: str, arm: str, outcome: str) -> None:
        del guard
        self.told.append((arm, outcome))

    def variant_took(self, guard: str, arm: str, seconds: float) -> None:
        del guard, seconds
        self.took.append(arm)

    def variants_compared(self, guard: str, current: str, candidate: str, *, differs: bool) -> None:
        del guard
        self.compared.append((current, candidate, differs))

    def variant_shed(self, guard: str) -> None:
        del guard
        self.shed += 1


@pytest.fixture
def heard() -> Iterator[Heard]:
    before, heard = report(), Heard()
    listen(heard)
    yield heard
    listen(before)


def varied(
    folder: Path, current: bytes, candidate: bytes, *, mode: str = "shadow", share: float = 100, **more: Any
) -> WasmGuard:
    path = folder / "candidate.wasm"
    path.write_bytes(candidate)
    variant = {"module": str(path), "allow_unsigned": True, "share": share, "salt": "pepper", "mode": mode}
    return build(folder, current, variants={**variant, **more.pop("variant", {})}, **more)


def of(principal: str | None = "ann", tenant: str | None = "acme", *, verified: bool = True) -> Operation:
    return msgspec.structs.replace(CALL, caller=Caller(tenant=tenant, principal=principal, verified=verified))


def judged(guard: WasmGuard, *operations: Operation) -> list[Verdict | BaseException]:
    """What the guard says of operations one after another, and all comparisons made."""

    async def asked() -> list[Verdict | BaseException]:
        give_up_at.set(perf_counter() + PATIENCE)  # of what decides; a comparison has the time of the guard
        answers: list[Verdict | BaseException] = []
        for operation in operations:
            answers += await asyncio.gather(guard.evaluate(operation, {}), return_exceptions=True)
            await guard.compared()
        return answers

    return asyncio.run(asked())


def test_in_shadow_the_current_version_decides_and_differences_are_counted(tmp_path: Path, heard: Heard) -> None:
    assert judged(varied(tmp_path, ALLOWS, DENIES), of()) == [ALLOW]

    assert sorted(heard.told) == [("candidate", "deny"), ("current", "allow")]
    assert sorted(heard.took) == ["candidate", "current"]
    assert heard.compared == [("allow", "deny", True)]


def test_in_enforce_the_candidate_decides_for_its_share(tmp_path: Path, heard: Heard) -> None:
    (verdict,) = judged(varied(tmp_path, ALLOWS, DENIES, mode="enforce"), of())

    assert isinstance(verdict, Deny)
    assert verdict.code == "candidate_denies"
    assert heard.compared == [("allow", "deny", True)]


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("operation", [of(verified=False), of(None), of("")], ids=["unverified", "nobody", "empty"])
def test_callers_who_are_not_verified_get_the_current_version(
    operation: Operation, mode: str, tmp_path: Path, heard: Heard
) -> None:
    assert judged(varied(tmp_path, ALLOWS, DENIES, mode=mode), operation) == [ALLOW]

    assert heard.told == [("current", "allow")]
    assert heard.compared == []


@pytest.mark.parametrize(
    ("current", "candidate", "compared"),
    [
        (ALLOWS, ALLOWS, ("allow", "allow", False)),
        (DENIES, DENIES, ("deny", "deny", False)),
        (DENIES, DENIES_OTHERWISE, ("deny", "deny", True)),
        (ALLOWS, WARNS, ("allow", "warn", True)),
        (DENIES, TRAPS, ("deny", "error", True)),
        (ALLOWS, SPINS, ("allow", "error", True)),
    ],
    ids=["same", "same-denial", "other-code", "warn", "trap", "spin"],
)
def test_what_a_candidate_does_in_shadow_is_told_and_has_no_effect(
    current: bytes, candidate: bytes, compared: tuple[str, str, bool], tmp_path: Path, heard: Heard
) -> None:
    guard = varied(tmp_path, current, candidate, timeout=0.1 if candidate is SPINS else PATIENCE)

    (alone,) = judged(build(tmp_path, current), of())
    assert judged(guard, of()) == [alone]
    assert heard.compared == [compared]


@contextmanager
def taken(pool: Pool) -> Iterator[None]:
    """One thread of a pool is taken, within an event loop."""
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait(PATIENCE)

    pool.submit(Job("other", None, work, perf_counter() + PATIENCE, lambda _job, _error: None))
    assert begun.wait(PATIENCE)
    try:
        yield
    finally:
        over.set()


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A runtime for the guards of this test alone."""
    made = Runtime()
    monkeypatch.setattr("guardsvc.guards.wasm.guard.runtime", lambda: made)
    return made


def test_decisions_do_not_wait_for_comparisons_and_few_of_these_wait(
    tmp_path: Path, heard: Heard, apart: Runtime
) -> None:
    guard = varied(tmp_path, ALLOWS, DENIES, timeout=PATIENCE)

    async def crowd() -> None:
        with taken(apart.beside):
            asked = [guard.evaluate(of(f"p{number}"), {}) for number in range(40)]
            assert set(await asyncio.gather(*asked)) == {ALLOW}
            assert [await guard.evaluate(of(f"q{number}"), {}) for number in range(40)] == [ALLOW] * 40
            await asyncio.sleep(0)  # the last comparison comes to its line
            assert heard.told == [("current", "allow")] * 80
            assert heard.shed == 80 - apart.beside.waiting > 60
        await guard.compared()

    asyncio.run(crowd())
    assert len(heard.compared) + heard.shed == 80


def test_comparisons_are_shed_while_decisions_wait(tmp_path: Path, heard: Heard, apart: Runtime) -> None:
    apart.pool = Pool(threads=1, queue=8, nice=0)
    guard = varied(tmp_path, ALLOWS, DENIES, timeout=PATIENCE)

    async def two() -> None:
        first = asyncio.create_task(guard.evaluate(of("first"), {}))
        await asyncio.sleep(0)
        over = threading.Event()
        apart.pool.submit(Job("other", None, over.wait, perf_counter() + PATIENCE, lambda _job, _error: None))
        second = asyncio.create_task(guard.evaluate(of("second"), {}))
        assert await first is ALLOW
        assert (heard.shed, heard.compared) == (1, [])
        over.set()
        assert await second is ALLOW
        await guard.compared()

    asyncio.run(two())
    assert (heard.shed, heard.compared) == (1, [("allow", "deny", True)])


def test_a_candidate_that_spins_does_not_touch_decisions(tmp_path: Path, heard: Heard) -> None:
    guard = varied(tmp_path, ALLOWS, SPINS, timeout=0.1)

    assert judged(guard, *(of(f"p{number}") for number in range(3))) == [ALLOW] * 3

    async def crowd() -> None:
        give_up_at.set(perf_counter() + PATIENCE)
        asked = [guard.evaluate(of(f"p{number}"), {}) for number in range(100)]
        assert set(await asyncio.gather(*asked)) == {ALLOW}

    asyncio.run(crowd())
    assert heard.told.count(("current", "allow")) == 103
    assert heard.told.count(("candidate", "error")) >= 3


def test_versions_remember_apart_from_each_other_and_from_other_tenants(tmp_path: Path) -> None:
    def codes(answers: list[Any]) -> list[str]:
        return ["allow" if answer == Allow() else answer.code for answer in answers]

    enforced = varied(tmp_path, REMEMBERS, REMEMBERS, mode="enforce", share=50, id_="apart", grants={"kv": {}})
    people = [f"p{number}" for number in range(50)]
    chosen = [name for name in people if enforced.decides("acme", name, verified=True) == "candidate"]
    others = [name for name in people if name not in chosen]
    same = [of(chosen[0]), of(others[0]), of(chosen[1]), of(others[1])]

    assert codes(judged(enforced, *same)) == ["allow", "allow", "seen_before", "seen_before"]
    elsewhere = next(f"q{n}" for n in range(50) if enforced.decides("other", f"q{n}", verified=True) == "candidate")
    assert codes(judged(enforced, of(elsewhere, "other"))) == ["allow"]

    shadowed = varied(tmp_path, REMEMBERS, REMEMBERS, mode="shadow", id_="shadowed", grants={"kv": {}})
    assert codes(judged(shadowed, of("a"), of("b"))) == ["allow", "seen_before"]


def test_what_is_only_compared_does_not_change_what_the_current_version_remembers(tmp_path: Path) -> None:
    guard = varied(tmp_path, REMEMBERS, ALLOWS, mode="enforce", share=50, id_="compared", grants={"kv": {}})
    chosen = next(f"p{n}" for n in range(50) if guard.decides("acme", f"p{n}", verified=True) == "candidate")
    other = next(f"p{n}" for n in range(50) if guard.decides("acme", f"p{n}", verified=True) == "current")

    assert judged(guard, of(chosen), of(other)) == [ALLOW, ALLOW]


def test_candidates_have_settings_of_their_own(tmp_path: Path, forbidden_text: Path) -> None:
    content = forbidden_text.read_bytes()
    config = {"config": {"in_arguments": "/tmp"}}
    guard = varied(tmp_path, content, content, mode="enforce", config={"in_arguments": "/etc"}, variant=config)

    (verdict,) = judged(guard, of())
    assert isinstance(verdict, Deny)
    assert judged(guard, of(verified=False)) == [ALLOW]
    assert guard.described["candidate"]["share"] == 100
    assert guard.fingerprint.count("sha256:") == 2
    assert tmp_path / "candidate.wasm" in guard.files


@pytest.mark.parametrize(
    ("variant", "path"),
    [
        ({"module": "/nowhere/candidate.wasm"}, ("variants", "module")),
        ({"allow_unsigned": False}, ("variants", "digest")),
        ({"digest": f"sha256:{'0' * 64}"}, ("variants", "digest")),
    ],
)
def test_what_is_wrong_with_a_candidate_is_said_where_it_stands(
    variant: dict[str, Any], path: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        varied(tmp_path, ALLOWS, DENIES, variant=variant)

    assert raised.value.path[0] == path[0]


@given(st.text(min_size=1), st.one_of(st.none(), st.text()))
def test_the_share_is_stable_and_grows_by_whom_it_gets(principal: str, tenant: str | None) -> None:
    chosen = [Assignment("salt", share).chooses(tenant, principal, verified=True) for share in (1, 20, 60, 100)]

    assert chosen == sorted(chosen)
    assert chosen[-1]
    assert chosen == [Assignment("salt", share).chooses(tenant, principal, verified=True) for share in (1, 20, 60, 100)]


def test_the_share_is_that_of_all_principals_and_another_salt_has_others() -> None:
    def share(salt: str) -> set[int]:
        assigned = Assignment(salt, 10)
        return {number for number in range(10_000) if assigned.chooses("t", f"user-{number}", verified=True)}

    first, second = share("a"), share("b")
    assert 900 < len(first) < 1100
    assert 50 < len(first & second) < 160
    assert Assignment("a", 10).chooses("t", f"user-{min(first)}", verified=True)


def test_tenant_and_principal_do_not_run_into_each_other() -> None:
    assigned = Assignment("salt", 50)
    pairs = [("ab", "c"), ("a", "bc"), ("abc", "x")]

    assert len({tuple(assigned.chooses(t, f"{p}{n}", verified=True) for n in range(64)) for t, p in pairs}) == 3


def test_what_fails_in_comparison_is_not_in_quarantine_for_decisions(tmp_path: Path, heard: Heard) -> None:
    quarantine = {"failures": 1, "first_s": 60}
    guard = varied(tmp_path, TRAPS, ALLOWS, mode="enforce", share=50, id_="failing", quarantine=quarantine)
    chosen = next(f"p{n}" for n in range(50) if guard.decides("acme", f"p{n}", verified=True) == "candidate")
    other = next(f"p{n}" for n in range(50) if guard.decides("acme", f"p{n}", verified=True) == "current")

    answers = judged(guard, of(chosen), of(chosen), of(other))

    assert answers[:2] == [ALLOW, ALLOW]
    assert "unreachable" in str(answers[2])
    assert heard.compared == [("error", "allow", True)] * 2
