"""Custom patterns: the operator's own, searched in every text of a definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from guardsvc.guards.native.matcher import Matcher, encode
from guardsvc.guards.native.tool_poisoning.disguise import SUSPICIOUS
from guardsvc.guards.native.tool_poisoning.encoding import may_have_encoded
from guardsvc.guards.native.tool_poisoning.pack import Rule
from guardsvc.guards.native.tool_poisoning.texts import strings_of
from guardsvc.model import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.settings import CustomPattern

__all__ = ["CustomRules", "custom_id"]

_CONTEXTUAL = (r"\A", r"\z", "(?-", "(?i-", "(?s-", "(?U-", "(?m-")


class CustomRules:
    """The operator's patterns as rules.

    Raises:
        SettingsError: a pattern is not RE2, or an id is taken.
    """

    def __init__(self, patterns: Sequence[CustomPattern], taken: Collection[str]) -> None:
        ids = list(taken)
        rules: list[Rule] = []
        for index, given in enumerate(patterns):
            rule = Rule(given.id or custom_id(index), given.threats, given.severity, given.pattern)
            if rule.id in ids:
                raise SettingsError(("custom_patterns", index, "id"), f'"{rule.id}" is the id of another rule')
            _check(given.pattern, index)
            ids.append(rule.id)
            rules.append(rule)
        self.rules = tuple(rules)
        pairs = [(given.pattern, 1 << index) for index, given in enumerate(patterns)]
        self._exact = Matcher(pairs)
        # What matches one of several texts also matches all of them joined by line feeds, if a line's ends count
        # as a text's. A pattern that cannot be told so is searched in each text.
        self._joined = None
        if not any(mark in given.pattern for given in patterns for mark in _CONTEXTUAL):
            lines = [(f"(?m:{pattern})", bit) for pattern, bit in pairs]
            self._joined = Matcher([*lines, (SUSPICIOUS, 1 << len(pairs))])

    def possible(self, definitions: list[Any]) -> bool:
        """Whether any pattern may match any text of some tools, or one may hide something from the patterns."""
        if not self.rules:
            return False
        if self._joined is None:
            return True
        joined = encode("\n".join(strings_of(definitions)))
        return self._joined.match(joined) != 0 or may_have_encoded(joined)

    def match(self, text: bytes) -> Iterator[Rule]:
        """The rules that a text, UTF-8, falls under."""
        found = self._exact.match(text) if self.rules else 0
        return (rule for index, rule in enumerate(self.rules) if found >> index & 1)


def custom_id(index: int) -> str:
    """The id of a pattern that is given none."""
    return f"custom_patterns[{index}]"


def _check(pattern: str, index: int) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        cause = error.args[0] if error.args else ""
        reason = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
        raise SettingsError(("custom_patterns", index, "pattern"), f"not an RE2 pattern: {reason}") from error
