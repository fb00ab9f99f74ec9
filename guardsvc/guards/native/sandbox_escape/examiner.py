"""Examiner: from values to findings, all at once where there is nothing, one by one where there may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardsvc.guards.native.sandbox_escape.addresses import Place, host_rule, hosts_of
from guardsvc.guards.native.sandbox_escape.allowed import AllowedHosts, AllowedRoots
from guardsvc.guards.native.sandbox_escape.forms import MAX_COMMAND, decoded_forms, escapes, is_escaped, plain_command
from guardsvc.guards.native.sandbox_escape.paths import absolute_path, is_public, leaves
from guardsvc.guards.native.sandbox_escape.roles import Role
from guardsvc.guards.native.sandbox_escape.signal import BEGIN, END, KEY_FILE, LINES, TRAVERSAL, URL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.native.sandbox_escape.detector import Detector
    from guardsvc.guards.native.sandbox_escape.settings import SandboxEscapeSettings

__all__ = ["LOOK", "MAX_DECODED", "TOO_MUCH", "Examined", "Examiner"]

TOO_MUCH = "too_much_to_examine"

MAX_DECODED = 32_768
"""Characters of a value up to which it is decoded. A URL or a host is never longer."""

LOOK = 8
"""What it costs to look closer at a form in which there may be something; where there is nothing, 1."""
_UNIT = 512
"""Characters of a look that cost about as much as to begin it."""

_NO_RULES: dict[str, str] = {}
_ADDRESSES = Role.URL | Role.HOST
_PATH_RULES = frozenset({"system_path", "device_path", "outside_root", "path_traversal", "url_scheme"})
_HOST_RULES = frozenset({"cloud_metadata", "internal_address", "internal_name", "rebinding_name"})


class Examined(NamedTuple):
    """What was found of one value.

    Attributes:
        rules: that it breaks, each with the form of the value that does.
        escapes: that were decoded.
        work: what the looks at its forms cost, more for long ones; see ``LOOK``.
    """

    rules: dict[str, str]
    escapes: int = 0
    work: int = 0


class Examiner:
    """Says which rules values break.

    Args:
        settings: of the guard.
        detector: of the rules in use.
        rules: ids of the rules in use.
    """

    def __init__(self, settings: SandboxEscapeSettings, detector: Detector, rules: frozenset[str]) -> None:
        self._detector = detector
        self._rules = rules
        self._roots = AllowedRoots(settings.allowed_roots)
        self._hosts = AllowedHosts(settings.allowed_hosts)
        self._only_hosts = settings.only_allowed_hosts
        self._levels = settings.parent_levels
        paths = {Role.PATH} if self._roots else set()
        self._always = frozenset(paths | ({Role.URL, Role.HOST} if self._only_hosts else set()))

    def mask(self, role: Role) -> int:
        """The signals that count in a field of this role."""
        return self._detector.mask(role)

    def always(self, role: Role) -> bool:
        """Whether the values of a role must be looked at one by one whatever they are."""
        return role in self._always

    def signals(self, values: Sequence[str], role_bits: int, wanted: int, budget: int) -> tuple[int, int]:
        """The signals that some of the values may have, decoded or not, and how many escapes were decoded.

        Where there are more than ``budget`` of them, all that are wanted.

        Args:
            values: any number of them.
            role_bits: roles of their fields.
            wanted: signals to look for.
            budget: escapes that may be decoded.
        """
        marked = f"{BEGIN}{f'{END}{BEGIN}'.join(values)}{END}"
        used = escapes(marked) if role_bits & LINES else 0
        if used and (used > budget or len(marked) > MAX_DECODED):
            return wanted, 0
        found = self._detector.match(marked, wanted)
        if not used:
            return found, 0
        for form in decoded_forms(marked):
            found |= self._detector.match(form, wanted)
        return found, used

    def rules_of(self, value: str, role: Role, wanted: int, budget: int) -> Examined:
        """The rules that one value breaks."""
        size = len(value)
        if size > MAX_DECODED and role & _ADDRESSES:
            return self._examined({TOO_MUCH: value})
        used = escapes(value) if role & LINES else 0
        signals = self._detector.signals((value,), wanted)
        if not signals and not used and role not in self._always:
            return Examined(_NO_RULES, 0, 1 + size // _UNIT)
        found: dict[str, str] = {}
        work = 0
        if size > MAX_DECODED:
            if used and is_escaped(value):
                found[TOO_MUCH] = value
            used = 0
        if used > budget:
            found[TOO_MUCH] = value
            used = 0
        forms = [value, *(decoded_forms(value) if used else ())]
        for form in forms:
            if form is not value:
                signals = self._detector.signals((form,), wanted)
            rules, looks = self._rules_of_form(form, role, signals)
            work += (looks * LOOK or 1) * (1 + len(form) // _UNIT)
            for rule in rules:
                found.setdefault(rule, form)
        if found and self._roots and all(map(self._is_below_root, forms)):
            found = {rule: form for rule, form in found.items() if rule not in _PATH_RULES}
        return self._examined(found, used, work)

    def _examined(self, found: dict[str, str], used: int = 0, work: int = 0) -> Examined:
        return Examined({rule: form for rule, form in found.items() if rule in self._rules}, used, work)

    def _rules_of_form(self, form: str, role: Role, signals: int) -> tuple[list[str], int]:
        """The rules that a form with these signals breaks, and how often it was looked at for what there might be."""
        rules: dict[str, None] = dict.fromkeys(self._detector.rules_of(signals))
        looks = int(signals != 0)
        if TRAVERSAL in rules and leaves(form, self._levels):
            rules["path_traversal"] = None
        if KEY_FILE in rules and not is_public(form):
            rules["credential_file"] = None
        if URL in rules or (self._only_hosts and role in (Role.URL, Role.HOST)):
            self._judge_hosts(rules, list(dict.fromkeys(hosts_of(form, role))))
        if role is Role.PATH and self._roots and absolute_path(form) is not None and not self._is_below_root(form):
            rules["outside_root"] = None
        if self._detector.hidden(signals) and not self._detector.commands(signals):
            looks += 1
            plain = self._detector.signals((plain_command(form),), self._detector.mask(role))
            if self._detector.commands(plain):
                rules["obfuscated_command"] = None
            elif len(form) > MAX_COMMAND:
                rules[TOO_MUCH] = None
        return [rule for rule in rules if not rule.startswith("?")], looks

    def _is_below_root(self, form: str) -> bool:
        path = absolute_path(form)
        return path is not None and self._roots.has(path)

    def _judge_hosts(self, rules: dict[str, None], places: Sequence[Place]) -> None:
        allowed = [self._hosts.has(place) for place in places]
        if places and all(allowed):
            for rule in _HOST_RULES:
                rules.pop(rule, None)
        for place, passes in zip(places, allowed, strict=True):
            if passes:
                continue
            if (broken := host_rule(place)) is not None:
                rules[broken] = None
            if place.disguised:
                rules["disguised_url"] = None
            if self._only_hosts:
                rules["host_not_allowed"] = None
