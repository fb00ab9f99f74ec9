"""HTTP header fields as a gateway reported them, with repeated fields kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Headers"]


class Headers:
    """Header fields by lower-case name; immutable.

    A gateway that joins repeated fields with ``,`` (Envoy without
    ``encode_raw_headers``, agentgateway) shows them as one value; one that
    does not is seen through ``repeated``.

    Args:
        fields: name and value pairs in the order of the wire. Names are folded
            to lower case, values are latin-1 text (RFC 9110 section 5.5).

    Attributes:
        size: bytes of all names and values.
    """

    __slots__ = ("_repeated", "_values", "size")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        pairs = list(fields)
        names, values = zip(*pairs, strict=True) if pairs else ((), ())
        text = "".join(names)
        self.size = len(text) + len("".join(values))
        if text.lower() != text:
            pairs = [(name.lower(), value) for name, value in pairs]
        self._values = dict(pairs)
        self._repeated: dict[str, tuple[str, ...]] = {}
        if len(self._values) < len(pairs):
            self._keep_repeated(pairs)

    def _keep_repeated(self, pairs: list[tuple[str, str]]) -> None:
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name, []).append(value)
        self._values = {name: values[0] for name, values in found.items()}
        self._repeated = {name: tuple(values) for name, values in found.items() if len(values) > 1}

    def get(self, name: str) -> str | None:
        """The first value of a field, or None. ``name`` is lower case."""
        return self._values.get(name)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field in the order of the wire. ``name`` is lower case."""
        if name in self._repeated:
            return self._repeated[name]
        value = self._values.get(name)
        return () if value is None else (value,)

    def repeated(self, name: str) -> bool:
        """Whether the field came more than once. ``name`` is lower case."""
        return name in self._repeated

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._values == other._values and self._repeated == other._repeated

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Headers({', '.join(sorted(self._values))})"
