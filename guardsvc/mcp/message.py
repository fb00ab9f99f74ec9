"""Message: one JSON-RPC message of a client, read strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.mcp.envelope import (
    MAX_ID_LENGTH,
    MAX_METHOD_LENGTH,
    SAFE_INTEGER,
    Envelope,
    read_envelope,
)
from guardsvc.mcp.protocol_members import MESSAGE, OTHER_PARAMS, PARAMS, RESULT, SERVER_RESULT, Members, find_fault
from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.revisions import (
    ASSUMED_REVISION,
    KNOWN_METHODS,
    phase_of,
    response_phase_of,
    subject_field,
)
from guardsvc.model import Kind, Phase, RequestId

__all__ = ["PROTOCOL_VERSION_KEY", "Message", "body_revision", "bounded_revision", "parse", "parse_response"]

PROTOCOL_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"

_MAX_REVISION_LENGTH = 64
_MAX_SUBJECT_LENGTH = 8192
_INPUT_CARRIERS = frozenset({"tools/call", "prompts/get", "resources/read", "tasks/update"})
_INPUT_MEMBERS = ("inputResponses", "requestState")
_REFERENCE_FIELDS = {"ref/prompt": "name", "ref/resource": "uri"}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, or one HTTP request of the transport.

    Attributes:
        kind: what it is.
        phase: where in the exchange it stands.
        method: JSON-RPC method, empty for a client's answer; ``http/...`` for the transport.
        id: JSON-RPC id, None where the kind has none.
        subject: tool name as sent, prompt name or resource URI; else None.
        payload: ``params``, ``result`` or ``error``; None where it is absent.
        revision: revision it is read under. It may be one that does not exist.
    """

    kind: Kind
    phase: Phase
    method: str = ""
    id: RequestId | None = None
    subject: str | None = None
    payload: Any = None
    revision: str = ASSUMED_REVISION

    @property
    def envelope(self) -> Envelope:
        """What a refusal of it needs."""
        return Envelope(self.kind, self.method, self.id)


def parse(value: Any, version_header: str | None = None) -> tuple[Message, ...]:
    """Read one decoded JSON value as a message.

    A retry that answers the server's questions (``inputResponses``, ``requestState``) gives two: the
    request, then a result of phase ``input_response`` with the same method, id and subject.

    Args:
        value: what ``strict_json.decode`` returned; its objects repeat no name.
        version_header: value of ``MCP-Protocol-Version``.

    Raises:
        Refusal: it is no message, or not one that all readers see alike.
    """
    if type(value) is not dict:
        raise Refusal("invalid_message", f"the message is of type {type(value).__name__}")
    _check_spelling(value, value, MESSAGE, "")
    if value.get("jsonrpc") != "2.0":
        raise _refusal(value, "invalid_message", 'jsonrpc is not "2.0"')
    if "method" in value:
        return _parse_call(value, version_header)
    return (_parse_answer(value, version_header),)


def parse_response(value: Any, method: str, version_header: str | None = None) -> Message:
    """Read one decoded JSON value as a server's answer to a request of this method.

    Args:
        value: what ``strict_json.decode`` returned; its objects repeat no name.
        method: of the request, empty where it is not known.
        version_header: the revision that the request was read under.

    Raises:
        Refusal: it is no answer, or not one that all readers see alike.
    """
    if type(value) is not dict:
        raise Refusal("invalid_message", f"the message is of type {type(value).__name__}")
    _check_spelling(value, value, MESSAGE, "")
    if value.get("jsonrpc") != "2.0":
        raise _refusal(value, "invalid_message", 'jsonrpc is not "2.0"')
    if "method" in value:
        raise _refusal(value, "invalid_message", "a method in an answer")
    answer = _parse_answer(value, version_header, SERVER_RESULT)
    return msgspec.structs.replace(answer, phase=response_phase_of(method), method=method)


def body_revision(payload: Any) -> Any:
    """The revision that params state in their ``_meta``, of whatever type; None where they state none."""
    meta = payload.get("_meta") if type(payload) is dict else None
    return meta.get(PROTOCOL_VERSION_KEY) if type(meta) is dict else None


def bounded_revision(stated: str | None) -> str:
    """A stated revision cut to a bounded length, or the one to assume."""
    return ASSUMED_REVISION if stated is None else stated[:_MAX_REVISION_LENGTH]


