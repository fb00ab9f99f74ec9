"""``guardsvc exception add``: an exception of the policy made of what the audit says of a decision."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from guardsvc.cli.exception_file import with_exceptions, write_exceptions
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.config.insert import InsertError, block
from guardsvc.model import SubjectKind
from guardsvc.policy import AmbiguousServerError, Policy
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["AddOptions", "run_add"]

MAX_TEXT = 256
"""Characters of a text that the audit keeps, and that a criterion may have."""
CUT = "…"
"""How the audit ends a text that it has cut."""
_CRITERIA = ("rule", "guard", "server", "tool", "where", "tenant", "principal")
_LISTED = re.compile(r"/tools/[0-9]+(?=/|$)")


@dataclass(frozen=True)
class AddOptions:
    """What the command line says; see ``guardsvc exception add --help``."""

    decision: str
    audit: tuple[str, ...]
    config: str
    reason: str
    until: str | None
    rules: tuple[str, ...]
    for_caller: bool
    write: bool


def run_add(options: AddOptions) -> None:
    """Print the exceptions to paste, or write them into the file; nothing that does not validate is written."""
    if not options.reason.strip():
        _end("--reason is empty; say why the findings are false, for those who read the exception later")
    if options.until is not None and datetime.fromisoformat(options.until).timestamp() <= time.time():
        _end(f"--until {options.until} is over: the exception would set nothing aside")
    policy = load_configuration(Path(options.config)).policy
    record = _record(options)
    if options.for_caller and not record.get("verified"):
        _end(f"the caller of decision {options.decision} is not verified; no exception can be for it alone")
    items = _items(record, policy, options)
    path = Path(options.config)
    try:
        if options.write:
            write_exceptions(path, items)
            print(f"{path}: {len(items)} exception{'s' * (len(items) != 1)} added", file=sys.stderr)
        else:
            with suppress(InsertError):
                with_exceptions(path, path.read_bytes(), items)
            print("policy:\n  exceptions:")
    except InsertError as error:
        _end(f"{path}: {error}; without --write the exception is printed, to be pasted")
    except OSError as error:
        _end(f"{path} cannot be written: {error.strerror}")
    print("".join(block(item, 4) for item in items), end="")


def _items(record: dict[str, Any], policy: Policy, options: AddOptions) -> list[dict[str, Any]]:
    """The exceptions that the file has not yet; ends the command where there is none."""
    items = [_item(finding, guard, record, policy, options) for guard, finding in _findings(record, policy, options)]
    items = [item for index, item in enumerate(items) if item not in items[:index]]
    if there := [name for item in items if (name := _there(item, policy)) is not None]:
        items = [item for item in items if _there(item, policy) is None]
        if not items:
            _end(f"{options.config} has all of it already: {', '.join(dict.fromkeys(there))}")
    if not items and (incomplete := _unexceptable(record, policy, options)):
        _end(
            f"decision {options.decision} rests on {', '.join(incomplete)}: not all of the message was looked at, "
            "and no exception can set that aside"
        )
    if not items:
        _end(
            f"decision {options.decision} has no finding that an exception can set aside"
            + (f" of rule {', '.join(options.rules)}" if options.rules else "")
        )
    return _named(items, policy, options)


def _record(options: AddOptions) -> dict[str, Any]:
    """The audit record of the decision."""
    found = (record for file in options.audit for record in _records(file, options.decision))
    record = next(found, None)
    if record is None:
        _end(f"no record of decision {options.decision} in {', '.join(options.audit)}")
    return record


def _records(file: str, decision: str) -> Iterator[dict[str, Any]]:
    """The records of a decision in a file; what is no record, such as a torn line, is passed over."""
    try:
        with Path(file).open("rb") as lines:
            for line in lines:
                if decision.encode() not in line:
                    continue
                with suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict) and record.get("decision_id") == decision:
                        yield record
    except OSError as error:
        _end(f"{file} cannot be read: {error.strerror}")


def _findings(record: dict[str, Any], policy: Policy, options: AddOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """Guard and finding: those of the guard that refused, or of all where none did."""
    unexceptable = _unexceptable_rules(policy)
    for guard, finding in _standing(record, policy, options):
        if finding["rule"] not in unexceptable[guard]:
            yield guard, finding


def _unexceptable(record: dict[str, Any], policy: Policy, options: AddOptions) -> list[str]:
    """The rules of the decision's findings that no exception can set aside."""
    unexceptable = _unexceptable_rules(policy)
    standing = _standing(record, policy, options)
    return sorted({finding["rule"] for guard, finding in standing if finding["rule"] in unexceptable[guard]})


