"""Steering: what a tool's text says of tools that another server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.texts import Place, pointer, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Mention", "Names", "shown_by"]

_encode = msgspec.json.Encoder().encode

MAX_NAMES = 32
"""Names in one text whose sentences are looked at; of further ones the whole text counts as the sentence."""
MAX_PLACES = 8
"""Places of one name in one text that are looked at."""
NEIGHBOURHOOD = 300
"""Bytes around a name that may be of its sentence."""

_DEMAND = re2.compile(
    rb"\b(?:instead of|rather than|in place of|do not|don't|never|must not|should not|stop|avoid|no longer|before "
    rb"(?:\w+ )?(?:call|us|invok|runn|execut)|after (?:\w+ )?(?:call|us|invok|runn|execut)|when(?:ever)?|each time|"
    rb"every|any call|all calls|always|must|deprecated|obsolete|unsafe|insecure|broken|compromised|replac(?:es?|ing)|"
    rb"supersedes?|overrid(?:es?|ing)|redirect|forward|bcc|also send|change the|set the|modify|recipient|"
    rb"pass (?:its|the) (?:result|output|content))"
)
_END = re2.compile(rb"[.!?;][\s\"')]|\n")
_WORDS = bytes(byte if (chr(byte).isalnum() and byte < 0x80) or byte in b"_-" else 0x20 for byte in range(256))  # noqa: PLR2004
_PATHS = bytes(byte if _WORDS[byte] != 0x20 or byte in b".:/" else 0x20 for byte in range(256))  # noqa: PLR2004
_EDGE = b".:/-_"

_ESCAPE = re2.compile(rb"\\(?:u[0-9a-f]{4}|.)")


class Shown(msgspec.Struct, frozen=True):
    """What a definition says, as words and as words of paths."""

    text: bytes

    @property
    def words(self) -> list[bytes]:
        """The words, in lower case."""
        return self.text.translate(_WORDS).split()

    @property
    def paths(self) -> list[bytes]:
        """The words with what joins the parts of paths."""
        return self.text.translate(_PATHS).split()


def shown_by(definitions: Sequence[Any]) -> list[Shown]:
    """What definitions say, all at once, which is faster than to walk each of them."""
    # What JSON escapes ends a word. It has no zero bytes.
    joined = _ESCAPE.sub(b" ", b"\0".join(map(_encode, definitions)))
    return [Shown(text) for text in joined.lower().split(b"\0")]


Mention = tuple[str, str, bool]
"""JSON pointer into the tool, the name, and whether the sentence demands something."""


class Names:
    """Names of tools to look for.

    Args:
        names: in lower case.
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = {encode(name) for name in names}
        self._words = frozenset(name for name in encoded if name.translate(_WORDS) == name)
        self._paths = frozenset(encoded - self._words)

    def __bool__(self) -> bool:
        return bool(self._words or self._paths)

    def among(self, shown: Shown) -> bool:
        """Whether any text of a definition has one of the names; a quick look."""
        if not self._words.isdisjoint(shown.words):
            return True
        return bool(self._paths) and not self._paths.isdisjoint(word.strip(_EDGE) for word in shown.paths)

    def mentions(self, tool: Any) -> Iterator[Mention]:
        """Where texts have the names; each name once."""
        found: dict[bytes, Mention] = {}
        for text in texts_of(tool):
            if text.place is Place.NAME:
                continue
            content = encode(text.content).lower()
            anywhere = None
            for number, name in enumerate(sorted(self._in(content))):
                known = found.get(name)
                if known is not None and known[2]:
                    continue
                demands = _demands(content, name) if number < MAX_NAMES else None
                if demands is None:
                    anywhere = _DEMAND.search(content) is not None if anywhere is None else anywhere
                    demands = anywhere
                if known is None or demands:
                    found[name] = (pointer(text.path), name.decode(), demands)
        yield from found.values()

    def _in(self, content: bytes) -> set[bytes]:
        found = self._words.intersection(content.translate(_WORDS).split())
        if self._paths:
            found |= self._paths.intersection(word.strip(_EDGE) for word in content.translate(_PATHS).split())
        return set(found)


def _demands(content: bytes, name: bytes) -> bool | None:
    """Whether a sentence with the name demands something; None where there are more than are looked at."""
    position = -1
    for _ in range(MAX_PLACES):
        position = content.find(name, position + 1)
        if position < 0:
            return False
        before = content[max(0, position - NEIGHBOURHOOD) : position]
        after = content[position + len(name) : position + len(name) + NEIGHBOURHOOD]
        begin = max((end.end() for end in _END.finditer(before)), default=0)
        end = _END.search(after)
        sentence = before[begin:] + name + (after if end is None else after[: end.start()])
        if _DEMAND.search(sentence) is not None:
            return True
    return None