def _parse_call(value: dict[str, Any], version_header: str | None) -> tuple[Message, ...]:
    method = value["method"]
    if type(method) is not str or not 0 < len(method) <= MAX_METHOD_LENGTH:
        raise _refusal(value, "invalid_message", f"method is no string of 1 to {MAX_METHOD_LENGTH} characters")
    if "result" in value or "error" in value:
        raise _refusal(value, "invalid_message", "method together with result or error")
    if method.startswith("http/"):
        raise _refusal(value, "unknown_method", "http/ is no namespace of MCP")
    request_id = _checked_id(value) if "id" in value else None
    params = value.get("params")
    if "params" in value:
        if type(params) is not dict:
            raise _refusal(value, "bad_params", f"params are of type {type(params).__name__}")
        _check_spelling(value, params, PARAMS if method in KNOWN_METHODS else OTHER_PARAMS, "/params")
    call = Message(
        kind=Kind.NOTIFICATION if request_id is None else Kind.REQUEST,
        phase=phase_of(method),
        method=method,
        id=request_id,
        subject=_subject(value, method, params),
        payload=params,
        revision=_revision(method, params, version_header),
    )
    if method not in _INPUT_CARRIERS or params is None:
        return (call,)
    given = {name: params[name] for name in _INPUT_MEMBERS if name in params}
    if not given:
        return (call,)
    return call, msgspec.structs.replace(call, kind=Kind.RESULT, phase=Phase.INPUT_RESPONSE, payload=given)


def _parse_answer(value: dict[str, Any], version_header: str | None, members: Members = RESULT) -> Message:
    if ("result" in value) == ("error" in value):
        raise _refusal(value, "invalid_message", "neither a method nor exactly one of result and error")
    if "id" not in value:
        raise _refusal(value, "invalid_message", "a result or an error without an id")
    kind = Kind.RESULT if "result" in value else Kind.ERROR
    payload = value[kind]
    if type(payload) is not dict:
        raise _refusal(value, "invalid_message", f"{kind} is of type {type(payload).__name__}")
    if kind is Kind.RESULT:
        _check_spelling(value, payload, members, "/result")
    elif type(payload.get("code")) is not int or type(payload.get("message")) is not str:
        raise _refusal(value, "invalid_message", "an error without an integer code and a message")
    no_id = kind is Kind.ERROR and value["id"] is None
    return Message(
        kind=kind,
        phase=Phase.INPUT_RESPONSE,
        id=None if no_id else _checked_id(value),
        payload=payload,
        revision=_revision("", payload, version_header),
    )


def _checked_id(value: dict[str, Any]) -> RequestId:
    request_id = value["id"]
    if type(request_id) is int:
        if not -SAFE_INTEGER <= request_id <= SAFE_INTEGER:
            raise _refusal(value, "number_range", "id is beyond 2^53")
        return request_id
    if type(request_id) is not str:
        raise _refusal(value, "bad_id", f"id is of type {type(request_id).__name__}")
    if len(request_id) > MAX_ID_LENGTH:
        raise _refusal(value, "bad_id", f"id is longer than {MAX_ID_LENGTH} characters")
    return request_id


def _subject(value: dict[str, Any], method: str, params: dict[str, Any] | None) -> str | None:
    if params is None:
        return None
    field = subject_field(method)
    holder = params
    if method == "completion/complete" and "ref" in params:
        holder = params["ref"]
        if type(holder) is not dict:
            raise _refusal(value, "invalid_params", "ref is no object")
        kind = holder.get("type")
        field = _REFERENCE_FIELDS.get(kind) if type(kind) is str else None
    if field is None or field not in holder:
        return None
    subject = holder[field]
    if type(subject) is not str:
        raise _refusal(value, "invalid_params", f"{field} is of type {type(subject).__name__}")
    if len(subject) > _MAX_SUBJECT_LENGTH:
        raise _refusal(value, "invalid_params", f"{field} is longer than {_MAX_SUBJECT_LENGTH} characters")
    return subject


def _revision(method: str, payload: dict[str, Any] | None, version_header: str | None) -> str:
    stated = body_revision(payload)
    if type(stated) is str:
        return bounded_revision(stated)
    if version_header is None and method == "initialize" and payload is not None:
        offered = payload.get("protocolVersion")
        return bounded_revision(offered if type(offered) is str else None)
    return bounded_revision(version_header)


def _check_spelling(value: dict[str, Any], part: dict[str, Any], members: Members, where: str) -> None:
    if fault := find_fault(part, members):
        raise _refusal(value, fault.code, fault.detail(where))


def _refusal(value: dict[str, Any], code: str, detail: str) -> Refusal:
    return Refusal(code, detail, envelope=read_envelope(value.items()))
