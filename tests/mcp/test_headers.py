"""Headers that mirror the body: values are decoded, differences are found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import encode_header_value

from guardsvc.mcp.headers import decode_value, find_mismatch
from guardsvc.mcp.message import parse
from guardsvc.model import Headers

VERSION = "io.modelcontextprotocol/protocolVersion"


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("", ""),
        ("search", "search"),
        ("two words", "two words"),
        ("=?base64?4pyT?=", "\u2713"),
        ("=?base64??=", ""),
        ("=?base64?IGE=?=", " a"),
        ("=?base64?4pyT", "=?base64?4pyT"),
        ("=?BASE64?4pyT?=", "=?BASE64?4pyT?="),
        ("=?base64?4py?=", None),
        ("=?base64?YR==?=", None),
        ("=?base64?YQ=?=", None),
        ("=?base64?Y Q==?=", None),
        ("=?base64?YQ_-?=", None),
        ("=?base64?/w==?=", None),
        ("=?base64?7aCA?=", None),
        (" a", None),
        ("a ", None),
        ("a\tb", None),
        ("a\nb", None),
        ("caf\xe9", None),
        ("a\x7f", None),
    ],
)
def test_decode_value(value: str, decoded: str | None) -> None:
    assert decode_value(value) == decoded


@given(st.text())
def test_decodes_what_the_sdk_encodes(text: str) -> None:
    assert decode_value(encode_header_value(text)) == text


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_value_is_decoded_or_malformed(value: str) -> None:
    decoded = decode_value(value)
    assert decoded is None or decoded == value or value.startswith("=?base64?")


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


CALL = request("tools/call", name="t", _meta={VERSION: "2026-07-28"})
OLD = request("tools/call", name="t")
READ = request("resources/read", uri="file:///\u2713")
LIST = request("tools/list")
INIT = request("initialize", protocolVersion="2025-06-18", _meta={VERSION: "2026-07-28"})
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("value", "fields", "header"),
    [
        (CALL, [], None),
        (
            CALL,
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "t")],
            None,
        ),
        (CALL, [("mcp-protocol-version", "2025-11-25")], "mcp-protocol-version"),
        (CALL, [("mcp-protocol-version", "2026-07-28,2026-07-28")], "mcp-protocol-version"),
        (CALL, [("mcp-protocol-version", "2026-07-28")] * 2, "mcp-protocol-version"),
        (OLD, [("mcp-protocol-version", "2025-11-25")], None),
        (OLD, [("mcp-protocol-version", "2099-01-01")], None),
        (OLD, [("mcp-protocol-version", "")], "mcp-protocol-version"),
        (OLD, [("mcp-protocol-version", "2025-11-25 ")], "mcp-protocol-version"),
        (OLD, [("mcp-protocol-version", "2025-03-26, 2025-11-25")], "mcp-protocol-version"),
        (request("ping", _meta={VERSION: 5}), [("mcp-protocol-version", "5")], "mcp-protocol-version"),
        (INIT, [("mcp-protocol-version", "2024-11-05")], None),
        (INIT, [("mcp-protocol-version", "2024-11-05")] * 2, "mcp-protocol-version"),
        (OLD, [("mcp-method", "tools/list")], "mcp-method"),
        (OLD, [("mcp-method", "Tools/call")], "mcp-method"),
        (OLD, [("mcp-method", "tools/call,tools/call")], "mcp-method"),
        (OLD, [("mcp-method", "tools/call")] * 2, "mcp-method"),
        (OLD, [("mcp-method", "=?base64?dG9vbHMvY2FsbA==?=")], "mcp-method"),
        (request("=?base64?dG9v?="), [("mcp-method", "=?base64?dG9v?=")], "mcp-method"),
        (ANSWER, [("mcp-method", "tools/call")], "mcp-method"),
        (OLD, [("mcp-name", "u")], "mcp-name"),
        (OLD, [("mcp-name", "T")], "mcp-name"),
        (OLD, [("mcp-name", "t")] * 2, "mcp-name"),
        (OLD, [("mcp-name", "t, t")], "mcp-name"),
        (OLD, [("mcp-name", "=?base64?dA==?=")], None),
        (OLD, [("mcp-name", "=?base64?dA=?=")], "mcp-name"),
        (READ, [("mcp-name", "=?base64?ZmlsZTovLy/inJM=?=")], None),
        (READ, [("mcp-name", "file:///\xe2\x9c\x93")], "mcp-name"),
        (request("tools/call"), [("mcp-name", "")], "mcp-name"),
        (LIST, [("mcp-name", "t")], "mcp-name"),
        (ANSWER, [("mcp-name", "t")], "mcp-name"),
        (request("tasks/get", taskId="7"), [("mcp-name", "7")], None),
        (request("tasks/get", taskId="7"), [("mcp-name", "8")], "mcp-name"),
    ],
)
def test_find_mismatch(value: dict[str, Any], fields: list[tuple[str, str]], header: str | None) -> None:
    headers = Headers(fields)
    message = parse(value, headers.get("mcp-protocol-version"))[0]
    mismatch = find_mismatch(headers, message)
    assert (mismatch and mismatch.header) == header
