"""Baseline: the pins of one guard as an operator sees and changes them, beside the service that runs on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from guardsvc.state.catalog import decode_pin, encode_pins, scope_of, space_of
from guardsvc.state.definitions import canonical
from guardsvc.state.pins import Pin, PinKind, PinState, Place, shape_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from guardsvc.state.tables import Tables

__all__ = ["Baseline", "Key"]

SECONDS = 10.0
"""How long the store may take for one answer."""

Key = tuple[Place, PinKind, str]
"""What is pinned: whose, what kind, and its name."""


class Baseline:
    """The pins of a guard.

    Every method raises GuardFailure with ``state_unavailable`` where the store does not answer.

    Args:
        tables: where they are.
        guard: id of the guard.
        shadow: those that verdicts in shadow mode rest on.
    """

    def __init__(self, tables: Tables, guard: str, *, shadow: bool = False) -> None:
        self._tables = tables
        self._space = space_of(guard, shadow=shadow)

    async def places(self) -> AsyncIterator[tuple[Place, list[Pin]]]:
        """The pins of one place after the other."""
        async for place, values in self._values():
            yield place, [decode_pin(value) for value in values.values()]

    async def _values(self) -> AsyncIterator[tuple[Place, dict[str, bytes]]]:
        prefix = f"{self._space}/pins/"
        for scope in await self._tables.scopes(prefix, SECONDS):
            tenant, _, server = scope.removeprefix(prefix).partition("/")
            yield Place(unquote(tenant), unquote(server)), await self._tables.read(scope, None, SECONDS)

    async def pins(self) -> dict[Key, Pin]:
        """All pins, in order."""
        found: dict[Key, Pin] = {}
        async for place, values in self._values():
            for field, value in sorted(values.items()):
                kind, _, name = field.partition(":")
                found[place, PinKind(kind), name] = decode_pin(value)
        return found

    async def definition(self, place: Place, digest: str) -> Any:
        """The definition of a digest; None where it is not kept."""
        found = await self._tables.read(self._scope("definitions", place), (digest,), SECONDS)
        return json.loads(found[digest]) if digest in found else None

    async def approve(self, key: Key, pin: Pin, by: str) -> Pin:
        """Approve what the server shows now: what has changed where something has, else what was learned.

        Raises:
            LookupError: what it shows is not known any more.
        """
        place, kind, name = key
        digest = pin.changed or pin.digest
        definition = await self.definition(place, digest)
        if definition is None:
            raise LookupError(f"{kind} {name}: the definition of {digest} is not kept")
        approved = Pin(digest=digest, shape=shape_of(definition), state=PinState.APPROVED, since=pin.since, by=by)
        await self._set(place, kind, {name: approved})
        await self._forget(place, {pin.digest, pin.anchor} - {digest, ""})
        return approved

    async def put(self, key: Key, pin: Pin, definition: Any) -> None:
        """Set a pin, with what it stands for."""
        place, kind, name = key
        _, data = canonical(definition)
        await self._tables.write(self._scope("definitions", place), {pin.digest: data}, SECONDS)
        await self._set(place, kind, {name: pin})

    async def reset(self, keys: Iterable[tuple[Key, Pin]]) -> None:
        """Forget pins: what they named is unknown again."""
        for (place, kind, name), pin in keys:
            await self._tables.drop(self._scope("pins", place), (f"{kind}:{name}",), SECONDS)
            await self._forget(place, {pin.digest, pin.anchor, pin.changed} - {""})

    async def _set(self, place: Place, kind: PinKind, pins: Mapping[str, Pin]) -> None:
        await self._tables.write(self._scope("pins", place), encode_pins(kind, pins), SECONDS)

    async def _forget(self, place: Place, digests: Iterable[str]) -> None:
        """Drop definitions that no other pin of the place stands for."""
        values = await self._tables.read(self._scope("pins", place), None, SECONDS)
        kept = {digest for pin in map(decode_pin, values.values()) for digest in (pin.digest, pin.anchor, pin.changed)}
        await self._tables.drop(self._scope("definitions", place), set(digests) - kept, SECONDS)

    def _scope(self, what: str, place: Place) -> str:
        return scope_of(self._space, what, place)
