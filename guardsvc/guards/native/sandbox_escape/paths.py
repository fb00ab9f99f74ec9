"""Paths: what leaves a directory, and files that no tool's caller should name."""

from __future__ import annotations

import re
from itertools import accumulate

__all__ = ["MAX_PATH", "absolute_path", "is_public", "leaves", "resolved"]

MAX_PATH = 4096
"""Characters of a path that are resolved; a longer one with parent directories leaves."""

_UP, _DOWN = "ud"
_LEVELS = {_UP: -1, _DOWN: 1}
_SEPARATOR = re.compile(r"[/\\]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_DRIVE = re.compile(r"[A-Za-z]:")
_NAME = re.compile(r"[^\W_]")
_DOTS = re.compile(r"\.{2,4}[?;:*%\s]*|\.\?+|\.\.;[^/\\]*")
_PROSE = re.compile(r"[\s\"'`<>()\[\]{}|,]")
_ROOT = re.compile(r"[A-Za-z]:|file:", re.IGNORECASE)
_TARGET = re.compile(
    r"(?:^|[/\\%])(?:etc[/\\]+(?:passwd|shadow|hosts|issue|group)|boot\.ini|win\.ini|(?:windows|winnt|proc)[/\\])",
    re.IGNORECASE,
)
"""What attackers climb to; a path with parent directories that has it is an attack wherever it starts."""
_TARGETS = ("etc", "boot.ini", "win.ini", "windows", "winnt", "proc")

_MAX_NAME = 255
_FILE = re.compile(r"[\w.-]+(?: [\w.-]+)*")
_NAME_END = re.compile(r"[._-]+|(?<=[a-z])(?=[A-Z])")
_PUBLIC = frozenset({"public", "pub", "pubkey"})
_CERTIFICATE = frozenset(
    {"cert", "certs", "certificate", "certificates", "chain", "fullchain", "ca", "cacert", "crt", "csr"}
)
_KEYS = frozenset({"key", "keys", "combined", "bundle"})
_PRIVATE = frozenset({"private", "priv", "privkey", "privatekey", "secret", "secrets", "backup", "p12", "pfx"})


def is_public(path: str) -> bool:
    """Whether the name of a file in PEM form says that it is public: a public key, certificates.

    A name that tells of a key beside certificates does not, nor what some readers end before the name.
    """
    name = path.strip(" \t\"'`").replace("\\", "/").rpartition("/")[2]
    if any(mark in path for mark in "\x00?#") or len(name) > _MAX_NAME or _FILE.fullmatch(name) is None:
        return False
    words = {word.lower() for word in _NAME_END.split(name)}
    if words & _PRIVATE:
        return False
    return bool(words & _PUBLIC) or (bool(words & _CERTIFICATE) and words.isdisjoint(_KEYS))


def leaves(path: str, levels: int) -> bool:
    """Whether a path climbs out of the directory it starts from, by more than ``levels`` if it is relative.

    Prose that mentions a parent directory does not; neither does what comes back to where it was.
    """
    text = path[: MAX_PATH + 1]
    text = (text if text.isprintable() else _CONTROL.sub("", text)).strip(" \"'`")
    start = max(text.find(".."), 0) or max(text.find(".?"), 0)
    absolute = text.startswith(("/", "\\")) or _DRIVE.match(text) is not None or text[:5].lower() == "file:"
    if _PROSE.search(text, 0, start) is not None and (not absolute or "/ " in text[:start]):
        return False
    if len(path) > MAX_PATH:
        return True
    lowest, steps = _climbed(text)
    if lowest < -(0 if absolute else levels) or (absolute and steps > 1):
        return True
    lowered = text.casefold()
    return ".." in text and any(name in lowered for name in _TARGETS) and _TARGET.search(text) is not None


def _climbed(text: str) -> tuple[int, int]:
    """The lowest level of a path against its start, and most steps up in a row."""
    segments = text.replace("\\", "/").split("/")
    steps = {segment: _step(segment.strip()) for segment in set(segments)}
    way = "".join(map(steps.__getitem__, segments))
    lowest = min(accumulate(map(_LEVELS.__getitem__, way)), default=0)
    return min(lowest, 0), max(map(len, way.split(_DOWN)))


def _step(name: str) -> str:
    """Where a part of a path leads: one level down or up, or nowhere."""
    if not name or name == ".":
        return ""
    if name[0] == "." and (name == ".." or _DOTS.fullmatch(name) is not None):
        return _UP
    is_name = name[0].isalnum() or _NAME.search(name) is not None
    return _DOWN if is_name and not (name[-1] == ":" and _ROOT.fullmatch(name) is not None) else ""


def absolute_path(text: str) -> str | None:
    """The absolute path that a text is as a whole, as ``resolved`` spells it; None where it is none."""
    path = text.strip(" \t\"'`")
    if path[:5].lower() == "file:":
        path = "/" + path[5:].lstrip("/")
        if len(path) > 3 and path[2] == ":":  # noqa: PLR2004
            path = path[1:]
    if len(path) > MAX_PATH or not (path.startswith(("/", "\\", "~")) or _DRIVE.match(path)):
        return None
    return resolved(path)


def resolved(path: str) -> str:
    """A path in one spelling: ``/`` between names, no ``.`` and ``..``; one with a drive in lower case."""
    names: list[str] = []
    for name in _SEPARATOR.split(path.lower() if _DRIVE.match(path) else path):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)