def _unexceptable_rules(policy: Policy) -> dict[str, frozenset[str]]:
    return {bound.id: bound.type.unexceptable for bound in policy.guards}


def _standing(record: dict[str, Any], policy: Policy, options: AddOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    suppressible = {bound.id for bound in policy.guards if bound.type.suppressible}
    for outcome in record.get("guards", ()):
        guard = outcome["guard"]
        if guard not in suppressible or record.get("guard") not in (None, guard):
            continue
        for finding in outcome.get("findings", ()):
            if not finding.get("suppressed_by") and (not options.rules or finding["rule"] in options.rules):
                yield guard, finding


def _item(
    finding: dict[str, Any], guard: str, record: dict[str, Any], policy: Policy, options: AddOptions
) -> dict[str, Any]:
    server, tool = _tool(finding, record, policy)
    where = finding.get("where") or None
    caller = record.get("principal") if options.for_caller else None
    tenant = record.get("tenant") if record.get("verified") else None
    told = {"rule": finding["rule"], "server": server, "tool": tool, "where": where, "tenant": tenant}
    for name, text in {**told, "principal": caller}.items():
        if text is not None and "*" in text:
            _end(
                f"the {name} of decision {options.decision} has a * of its own, which an exception would take for any "
                "run of characters; write the exception by hand"
            )
    if where is not None and tool is not None:
        where = _LISTED.sub("/tools/*", where, count=1) if finding.get("tool") else where
    item = {
        "rule": _whole(finding["rule"]),
        "guard": guard,
        "server": server,
        "tool": _whole(tool),
        "where": _whole(where),
        "tenant": _whole(tenant),
        "principal": _whole(caller),
        "until": options.until,
        "reason": options.reason,
    }
    return {name: value for name, value in item.items() if value is not None}


def _named(items: Sequence[dict[str, Any]], policy: Policy, options: AddOptions) -> list[dict[str, Any]]:
    """The items with an id each, by which metrics and records know them whatever is put before them or removed."""
    taken = {entry.id for entry in policy.exceptions}
    named = []
    for item in items:
        stem = f"{item['rule'][:200]}-{options.decision[-8:]}"
        ids = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
        name = next(each for each in ids if each not in taken)
        taken.add(name)
        named.append({"id": name, **item})
    return named


def _there(item: dict[str, Any], policy: Policy) -> str | None:
    """The exception of the policy that is the same but for its reason and its end, if that is not over."""
    criteria = {name: item.get(name) for name in _CRITERIA}
    for entry, settings in zip(policy.exceptions, policy.settings.exceptions, strict=True):
        if not entry.is_expired(time.time()) and {name: getattr(settings, name) for name in _CRITERIA} == criteria:
            return entry.id
    return None


def _tool(finding: dict[str, Any], record: dict[str, Any], policy: Policy) -> tuple[str | None, str | None]:
    """Server and the server's own name of the tool; in a list the audit has it as the gateway shows it."""
    listed, server = finding.get("tool"), record.get("server")
    if listed is None:
        return server, record.get("subject") if record.get("subject_kind") == SubjectKind.TOOL else None
    servers = (server,) if server else tuple(record.get("servers", ()))
    try:
        if servers:
            place = policy.servers.place_among(servers, kind=SubjectKind.TOOL, subject=listed)
        else:
            place = policy.servers.place(server_id=None, host="", kind=SubjectKind.TOOL, subject=listed)
    except AmbiguousServerError:
        return server, listed
    return place.server or server, place.subject


def _whole(text: str | None) -> str | None:
    """The text as a glob; of one that the audit has cut, whatever follows."""
    if text is None:
        return None
    # A text of its own may end as one that was cut does.
    return f"{text.removesuffix(CUT)[:255]}*" if len(text) > MAX_TEXT else text


def _end(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
