"""Links: which definitions of one catalog belong together, since one names another, goes on with it, or numbers it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from typing import Any

import msgspec
import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.disguise import reveal
from guardsvc.guards.native.tool_poisoning.sentences import ends_of
from guardsvc.guards.native.tool_poisoning.texts import Path, Place, texts_of

__all__ = ["Definition", "Fragment", "Named", "at_seam", "numbered", "seams"]

EDGE = 120
"""Bytes before and behind the border of two definitions that are read as one sentence."""
SHORTEST = 12
"""Characters of two descriptions that may have a sentence of an attack between them."""
MAX_NUMBERS = 64
"""Numbers in one text that are looked at."""
MAX_STEPS = 12
"""Numbers of one enumeration that are looked at."""

_QUOTED = bytes(
    byte if (chr(byte).isalnum() and byte < 0x80) or byte in b"_-`'\n" else 0x20  # noqa: PLR2004
    for byte in range(256)
)
"""Blanks for what belongs neither to a name nor around it; lines stay."""
_WORDS = _QUOTED.replace(b"`", b" ").replace(b"'", b" ")
_VERBS = frozenset(
    b"by call calling calls consult execute executing follow function in invoke invoking run running see the through "
    b"to tool use using via with".split()
)
_NOUNS = frozenset({b"tool", b"function"})
_NUMBERED = re2.compile(
    rb"(?i)\b(step|part|phase|stage|rule|instruction|fragment|piece)\s*(?:no\.?\s*)?#?\s*([0-9]{1,2})\b(?:\s*(?:of|/)\s*[0-9]{1,2}\b)?[):.\]]*"
    rb"|[(\[]([0-9]{1,2})\s*(?:/|of)\s*[0-9]{1,2}[)\]]"
)
_TERMINAL = (b".", b"!", b"?", b";", b"\xe3\x80\x82")
_CUT = b" \t\r\n-\xe2\x80\x94\xe2\x80\x93\xe2\x80\xa6>"
_ELLIPSES = (b"...", "…".encode())


class Definition(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One definition of a catalog.

    Attributes:
        index: in its list, or a negative number where an earlier page had it.
        value: as it is listed.
        data: the same as JSON in UTF-8, one line.
    """

    index: int
    value: Any
    data: bytes

    @property
    def name(self) -> str:
        """Its name, empty where it has none."""
        name = self.value.get("name") if type(self.value) is dict else None
        return name if type(name) is str else ""

    @property
    def description(self) -> str:
        """Its description, empty where it has none."""
        text = self.value.get("description") if type(self.value) is dict else None
        return text if type(text) is str else ""

    def fragments(self, *, hidden: bool, naming: Named | None = None) -> Iterator[Fragment]:
        """What it says to be read, in pieces about as long as a sentence.

        Args:
            hidden: whether it may have characters that hide something.
            naming: the names of which a text must have one, None for all texts.
        """
        for text in texts_of(self.value):
            if text.place is Place.PROSE or text.place is Place.PARAMETER:
                content = encode(text.content)
                if hidden:
                    content = encode(reveal(content.decode())[0])
                if naming is not None and not naming.called_by(self, content):
                    continue
                for start, end in pairwise((0, *ends_of(content))):
                    yield Fragment(self, text.path, content[start:end])


