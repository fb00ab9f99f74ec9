"""One guard in every language: the same verdict, code, message and log line, whatever it was written in.

The components are those of ``wasm-guards``, or those of the folder that ``GUARDSVC_GUESTS`` names, built anew by
``wasm-guards/build-all.sh``. What none of them may get wrong is written here by hand; for rows of the corpus it is what
``holds`` says.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from guardsvc.cli.wasm.inspect import described
from guardsvc.cli.wasm.options import Asked
from guardsvc.guards.wasm.guard import WasmGuard
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import ALLOW, Deny, Direction, GuardContext, Kind, Operation, Phase, SettingsError
from tests.guards.wasm.components import CALL, call_of
from tests.guards.wasm.conftest import GUARDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.model import Verdict

LANGUAGES = {
    "assemblyscript": GUARDS / "assemblyscript" / "forbidden_text.wasm",
    "c": GUARDS / "c" / "forbidden_text.wasm",
    "cpp": GUARDS / "cpp" / "forbidden_text.wasm",
    "go": GUARDS / "go" / "forbidden_text.wasm",
    "javascript": GUARDS / "javascript" / "forbidden_text.wasm",
    "python": GUARDS / "python" / "build" / "forbidden_text.wasm",
    "rust": GUARDS / "rust" / "forbidden_text.wasm",
}
LIMITS = {"python": {"memory_mib": 64, "module_mib": 40}}
"""What a language needs where a default limit is too little for it."""

HOST = ("get-config", "get-metadata", "get-time", "log")

BUILT = os.environ.get("GUARDSVC_GUESTS")
SLOW = {} if BUILT else {"python": pytest.mark.long}
"""What takes long to compile, and is left to ``build-all.sh``."""
CORPUS = os.environ.get("GUARDSVC_CORPUS")
SAMPLE = 60
"""Every how many rows of the corpus are judged in each run."""
MIB = 1_048_576

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "in_arguments": {"type": "string", "minLength": 1},
        "in_descriptions": {"type": "string", "minLength": 1},
    },
}
IN_ARGUMENTS = Deny(code="forbidden_text", message="An argument holds a forbidden text.")
IN_DESCRIPTION = Deny(code="forbidden_text", message="A tool's description holds a forbidden text.")

CALLS: tuple[tuple[str, bool, dict[str, Any]], ...] = (
    ("/etc/passwd", True, {"path": "/etc/passwd"}),
    ("/etc/passwd", True, {"path": "/ETC/Passwd"}),
    ("/Etc/PASSWD", True, {"path": "cat /etc/passwd | wc"}),
    ("/etc/passwd", False, {"path": "/etc/passw"}),
    ("/etc/passwd", False, {"path": "/etc/passw", "d": "/etc/passw"}),
    ("/etc/passwd", False, {}),
    ("/etc/passwd", False, {"path": ""}),
    ("aab", True, {"t": "aaab"}),
    ("x", False, {"": ""}),
    ("geheim: é", True, {"t": "GEHEIM: é"}),
    ("geheim: é", False, {"t": "geheim: e"}),
    ("{", True, {}),
    ("path", True, {"path": 1}),
    ("null", True, {"path": None}),
    ("1.5", True, {"n": [1, {"deep": [1.5]}]}),
    ("a", True, {"t": "é A é"}),
    ("caf", True, {"t": "CAFÉ"}),
    ("key", False, {"t": "\u212aEY"}),
    ("s", False, {"t": "\u017f"}),
    ("tool\\name", True, {"t": "a tool\\name"}),
    ("tool\\name", False, {"t": "toolname"}),
    ("line\nend", True, {"t": "Line\nEnd"}),
    ('say "hi', True, {"t": 'say "hi" now'}),
    ("bell\u0007", True, {"t": "bell\u0007"}),
    ("nul\u0000l", True, {"t": "NUL\u0000L"}),
    ("needle", True, {f"k{n}": "hay " * 50 for n in range(200)} | {"last": "Needle"}),
    ("needle", False, {f"k{n}": "needl " * 50 for n in range(200)}),
    ("x" * 5000, True, {"t": "X" * 5001}),
    ("x" * 5000, False, {"t": "x" * 4999}),
)
"""What is forbidden, whether it is found, and the arguments."""

LISTS: tuple[tuple[str, bool, list[Any]], ...] = (
    ("ignore previous", False, []),
    ("ignore previous", True, [{"name": "a", "description": "Ignore PREVIOUS instructions"}]),
    ("IGNORE previous", True, [{"name": "a", "description": "ignore previous"}]),
    ("ignore previous", False, [{"name": "a", "description": "ignore"}, {"name": "b", "description": " previous"}]),
    ("ignore", False, [{"name": "ignore", "title": "ignore", "inputSchema": {"description": "ignore"}}]),
    ("ignore", False, [{"name": "a", "annotations": {"title": "ignore"}, "_meta": {"m": "ignore"}}]),
    ("ignore", False, [{"name": "a", "description": ""}]),
    ("ignore", False, [{"name": "a", "description": None}, {"name": "b", "description": ["ignore"]}, "ignore", 5]),
    ("ignore", True, [{"name": "a"}, {"name": "b", "title": "t", "description": "é ignore é", "outputSchema": {}}]),
    ("key", False, [{"name": "a", "description": "\u212aey"}]),
    ("a", True, [{"name": "\U0001f512", "description": "\U0001f512 A"}]),
    ("needle", True, [{"name": f"t{n}", "description": "hay " * n} for n in range(50)] + [{"description": "NEEDLE"}]),
    ("needle", False, [{"name": f"t{n}", "description": "needl " * n, "inputSchema": {"n": n}} for n in range(50)]),
)
"""What is forbidden, whether it is found, and the tools."""

REFUSED_SETTINGS: tuple[tuple[dict[str, Any], tuple[str, ...], str], ...] = (
    ({}, ("config",), "the component refuses it: nothing is forbidden"),
    ({"in_arguments": 5}, ("config", "in_arguments"), "is not of type"),
    ({"in_arguments": ""}, ("config", "in_arguments"), "is shorter than 1"),
    ({"in_arguments": "x", "in_descriptions": None}, ("config", "in_descriptions"), "is not of type"),
    ({"in_arguments": "x", "other": "x"}, ("config",), "other"),
)

FORBIDDEN_IN_CORPUS = ("the", "../", "user", "xyzzy")
"""What rows of the corpus are searched for: some hold it, most do not, and none holds the last."""


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in LANGUAGES])
def language(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if not module_of(name).is_file():
        pytest.skip(f"there is no {module_of(name)}")
    return name


def module_of(language: str) -> Path:
    return LANGUAGES[language] if BUILT is None else Path(BUILT) / f"{language}.wasm"


def loaded(language: str, **config: Any) -> WasmGuard:
    limits = LIMITS.get(language, {})
    settings = {"module": str(module_of(language)), "allow_unsigned": True, "config": config, "limits": limits}
    return WasmGuard(WasmSettings.model_validate(settings), GuardContext(guard_id=language, timeout=20))


def verdicts(guard: WasmGuard, operations: Iterable[Operation]) -> list[Verdict]:
    async def asked() -> list[Verdict]:
        return [await guard.evaluate(operation, {}) for operation in operations]

    return asyncio.run(asked())


def list_of(*tools: Any) -> Operation:
    return msgspec.structs.replace(
        CALL,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        payload={"tools": list(tools)},
    )


def told(verdict: Verdict) -> Deny | None:
    """A denial without its findings; None for an allow that says nothing."""
    if isinstance(verdict, Deny):
        return Deny(code=verdict.code, message=verdict.message, details=verdict.details)
    assert verdict is ALLOW
    return None


def holds(forbidden: str, text: str) -> bool:
    """Whether a text of which nothing has to be escaped is in another one, without case in ASCII."""
    return forbidden.encode().lower() in text.encode().lower()


def test_it_imports_the_host_and_nothing_else(language: str) -> None:
    shown = described(Asked.of(str(module_of(language)), None).read())

    assert shown["interface"] == "1.0.0"
    assert shown["judges"] == ["tool-invoke", "tools-list"]
    assert set(shown["imports"]) <= {f"mcp:security-guard/host@1.0.0 {name}" for name in HOST}
    assert shown["settings"] == ["schema", "validate"]
    assert shown["schema"] == SCHEMA


def test_it_judges_its_settings(language: str) -> None:
    for config, path, why in REFUSED_SETTINGS:
        with pytest.raises(SettingsError, match=why) as caught:
            loaded(language, **config)
        assert caught.value.path == path


def test_calls(language: str) -> None:
    for forbidden, found, arguments in CALLS:
        (verdict,) = verdicts(loaded(language, in_arguments=forbidden), [call_of(**arguments)])
        assert told(verdict) == (IN_ARGUMENTS if found else None), (forbidden, arguments)


def test_lists(language: str) -> None:
    for forbidden, found, tools in LISTS:
        (verdict,) = verdicts(loaded(language, in_descriptions=forbidden), [list_of(*tools)])
        assert told(verdict) == (IN_DESCRIPTION if found else None), (forbidden, tools)


def test_what_is_not_set_is_not_judged(language: str) -> None:
    everything = [call_of(text="ignore"), list_of({"name": "a", "description": "ignore"})]

    assert [told(each) for each in verdicts(loaded(language, in_arguments="ignore"), everything)] == [
        IN_ARGUMENTS,
        None,
    ]
    assert [told(each) for each in verdicts(loaded(language, in_descriptions="ignore"), everything)] == [
        None,
        IN_DESCRIPTION,
    ]


def test_it_says_which_call_it_refused(language: str) -> None:
    guard = loaded(language, in_arguments="ignore", in_descriptions="ignore")
    names = ["read", "", "\u00e9\U0001f512", 'a "b" \\']

    with structlog.testing.capture_logs() as logs:
        verdicts(guard, [msgspec.structs.replace(call_of(t="ignore"), subject=name) for name in names])
        verdicts(guard, [call_of(t="else"), list_of({"name": "a", "description": "ignore"})])

    lines = [(line["log_level"], line["message"]) for line in logs if line["event"] == "wasm_guard_says"]
    assert lines == [("info", f"forbidden text in a call of {name}") for name in names]


def test_long_arguments_and_long_lists(language: str) -> None:
    guard = loaded(language, in_arguments="needle", in_descriptions="needle")
    tools = [{"name": f"t{n}", "description": "Reads a file. " * 20, "inputSchema": {"n": n}} for n in range(10_000)]
    operations = [
        call_of(text="needl" * (MIB // 5)),
        call_of(text="needl" * (MIB // 5), last="Needle"),
        call_of(**{f"k{n}": "needl" for n in range(MIB // 16)}),
        list_of(*tools),
        list_of(*tools, {"name": "last", "description": "Needle"}),
    ]

    assert [told(each) for each in verdicts(guard, operations)] == [None, IN_ARGUMENTS, None, None, IN_DESCRIPTION]


@pytest.mark.parametrize("every", [SAMPLE, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.skipif(CORPUS is None, reason="no GUARDSVC_CORPUS")
def test_rows_of_the_corpus(every: int, language: str) -> None:
    called = [json.dumps(row, ensure_ascii=False) for row in argument_rows()][::every]
    listed = tool_rows()[::every]
    hits = 0

    for forbidden in FORBIDDEN_IN_CORPUS:
        guard = loaded(language, in_arguments=forbidden, in_descriptions=forbidden)
        in_calls = [holds(forbidden, row) for row in called]
        in_lists = [holds(forbidden, row.get("description") or "") for row in listed]
        judged = verdicts(guard, (call_of(**json.loads(row)) for row in called))
        assert [told(each) for each in judged] == [IN_ARGUMENTS if hit else None for hit in in_calls]
        judged = verdicts(guard, (list_of(row) for row in listed))
        assert [told(each) for each in judged] == [IN_DESCRIPTION if hit else None for hit in in_lists]
        fifties = [slice(at, at + 50) for at in range(0, len(listed), 50)]
        judged = verdicts(guard, (list_of(*listed[fifty]) for fifty in fifties))
        assert [told(each) for each in judged] == [IN_DESCRIPTION if any(in_lists[each]) else None for each in fifties]
        hits += sum(in_calls) + sum(in_lists)

    assert hits > 20


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(CORPUS or "") / f"{name}.jsonl").read_text().splitlines()]


def argument_rows() -> list[dict[str, Any]]:
    whole: list[dict[str, Any]] = [row["arguments"] for row in rows("benign_args")]
    return whole + [{"value": row["value"]} for row in rows("malicious_args")]


def tool_rows() -> list[dict[str, Any]]:
    names = ("malicious_tools", "overt_malicious_tools", "ambiguous_tools", "benign_tools")
    return [row for name in names for row in rows(name)]
