"""What ``access_list`` refuses to be built of; what it decides is in ``tests/cases/guards``."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from guardsvc.guards.native.access_list import METHOD_GROUPS, AccessList, AccessListSettings
from guardsvc.mcp.revisions import KNOWN_METHODS
from guardsvc.model import GuardContext, SettingsError

CONTEXT = GuardContext(guard_id="access_list", servers=frozenset({"files", "mail"}))


def build(rule: dict[str, Any], context: GuardContext = CONTEXT) -> AccessList:
    settings = AccessListSettings.model_validate(
        {"default": "deny", "rules": [{"action": "allow"}, {"action": "allow", **rule}]}
    )
    return AccessList(settings, context)


def test_groups_are_of_methods_there_are() -> None:
    assert {method for members in METHOD_GROUPS.values() for method in members} <= KNOWN_METHODS


def test_group_that_does_not_exist() -> None:
    with pytest.raises(SettingsError, match='"@lists" is not one of @lifecycle, @list') as error:
        build({"methods": ["ping", "@lists"]})
    assert error.value.path == ("rules", 1, "methods", 1)


@pytest.mark.parametrize("pattern", ["file", "*s3"])
def test_pattern_of_servers_that_matches_none(pattern: str) -> None:
    with pytest.raises(SettingsError, match="declared are: files, mail") as error:
        build({"servers": ["mail", pattern]})
    assert error.value.path == ("rules", 1, "servers", 1)


@pytest.mark.parametrize("pattern", ["files", "m*", "*"])
def test_pattern_of_servers_that_matches_some(pattern: str) -> None:
    build({"servers": [pattern]})


def test_servers_where_none_is_declared() -> None:
    with pytest.raises(SettingsError, match="the policy declares no servers"):
        build({"servers": ["*"]}, GuardContext(guard_id="access_list"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"default": "maybe"},
        {"default": "deny", "rules": [{}]},
        {"default": "deny", "rules": [{"action": "allow", "tools": []}]},
        {"default": "deny", "rules": [{"action": "allow", "tools": [""]}]},
        {"default": "deny", "rules": [{"action": "allow", "tool": ["search"]}]},
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccessListSettings.model_validate(settings)
