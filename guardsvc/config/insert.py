"""Insert: one more item at the end of a list of a YAML document, with every other byte left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from guardsvc.config.problems import format_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["InsertError", "append_item", "block"]

INDENT = 2
WIDTH = 100


class InsertError(ValueError):
    """The item cannot be put in its place without touching others; a person must."""


def block(item: Mapping[str, Any], indent: int = 0) -> str:
    """An item of a list as YAML in block form.

    Args:
        item: plain data.
        indent: column of its dash.
    """
    text = yaml.safe_dump([dict(item)], sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=False)
    return "".join(" " * indent + line for line in text.splitlines(keepends=True))


def append_item(text: str, path: Sequence[str], item: Mapping[str, Any]) -> str:
    """The document with one more item in the list at a path; a list that is not there is made.

    Args:
        text: the document. It must be YAML.
        path: keys from the top; all but the last must be there.
        item: plain data.

    Raises:
        InsertError: the place is written in flow form (``[...]``, ``{...}``) or by an alias.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    *parents, name = path
    parent, _ = _descend(root, parents)
    existing, key = _descend(parent, [name], missing=True)
    newline = "\r\n" if "\r\n" in text else "\n"
    if existing is None or key is None:
        at, column = _start_of_line(text, parent.value[0][0]), parent.value[0][0].start_mark.column
        added = f"{' ' * column}{name}:\n{block(item, column + INDENT)}"
        return _insert(text, at, added, newline)
    if isinstance(existing, yaml.ScalarNode) or not existing.value:
        raise InsertError(f"{format_path(tuple(path))} is there and holds nothing; take it out and try again")
    if not isinstance(existing, yaml.SequenceNode) or existing.flow_style or _is_alias(existing, key):
        raise InsertError(f"{format_path(tuple(path))} is not written as a list of lines that begin with a dash")
    return _insert(text, _end_of(text, existing), block(item, existing.start_mark.column), newline)


def _descend(node: Any, path: Sequence[str], *, missing: bool = False) -> tuple[Any, Any]:
    """The node at a path and the key before it, None each where it is missing and may be."""
    key = None
    for step in path:
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
            raise InsertError(f"what holds {step} is not written as lines of keys")
        found = [(each, value) for each, value in node.value if each.value == step]
        if not found:
            if missing:
                return None, None
            raise InsertError(f"{step} is not there")
        key, node = found[0]
    return node, key


def _is_alias(node: Any, key: Any) -> bool:
    return bool(node.start_mark.index < key.end_mark.index)


def _start_of_line(text: str, node: Any) -> int:
    index: int = node.start_mark.index
    return text.rfind("\n", 0, index) + 1


def _end_of(text: str, node: Any) -> int:
    """Where the line after a node begins: its end mark, in block form, is that of whatever comes next."""
    index = _last_mark(node)
    if index and text[index - 1] == "\n":
        return index
    following = text.find("\n", index)
    return len(text) if following < 0 else following + 1


def _last_mark(node: Any) -> int:
    """Where the last scalar or flow collection of a node ends, or the key whose value is an alias."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        if isinstance(last, tuple):
            key, last = last
            if _is_alias(last, key):
                return int(key.end_mark.index)
        elif last.start_mark.index < node.start_mark.index:
            raise InsertError("the list ends with an alias")
        node = last
    return int(node.end_mark.index)


def _insert(text: str, at: int, added: str, newline: str) -> str:
    before = text[:at]
    if before and not before.endswith("\n"):
        before += newline
    return before + added.replace("\n", newline) + text[at:]
