"""Catalog: everything that one server says of itself, and what was noticed while it was read."""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.model import Severity

__all__ = ["LISTS", "RULES", "Bounds", "Catalog", "Remark", "Rule", "ScanError"]

LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
"""The lists of a server: method, and the member of its result that has the entries."""


class ScanError(Exception):
    """A server cannot be scanned at all."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one server may take.

    Attributes:
        seconds: for everything, from the first byte to the last.
        message_bytes: of one message.
        total_bytes: of all messages together.
        pages: of one list.
        entries: of one list.
        messages: of all kinds, answers or not.
    """

    seconds: float = 60.0
    message_bytes: int = 4 << 20
    total_bytes: int = 32 << 20
    pages: int = 200
    entries: int = 20_000
    messages: int = 5_000


class Rule(msgspec.Struct, frozen=True):
    """What a rule of the scan itself amounts to."""

    severity: Severity
    threats: tuple[str, ...]


_FLOOD = ("SAF-T2102", "MCP08")
RULES = {
    "endless_list": Rule(Severity.HIGH, _FLOOD),
    "list_too_long": Rule(Severity.HIGH, _FLOOD),
    "too_much_data": Rule(Severity.HIGH, _FLOOD),
    "too_slow": Rule(Severity.MEDIUM, _FLOOD),
    "list_failed": Rule(Severity.LOW, ()),
    "malformed_list": Rule(Severity.MEDIUM, ("MCP03",)),
    "beyond_limits": Rule(Severity.LOW, ()),
    "ambiguous_message": Rule(Severity.HIGH, ("MCP07",)),
    "guard_failed": Rule(Severity.MEDIUM, ()),
}


class Remark(msgspec.Struct, frozen=True):
    """Something that the scan itself noticed.

    Attributes:
        rule: one of ``RULES``.
        text: what it was, without anything of what the server sent.
        method: the list it is about, empty for the server as a whole.
    """

    rule: str
    text: str
    method: str = ""


class Catalog(msgspec.Struct, kw_only=True):
    """What one server says of itself.

    Attributes:
        target: where it was read, without anything secret.
        file: path of the saved catalog, empty where a server was asked.
        host: of the URL, empty where there is none.
        revision: MCP revision that was spoken.
        greeting: result of ``initialize`` or ``server/discover``.
        greeted_by: which of both.
        lists: result by method, the entries of all its pages in one list.
        remarks: what was noticed on the way.
    """

    target: str
    file: str = ""
    host: str = ""
    revision: str = ""
    greeting: dict[str, Any] | None = None
    greeted_by: str = "initialize"
    lists: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    remarks: list[Remark] = msgspec.field(default_factory=list)

    @property
    def name(self) -> str:
        """What the server calls itself, empty where it does not."""
        greeting = self.greeting or {}
        meta = greeting.get("_meta")
        of_meta = meta.get("io.modelcontextprotocol/serverInfo") if isinstance(meta, dict) else None
        for info in (greeting.get("serverInfo"), of_meta):
            name = info.get("name") if isinstance(info, dict) else None
            if isinstance(name, str):
                return name
        return ""

    def add_page(self, method: str, page: dict[str, Any], most: int) -> bool:
        """Put a page behind those before; False where it has more entries than there is room for."""
        member = LISTS[method]
        entries = page.get(member)
        whole = self.lists.get(method)
        if whole is None:
            whole = self.lists[method] = {key: value for key, value in page.items() if key != "nextCursor"}
            whole[member] = []
        if not isinstance(entries, list):
            self.remark("malformed_list", f"{member} is no list", method)
            return True
        room = most - len(whole[member])
        whole[member].extend(entries[:room])
        return len(entries) <= room

    def remark(self, rule: str, text: str, method: str = "") -> None:
        """Note something, once."""
        remark = Remark(rule, text, method)
        if remark not in self.remarks:
            self.remarks.append(remark)
