"""Param headers: which annotations are valid, and whether a call's headers mirror its arguments."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.inbound import find_invalid_x_mcp_header

from guardsvc.mcp.param_headers import ParamHeader, check_param_headers, param_headers
from guardsvc.model import Headers


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def header(name: Any = "Region", kind: Any = "string") -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": name}


VALID = [
    ({}, []),
    (True, []),
    (schema(a={"type": "string"}), []),
    (schema(a=header()), [ParamHeader(("a",), "mcp-param-region", "string")]),
    (schema(a=schema(b=header("N", "integer"))), [ParamHeader(("a", "b"), "mcp-param-n", "integer")]),
    (schema(properties=header("B", "boolean")), [ParamHeader(("properties",), "mcp-param-b", "boolean")]),
    (schema(a={"type": "object", "default": header()}), []),
    (schema(a={"enum": [header()], "const": header(), "examples": [header()]}), []),
]

INVALID = [
    ("declared twice", schema(a=header("Region"), b=header("REGION"))),
    ("no token", schema(a=header("a b"))),
    ("no token", schema(a=header(""))),
    ("no token", schema(a=header("a:b"))),
    ("no token", schema(a=header("a\n"))),
    ("no token", schema(a=header("caf\xe9"))),
    ("no token", schema(a=header(5))),
    ("not on a string", schema(a=header("N", "number"))),
    ("not on a string", schema(a=header("N", "object"))),
    ("not on a string", schema(a=header("N", ["string", "null"]))),
    ("not on a string", schema(a={"x-mcp-header": "N"})),
    ("properties alone", header()),
    ("properties alone", schema(a={"type": "array", "items": header()})),
    ("properties alone", schema(a={"type": "array", "items": schema(b=header())})),
    ("properties alone", {"oneOf": [schema(a=header())]}),
    ("properties alone", {"allOf": [schema(a=header())]}),
    ("properties alone", {"not": schema(a=header())}),
    ("properties alone", {"if": schema(a=header())}),
    ("properties alone", {"$defs": {"x": schema(a=header())}}),
    ("properties alone", {"patternProperties": {"x": header()}}),
    ("properties alone", {"additionalProperties": header()}),
]


@pytest.mark.parametrize(("value", "params"), VALID)
def test_valid_annotations(value: Any, params: list[ParamHeader]) -> None:
    assert list(param_headers(value)) == params
    assert find_invalid_x_mcp_header(value) is None


@pytest.mark.parametrize(("problem", "value"), INVALID)
def test_invalid_annotations(problem: str, value: Any) -> None:
    with pytest.raises(ValueError, match=problem):
        param_headers(value)
    assert find_invalid_x_mcp_header(value) is not None


PARAMS = param_headers(
    schema(
        region=header("Region"),
        where=schema(zone=header("Zone")),
        count=header("Count", "integer"),
        dry=header("Dry", "boolean"),
    )
)


@pytest.mark.parametrize(
    ("arguments", "fields", "problem"),
    [
        (None, [], None),
        ({}, [], None),
        ({"region": None, "where": None}, [], None),
        ({}, [("mcp-param-region", "eu")], "mcp-param-region is present without an argument"),
        ({"region": None}, [("mcp-param-region", "")], "mcp-param-region is present without an argument"),
        ({"region": "eu"}, [("mcp-param-region", "eu")], None),
        ({"region": "eu"}, [("mcp-param-region", "=?base64?ZXU=?=")], None),
        ({"region": ""}, [("mcp-param-region", "")], None),
        ({"region": "eu"}, [], "mcp-param-region is missing"),
        ({"region": "eu"}, [("mcp-param-region", "EU")], "mcp-param-region is not equal to the argument"),
        ({"region": "eu"}, [("mcp-param-region", "eu")] * 2, "mcp-param-region is repeated"),
        ({"region": "eu"}, [("mcp-param-region", "\xe9")], "mcp-param-region is malformed"),
        ({"region": 5}, [("mcp-param-region", "5")], "mcp-param-region is not equal to the argument"),
        ({"where": {"zone": "z"}}, [("mcp-param-zone", "z")], None),
        ({"where": "z"}, [("mcp-param-zone", "z")], "mcp-param-zone is present without an argument"),
        ({"count": 5}, [("mcp-param-count", "5")], None),
        ({"count": 5.0}, [("mcp-param-count", "5")], None),
        ({"count": 5}, [("mcp-param-count", "5.0")], None),
        ({"count": 2**60 + 1}, [("mcp-param-count", str(2**60 + 1))], None),
        (
            {"count": 2**60 + 1},
            [("mcp-param-count", str(2**60))],
            "mcp-param-count is not equal to the argument",
        ),
        ({"count": 5}, [("mcp-param-count", "05")], "mcp-param-count is not equal to the argument"),
        ({"count": 5}, [("mcp-param-count", "5e0")], "mcp-param-count is not equal to the argument"),
        ({"count": 1}, [("mcp-param-count", "9" * 5000)], "mcp-param-count is not equal to the argument"),
        ({"count": True}, [("mcp-param-count", "1")], "mcp-param-count is not equal to the argument"),
        ({"dry": True}, [("mcp-param-dry", "true")], None),
        ({"dry": False}, [("mcp-param-dry", "false")], None),
        ({"dry": True}, [("mcp-param-dry", "True")], "mcp-param-dry is not equal to the argument"),
        ({"dry": 1}, [("mcp-param-dry", "true")], "mcp-param-dry is not equal to the argument"),
        ({"other": 1}, [("mcp-param-other", "2")], None),
    ],
)
def test_check_param_headers(arguments: Any, fields: list[tuple[str, str]], problem: str | None) -> None:
    assert check_param_headers(PARAMS, arguments, Headers(fields)) == problem
