"""Pin memo: pins that were read a moment ago, so that a list that has not changed costs no way to the store."""

from __future__ import annotations

from collections import OrderedDict
from sys import getsizeof
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardsvc.state.catalog_needs import ListNeed
    from guardsvc.state.pins import Entry, Pin, PinKind

__all__ = ["MAX_BYTES", "SECONDS", "PinMemo"]

SECONDS = 1.0
"""For how long pins are remembered: after that, what another worker or an operator changed is seen in lists."""
MAX_BYTES = 16 << 20
"""Bytes of memory that remembered pins take, with those that are used by identity."""
_PIN = 800
"""Bytes that a pin takes beside its name."""
MAX_AWAITED = 1024


class _Kept:
    """The pins of a place; ``settled`` are entries that are pinned as they are, compared by identity."""

    __slots__ = ("ends", "pins", "settled", "size")

    def __init__(self, ends: float, pins: Mapping[str, Pin]) -> None:
        self.ends = ends
        self.pins = pins
        self.size = sum(map(getsizeof, pins)) + _PIN * (len(pins) + 1)
        self.settled: tuple[Entry, ...] | None = None


class PinMemo:
    """The pins of a store by place and kind. They are used only where nothing is to be changed by what they say.

    Calls do not use it: what is refused is refused at once.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._awaited: OrderedDict[str, None] = OrderedDict()
        self._kept: OrderedDict[tuple[str, PinKind], _Kept] = OrderedDict()
        self._bytes = 0

    def pins_of(self, scope: str, need: ListNeed) -> Mapping[str, Pin] | None:
        """The pins, where by them the list shows what is pinned and nothing else, and is not to be continued."""
        kept = self._kept.get((scope, need.kind))
        if kept is None or self._clock() > kept.ends:
            return None
        if need.turn is not None and (need.turn.next is not None or need.turn.list in self._awaited):
            return None
        if need.entries is kept.settled:
            return kept.pins
        pins = kept.pins
        for entry in need.entries:
            pin = pins.get(entry.name)
            if pin is None or pin.changed or pin.digest != entry.digest:
                return None
        kept.settled = need.entries
        return pins

    def expect(self, list_of_pages: str) -> None:
        """Take note of a list of which a page was seen: its next page counts for this one too."""
        self._awaited[list_of_pages] = None
        self._awaited.move_to_end(list_of_pages)
        if len(self._awaited) > MAX_AWAITED:
            self._awaited.popitem(last=False)

    def keep(self, scope: str, kind: PinKind, pins: Mapping[str, Pin]) -> None:
        """Remember pins that were read just now."""
        self._drop((scope, kind))
        kept = _Kept(self._clock() + SECONDS, pins)
        if kept.size > MAX_BYTES:
            return
        self._kept[scope, kind] = kept
        self._bytes += kept.size
        while self._bytes > MAX_BYTES:
            self._drop(next(iter(self._kept)))

    def forget(self, scope: str) -> None:
        """Forget a place whose pins are changed."""
        for key in [key for key in self._kept if key[0] == scope]:
            self._drop(key)

    def _drop(self, key: tuple[str, PinKind]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size
