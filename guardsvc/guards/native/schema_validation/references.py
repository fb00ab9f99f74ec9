"""References: what a ``$ref`` of a schema leads to, as long as it stays in the schema."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from guardsvc.guards.native.schema_validation.keywords import REFERENCES, subschemas

__all__ = ["BASE", "References"]

BASE = "https://guardsvc.invalid/arguments"
"""The URI of a schema that says none; nothing is ever fetched from there."""

Path = tuple[str | int, ...]


class References:
    """The schemas of one document by the names that references use.

    Args:
        root: the document.
        id_keyword: the keyword that names a schema: ``id`` in draft 4, ``$id`` since.

    Attributes:
        paths: keys and indexes down to each schema, by its ``id()``.
    """

    def __init__(self, root: dict[str, Any], id_keyword: str = "$id") -> None:
        self._id_keyword = id_keyword
        self.paths: dict[int, Path] = {}
        self._by_uri: dict[str, Any] = {BASE: root}
        self._bases: dict[int, str] = {}
        self._dynamic: dict[str, list[dict[str, Any]]] = {}
        pending: list[tuple[Any, Path, str]] = [(root, (), BASE)]
        while pending:
            schema, path, base = pending.pop()
            if type(schema) is not dict:
                continue
            base = self._named(schema, base)
            self.paths[id(schema)] = path
            self._bases[id(schema)] = base
            pending += [(inner, path + below, base) for _, below, inner in subschemas(schema)]

    def targets(self, schema: dict[str, Any]) -> list[tuple[str, Any]]:
        """Keyword and schema of each reference that a schema makes; None for one that is not in the document."""
        found: list[tuple[str, Any]] = []
        for keyword in REFERENCES:
            reference = schema.get(keyword)
            if type(reference) is not str:
                continue
            anchors = self._dynamic.get(urldefrag(reference).fragment, ()) if keyword != "$ref" else ()
            found += [(keyword, anchor) for anchor in anchors] or [(keyword, self._resolve(schema, reference))]
        return found

    def base_of(self, schema: dict[str, Any]) -> str:
        """The URI that references in a schema of the document are relative to."""
        return self._bases[id(schema)]

    def _named(self, schema: dict[str, Any], base: str) -> str:
        name = schema.get(self._id_keyword)
        if type(name) is str:
            whole = urljoin(base, name)
            self._by_uri.setdefault(whole.removesuffix("#"), schema)
            base = urldefrag(whole).url
        for keyword in ("$anchor", "$dynamicAnchor"):
            if type(anchor := schema.get(keyword)) is str:
                self._by_uri.setdefault(f"{base}#{anchor}", schema)
        if type(anchor := schema.get("$dynamicAnchor")) is str:
            self._dynamic.setdefault(anchor, []).append(schema)
        return base

    def _resolve(self, schema: dict[str, Any], reference: str) -> Any:
        whole = urljoin(self._bases.get(id(schema), BASE), reference)
        if whole.removesuffix("#") in self._by_uri:
            return self._by_uri[whole.removesuffix("#")]
        url, fragment = urldefrag(whole)
        target = self._by_uri.get(url)
        for token in unquote(fragment).split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if type(target) is dict:
                target = target.get(name)
            elif type(target) is list and name.isdecimal() and int(name) < len(target):
                target = target[int(name)]
            else:
                return None
        return target if not fragment or fragment.startswith("/") else None
