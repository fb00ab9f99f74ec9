"""Reasons: the one table of reason code → JSON-RPC code → HTTP status that every gateway protocol follows.

JSON-RPC codes: -32700 and -32600..-32603 are JSON-RPC 2.0 section 5.1; -32020 and -32022 are fixed by
MCP 2026-07-28; -32001 (denied) and -32003 (rate limited or overloaded) lie in the range that
specification leaves to implementations.
"""

from __future__ import annotations

import msgspec

__all__ = ["REASONS", "Reason", "reason_for"]

_DENIED = -32001
_OVERLOADED = -32003
_HEADER_MISMATCH = -32020
_UNSUPPORTED_VERSION = -32022
_INVALID_REQUEST = -32600
_METHOD_NOT_FOUND = -32601
_INVALID_PARAMS = -32602
_INTERNAL = -32603
_PARSE_ERROR = -32700


class Reason(msgspec.Struct, frozen=True):
    """Why an operation is refused, and how the client is told.

    Attributes:
        code: stable reason code, ``error.data.reason`` of the denial.
        jsonrpc: ``error.code`` of the denial.
        text: kind of refusal, the default ``error.message``.
        status: HTTP status fixed by a specification, or None where the policy's
            ``denials.status`` (200 or 403) applies.
        stateless_status: HTTP status that MCP 2026-07-28 and later fix, or None.
        status_without_id: HTTP status where no id can be echoed: the message has none
            (notification, client result, transport request) or it cannot be read in exactly one way.
    """

    code: str
    jsonrpc: int
    text: str
    status: int | None = None
    status_without_id: int = 400
    stateless_status: int | None = None

    @property
    def reserved(self) -> bool:
        """Whether it tells of the service or the connection, so that no component of a third party may give it."""
        return self.status is not None or self.jsonrpc == _INTERNAL


