"""Pins: what is known of one tool, prompt, resource or of the instructions of a server, and whether it is trusted."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from guardsvc.state.definitions import canonical, digest_of

if TYPE_CHECKING:
    from guardsvc.model import Caller

__all__ = ["INSTRUCTIONS", "Entry", "Pin", "PinKind", "PinState", "Place", "entry_of", "place_of", "shape_of"]

INSTRUCTIONS = "instructions"
"""Name of the one entry of kind ``server``."""
_NAMES = frozenset({"name", "title", "uri", "uriTemplate"})


class PinKind(StrEnum):
    """What is pinned."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "template"
    SERVER = "server"


class PinState(StrEnum):
    """How far a pin is trusted: ``learning`` was seen first, ``approved`` a person looked at."""

    LEARNING = "learning"
    APPROVED = "approved"


class Place(msgspec.Struct, frozen=True):
    """Whose catalog: the tenant, empty where nobody is verified to be of one, and the server's canonical name."""

    tenant: str
    server: str


class Entry(msgspec.Struct, frozen=True):
    """One definition as a list shows it.

    Attributes:
        name: tool or prompt name, or URI, as the server itself calls it.
        digest: of the definition.
    """

    name: str
    digest: str


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one name stands for.

    Attributes:
        digest: of the definition that may be used.
        shape: digest of the definition without the names it goes by.
        state: how far it is trusted.
        since: when it was pinned, seconds since 1970.
        anchor: digest of what was trusted first, where later changes were harmless enough to be accepted.
        changed: digest of what the server shows instead, which was refused; empty where it shows the same.
        by: who approved it.
    """

    digest: str
    shape: str
    state: PinState
    since: float = 0.0
    anchor: str = ""
    changed: str = ""
    by: str = ""

    @property
    def first(self) -> str:
        """Digest of what changes are weighed against."""
        return self.anchor or self.digest


def entry_of(name: str, definition: object) -> tuple[Entry, bytes]:
    """The entry of a definition, and the definition as canonical JSON.

    Raises:
        ValueError: it is no JSON value.
    """
    digest, data = canonical(definition)
    return Entry(name, digest), data


def place_of(caller: Caller, server: str) -> Place:
    """Whose catalog a caller sees. A tenant that nobody has verified is none."""
    return Place(caller.tenant or "" if caller.verified else "", server)


def shape_of(definition: object) -> str:
    """Digest of a definition without the names it goes by.

    Raises:
        ValueError: it is no JSON value.
    """
    if not isinstance(definition, dict):
        return digest_of(definition)
    return digest_of({key: value for key, value in definition.items() if key not in _NAMES})
