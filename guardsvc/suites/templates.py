"""Templates: what cases are like, and a suite with every template written out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.config import Document
from guardsvc.config.compose import Lines
from guardsvc.suites.merge import Part, merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardsvc.config.problems import Path

__all__ = ["Templates", "written_out"]


class Templates:
    """The templates, each with those it is like merged in.

    Args:
        document: the suite.
        fixtures: templates of other files.

    Attributes:
        problems: place and text of what is wrong with a ``like``.
    """

    def __init__(self, document: Document, fixtures: Mapping[str, Part]) -> None:
        root = Part(document.value, document.lines).inside("templates")
        own = {} if root is None else {name: part for name in root.value if (part := root.inside(name)) is not None}
        self._raw = {**fixtures, **own}
        self._resolved: dict[str, Part] = {}
        self.problems: list[tuple[Path, str]] = []
        for name in own:
            self.resolved(name)

    def resolved(self, name: str, inside: tuple[str, ...] = ()) -> Part | None:
        """The template, None where there is none of the name or it is like itself."""
        if name not in self._resolved:
            if name in inside or name not in self._raw:
                return None
            self._resolved[name] = self.expand(self._raw[name], ("templates", name), (*inside, name))
        return self._resolved[name]

    def expand(self, part: Part, path: Path, inside: tuple[str, ...] = ()) -> Part:
        """The part with the template that it is ``like`` merged in."""
        if not isinstance(part.value, dict) or "like" not in part.value:
            return part
        name = part.value["like"]
        base = self.resolved(name, inside) if isinstance(name, str) else None
        if base is None:
            itself = "is like itself" if name in inside else "is no template"
            legal = ", ".join(self._raw) or "none"
            self.problems.append(((*path, "like"), f'"{name}" {itself}; templates are {legal}'))
            return part.without("like")
        return merge(base, part.without("like"))


def written_out(document: Document, templates: Templates) -> Document:
    """The suite as if every template were written out where it is used; every value keeps its line."""
    names = [name for name in document.value.get("templates", {}) if templates.resolved(name) is not None]
    resolved = {name: templates.resolved(name) or Part({}, Lines(1)) for name in names}
    cases = [_expand(templates, part, index) for index, part in enumerate(_items(document))]
    value = {
        **document.value,
        "templates": {name: part.value for name, part in resolved.items()},
        "cases": [part.value for part in cases],
    }
    inside: dict[str | int, Lines] = {
        "templates": Lines(document.line(("templates",)) or 1, {name: part.lines for name, part in resolved.items()}),
        "cases": Lines(document.line(("cases",)) or 1, {index: part.lines for index, part in enumerate(cases)}),
    }
    return Document(document.source, value, Lines(1, {**document.lines.inside, **inside}))


def _items(document: Document) -> Iterator[Part]:
    cases = Part(document.value, document.lines).inside("cases")
    for index in range(0 if cases is None else len(cases.value)):
        if cases is not None and (part := cases.inside(index)) is not None:
            yield part


def _expand(templates: Templates, part: Part, index: int) -> Part:
    """A case with its template, and with ``before`` as whole cases."""
    expanded = templates.expand(part, ("cases", index))
    patches = expanded.inside("before")
    if patches is None or not isinstance(patches.value, list):
        return expanded
    base = expanded.without("before").without("expect").without("at").without("near")
    before = [
        _earlier(templates, base, patch, ("cases", index, "before", position))
        for position in range(len(patches.value))
        if (patch := patches.inside(position)) is not None
    ]
    lines = Lines(patches.lines.line, {position: made.lines for position, made in enumerate(before)})
    value = {**expanded.value, "before": [made.value for made in before]}
    return Part(value, Lines(expanded.lines.line, {**expanded.lines.inside, "before": lines}))


def _earlier(templates: Templates, base: Part, patch: Part, path: Path) -> Part:
    """An entry of ``before``: the case with other members, or what is like a template.

    What another guard judges has none of the case's settings.
    """
    if isinstance(patch.value, dict) and "like" in patch.value:
        return templates.expand(patch, path)
    if isinstance(patch.value, dict) and "guard" in patch.value:
        base = base.without("settings").without("rules")
    return merge(base, patch)
