"""Saved: a catalog that was written to a file, in whichever of the usual forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.cli.scan.catalog import LISTS, Bounds, Catalog, ScanError
from guardsvc.mcp import Limits, Refusal
from guardsvc.mcp.strict_json import decode

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_saved"]

MAX_DEPTH = 256
GREETING = frozenset({"instructions", "serverInfo", "protocolVersion", "capabilities"})
_FORMS = (
    'a result with "tools", "prompts", "resources", "resourceTemplates" or "instructions", JSON-RPC answers with such '
    "results, or a list of tools"
)


def read_saved(path: Path, data: bytes, bounds: Bounds) -> Catalog:
    """The catalog of a file.

    Args:
        path: of the file, for messages.
        data: what it holds.
        bounds: what it may be.

    Raises:
        ScanError: it has no catalog in it.
    """
    if len(data) > bounds.total_bytes:
        raise ScanError(f"{path} has more than {bounds.total_bytes} bytes")
    catalog = Catalog(target=str(path), file=str(path))
    most = bounds.total_bytes
    limits = Limits(max_bytes=most, max_depth=MAX_DEPTH, max_keys=most, max_containers=most)
    try:
        value = decode(data, limits)
    except Refusal as refusal:
        raise ScanError(f"{path} is refused as {refusal.code}: {refusal.detail}") from None
    if isinstance(value, list) and not any(_is_answer(each) for each in value):
        value = {"tools": value}
    for each in value if isinstance(value, list) else [value]:
        _add(catalog, each["result"] if _is_answer(each) else each, bounds)
    if catalog.greeting is None and not catalog.lists:
        raise ScanError(f"{path} has no catalog in it: {_FORMS} are read")
    return catalog


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("result"), dict)


def _add(catalog: Catalog, result: Any, bounds: Bounds) -> None:
    if not isinstance(result, dict):
        return
    if not GREETING.isdisjoint(result):
        catalog.greeting = (catalog.greeting or {}) | {key: result[key] for key in GREETING & result.keys()}
    for method, member in LISTS.items():
        if member not in result:
            continue
        page = {key: value for key, value in result.items() if key not in {*LISTS.values(), *GREETING} or key == member}
        if not catalog.add_page(method, page, bounds.entries):
            catalog.remark("list_too_long", f"more than {bounds.entries} entries", method)
