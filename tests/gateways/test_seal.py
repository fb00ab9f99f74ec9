"""The correlation token: what a request phase says reaches the response phase as said, or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.gateways.seal import MAX_NAMES, Correlation, Seal
from guardsvc.model import Caller, Decision, Mode, Operation
from tests.engine.scripted import CALL

KEY, OTHER = b"k" * 32, b"o" * 32
SEAL = Seal((KEY,))


def decision(**fields: Any) -> Decision:
    operation = Operation(**{name: getattr(CALL, name) for name in CALL.__struct_fields__} | fields)
    return Decision(id="d1", operation=operation, verdict="allow", mode=Mode.ENFORCE, policy_hash="0123")


TOKEN = SEAL.token(decision())


def test_a_token_says_what_was_decided() -> None:
    correlation = SEAL.open(SEAL.token(decision()))
    assert correlation is not None
    assert correlation == Correlation(
        decision_id="d1",
        tenant="acme",
        principal="ann",
        verified=True,
        server="files",
        subject="read",
        method="tools/call",
        id=1,
        policy_hash="0123",
        expires=correlation.expires,
    )
    assert 3500 < correlation.expires - time.time() < 3601


@pytest.mark.parametrize(
    ("server", "servers", "read"),
    [
        ("files", ("files",), ("files",)),
        (None, ("files", "mail"), ("files", "mail")),
        (None, (), ()),
        (None, ("a" * MAX_NAMES,), ("a" * MAX_NAMES,)),
        (None, ("a" * MAX_NAMES, "b"), ()),
    ],
)
def test_a_token_names_the_servers_of_a_merged_request(
    server: str | None, servers: tuple[str, ...], read: tuple[str, ...]
) -> None:
    correlation = SEAL.open(SEAL.token(decision(server=server, servers=servers)))
    assert correlation is not None
    assert correlation.servers == read


texts = st.none() | st.text(max_size=12)


@given(
    tenant=texts,
    principal=texts,
    verified=st.booleans(),
    server=texts,
    subject=texts,
    method=st.text(max_size=12),
    request_id=st.none() | st.text(max_size=12) | st.integers(-(2**53), 2**53),
)
def test_whatever_is_sealed_is_read_back(**given: Any) -> None:
    request_id = given.pop("request_id")
    caller = Caller(**{name: given.pop(name) for name in ("tenant", "principal", "verified")})
    sealed = decision(caller=caller, id=request_id, **given)
    token = SEAL.token(sealed)
    correlation = SEAL.open(token)
    assert correlation is not None
    assert (correlation.tenant, correlation.principal, correlation.verified) == (
        caller.tenant,
        caller.principal,
        caller.verified,
    )
    assert (correlation.server, correlation.subject, correlation.method) == tuple(given.values())
    assert (correlation.id, type(correlation.id)) == (request_id, type(request_id))
    assert token.isascii()
    assert token.isprintable()


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_no_character_of_a_token_can_be_changed_left_out_or_doubled() -> None:
    variants: set[str] = set()
    for place, char in enumerate(TOKEN):  # no parameter: tokens differ in length with the time, so do test processes
        before, after = TOKEN[:place], TOKEN[place + 1 :]
        variants |= {before + other + after for other in (*ALPHABET, ".", "=", "+", "/", " ", "\n", "\0", "é")}
        variants |= {before + after, before + char + char + after, TOKEN[:place], before + "!" + char + after}
        variants |= {before + "=" + char + after, before + "\n" + char + after}
    variants.discard(TOKEN)
    assert [variant for variant in variants if SEAL.open(variant) is not None] == []


@pytest.mark.parametrize("extra", ["=", "==", "\n", " ", "A", ".", ".A"])
def test_nothing_can_be_added_to_a_token(extra: str) -> None:
    assert SEAL.open(TOKEN + extra) is None
    assert SEAL.open(extra + TOKEN) is None


def test_parts_of_two_tokens_make_none() -> None:
    other = SEAL.token(decision(subject="write"))
    version, payload, mac = TOKEN.split(".")
    _, other_payload, other_mac = other.split(".")
    assert SEAL.open(f"{version}.{payload}.{other_mac}") is None
    assert SEAL.open(f"{version}.{other_payload}.{mac}") is None
    assert SEAL.open(f"g2.{payload}.{mac}") is None


def test_tokens_of_two_decisions_differ() -> None:
    assert len({TOKEN, SEAL.token(decision(subject="write")), SEAL.token(decision(id="1"))}) == 3


def test_a_token_of_another_key_is_none() -> None:
    assert Seal((OTHER,)).open(TOKEN) is None
    assert SEAL.open(Seal((OTHER,)).token(decision())) is None


def test_keys_rotate_the_first_seals_and_every_one_opens() -> None:
    rotated = Seal((OTHER, KEY))
    assert rotated.open(TOKEN) is not None
    assert Seal((OTHER,)).open(rotated.token(decision())) is not None
    assert SEAL.open(rotated.token(decision())) is None


def test_an_expired_token_is_none() -> None:
    assert SEAL.open(Seal((KEY,), lifetime=-1).token(decision())) is None


def test_a_token_expires_after_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    token = Seal((KEY,), lifetime=10).token(decision())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 9)
    assert SEAL.open(token) is not None
    monkeypatch.setattr(time, "time", lambda: now + 11)
    assert SEAL.open(token) is None


def sealed(payload: bytes, version: str = "g1") -> str:
    """A token with our MAC over any payload, as only a holder of the key can make."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = f"{version}.{encode(payload)}"
    return f"{text}.{encode(hashlib.blake2b(text.encode(), key=KEY, digest_size=32).digest())}"


GOOD = ["d1", None, None, False, None, None, "", None, "0123", time.time() + 1000]


def test_the_shape_of_what_is_sealed_is_checked_too() -> None:
    good = json.dumps(GOOD).encode()
    opened = SEAL.open(sealed(good))
    assert opened is not None
    assert opened.servers == ()
    assert SEAL.open(sealed(good, "g2")) is None
    for bad in (b"", b"{", b"[]", b"null", json.dumps([*GOOD[:-1], "soon"]).encode(), json.dumps(GOOD[:-1]).encode()):
        assert SEAL.open(sealed(bad)) is None


@given(st.text() | st.from_regex(r"g1\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_garbage_is_none(token: str) -> None:
    assert SEAL.open(token) is None


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "g1..", "g1.\ud800.\ud800", "g1.é.é", "g1." + "A" * 100_000 + "."]
)
def test_odd_texts_are_none(token: str) -> None:
    assert SEAL.open(token) is None