_ROWS = (
    # Interpretation integrity: two parsers could read the message differently.
    Reason("invalid_json", _PARSE_ERROR, "The body is not JSON."),
    Reason("invalid_utf8", _PARSE_ERROR, "The body is not UTF-8."),
    Reason("byte_order_mark", _PARSE_ERROR, "The body starts with a byte order mark."),
    Reason("trailing_data", _PARSE_ERROR, "The body goes on after the JSON value."),
    Reason("not_a_number", _PARSE_ERROR, "The body has NaN or Infinity, which JSON has not."),
    Reason("lone_surrogate", _PARSE_ERROR, "A string has half of a surrogate pair."),
    Reason("duplicate_key", _INVALID_REQUEST, "An object names a member twice."),
    Reason("case_variant_key", _INVALID_REQUEST, "A protocol member is spelt in another case or form."),
    Reason("number_range", _INVALID_REQUEST, "A number is too large to be read in one way."),
    Reason("too_deep", _INVALID_REQUEST, "The message is nested too deeply."),
    Reason("too_many_keys", _INVALID_REQUEST, "The message has too many members."),
    Reason("too_many_containers", _INVALID_REQUEST, "The message has too many objects and arrays."),
    Reason("too_large", _INVALID_REQUEST, "The message is too large."),
    Reason("missing_body", _INVALID_REQUEST, "The request has no body."),
    Reason("partial_body", _INVALID_REQUEST, "Only a part of the body was given for inspection."),
    Reason("lossy_body", _INVALID_REQUEST, "The body was given for inspection as text, not as bytes."),
    Reason("content_type", _INVALID_REQUEST, "The content type is not application/json in UTF-8."),
    Reason("content_encoding", _INVALID_REQUEST, "The body is compressed or otherwise encoded."),
    Reason("header_mismatch", _HEADER_MISMATCH, "A header does not match the body.", status=400),
    # The JSON-RPC message itself.
    Reason("invalid_message", _INVALID_REQUEST, "The message is not a JSON-RPC 2.0 message."),
    Reason("bad_id", _INVALID_REQUEST, "The id is neither a string nor an integer."),
    Reason("bad_params", _INVALID_PARAMS, "The params are not an object."),
    Reason("batch_not_allowed", _INVALID_REQUEST, "Batches are not allowed."),
    Reason("batch_refused", _DENIED, "Another message of the batch was refused.", status_without_id=403),
    # Protocol compliance.
    Reason("header_missing", _HEADER_MISMATCH, "A required header is missing.", status=400),
    Reason("unsupported_version", _UNSUPPORTED_VERSION, "Unsupported protocol version", status=400),
    Reason("unknown_method", _METHOD_NOT_FOUND, "The method is not known.", stateless_status=404),
    Reason(
        "method_not_allowed",
        _METHOD_NOT_FOUND,
        "The method is not part of the protocol revision.",
        stateless_status=404,
    ),
    Reason("kind_not_allowed", _INVALID_REQUEST, "A message of this kind is not part of the protocol revision."),
    Reason("invalid_params", _INVALID_PARAMS, "The params have not the shape of the method."),
    Reason("invalid_arguments", _INVALID_PARAMS, "The arguments do not match the tool's schema."),
    Reason("invalid_header", _INVALID_REQUEST, "A header has not the form the protocol asks for."),
    Reason("statement_mismatch", _INVALID_REQUEST, "What is asked about is not what the message says."),
    # Who is calling.
    Reason("identity_invalid", _DENIED, "The caller's identity cannot be read.", status_without_id=403),
    Reason("identity_conflict", _DENIED, "The caller's identity is contradictory.", status_without_id=403),
    Reason("unverified_caller", _DENIED, "The caller's identity is not verified.", 401, 401),
    Reason("authorization_missing", _DENIED, "Authorization is required.", 401, 401),
    Reason("authorization_invalid", _DENIED, "The authorization is not valid.", 401, 401),
    Reason("origin_not_allowed", _DENIED, "Requests of this origin are not allowed.", 403, 403),
    Reason("session_mismatch", _DENIED, "Session not found.", 404, 404),
    Reason("auth_bypass_detected", _DENIED, "The request is not one that a client may send.", status_without_id=403),
    # Policy.
    Reason("access_denied", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("unknown_server", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("ambiguous_server", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("default_deny", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("no_input_schema", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("argument_limit", _INVALID_PARAMS, "What is sent exceeds a limit."),
    Reason("rate_limited", _OVERLOADED, "Too many requests.", status_without_id=429),
    Reason("overloaded", _OVERLOADED, "The service is overloaded.", status=503, status_without_id=503),
    Reason("secret_detected", _DENIED, "The message carries a credential.", status_without_id=403),
    Reason(
        "uncorrelated_response",
        _DENIED,
        "The response does not belong to a request that was allowed.",
        status_without_id=403,
    ),
    Reason("approval_required", _DENIED, "A person must approve this first.", status_without_id=403),
    Reason(
        "modification_unsupported",
        _DENIED,
        "The message would have to be changed, which this gateway cannot do.",
        status_without_id=403,
    ),
    Reason(
        "sandbox_escape_detected",
        _DENIED,
        "An argument tries to leave what the tool is meant for.",
        status_without_id=403,
    ),
    Reason(
        "tool_poisoning_detected",
        _DENIED,
        "A definition of the server carries instructions or hides text.",
        status_without_id=403,
    ),
    Reason(
        "result_injection_detected",
        _DENIED,
        "What the server answers carries instructions to the model.",
        status_without_id=403,
    ),
    Reason(
        "data_leak_detected", _DENIED, "What the server answers carries data that may not leave.", status_without_id=403
    ),
    Reason("rug_pull_detected", _DENIED, "A definition has changed since it was trusted.", status_without_id=403),
    Reason(
        "tool_shadowing_detected",
        _DENIED,
        "A tool passes for another server's, or meddles with it.",
        status_without_id=403,
    ),
    Reason("catalog_anomaly_detected", _DENIED, "A list has changed too much at once.", status_without_id=403),
    Reason("server_not_allowed", _DENIED, "Denied by policy.", status_without_id=403),
    Reason("input_request_refused", _DENIED, "What is asked for or answered is not allowed.", status_without_id=403),
    Reason("state_mismatch", _DENIED, "The state does not belong to this request.", status_without_id=403),
    Reason("definition_not_approved", _DENIED, "Denied by policy.", status_without_id=403),
    # Guards and service that could not answer.
    Reason("guard_timeout", _INTERNAL, "A check did not finish in time.", status_without_id=503),
    Reason("guard_error", _INTERNAL, "A check failed.", status_without_id=503),
    Reason("guard_breaker_open", _INTERNAL, "A check is not available.", status_without_id=503),
    Reason("guard_trap", _INTERNAL, "A check failed.", status_without_id=503),
    Reason("guard_bad_answer", _INTERNAL, "A check gave no valid answer.", status_without_id=503),
    Reason("guard_over_budget", _INTERNAL, "A check used up its resources.", status_without_id=503),
    Reason("guard_quarantined", _INTERNAL, "A check is not available.", status_without_id=503),
    Reason("wasm_busy", _INTERNAL, "A check is not available.", status_without_id=503),
    Reason("state_unavailable", _INTERNAL, "A check has no access to its state.", status_without_id=503),
    Reason("audit_unavailable", _INTERNAL, "The decision cannot be recorded.", status_without_id=503),
    Reason("deadline_exceeded", _INTERNAL, "The decision did not finish in time.", status_without_id=503),
    Reason("internal_error", _INTERNAL, "The decision failed.", status_without_id=503),
    # HTTP requests that carry no MCP message.
    Reason("stream_not_allowed", _DENIED, "Listening streams are not allowed.", 405, 405),
    Reason("session_end_not_allowed", _DENIED, "Ending a session is not allowed.", 405, 405),
    Reason("well_known_not_allowed", _DENIED, "Not found.", 404, 404),
    Reason("preflight_not_allowed", _DENIED, "Cross-origin requests are not allowed.", 403, 403),
    Reason("not_mcp", _DENIED, "The request is not an MCP request.", 403, 403),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _ROWS}
"""Every reason guardsvc itself gives, by code."""


def reason_for(code: str) -> Reason:
    """The row of a code. A code that is not in the table, a third-party guard's, counts as a denial by policy."""
    return REASONS.get(code) or Reason(code, _DENIED, "Denied by policy.", status_without_id=403)
