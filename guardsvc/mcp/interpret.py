"""Interpret: from an HTTP request to the MCP messages it carries, or the reason why it is refused."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from guardsvc.mcp.envelope import Envelope
from guardsvc.mcp.headers import (
    METHOD_HEADER,
    NAME_HEADER,
    VERSION_HEADER,
    Mismatch,
    find_mismatch,
    find_version_mismatch,
)
from guardsvc.mcp.http_request import BodyState, HttpRequest
from guardsvc.mcp.message import Message, bounded_revision, parse
from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.revisions import allows_batches, phase_of
from guardsvc.mcp.strict_json import Limits, decode
from guardsvc.mcp.transport import TransportKind, classify
from guardsvc.model import Direction, Globs, Headers, Kind, RequestId

__all__ = ["MAX_BATCH", "MAX_HEADER_BYTES", "Interpretation", "InterpretationRules", "interpret"]

MAX_BATCH = 100
"""Messages of one batch."""

MAX_HEADER_BYTES = 131_072
"""All header fields together; gateways allow about half of it unless told otherwise."""

_JSON = re.compile(r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)


class InterpretationRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy leaves open to the reading of requests.

    Attributes:
        limits: bounds of a body.
        response_limits: bounds of a server's message.
        batches: accept batches of 2025-03-26.
        lossy_body: accept a body that the gateway gave as text.
        mcp_paths: paths, without query, at which a POST is an MCP message.
    """

    limits: Limits = Limits()
    response_limits: Limits = Limits(max_bytes=8_388_608, max_keys=200_000, max_containers=200_000)
    batches: bool = False
    lossy_body: bool = False
    mcp_paths: Globs = Globs(("*",))

    def limits_of(self, direction: Direction) -> Limits:
        """The bounds of what travels this way."""
        return self.limits if direction is Direction.REQUEST else self.response_limits


class Interpretation(msgspec.Struct, frozen=True):
    """What a request carries.

    Attributes:
        messages: at least one, in the order of the body; a retry with input gives two.
        batch: whether the body is an array.
    """

    messages: tuple[Message, ...]
    batch: bool = False


DEFAULT_RULES = InterpretationRules()


def interpret(request: HttpRequest, rules: InterpretationRules = DEFAULT_RULES) -> Interpretation:
    """Read a request.

    Raises:
        Refusal: it cannot be read in exactly one way, or not completely.
    """
    if request.headers.size > MAX_HEADER_BYTES:
        raise Refusal("too_large", f"{request.headers.size} bytes of header fields, {MAX_HEADER_BYTES} are allowed")
    transport = classify(request, rules.mcp_paths)
    if transport is not None:
        return Interpretation((_transport_message(transport, request.headers),))
    _check_fields(request.headers)
    _check_body(request, rules)
    value = decode(request.body, rules.limits)
    if type(value) is list:
        return _interpret_batch(value, request.headers, rules)
    return Interpretation(_interpret_one(value, request.headers))


def _transport_message(transport: TransportKind, headers: Headers) -> Message:
    message = Message(
        kind=Kind.TRANSPORT,
        phase=phase_of(transport),
        method=transport.value,
        revision=bounded_revision(headers.get(VERSION_HEADER)),
    )
    if mismatch := find_version_mismatch(headers):
        raise _header_refusal(mismatch, message.envelope)
    return message


def _check_fields(headers: Headers) -> None:
    encodings = headers.all("content-encoding")
    if encodings and (len(encodings) > 1 or encodings[0].lower() != "identity"):
        raise Refusal("content_encoding", "a content-encoding other than identity")
    types = headers.all("content-type")
    if len(types) != 1:
        raise Refusal("content_type", f"{len(types)} content-type fields")
    if not _JSON.fullmatch(types[0]):
        raise Refusal("content_type", "not application/json in UTF-8")


def _check_body(request: HttpRequest, rules: InterpretationRules) -> None:
    if request.body_state is BodyState.ABSENT or not request.body:
        raise Refusal("missing_body", "a POST without a body")
    if request.body_state is BodyState.PARTIAL:
        raise Refusal("partial_body", f"only {len(request.body)} bytes were given")
    if request.body_state is BodyState.LOSSY and not rules.lossy_body:
        raise Refusal("lossy_body", "the gateway gives bodies as text")


def _interpret_one(value: Any, headers: Headers) -> tuple[Message, ...]:
    messages = parse(value, headers.get(VERSION_HEADER))
    if mismatch := find_mismatch(headers, messages[0]):
        raise _header_refusal(mismatch, messages[0].envelope)
    return messages


def _interpret_batch(values: list[Any], headers: Headers, rules: InterpretationRules) -> Interpretation:
    version = headers.get(VERSION_HEADER)
    if not rules.batches:
        raise Refusal("batch_not_allowed", "the policy allows no batches", batch=True)
    if mismatch := find_version_mismatch(headers) or _find_routing_header(headers):
        raise _header_refusal(mismatch, Envelope(), batch=True)
    if not allows_batches(bounded_revision(version)):
        raise Refusal("batch_not_allowed", "the revision has no batches", batch=True)
    if not values:
        raise Refusal("invalid_message", "an empty batch", batch=True)
    if len(values) > MAX_BATCH:
        raise Refusal("batch_not_allowed", f"{len(values)} messages, {MAX_BATCH} are allowed", batch=True)
    messages: list[Message] = []
    ids: set[RequestId] = set()
    for value in values:
        messages += _interpret_element(value, version, ids)
    return Interpretation(tuple(messages), batch=True)


def _interpret_element(value: Any, version: str | None, ids: set[RequestId]) -> tuple[Message, ...]:
    try:
        messages = parse(value, version)
    except Refusal as refusal:
        refusal.batch = True
        raise
    message = messages[0]
    if message.method == "initialize":
        raise Refusal("batch_not_allowed", "initialize in a batch", envelope=message.envelope, batch=True)
    if not allows_batches(message.revision):
        raise Refusal("batch_not_allowed", "a message of another revision", envelope=message.envelope, batch=True)
    if message.kind is Kind.REQUEST and message.id is not None:
        if message.id in ids:
            raise Refusal("bad_id", "two requests of the batch have one id", batch=True)
        ids.add(message.id)
    return messages


def _find_routing_header(headers: Headers) -> Mismatch | None:
    for name in (METHOD_HEADER, NAME_HEADER):
        if name in headers:
            return Mismatch(name, "on a batch")
    return None


def _header_refusal(mismatch: Mismatch, envelope: Envelope, *, batch: bool = False) -> Refusal:
    return Refusal(
        "header_mismatch",
        f"{mismatch.header}: {mismatch.problem}",
        envelope=envelope,
        batch=batch,
        details={"header": mismatch.header},
    )
