"""Param headers: the ``Mcp-Param-*`` header fields that a tool's ``inputSchema`` asks for.

Source: MCP 2026-07-28, Streamable HTTP, ``x-mcp-header``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from guardsvc.mcp.headers import decode_value
from guardsvc.mcp.refusal import excerpt
from guardsvc.model import Headers

__all__ = ["ParamHeader", "check_param_headers", "param_headers"]

_ANNOTATION = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_INTEGER = re.compile(r"(-?(?:0|[1-9][0-9]{0,307}))(?:\.0+)?")
_TYPES = ("string", "integer", "boolean")
_SCHEMAS_BY_NAME = frozenset({"patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"})
_SCHEMAS = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "oneOf",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


class ParamHeader(msgspec.Struct, frozen=True):
    """One argument that a header mirrors.

    Attributes:
        path: names of ``properties`` from the arguments down.
        header: name of the header field in lower case.
        type: the declared type of the argument.
    """

    path: tuple[str, ...]
    header: str
    type: Literal["string", "integer", "boolean"]


def param_headers(input_schema: Any) -> tuple[ParamHeader, ...]:
    """The headers a tool declares.

    Raises:
        ValueError: an annotation breaks the rules, so the tool must not be listed.
    """
    found: dict[str, ParamHeader] = {}
    for path, schema in _schemas(input_schema):
        if _ANNOTATION not in schema:
            continue
        if not path:
            raise ValueError(f"{_ANNOTATION} stands where properties alone do not lead")
        param = _param_header(path, schema)
        if param.header in found:
            raise ValueError(f"{_ANNOTATION} {excerpt(param.header)} is declared twice")
        found[param.header] = param
    return tuple(found.values())


def check_param_headers(
    params: Sequence[ParamHeader], arguments: dict[str, Any] | None, headers: Headers
) -> str | None:
    """What is wrong with the headers of a call, None where each mirrors its argument."""
    for param in params:
        problem = _problem(param, _argument(arguments, param.path), headers.all(param.header))
        if problem:
            return f"{param.header} {problem}"
    return None


def _param_header(path: tuple[str, ...], schema: dict[str, Any]) -> ParamHeader:
    name, kind = schema[_ANNOTATION], schema.get("type")
    where = excerpt("/".join(path))
    if type(name) is not str or not _TOKEN.fullmatch(name):
        raise ValueError(f"{_ANNOTATION} of {where} is no token of RFC 9110")
    if kind not in _TYPES:
        raise ValueError(f"{_ANNOTATION} of {where} is not on a string, integer or boolean")
    return ParamHeader(path, f"mcp-param-{name.lower()}", kind)


def _schemas(root: Any) -> Iterator[tuple[tuple[str, ...] | None, dict[str, Any]]]:
    """Every schema in ``root`` with its path; None where more than ``properties`` lead to it."""
    stack: list[tuple[tuple[str, ...] | None, Any]] = [((), root)]
    while stack:
        path, schema = stack.pop()
        if type(schema) is not dict:
            continue
        yield path, schema
        for keyword, value in schema.items():
            if keyword == "properties" and type(value) is dict:
                stack += [(None if path is None else (*path, name), inner) for name, inner in value.items()]
            elif keyword in _SCHEMAS_BY_NAME and type(value) is dict:
                stack += [(None, inner) for inner in value.values()]
            elif keyword in _SCHEMAS:
                stack += [(None, inner) for inner in (value if type(value) is list else [value])]


def _argument(arguments: Any, path: tuple[str, ...]) -> Any:
    value = arguments
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def _problem(param: ParamHeader, argument: Any, values: tuple[str, ...]) -> str | None:
    if argument is None:
        return "is present without an argument" if values else None
    if not values:
        return "is missing"
    if len(values) > 1:
        return "is repeated"
    value = decode_value(values[0])
    if value is None:
        return "is malformed"
    return None if _equal(param.type, argument, value) else "is not equal to the argument"


def _equal(kind: str, argument: Any, value: str) -> bool:
    match kind:
        case "string":
            return type(argument) is str and value == argument
        case "boolean":
            return type(argument) is bool and value == ("true" if argument else "false")
        case _:
            number = _INTEGER.fullmatch(value)
            return type(argument) in (int, float) and number is not None and int(number[1]) == argument
