"""Interface: what guards export and import, in version 1.0.0 and in the three shapes that were there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardsvc.model import Direction, Phase

if TYPE_CHECKING:
    from guardsvc.guards.wasm.contract.types import Type

__all__ = ["EVALUATIONS", "HOST", "HTTP", "KV", "OLD_EVALUATIONS", "PACKAGE", "Evaluation", "fits_old", "is_answer"]

PACKAGE = "mcp:security-guard"

_TEXT: Type = "string"
_MAYBE: Type = ("option", "string")

TOOL: Type = (
    "record",
    (
        ("name", _TEXT),
        ("title", _MAYBE),
        ("description", _MAYBE),
        ("input-schema", _TEXT),
        ("output-schema", _MAYBE),
        ("annotations", _MAYBE),
        ("other-members", _MAYBE),
    ),
)
CONTEXT: Type = (
    "record",
    (
        ("server-name", _TEXT),
        ("tenant", _MAYBE),
        ("identity", _MAYBE),
        ("verified", "bool"),
        ("method", _TEXT),
        ("metadata", _TEXT),
    ),
)
DENY_REASON: Type = ("record", (("code", _TEXT), ("message", _TEXT), ("details", _MAYBE)))
_CASES: tuple[tuple[str, Type | None], ...] = (
    ("allow", None),
    ("deny", DENY_REASON),
    ("modify", _TEXT),
    ("warn", ("list", _TEXT)),
)
DECISION: Type = ("variant", _CASES)
STAGE: Type = ("enum", ("request", "listing", "answer"))
ANSWER: Type = ("result", DECISION, _TEXT)

Point = tuple[Direction, Phase]

REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE


class Evaluation(NamedTuple):
    """One function that judges.

    Attributes:
        kind: what it judges, by the name of the interface of version 1.0.0.
        params: name and type of what it takes.
        points: where it runs, each with the stage it is told.
    """

    kind: str
    params: tuple[tuple[str, Type], ...]
    points: dict[Point, str]


_CONTEXT = ("context", CONTEXT)
_STAGE = ("stage", STAGE)
_PAYLOAD = ("payload", _TEXT)

EVALUATIONS = {
    evaluation.kind: evaluation
    for evaluation in (
        Evaluation("tools-list", (("tools", ("list", TOOL)), _CONTEXT), {(RESPONSE, Phase.TOOLS_LIST): "listing"}),
        Evaluation(
            "tool-invoke",
            (("tool-name", _TEXT), ("arguments", _TEXT), _CONTEXT),
            {(REQUEST, Phase.TOOL_INVOKE): "request"},
        ),
        Evaluation(
            "tool-result",
            (("subject", _MAYBE), _PAYLOAD, _CONTEXT),
            {(RESPONSE, Phase.TOOL_RESULT): "answer"},
        ),
        Evaluation(
            "prompt",
            (_STAGE, ("subject", _MAYBE), _PAYLOAD, _CONTEXT),
            {
                (REQUEST, Phase.PROMPT_GET): "request",
                (RESPONSE, Phase.PROMPTS_LIST): "listing",
                (RESPONSE, Phase.PROMPT_RESULT): "answer",
            },
        ),
        Evaluation(
            "resource",
            (_STAGE, ("subject", _MAYBE), _PAYLOAD, _CONTEXT),
            {
                (REQUEST, Phase.RESOURCE_READ): "request",
                (RESPONSE, Phase.RESOURCES_LIST): "listing",
                (RESPONSE, Phase.RESOURCE_RESULT): "answer",
            },
        ),
        Evaluation(
            "input-request",
            (_STAGE, _PAYLOAD, _CONTEXT),
            {(RESPONSE, Phase.INPUT_REQUEST): "request", (REQUEST, Phase.INPUT_RESPONSE): "answer"},
        ),
        Evaluation(
            "connection",
            (_STAGE, _PAYLOAD, _CONTEXT),
            {(REQUEST, Phase.CONNECTION): "request", (RESPONSE, Phase.CONNECTION): "answer"},
        ),
    )
}
"""The interfaces of version 1.0.0 that judge, each with its one function ``evaluate``."""

OLD_TOOL: Type = ("record", (("name", _TEXT), ("description", _MAYBE), ("input-schema", _TEXT)))
_OLD_CONTEXT_FIELDS: dict[str, Type] = {
    "server-name": _TEXT,
    "server-url": _MAYBE,
    "identity": _MAYBE,
    "metadata": _TEXT,
}
_OLD_CONTEXT: Type = "context of before"

OLD_EVALUATIONS = {
    "evaluate-tools-list": Evaluation(
        "tools-list", (("tools", ("list", OLD_TOOL)), ("context", _OLD_CONTEXT)), EVALUATIONS["tools-list"].points
    ),
    "evaluate-tool-invoke": Evaluation(
        "tool-invoke",
        (("tool-name", _TEXT), ("arguments", _TEXT), ("context", _OLD_CONTEXT)),
        EVALUATIONS["tool-invoke"].points,
    ),
    "evaluate-response": Evaluation(
        "tool-result",
        (_PAYLOAD, ("context", _OLD_CONTEXT)),
        {
            (RESPONSE, Phase.TOOL_RESULT): "answer",
            (RESPONSE, Phase.PROMPT_RESULT): "answer",
            (RESPONSE, Phase.RESOURCE_RESULT): "answer",
        },
    ),
    "evaluate-server-connection": Evaluation(
        "connection", (("context", _OLD_CONTEXT),), {(REQUEST, Phase.CONNECTION): "request"}
    ),
}
"""The functions of the one interface ``guard`` in the shapes that were there before version 1.0.0."""

HOST = {
    "log": (("u8", _TEXT), (None,)),
    "get-time": ((), ("u64",)),
    "get-metadata": ((_TEXT,), (_MAYBE, _TEXT)),
    "get-config": ((_TEXT,), (_MAYBE, _TEXT)),
}
"""Host functions: what they take, and each form in which they may be asked to answer."""

_KV_ERROR: Type = ("variant", (("too-large", None), ("not-a-number", None)))
KV = {
    "get": ((_TEXT,), (_MAYBE,)),
    "set": ((_TEXT, _TEXT, "u64"), (("result", None, _KV_ERROR),)),
    "delete": ((_TEXT,), (None,)),
    "increment": ((_TEXT, "s64", "u64"), (("result", "s64", _KV_ERROR),)),
}
"""Functions of ``kv``."""

_HTTP_HEADERS: Type = ("list", ("tuple", (_TEXT, _TEXT)))
_HTTP_REQUEST: Type = ("record", (("method", _TEXT), ("url", _TEXT), ("headers", _HTTP_HEADERS), ("body", _TEXT)))
_HTTP_RESPONSE: Type = ("record", (("status", "u16"), ("headers", _HTTP_HEADERS), ("body", _TEXT)))
_HTTP_ERROR: Type = (
    "variant",
    (("denied", None), ("invalid", None), ("unreachable", None), ("too-large", None)),
)
_HTTP_ANSWER: Type = ("result", _HTTP_RESPONSE, _HTTP_ERROR)
HTTP = {
    "send": ((_HTTP_REQUEST,), (_HTTP_ANSWER,)),
    "send-all": ((("list", _HTTP_REQUEST),), (("list", _HTTP_ANSWER),)),
}
"""Functions of ``http``."""


def fits_old(given: tuple[Type, ...], expected: Evaluation) -> bool:
    """Whether a function of a guard of before takes what it should; its context may lack fields that came later."""
    if len(given) != len(expected.params):
        return False
    return all(
        _is_old_context(kind) if wanted is _OLD_CONTEXT else kind == wanted
        for kind, (_, wanted) in zip(given, expected.params, strict=True)
    )


def _is_old_context(kind: Type) -> bool:
    return (
        isinstance(kind, tuple)
        and kind[0] == "record"
        and bool(kind[1])
        and all(_OLD_CONTEXT_FIELDS.get(name) == inner for name, inner in kind[1])
    )


def is_answer(kind: Type | None, *, exact: bool) -> bool:
    """Whether a function answers with a decision; one of before may know fewer kinds of decision."""
    if exact:
        return bool(kind == ANSWER)
    if not (isinstance(kind, tuple) and kind[0] == "result" and kind[2] == _TEXT):
        return False
    ok = kind[1]
    return bool(isinstance(ok, tuple) and ok[0] == "variant" and ok[1] and set(ok[1]) <= set(_CASES))
