from __future__ import annotations

import pytest

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.quarantine import Quarantine
from guardsvc.guards.wasm.settings import QuarantineSettings

SETTINGS = QuarantineSettings(failures=3, first_s=1, longest_s=3)


class Watched:
    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[int] = []
        self.quarantine = Quarantine("g", SETTINGS, lambda _guard, tenants: self.told.append(tenants), lambda: self.now)

    def may(self, tenant: str = "a") -> bool:
        try:
            self.quarantine.enter(tenant)
        except WasmFailure as failure:
            return failure.name != "quarantined"
        return True

    def fail(self, times: int, tenant: str = "a") -> None:
        for _ in range(times):
            self.quarantine.enter(tenant)
            self.quarantine.failed(tenant)


def test_failures_in_a_row_keep_one_tenant_out() -> None:
    watched = Watched()

    watched.fail(2)
    watched.quarantine.succeeded("a")
    watched.fail(3)

    assert not watched.may("a")
    assert watched.may("b")
    assert watched.told == [1]


def test_one_call_finds_out_and_the_pause_doubles_up_to_a_bound() -> None:
    watched = Watched()
    watched.fail(3)

    for pause in (1, 2, 3, 3):
        watched.quarantine.succeeded("b")
        watched.now += pause - 0.01
        assert not watched.may()
        watched.now += 0.02
        assert watched.may()
        assert not watched.may()
        watched.quarantine.failed("a")

    watched.now += 10
    assert watched.may()
    watched.quarantine.succeeded("a")
    assert watched.may()
    assert watched.may()
    assert watched.told[-1] == 0


def test_calls_that_took_all_their_time_count_sooner() -> None:
    watched = Watched()
    watched.quarantine.failed("a", timeout=True)
    watched.quarantine.failed("a")
    watched.quarantine.succeeded("a")
    assert watched.may()

    for _ in range(2):
        assert not watched.quarantine.is_on("a")
        watched.quarantine.failed("a", timeout=True)
    assert watched.quarantine.is_on("a")
    assert not watched.quarantine.is_on("b")
    assert not watched.may()


def test_a_call_that_tells_nothing_lets_another_find_out() -> None:
    watched = Watched()
    watched.fail(3)
    watched.now = 2

    assert watched.may()
    watched.quarantine.abandoned("a")
    assert watched.may()


def test_failures_for_everybody_keep_everybody_out() -> None:
    watched = Watched()
    for tenant in "abcdef":
        watched.fail(1, tenant)

    assert not watched.may("z")
    watched.now = 2
    assert watched.may("z")
    watched.quarantine.succeeded("z")
    assert watched.may("y")


@pytest.mark.parametrize("tenants", [1500])
def test_tenants_are_bounded(tenants: int) -> None:
    quarantine = Quarantine("g", SETTINGS)
    for number in range(tenants):
        quarantine.failed(str(number))
        quarantine.succeeded("other")

    assert len(quarantine._tenants) <= 1000  # noqa: SLF001  nothing else shows it
