"""Revisions: which methods each revision of MCP knows, and what a method means to a policy.

Source: the schemas of the five revisions. Tasks are experimental in 2025-11-25 and an extension with
other methods in 2026-07-28; both are known here because gateways carry them.
"""

from __future__ import annotations

import msgspec

from guardsvc.mcp.transport import TransportKind
from guardsvc.model import Phase

__all__ = [
    "ASSUMED_REVISION",
    "KNOWN_METHODS",
    "REVISIONS",
    "Methods",
    "allows_batches",
    "is_at_least",
    "methods",
    "phase_of",
    "response_phase_of",
    "subject_field",
]

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
"""Every revision, oldest first."""

ASSUMED_REVISION = "2025-03-26"
"""What a request without any sign of a revision is read under (MCP 2025-06-18, transports)."""


class Methods(msgspec.Struct, frozen=True, kw_only=True):
    """The methods of one revision.

    Attributes:
        requests: what a client may ask a server.
        notifications: what a client may notify a server of.
        server_requests: what a server may ask a client.
        server_notifications: what a server may notify a client of.
    """

    requests: frozenset[str]
    notifications: frozenset[str]
    server_requests: frozenset[str]
    server_notifications: frozenset[str]


_LASTING_REQUESTS = frozenset(
    {
        "completion/complete",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "tools/call",
        "tools/list",
    }
)
_HANDSHAKE_REQUESTS = _LASTING_REQUESTS | {
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
}
_HANDSHAKE_NOTIFICATIONS = frozenset(
    {
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)
_SERVER_REQUESTS = frozenset({"ping", "roots/list", "sampling/createMessage"})
_SERVER_NOTIFICATIONS = frozenset(
    {
        "notifications/cancelled",
        "notifications/message",
        "notifications/progress",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/tools/list_changed",
    }
)
_TASKS = frozenset({"tasks/cancel", "tasks/get", "tasks/list", "tasks/result"})
_TASK_STATUS = "notifications/tasks/status"

_FIRST = Methods(
    requests=_HANDSHAKE_REQUESTS,
    notifications=_HANDSHAKE_NOTIFICATIONS,
    server_requests=_SERVER_REQUESTS,
    server_notifications=_SERVER_NOTIFICATIONS,
)
_METHODS = {
    "2024-11-05": _FIRST,
    "2025-03-26": _FIRST,
    "2025-06-18": Methods(
        requests=_HANDSHAKE_REQUESTS,
        notifications=_HANDSHAKE_NOTIFICATIONS,
        server_requests=_SERVER_REQUESTS | {"elicitation/create"},
        server_notifications=_SERVER_NOTIFICATIONS,
    ),
    "2025-11-25": Methods(
        requests=_HANDSHAKE_REQUESTS | _TASKS,
        notifications=_HANDSHAKE_NOTIFICATIONS | {_TASK_STATUS},
        server_requests=_SERVER_REQUESTS | _TASKS | {"elicitation/create"},
        server_notifications=_SERVER_NOTIFICATIONS | {_TASK_STATUS, "notifications/elicitation/complete"},
    ),
    "2026-07-28": Methods(
        requests=_LASTING_REQUESTS
        | {"server/discover", "subscriptions/listen", "tasks/cancel", "tasks/get", "tasks/update"},
        notifications=frozenset({"notifications/cancelled"}),
        server_requests=frozenset(),
        server_notifications=_SERVER_NOTIFICATIONS
        | {"notifications/subscriptions/acknowledged", "notifications/tasks"},
    ),
}

KNOWN_METHODS: frozenset[str] = frozenset(TransportKind).union(
    *(
        table.requests | table.notifications | table.server_requests | table.server_notifications
        for table in _METHODS.values()
    )
)
"""Every method of any revision in both directions, and the transport kinds: a bound for metric labels."""

_PHASES: dict[str, Phase] = {
    "tools/list": Phase.TOOLS_LIST,
    "tools/call": Phase.TOOL_INVOKE,
    "prompts/list": Phase.PROMPTS_LIST,
    "prompts/get": Phase.PROMPT_GET,
    "resources/list": Phase.RESOURCES_LIST,
    "resources/templates/list": Phase.RESOURCES_LIST,
    "resources/read": Phase.RESOURCE_READ,
    "resources/subscribe": Phase.RESOURCE_READ,
    "resources/unsubscribe": Phase.RESOURCE_READ,
    "initialize": Phase.CONNECTION,
    "server/discover": Phase.CONNECTION,
    "notifications/initialized": Phase.CONNECTION,
    "ping": Phase.CONNECTION,
    **dict.fromkeys(TransportKind, Phase.CONNECTION),
}

_RESPONSE_PHASES: dict[str, Phase] = {
    "tools/call": Phase.TOOL_RESULT,
    "tasks/result": Phase.TOOL_RESULT,
    "prompts/get": Phase.PROMPT_RESULT,
    "resources/read": Phase.RESOURCE_RESULT,
    "resources/subscribe": Phase.OTHER,
    "resources/unsubscribe": Phase.OTHER,
}
"""Where the answer stands elsewhere than the request; only calls of tools become tasks."""

_SUBJECT_FIELDS = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}


def methods(revision: str) -> Methods | None:
    """The methods of a revision, None where the revision is not known."""
    return _METHODS.get(revision)


def phase_of(method: str) -> Phase:
    """The phase of a client's request or notification."""
    return _PHASES.get(method, Phase.OTHER)


def response_phase_of(method: str) -> Phase:
    """The phase of a server's answer to a request of this method; other where nothing says what it answers."""
    return _RESPONSE_PHASES.get(method) or phase_of(method)


def subject_field(method: str) -> str | None:
    """The member of ``params`` that names the subject, None where the method has no such member."""
    return _SUBJECT_FIELDS.get(method)


def allows_batches(revision: str) -> bool:
    """Whether a POST may carry an array of messages: 2025-03-26 only."""
    return revision == "2025-03-26"


def is_at_least(revision: str, other: str) -> bool:
    """Whether ``revision`` is ``other`` or newer; one that is not known is never."""
    return revision in REVISIONS and REVISIONS.index(revision) >= REVISIONS.index(other)
