"""What is logged of decisions, and that nothing a caller sends can make a log line say something else."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from guardsvc.model import Caller, ErrorKind, Finding, Mode, Severity
from guardsvc.observe import Metrics, Recorder, configure_logging, set_level, shows_debug
from tests.observe.decisions import decision, operation, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOSTILE = 'x\n{"event":"decision","verdict":"allow"}\r\x1b[2J\u2028\u202e\x00\x85"'


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Leave the logging of the tests as it was."""
    root, own, watching = (logging.getLogger(name) for name in (None, "guardsvc", "watchfiles"))
    before = (root.handlers[:], root.level, own.level, watching.level)
    yield
    root.handlers[:], root.level, own.level, watching.level = before
    structlog.reset_defaults()


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, Any]]]:
    """Record a decision and give the log lines it left."""

    def run(*args: Any, **more: Any) -> list[dict[str, Any]]:
        configure_logging("info", "json")
        Recorder(Metrics("0", process=False), {"tools/call"}).record(decision(*args, **more))
        out, err = capsys.readouterr()
        assert out == ""
        return [json.loads(line) for line in err.split("\n") if line]

    return run


def test_a_refusal_is_one_line(record: Callable[..., list[dict[str, Any]]]) -> None:
    found = Finding(rule="only search", severity=Severity.INFO)
    (line,) = record("deny", outcome(verdict="deny", code="access_denied", findings=(found,)))

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "decision",
        "level": "info",
        "decision_id": "018f",
        "verdict": "deny",
        "applied": "deny",
        "reason": "access_denied",
        "guard": "list",
        "rules": ["only search"],
        "protocol": "ext_authz",
        "phase": "tool_invoke",
        "method": "tools/call",
        "server": "library",
        "subject": "search",
        "tenant": "acme",
        "principal": "ann",
        "verified": True,
        "detail": None,
        "failed": None,
        "suppressed": None,
        "policy": "abcd",
    }


def test_a_plain_allow_is_not_logged(record: Callable[..., list[dict[str, Any]]]) -> None:
    assert record("allow", outcome()) == []


@pytest.mark.parametrize("verdict", ["modify", "pending"])
def test_what_is_no_allow_is_logged(record: Callable[..., list[dict[str, Any]]], verdict: str) -> None:
    assert [line["verdict"] for line in record(verdict)] == [verdict]


def test_shadow_says_what_was_applied(record: Callable[..., list[dict[str, Any]]]) -> None:
    (line,) = record("deny", mode=Mode.SHADOW)

    assert (line["verdict"], line["applied"]) == ("deny", "allow")


def test_an_allow_in_spite_of_a_failed_guard_is_logged(record: Callable[..., list[dict[str, Any]]]) -> None:
    (line,) = record("allow", outcome("api", error=ErrorKind.TIMEOUT, message="the guard was stopped"))

    assert line["failed"] == {"api": "timeout: the guard was stopped"}


def test_each_use_of_an_exception_is_logged(record: Callable[..., list[dict[str, Any]]]) -> None:
    findings = (
        Finding(rule="a", severity=Severity.HIGH, suppressed_by="known"),
        Finding(rule="b", severity=Severity.LOW),
    )
    (line,) = record("allow", outcome(findings=findings))

    assert (line["verdict"], line["rules"], line["suppressed"]) == ("allow", ["a", "b"], ["a by known"])


def test_hostile_values_stay_inside_their_line(record: Callable[..., list[dict[str, Any]]]) -> None:
    (line,) = record(
        "deny",
        outcome(
            verdict="deny",
            error=ErrorKind.EXCEPTION,
            message=HOSTILE,
            findings=(Finding(rule=HOSTILE, severity=Severity.HIGH),),
        ),
        operation=operation(method=HOSTILE, subject=HOSTILE, caller=Caller(tenant=HOSTILE, principal=HOSTILE)),
        details={"detail": HOSTILE},
    )

    assert [line[key] for key in ("method", "subject", "tenant", "principal", "detail")] == [HOSTILE] * 5
    assert line["failed"] == {"list": f"exception: {HOSTILE}"}
    assert line["rules"] == [HOSTILE]


def test_long_hostile_values_are_cut(record: Callable[..., list[dict[str, Any]]]) -> None:
    long = "x" * 1_000_000
    findings = tuple(Finding(rule=long, severity=Severity.HIGH) for _ in range(1_000))
    (line,) = record(
        "deny",
        outcome(verdict="deny", error=ErrorKind.EXCEPTION, message=long, findings=findings),
        operation=operation(method=long, subject=long, caller=Caller(tenant=long, principal=long)),
        details={"detail": long},
    )

    assert len(json.dumps(line)) < 10_000
    assert line["subject"] == "x" * 256 + "…"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_control_character_reaches_the_output(capsys: pytest.CaptureFixture[str], log_format: Any) -> None:
    configure_logging("info", log_format)
    recorder = Recorder(Metrics("0", process=False), ())
    recorder.record(decision("deny", operation=operation(method=HOSTILE, subject=HOSTILE, server=HOSTILE)))
    structlog.get_logger("guardsvc.test").info("event", value=HOSTILE, values=[HOSTILE])
    logging.getLogger("guardsvc.test").warning("said %r", HOSTILE)

    written = capsys.readouterr().err
    assert written.count("\n") == 3
    assert all(character.isprintable() for character in written.replace("\n", ""))


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], level: Any, shown: list[str]) -> None:
    configure_logging("info", "json")
    set_level(level)
    ours, standard = structlog.get_logger("guardsvc.test"), logging.getLogger("guardsvc.other")
    for name in ("debug", "info", "warning", "error"):
        getattr(ours, name)("ours")
        getattr(standard, name)("standard")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines if line["event"] == "ours"] == shown
    assert [line["level"] for line in lines if line["event"] == "standard"] == shown
    assert shows_debug() is (level == "debug")


def test_libraries_are_quiet_below_warning_unless_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    set_level("debug")
    logging.getLogger("some.library").debug("detail")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["trouble", "detail"]
    assert lines[0]["logger"] == "some.library"


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_beside_the_configuration_does_not_feed_itself(capsys: pytest.CaptureFixture[str], level: Any) -> None:
    configure_logging(level, "json")
    for number in (logging.DEBUG, logging.INFO):
        logging.getLogger("watchfiles.main").log(number, "1 change detected")

    assert capsys.readouterr().err == ""


def test_exceptions_are_part_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        dict[str, str]()[HOSTILE]
    except KeyError:
        structlog.get_logger("guardsvc.test").exception("failed")
        logging.getLogger("guardsvc.test").exception("failed")

    ours, standard = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    for line in (ours, standard):
        assert "Traceback" in line["exception"]
        assert "KeyError" in line["exception"]
