"""One worker without a supervisor's help: what it is told, it does, and it lasts no longer than who told it."""

from __future__ import annotations

import os
import pickle
import signal
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.config import Secret
from guardsvc.gateways.seal import Seal
from guardsvc.server.configuration import load_configuration
from guardsvc.server.workers.channel import Begin
from guardsvc.server.workers.child import Child, StartError, WorkerGoneError
from tests.server.policies import allowing
from tests.server.process import call, gateway

if TYPE_CHECKING:
    from pathlib import Path

KEY = "correct horse battery staple"


def beginning(folder: Path, content: str, **service: Any) -> Begin:
    """How a worker begins; its listener takes a free port unless ``service`` says otherwise."""
    file = folder / "config.yaml"
    file.write_text(allowing("old", **({"listeners": {"default": {"address": "127.0.0.1:0"}}} | service)))
    settings = load_configuration(file).service
    seal = settings.seal.model_copy(update={"keys": (Secret(KEY),)})
    metrics = folder / "metrics"
    metrics.mkdir()
    return Begin(
        worker=3,
        source=str(file),
        content=content.encode(),
        overrides={},
        service=pickle.dumps(settings.model_copy(update={"seal": seal})),
        metrics=str(metrics),
        level="info",
    )


async def ended(child: Child) -> int:
    child.end()
    return await child.wait()


async def test_it_serves_what_it_was_given_not_what_the_file_holds(tmp_path: Path) -> None:
    child = await Child.spawn()
    try:
        await child.begin(beginning(tmp_path, allowing("new")))
        with gateway(child.listeners["default"]) as asking:
            assert (asking.verdict(call("new")), asking.verdict(call("old"))) == ("allow", "access_denied")
            done = await child.prepare(allowing("old").encode())
            assert asking.verdict(call("new")) == "allow"
            assert child.policy != done.policy
            await child.commit(allowing("old").encode())
            assert (asking.verdict(call("new")), asking.verdict(call("old"))) == ("access_denied", "allow")
        assert child.policy == done.policy
    finally:
        code = await ended(child)
    assert code == 0


async def test_it_seals_with_the_key_it_was_given(tmp_path: Path) -> None:
    child = await Child.spawn()
    try:
        await child.begin(beginning(tmp_path, allowing("new")))
        with gateway(child.listeners["default"]) as asking:
            token = asking.ask(call("new")).dynamic_metadata.fields["token"].string_value
    finally:
        await ended(child)

    assert Seal((KEY.encode(),)).open(token) is not None
    assert Seal((KEY[::-1].encode(),)).open(token) is None


async def test_it_says_what_it_cannot_build(tmp_path: Path) -> None:
    child = await Child.spawn()
    try:
        await child.begin(beginning(tmp_path, allowing("new")))
        before = child.policy
        done = await child.prepare(b"policy: {guards: [{type: access_lost}]}")
        assert "policy.guards[0].type" in done.problems[0]
        assert child.policy == before
    finally:
        await ended(child)


@pytest.mark.parametrize(
    ("content", "address", "kind", "told"),
    [
        ("policy: 5", "127.0.0.1:0", "configuration", "policy"),
        (allowing("new"), "192.0.2.1:0", "address", "192.0.2.1:0"),
    ],
)
async def test_it_says_why_it_cannot_begin(tmp_path: Path, content: str, address: str, kind: str, told: str) -> None:
    child = await Child.spawn()
    with pytest.raises(StartError, match=told) as caught:
        await child.begin(beginning(tmp_path, content, listeners={"default": {"address": address}}))
    assert caught.value.kind == kind
    assert await child.wait() == 1


async def test_one_that_is_gone_does_not_answer(tmp_path: Path) -> None:
    child = await Child.spawn()
    await child.begin(beginning(tmp_path, allowing("new")))
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(WorkerGoneError):
        await child.prepare(b"")
    assert await child.wait() == -signal.SIGKILL
    assert child.policy is None


async def test_one_that_has_not_begun_ends_at_once() -> None:
    child = await Child.spawn()
    child.end()
    assert await child.wait() == -signal.SIGKILL
