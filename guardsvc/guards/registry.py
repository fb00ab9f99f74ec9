"""Registry of guard types: the native ones, and those that installed packages bring by entry point."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native import NATIVE
from guardsvc.guards.wasm import WASM
from guardsvc.model import GuardType, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENTRY_POINT_GROUP", "GuardLoadError", "load_registry"]

ENTRY_POINT_GROUP = "guardsvc.guards"
"""Entry points of this group name a ``GuardType`` object; the entry point's name is not used."""


NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class GuardLoadError(Exception):
    """An installed package's guard cannot be used: it does not load, is no right GuardType, or takes another's name."""


@cache
def load_registry() -> Mapping[str, GuardType[Any]]:
    """Every guard type that a policy may name, by name.

    Raises:
        GuardLoadError: a package's entry point cannot be used. The service does not start without a
            guard that an operator installed.
    """
    types: dict[str, GuardType[Any]] = {guard_type.name: guard_type for guard_type in (*NATIVE, WASM)}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        package = point.dist.name if point.dist else "unknown"
        origin = f"entry point {point.name!r} of package {package!r}"
        try:
            guard_type = point.load()
        except (Exception, SystemExit) as error:
            raise GuardLoadError(f"{origin} does not load: {type(error).__name__}: {error}") from error
        if not isinstance(guard_type, GuardType):
            raise GuardLoadError(f"{origin} is a {type(guard_type).__name__}, not a guardsvc.model.GuardType")
        if not NAME.fullmatch(guard_type.name):
            raise GuardLoadError(f"{origin} has the name {guard_type.name!r}, which is not snake_case")
        if not issubclass(guard_type.settings, Settings):
            raise GuardLoadError(f"{origin} has settings that are no guardsvc.model.Settings")
        if guard_type.name in types:
            raise GuardLoadError(f"{origin} takes the name {guard_type.name!r}, which another guard type has")
        types[guard_type.name] = guard_type
    return MappingProxyType(types)
