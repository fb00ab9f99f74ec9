"""Where in the text of a message findings lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.plain import plain
from guardsvc.model import Direction, Kind
from guardsvc.traffic import Captured, Spot, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.gateways.exchange import Exchange
    from guardsvc.model import Decision, Finding

__all__ = ["Place", "Places"]

_HIDDEN = {"{": "{…}", "[": "[…]", '"': '"…"'}
MAX_KEY = 60


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a finding lies.

    Attributes:
        finding: the finding.
        pointer: JSON pointer into the whole body; None where the finding is about no single place.
        spot: where that stands in the text, None where it does not.
        first_line: line of the file in which the text begins; None where lines of the text are meant.
    """

    finding: Finding
    pointer: str | None = None
    spot: Spot | None = None
    first_line: int | None = None

    def described(self) -> dict[str, Any]:
        """As members of a finding."""
        if self.spot is None:
            return {} if self.pointer is None else {"pointer": self.pointer}
        return {"pointer": self.pointer, "line": self._line(self.spot), "column": self.spot.column}

    def _line(self, spot: Spot) -> int:
        return spot.line + (self.first_line or 1) - 1

    def shown(self) -> tuple[str, ...]:
        """As lines: the place, then the member with a caret under its value, which is shown as the guard masked it."""
        if self.spot is None:
            return ()
        key = f"{plain(self.spot.key)[:MAX_KEY]}: " if self.spot.key else ""
        value = plain(self.finding.excerpt) or _HIDDEN.get(self.spot.opening, "…")
        place = f"line {self._line(self.spot)}, column {self.spot.column}"
        return place, f"  {key}{value}", f"  {' ' * len(key)}^"


class Places:
    """The places of the findings about one request.

    Args:
        exchange: what was decided.
        item: the request as it was given.
    """

    def __init__(self, exchange: Exchange, item: Captured) -> None:
        text = item.line or item.body
        try:
            self._text = text.decode()
        except UnicodeDecodeError:
            self._text = ""
        self._first_line = None if item.request is not None else item.number
        self._inside = item.inside
        self._batch = _indexes(exchange) if exchange.batch else {}

    def of(self, decision: Decision, finding: Finding) -> Place:
        """The place of one finding of a decision."""
        if not finding.where:
            return Place(finding=finding)
        index = self._batch.get(decision.id)
        pointer = f"{'' if index is None else f'/{index}'}/{_member(decision)}{finding.where}"
        spot = locate(self._text, self._inside + pointer) if self._text else None
        return Place(finding=finding, pointer=pointer, spot=spot, first_line=self._first_line)

    def told(self, decision: Decision, findings: Iterable[Finding]) -> Iterator[str]:
        """The places of findings in lines, those in one place together."""
        rules: dict[tuple[str, ...], list[str]] = {}
        for finding in findings:
            if shown := self.of(decision, finding).shown():
                rules.setdefault(shown, []).append(f"{plain(finding.rule)} ({finding.severity})")
        for (place, *lines), found in rules.items():
            yield f"{', '.join(found)} at {place}"
            yield from lines


def _indexes(exchange: Exchange) -> dict[str, int]:
    """Index of the message in its batch, by decision; a retry and the input it carries are one message."""
    indexes: dict[str, int] = {}
    index = -1
    for decision in exchange.decisions:
        carried = decision.operation.kind is Kind.RESULT and decision.operation.method
        index += not carried
        indexes[decision.id] = index
    return indexes


def _member(decision: Decision) -> str:
    """The member of the message that the payload is."""
    operation = decision.operation
    answers = operation.direction is Direction.RESPONSE or not operation.method
    return operation.kind.value if operation.kind in (Kind.RESULT, Kind.ERROR) and answers else "params"
