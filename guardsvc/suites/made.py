"""Made: what a case has the guard or the policy judge, checked and ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guardsvc.guards.registry import load_registry
from guardsvc.model import Caller, FailureMode, GuardContext, GuardType, Mode, ServerNames, SettingsError
from guardsvc.policy import BoundGuard
from guardsvc.policy.findings import check_actions
from guardsvc.policy.settings import GuardEntry
from guardsvc.suites.form import CaseForm, MessageForm, OperationForm, RequestForm
from guardsvc.suites.given import caller, http_message, http_request, parse_http, wrong_headers
from guardsvc.suites.repeat import RepeatError, repeated

if TYPE_CHECKING:
    from guardsvc.config import Checker
    from guardsvc.config.problems import Path
    from guardsvc.mcp import HttpRequest

__all__ = ["Made", "make"]

TIMEOUT = 60.0
"""Seconds; a slow machine is no failed expectation."""

_OF_GUARDS = ("settings", "rules", "servers", "hosts", "tool_prefixes", "schemas")
_OF_POLICIES = ("server",)
_GUARD_SERVERS = ("files",)


@dataclass(frozen=True)
class Made:
    """What is judged.

    Attributes:
        at: seconds on the clock of the sources of facts.
        given: the operation, or the request it is read from.
        by: who calls.
        reaches: canonical names of the servers it may reach; None leaves it to the policy.
        server: what the gateway calls the server.
        host: of the request.
        bound: the guard, None where a policy is tested.
    """

    at: float
    given: OperationForm | HttpRequest
    by: Caller
    reaches: tuple[str, ...] | None
    server: str | None
    host: str
    bound: BoundGuard | None


def make(
    checker: Checker, form: CaseForm, path: Path, guard: GuardType[Any] | None, *, tests_guard: bool
) -> Made | None:
    """Make what a case gives, or note what is wrong with it and return None.

    Args:
        checker: collects the problems.
        form: the case.
        path: where it stands.
        guard: the guard type under test, None where it is a policy or not known; what comes before a case may
            name another one.
        tests_guard: whether a guard is tested.
    """
    before = len(checker.problems)
    if form.guard is not None:
        guard = _other_guard(checker, form.guard, (*path, "guard"), tests_guard=tests_guard)
    for key in _OF_POLICIES if tests_guard else _OF_GUARDS:
        if key in form.model_fields_set:
            wrong = "a suite of a policy" if tests_guard else "a suite of one guard"
            checker.add((*path, key), f"it is for {wrong}")
    if tests_guard and form.expect is not None and form.expect.applied is not None:
        checker.add((*path, "expect", "applied"), "it is for a suite of a policy")
    form = _repeated(checker, form, path)
    given = _given(checker, form, path)
    bound = None if guard is None else _bind(checker, form, path, guard)
    if given is None or len(checker.problems) > before:
        return None
    return Made(
        at=form.at,
        given=given,
        by=caller(form.caller),
        reaches=_GUARD_SERVERS if tests_guard and form.reaches is None else form.reaches,
        server=form.server,
        host=form.host or "",
        bound=bound,
    )


def _other_guard(checker: Checker, name: str, path: Path, *, tests_guard: bool) -> GuardType[Any] | None:
    registry = load_registry()
    if not tests_guard:
        checker.add(path, "it is for a suite of one guard")
    elif name not in registry:
        checker.add(path, f'"{name}" is not one of {", ".join(registry)}')
    return registry.get(name)


def _repeated(checker: Checker, form: CaseForm, path: Path) -> CaseForm:
    if not form.repeat:
        return form
    payload = {} if form.operation is None else {"operation": {"payload": form.operation.payload}}
    try:
        made = repeated({**payload, "request": form.request, "message": form.message}, form.repeat)
    except RepeatError as error:
        checker.add((*path, "repeat", error.pointer), str(error))
        return form
    if form.operation is not None:
        made["operation"] = form.operation.model_copy(update=made["operation"])
    return form.model_copy(update=made)


def _given(checker: Checker, form: CaseForm, path: Path) -> OperationForm | HttpRequest | None:
    if form.operation is not None:
        _check_headers(checker, form.operation.headers, (*path, "operation", "headers"))
        return form.operation
    host = form.host or "files.example"
    if form.message is not None:
        message = checker.check(MessageForm, form.message, (*path, "message"), literal=True)
        return None if message is None else http_message(message, host)
    place = (*path, "request")
    if form.request is None:
        checker.add(path, "one of operation, request, message is missing")
        return None
    if isinstance(form.request, str):
        try:
            return parse_http(form.request, host)
        except ValueError as error:
            checker.add(place, str(error))
            return None
    request = checker.check(RequestForm, form.request, place, literal=True)
    if request is None:
        return None
    if _check_headers(checker, request.headers, (*place, "headers")):
        return None
    if "host" not in request.model_fields_set:
        request = request.model_copy(update={"host": host})
    try:
        return http_request(request)
    except ValueError as error:
        checker.add((*place, "body_base64"), f"not base64: {error}")
        return None


def _check_headers(checker: Checker, headers: dict[str, Any], path: Path) -> bool:
    wrong = list(wrong_headers(headers))
    for name in wrong:
        checker.add((*path, name), "a header's value is a string, or a list of strings where it is repeated")
    return bool(wrong)


def _bind(checker: Checker, form: CaseForm, path: Path, guard_type: GuardType[Any]) -> BoundGuard | None:
    settings: Any = checker.check(guard_type.settings, form.settings, (*path, "settings"))
    if settings is None:
        return None
    schemas = {(server, tool): schema for server, tools in form.schemas.items() for tool, schema in tools.items()}
    servers = frozenset(form.servers if form.servers is not None else _GUARD_SERVERS)
    context = GuardContext(
        guard_id=guard_type.name,
        servers=servers,
        names={
            server: ServerNames(
                ids=(server,), hosts=form.hosts.get(server, ()), tool_prefixes=form.tool_prefixes.get(server, ())
            )
            for server in servers
        },
        input_schemas=schemas,
        actions={rule: of_rule.action for rule, of_rule in form.rules.items()},
    )
    rules = None if guard_type.rules is None else frozenset(guard_type.rules(settings))
    entry = GuardEntry(type=guard_type.name, rules=form.rules)
    check_actions(entry, guard_type, rules, checker, (*path, "rules"))
    try:
        guard = guard_type.build(settings, context)
    except SettingsError as error:
        checker.add((*path, "settings", *error.path), str(error))
        return None
    return BoundGuard(
        id=guard_type.name,
        type=guard_type,
        guard=guard,
        priority=0,
        failure_mode=FailureMode.FAIL_CLOSED,
        timeout=TIMEOUT,
        mode=Mode.ENFORCE,
        points=frozenset(),
        actions=context.actions,
        rules=rules,
    )
