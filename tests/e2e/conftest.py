"""The stacks that the end-to-end tests share, one of each per test process or module."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deploy.demo.bootstrap import GUARDSVC, Bootstrap
from deploy.demo.services import ROOT, Guardsvc
from deploy.demo.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICIES = Path(__file__).parent / "policies"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The demo: shipped Envoy configuration, demo policy."""
    with Stack() as running:
        yield running


@pytest.fixture(scope="module")
def readings() -> Iterator[Stack]:
    """A policy for strict reading alone, and listeners that pass bodies on badly."""
    with Stack({GUARDSVC: POLICIES / "integrity.yaml"}, _add_bad_listeners) as running:
        yield running


@pytest.fixture(scope="session")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two services that refuse as they are told, one for each ``denials.status``."""
    package = tmp_path_factory.mktemp("package")
    about = package / "told_guard-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: told-guard\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[guardsvc.guards]\nrefuse_as_told = tests.e2e.told_guard:REFUSE_AS_TOLD\n")
    policies = {GUARDSVC: POLICIES / "told_200.yaml", "status_403": POLICIES / "told_403.yaml"}
    environment = {"PYTHONPATH": os.pathsep.join((str(package), str(ROOT)))}
    with Stack(policies, _add_second_service, environment) as running:
        yield running


@pytest.fixture(scope="session")
def agentgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardsvc]:
    """guardsvc alone, with a policy for what agentgateway sends."""
    service = Guardsvc(POLICIES / "agentgateway.yaml", tmp_path_factory.mktemp("agentgateway"))
    service.start()
    try:
        service.wait()
        yield service
    finally:
        service.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show the logs of the stack behind a test that failed."""
    report = yield
    if report.failed:
        for name in ("stack", "readings", "refusals"):
            running = getattr(item, "funcargs", {}).get(name)
            if running is not None:
                report.sections.append((f"logs of {name}", running.tails()))
    return report


def _add_bad_listeners(bootstrap: Bootstrap) -> None:
    def as_text(ext_authz: dict[str, Any]) -> None:
        ext_authz["with_request_body"]["pack_as_bytes"] = False
        ext_authz["encode_raw_headers"] = False

    def cut(ext_authz: dict[str, Any]) -> None:
        ext_authz["with_request_body"] |= {"allow_partial_message": True, "max_request_bytes": 64}

    bootstrap.add_listener("text", as_text)
    bootstrap.add_listener("cut", cut)


def _add_second_service(bootstrap: Bootstrap) -> None:
    def ask_the_other(ext_authz: dict[str, Any]) -> None:
        ext_authz["grpc_service"]["envoy_grpc"]["cluster_name"] = "status_403"

    bootstrap.add_guardsvc("status_403")
    bootstrap.add_listener("status_403", ask_the_other)
