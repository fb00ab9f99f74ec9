"""SARIF 2.1.0 (OASIS): findings as tools for code scanning read them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import guardsvc
from guardsvc.model import Severity
from guardsvc.traffic import locate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.cli.scan.judge import Found

__all__ = ["sarif"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: ("error", "9.5"),
    Severity.HIGH: ("error", "8.0"),
    Severity.MEDIUM: ("warning", "5.5"),
    Severity.LOW: ("note", "3.0"),
    Severity.INFO: ("note", "0.0"),
}
_ORDER = tuple(Severity)


def sarif(findings: Sequence[Found], *, files: dict[str, str], complete: bool) -> dict[str, Any]:
    """The log of one run.

    Args:
        findings: what was found.
        files: the text of each catalog that was read from a file, by target.
        complete: whether every target could be scanned.
    """
    rules: dict[str, list[Found]] = {}
    for found in findings:
        rules.setdefault(_rule_id(found), []).append(found)
    indexes = {rule: index for index, rule in enumerate(rules)}
    driver = {
        "name": "guardsvc",
        "version": guardsvc.__version__,
        "semanticVersion": guardsvc.__version__,
        "rules": [_rule(rule, of_rule) for rule, of_rule in rules.items()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": complete}],
        "results": [_result(found, indexes, files) for found in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule_id(found: Found) -> str:
    return f"{found.type}/{found.rule}"


def _rule(rule: str, found: Sequence[Found]) -> dict[str, Any]:
    worst = max((each.severity for each in found), key=_ORDER.index)
    threats = sorted({threat for each in found for threat in each.threats})
    page = found[0].type
    return {
        "id": rule,
        "name": "".join(part.capitalize() for part in rule.replace("/", "_").split("_")),
        "shortDescription": {"text": f"{page}: {found[0].rule}"},
        "help": {"text": f"docs/guards/{page}.md of guardsvc tells what the rules of {page} look for."},
        "defaultConfiguration": {"level": _LEVELS[worst][0]},
        "properties": {"tags": ["security", *threats], "threats": threats, "security-severity": _LEVELS[worst][1]},
    }


def _result(found: Found, indexes: dict[str, int], files: dict[str, str]) -> dict[str, Any]:
    about = f"{found.kind} {found.name}".strip()
    text = ": ".join(part for part in (f"{found.rule} in {about}", found.text, found.excerpt) if part)
    identity = f"{found.server}\n{found.kind}\n{found.name}\n{found.guard}\n{found.rule}\n{found.where}"
    return {
        "ruleId": _rule_id(found),
        "ruleIndex": indexes[_rule_id(found)],
        "level": _LEVELS[found.severity][0],
        "message": {"text": text},
        "locations": [_location(found, files)],
        "partialFingerprints": {"guardsvcFinding/v1": sha256(identity.encode("utf-8", "replace")).hexdigest()},
        "properties": {
            "severity": str(found.severity),
            "threats": list(found.threats),
            "guard": found.guard,
            "verdict": found.verdict,
            "server": found.server,
        },
    }


def _location(found: Found, files: dict[str, str]) -> dict[str, Any]:
    text = files.get(found.target)
    uri = quote(found.target, safe="/:@") if text is None else quote(Path(found.target).as_posix())
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    spot = locate(text, found.where) if text and found.where else None
    physical["region"] = {"startLine": spot.line, "startColumn": spot.column} if spot else {"startLine": 1}
    logical = {
        "name": found.name or found.server,
        "fullyQualifiedName": "/".join(filter(None, (found.server, found.kind, found.name))),
        "kind": found.kind,
    }
    return {"physicalLocation": physical, "logicalLocations": [logical]}
