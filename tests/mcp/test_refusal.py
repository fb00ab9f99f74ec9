"""Refusals carry the id and the method only where every reader finds the same ones."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING
from unicodedata import normalize

import pytest

from guardsvc.mcp.message import parse
from guardsvc.mcp.protocol_members import MESSAGE, OTHER_PARAMS, PARAMS, RESULT, SERVER_RESULT, Members
from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.spelling import fold
from guardsvc.mcp.strict_json import decode
from guardsvc.model import Kind, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def _names(members: Members) -> Iterator[str]:
    yield from members.names
    for _, inner in members.inner:
        yield from _names(inner)
    if members.each is not None:
        yield from _names(members.each)


@pytest.mark.parametrize("members", [MESSAGE, PARAMS, OTHER_PARAMS, RESULT, SERVER_RESULT])
def test_every_member_of_the_protocol_is_short_enough_to_be_normalised(members: Members) -> None:
    for name in _names(members):
        wide = "".join(chr(ord(letter) + 0xFEE0) for letter in name)
        assert fold(wide) == name.lower()


def test_every_letter_that_has_a_form_in_ascii_is_normalised() -> None:
    for number in [*range(0x80, 0xD800), *range(0xE000, 0x20000), 0x2F800, 0x2FA1D]:
        letter = chr(number)
        plain = normalize("NFKC", normalize("NFKC", letter).upper().casefold())
        if plain.isascii():
            assert fold(letter) == plain
        else:
            assert not fold(letter).isascii()


@pytest.mark.parametrize("letter", ["\ufdfa", "\ufdfb", "\u3316", "\u33ae", "\u0344", "\u1f82", "\u33c2"])
def test_folding_costs_little_more_than_reading(letter: str) -> None:
    names = [letter * 42] * 2_000

    def cost(work: Callable[[str], object]) -> float:
        started = process_time()
        for name in names:
            work(name)
        return process_time() - started

    assert min(cost(fold) for _ in range(3)) < 0.2
