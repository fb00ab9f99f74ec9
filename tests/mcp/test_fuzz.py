"""Whatever the bytes: one reading that others share, or a Refusal, never another exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp_types.jsonrpc import (
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from guardsvc.mcp import HttpRequest, Interpretation, InterpretationRules, Refusal, interpret
from guardsvc.mcp.strict_json import decode, decode_slowly, encode
from guardsvc.model import REASONS, Headers, Kind

VALID = [
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":[1,-0.5e3,null]}}}',
    b'{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"file:///x","_meta":{"progressToken":1}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"\\u00e9\\ud83d\\ude00"}}',
    b'{"jsonrpc":"2.0","id":5,"result":{"action":"accept","content":{"x":true}}}',
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no","data":{"k":1.5}}}',
    b'{"jsonrpc":"2.0","id":9,"method":"prompts/get","params":{"name":"p","inputResponses":{"q":{"action":"x"}}}}',
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"}]',
]
FRAGMENTS = [
    *(bytes([byte]) for byte in b'":,{}[]\\ \n\x00\xff0-.'),
    *(b"\xef\xbb\xbf", b"e9", b"1e999", b"NaN", b"Infinity", b"null", b"true", b"1.0", b"9007199254740993"),
    *(b'"id":2,', b'"ID":2,', b'"method":"x",', b'"Method":"x",', b'"result":{},', b'"error":null,'),
    *(b'"params":null,', b"\\ud800", b"\\u0069", b'{"a":1,"a":2}', b'"a" :1,', b"id", b"method"),
    *("\uff4dethod".encode(), "\u017f".encode()),
]

mutations = st.tuples(
    st.floats(min_value=0, max_value=1),
    st.integers(min_value=0, max_value=4),
    st.sampled_from([b"", *FRAGMENTS]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(VALID))
    for place, removed, inserted in draw(st.lists(mutations, max_size=4)):
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + removed :]
    return data


blanks = st.text(alphabet=" \t\r\n", max_size=2)
names = st.sampled_from(
    [
        "a",
        "b",
        '"',
        "\\",
        ":",
        "id",
        "method",
        "params",
        "jsonrpc",
        "result",
        "Method",
        "name",
        "_meta",
        "\u2713",
        "",
    ]
)


@st.composite
def string_texts(draw: st.DrawFn, content: st.SearchStrategy[str]) -> str:
    """One of the many ways to write a string, sometimes a broken one."""
    text = draw(content)
    match draw(st.integers(min_value=0, max_value=3)):
        case 0:
            return json.dumps(text)
        case 1:
            return '"' + "".join(f"\\u{ord(char):04x}" for char in text if ord(char) < 0x10000) + '"'
        case 2:
            return json.dumps(text, ensure_ascii=False)
        case _:
            return '"' + text.replace('"', "") + '"'


number_texts = st.sampled_from(
    ["0", "-0", "-0.0", "1", "1.0", "1E2", "1e-400", "2e308", "9007199254740993", "1" * 50, "NaN", "01", "1."]
) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
scalar_texts = number_texts | string_texts(st.text(max_size=4) | names) | st.sampled_from(["true", "false", "null"])


@st.composite
def object_texts(draw: st.DrawFn, values: st.SearchStrategy[str], keys: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(blanks, string_texts(keys), blanks, blanks, values, blanks), max_size=4))
    return "{" + ",".join("".join((*member[:3], ":", *member[3:])) for member in members) + "}"


json_texts = st.recursive(
    scalar_texts,
    lambda values: (
        st.lists(values, max_size=3).map(lambda items: "[" + ",".join(items) + "]") | object_texts(values, names)
    ),
    max_leaves=12,
)


@st.composite
def message_texts(draw: st.DrawFn) -> str:
    """A message of mostly right members with arbitrary JSON inside."""
    members = ['"jsonrpc":"2.0"']
    members += draw(st.lists(json_texts.map('"id":{}'.format) | st.just('"id":1'), max_size=1))
    members += draw(
        st.sampled_from([[], ['"method":"tools/call"'], ['"method":"resources/read"'], ['"method":"vendor/x"']])
    )
    for name in draw(st.lists(st.sampled_from(["params", "result", "error", "other"]), max_size=2)):
        members.append(f'"{name}":{draw(json_texts | object_texts(json_texts, names))}')
    return "{" + ",".join(draw(st.permutations(members))) + "}"


bodies = (
    st.binary(max_size=200)
    | mutated()
    | (json_texts | message_texts()).map(lambda text: text.encode("utf-8", "surrogatepass"))
)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` returns, or the refusal it raises; any other exception fails the test."""
    try:
        return read()
    except Refusal as refused:
        refusal = refused
    assert refusal.code in REASONS
    assert len(refusal.detail) < 400
    assert refusal.detail.isascii()
    return refusal


@given(bodies)
def test_both_ways_of_decoding_agree_with_python(data: bytes) -> None:
    value, slow = attempt(lambda: decode(data)), attempt(lambda: decode_slowly(data))
    if isinstance(value, Refusal):
        assert isinstance(slow, Refusal)
        assert (value.code, value.detail, value.id, value.method) == (
            slow.code,
            slow.detail,
            slow.id,
            slow.method,
        )
        return
    assert same(value, slow)
    assert same(value, json.loads(data))
    assert same(value, decode(encode(value)))


def reading_of_sdk(data: bytes) -> tuple[Kind, str, Any, Any]:
    """Kind, method, id and payload as the SDK reads them."""
    match jsonrpc_message_adapter.validate_json(data, by_name=False):
        case JSONRPCRequest() as message:
            return Kind.REQUEST, message.method, message.id, message.params
        case JSONRPCNotification() as message:
            return Kind.NOTIFICATION, message.method, None, message.params
        case JSONRPCResponse() as message:
            return Kind.RESULT, "", message.id, message.result
        case message:
            return Kind.ERROR, "", message.id, message.error.model_dump(exclude_unset=True)


@given(bodies)
def test_what_is_accepted_the_sdk_reads_alike(data: bytes) -> None:
    request = HttpRequest(
        method="POST",
        path="/mcp",
        host="h",
        headers=Headers([("content-type", "application/json")]),
        body=data,
    )
    found = attempt(lambda: interpret(request, InterpretationRules(batches=True)))
    assert isinstance(found, Interpretation | Refusal)
    if isinstance(found, Refusal) or found.batch:
        return
    ours = found.messages[0]
    kind, method, request_id, payload = reading_of_sdk(data)
    assert (ours.kind, ours.method, ours.id) == (kind, method, request_id)
    assert type(ours.id) is type(request_id)
    if kind is Kind.ERROR:
        # The SDK drops members of an error that it does not know.
        assert same({name: ours.payload[name] for name in payload}, payload)
    else:
        assert same(ours.payload, payload)
