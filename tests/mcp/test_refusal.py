"""Refusals carry the id and the method only where every reader finds the same ones."""

from __future__ import annotations

import pytest

from guardsvc.mcp.message import parse
from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.spelling import fold
from guardsvc.mcp.strict_json import decode
from guardsvc.model import Kind, RequestId


def refusal_of(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        parse(decode(data))
    return refused.value


@pytest.mark.parametrize(
    ("data", "code", "request_id", "method"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1,"a":2}}', "duplicate_key", 7, "m"),
        (b'{"jsonrpc":"2.0","id":"7","method":"m","params":{"a":NaN}}', "not_a_number", "7", "m"),
        (b'{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1e999}}', "number_range", 7, "m"),
        (rb'{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":"\udead"}}', "lone_surrogate", 7, "m"),
        (b'{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}', "bad_params", 7, "m"),
        (b'{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}', "duplicate_key", 7, ""),
        (b'{"jsonrpc":"2.0","id":7,"Method":"b"}', "case_variant_key", 7, ""),
        (b'{"jsonrpc":"2.0","id":7,"id":8,"method":"m"}', "duplicate_key", None, "m"),
        (b'{"jsonrpc":"2.0","id":7,"id":7,"method":"m"}', "duplicate_key", None, "m"),
        (b'{"jsonrpc":"2.0","id":7,"ID":8,"method":"m"}', "case_variant_key", None, "m"),
        (b'{"jsonrpc":"2.0","Id":8,"method":"m"}', "case_variant_key", None, "m"),
        ('{"jsonrpc":"2.0","\uff49d":8,"method":"m"}'.encode(), "case_variant_key", None, "m"),
        ('{"jsonrpc":"2.0","\u0131d":8,"method":"m"}'.encode(), "case_variant_key", None, "m"),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"m"}', "not_a_number", None, "m"),
        (b'{"jsonrpc":"2.0","id":true,"method":"m"}', "bad_id", None, "m"),
        (rb'{"jsonrpc":"2.0","id":"\ud800","method":"m"}', "lone_surrogate", None, "m"),
        (rb'{"jsonrpc":"2.0","id":7,"method":"\ud800"}', "lone_surrogate", 7, ""),
        (b'{"jsonrpc":"2.0","id":9007199254740993,"method":"m"}', "number_range", None, "m"),
        (b'{"jsonrpc":"1.0","id":7,"method":"m"}', "invalid_message", 7, "m"),
        (b'{"jsonrpc":"2.0","id":7}', "invalid_message", 7, ""),
        (b'{"jsonrpc":"2.0","id":7,"method":"m"}]', "trailing_data", None, ""),
        (b'{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1,"a":2}', "invalid_json", None, ""),
        (b'{"jsonrpc":"2.0","id":7,"method":"\xff"}', "invalid_utf8", None, ""),
        (b'[{"jsonrpc":"2.0","id":7,"method":"m","a":1,"a":2}]', "duplicate_key", None, ""),
    ],
)
def test_id_and_method(data: bytes, code: str, request_id: RequestId | None, method: str) -> None:
    refusal = refusal_of(data)
    assert (refusal.code, refusal.id, refusal.method) == (code, request_id, method)
    assert type(refusal.id) is type(request_id)
    assert refusal.answerable == (request_id is not None)


@pytest.mark.parametrize(
    ("data", "kind", "answerable"),
    [
        (b'{"jsonrpc":"1.0","id":7,"method":"m"}', Kind.REQUEST, True),
        (b'{"jsonrpc":"1.0","method":"m"}', Kind.NOTIFICATION, False),
        (b'{"jsonrpc":"1.0","id":7,"result":{}}', Kind.RESULT, False),
        (b'{"jsonrpc":"1.0","id":7,"error":{}}', Kind.ERROR, False),
        (b'{"jsonrpc":"2.0","id":7,"method":"m","result":{}}', None, True),
        (b"5", None, False),
    ],
)
def test_only_an_id_of_the_client_is_answerable(data: bytes, kind: Kind | None, answerable: bool) -> None:
    refusal = refusal_of(data)
    assert (refusal.kind, refusal.answerable) == (kind, answerable)


@pytest.mark.parametrize("spelling", ["id", "ID", "Id", "\uff29d", "\u0131d", "\uff49\uff44", "\u2170d"])
def test_spellings_of_id_fold_alike(spelling: str) -> None:
    assert fold(spelling) == "id"


@pytest.mark.parametrize("spelling", ["i d", "idd", "\u00ecd", "_id", "id\u0301"])
def test_other_names_do_not(spelling: str) -> None:
    assert fold(spelling) != "id"


def test_a_long_name_is_not_normalised() -> None:
    assert fold("\u0315\u0300" * 200_000)
