"""Merge: templates put together with what is like them, as in RFC 7396, so that every value keeps its line."""

from __future__ import annotations

from typing import Any, NamedTuple

from guardsvc.config.compose import Lines

__all__ = ["Part", "merge"]


class Part(NamedTuple):
    """A plain value and its lines."""

    value: Any
    lines: Lines

    def inside(self, step: str | int) -> Part | None:
        """The part at a key or index, None where there is none."""
        try:
            return Part(self.value[step], self.lines.inside.get(step, self.lines))
        except (LookupError, TypeError):
            return None

    def without(self, key: str) -> Part:
        """The part without a key."""
        return Part({name: value for name, value in self.value.items() if name != key}, self.lines)


def merge(base: Part | None, patch: Part) -> Part:
    """The base with the members of the patch in it: null removes, everything but mappings replaces."""
    if base is None or not isinstance(patch.value, dict) or not isinstance(base.value, dict):
        return patch
    merged = dict(base.value)
    lines = dict(base.lines.inside)
    for name in patch.value:
        part = patch.inside(name)
        if part is not None:
            merged[name], lines[name] = merge(base.inside(name), part)
    kept = {name: value for name, value in merged.items() if value is not None}
    return Part(kept, Lines(patch.lines.line, {name: line for name, line in lines.items() if name in kept}))
