"""Learned: checks of schemas that tools are pinned with, made when they are first needed and remembered by digest."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings

__all__ = ["LearnedChecks"]

MAX_CHECKS = 1024


class LearnedChecks:
    """The most recently used checks.

    Args:
        settings: of the guard.
    """

    def __init__(self, settings: SchemaValidationSettings) -> None:
        self._settings = settings
        self._made: OrderedDict[tuple[str, str], ArgumentCheck | None] = OrderedDict()

    def checks(self, definitions: Mapping[str, bytes], member: str = "inputSchema") -> list[ArgumentCheck]:
        """The checks of a member of definitions, by digest; one whose schema cannot be used has none."""
        found = (self._check(digest, data, member) for digest, data in definitions.items())
        return [check for check in found if check is not None]

    def _check(self, digest: str, data: bytes, member: str) -> ArgumentCheck | None:
        key = digest, member
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        try:
            made = ArgumentCheck(json.loads(data).get(member, {}), self._settings)
        except SchemaError:
            made = None
        self._made[key] = made
        if len(self._made) > MAX_CHECKS:
            self._made.popitem(last=False)
        return made