class Fragment(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A piece of a text of a definition."""

    of: Definition
    path: Path
    content: bytes


class Named:
    """The definitions of a catalog by the names that texts may call them.

    A name of several words means the definition wherever it stands. One that is a word of the language means it where
    it is quoted, or called.

    Args:
        definitions: of one server.
    """

    def __init__(self, definitions: Sequence[Definition]) -> None:
        self._names: dict[bytes, Definition] = {}
        for definition in definitions:
            name = encode(definition.name.lower())
            if name and name.translate(_WORDS) == name:
                self._names.setdefault(name, definition)
        self._all = frozenset(self._names)

    def links(self, definitions: Sequence[Definition]) -> Iterator[tuple[Definition, Definition]]:
        """Which definitions name which others anywhere in them."""
        lowered = b"\n".join(definition.data for definition in definitions).replace(b'\\"', b"'").lower()
        words = lowered.translate(_WORDS).split(b"\n")
        for definition, plain, text in zip(definitions, words, lowered.split(b"\n"), strict=True):
            among = self._all.intersection(plain.split())
            if len(among) > 1 or (among and self._names[next(iter(among))] is not definition):
                yield from ((definition, named) for named in self._called(definition, among, text))

    def called_by(self, definition: Definition, text: bytes) -> list[Definition]:
        """The definitions that a text of another one names."""
        lowered = text.lower()
        among = self._all.intersection(lowered.translate(_WORDS).split())
        return self._called(definition, among, lowered) if among else []

    def _called(self, definition: Definition, among: frozenset[bytes], text: bytes) -> list[Definition]:
        """Those of some definitions that are meant by a text, in lower case, which has their names as words."""
        found = {name for name in among if not name.isalpha()}
        plain = {name for name in among if name.isalpha() and self._names[name] is not definition}
        if plain:
            quoted = frozenset(text.translate(_QUOTED).split())
            words = text.translate(_WORDS).split()
            found |= {name for name in plain if b"`%b`" % name in quoted or b"'%b'" % name in quoted}
            found |= {
                word
                for before, word, after in zip(chain((b"",), words), words, chain(words[1:], (b"",)), strict=False)
                if word in plain and (before in _VERBS or after in _NOUNS)
            }
        return [named for name in sorted(found) if (named := self._names[name]) is not definition]


def seams(definitions: Sequence[Definition]) -> Iterator[tuple[Fragment, Fragment]]:
    """The end of a description and the beginning of the next one, where the first stops in a sentence."""
    place: Path = (None, "description")
    texts = [definition.description for definition in definitions]
    for (before, ending), (after, beginning) in pairwise(zip(definitions, texts, strict=True)):
        if (
            len(ending) + len(beginning) < SHORTEST
            or not ending
            or not beginning
            or (ending.endswith(".") and not ending.endswith("..."))
        ):
            continue
        tail = encode(ending[-EDGE:]).rstrip(_CUT)
        while tail.endswith(_ELLIPSES):
            tail = tail[: -len(_ELLIPSES[0])].rstrip(_CUT)
        if not tail or tail.endswith(_TERMINAL):
            continue
        head = encode(beginning[:EDGE]).lstrip(_CUT + b".")
        yield Fragment(before, place, tail), Fragment(after, place, head)


def at_seam(tail: Fragment, head: Fragment) -> tuple[Fragment, Fragment]:
    """The same without the sentences before and behind the one that goes on."""
    ends = ends_of(tail.content)
    last = tail.content[ends[-2] if len(ends) > 1 else 0 :]
    first = head.content[: ends_of(head.content)[0]]
    return msgspec.structs.replace(tail, content=last), msgspec.structs.replace(head, content=first)


def numbered(definitions: Sequence[Definition]) -> Iterator[list[Fragment]]:
    """What stands behind the numbers of one enumeration, in their order, each of another definition."""
    by_label: dict[bytes, dict[int, Fragment]] = {}
    for definition in _with_numbers(definitions):
        for text in texts_of(definition.value):
            if text.place is not Place.PROSE and text.place is not Place.PARAMETER:
                continue
            content = encode(text.content)
            found = list(islice(_NUMBERED.finditer(content), MAX_NUMBERS))
            for number, match in enumerate(found):
                label = (match[1] or b"").lower()
                step = int(match[2] or match[3])
                following = found[number + 1].start() if number + 1 < len(found) else len(content)
                fragment = Fragment(definition, text.path, content[match.end() : following].strip()[: 2 * EDGE])
                if step <= MAX_STEPS:
                    by_label.setdefault(label, {}).setdefault(step, fragment)
    for steps in by_label.values():
        run: list[Fragment] = []
        for step in range(MAX_STEPS + 2):
            if step in steps:
                run.append(steps[step])
                continue
            if len({part.of.index for part in run}) > 1:
                yield run
            run = []


def _with_numbers(definitions: Sequence[Definition]) -> list[Definition]:
    joined = b"\n".join(definition.data for definition in definitions)
    ends = list(accumulate(len(definition.data) + 1 for definition in definitions))
    found: list[Definition] = []
    match = _NUMBERED.search(joined)
    while match is not None:
        index = bisect_right(ends, match.start())
        found.append(definitions[index])
        match = _NUMBERED.search(joined, ends[index]) if index + 1 < len(ends) else None
    return found if len(found) > 1 else []
