"""The guard: questions of servers, answers of clients, and the state that goes between them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.input_request.forms import is_for_secret, takes_text
from guardsvc.guards.native.input_request.questions import (
    ASKING,
    Question,
    fields_of,
    is_too_large,
    questions_of,
    sampled_texts,
    token,
)
from guardsvc.guards.native.input_request.rules import RULES, TOO_LARGE, finding
from guardsvc.guards.native.input_request.settings import InputRequestSettings
from guardsvc.guards.native.input_request.states import RESULTS, need_of
from guardsvc.guards.native.input_request.urls import host_of, url_rules, urls_in
from guardsvc.guards.native.input_request.words import asks_for_secret, names_secret
from guardsvc.guards.native.rug_pull.weighing import signs_of
from guardsvc.guards.native.secrets import Secrets, SecretsSettings
from guardsvc.guards.native.storage import store_of
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    Globs,
    GuardContext,
    GuardType,
    Operation,
    Phase,
    Severity,
    Verdict,
    reason_for,
)
from guardsvc.state.request_states import REQUEST_STATES, Holding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["INPUT_REQUEST", "InputRequest"]

CODE = "input_request_refused"
STATE_CODE = "state_mismatch"
_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_BLOCK, _REVIEW = 0.85, 0.4
_SHORT = 256
"""Characters of a message that tells what a form is for, and of what a finding shows."""
_MAX_APART = 64
"""Texts of a sampling request that are judged each by itself; further ones are judged as one text."""
_MAX_ROOTS = 64
"""Roots of one answer that are reported."""
_WHOLE_DISK = frozenset({"file:", "file:///etc", "file:///root", "file:///home", "file:///users"})
"""Roots without the slashes at their end."""


class InputRequest:
    """The guard; see ``InputRequestSettings``."""

    def __init__(self, settings: InputRequestSettings, context: GuardContext) -> None:
        self._settings = settings
        self._store = store_of(settings, context)
        self._hosts = None if settings.url_hosts is None else Globs(host.lower() for host in settings.url_hosts)
        self._literals = tuple(host.lower() for host in settings.url_hosts or () if "*" not in host)
        self._secrets = Secrets(SecretsSettings(action="log"), GuardContext(guard_id=context.guard_id))
        self._denies = {
            rule for rule, (severity, _) in RULES.items() if _RANKS[severity] >= _RANKS[Severity(settings.deny_from)]
        }
        self._denies -= {"secret_in_answer", "unknown_state"}
        self._denies |= {"secret_in_answer"} if settings.answers == "deny" else set()
        self._denies |= {"unknown_state"} if settings.unknown_state == "deny" else set()
        signs_of("")

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """To whom a state was given, where one comes back or is given."""
        need = need_of(operation, self._store, self._settings.state_ttl_s)
        return {} if need is None else {REQUEST_STATES: need}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Judge what is asked, or what is answered."""
        findings = tuple(self._findings(operation, facts.get(REQUEST_STATES)))
        return self.reconsider(operation, findings) if findings else ALLOW

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all there is."""
        del operation
        denying = {found.rule for found in findings} & self._denies
        if not denying:
            return Allow(findings=findings) if findings else ALLOW
        code = STATE_CODE if denying <= {"foreign_state", "unknown_state"} else CODE
        return Deny(code=code, message=reason_for(code).text, findings=findings)

    def _findings(self, operation: Operation, held: Any) -> Iterator[Finding]:
        if operation.direction is Direction.REQUEST:
            if operation.phase is Phase.INPUT_RESPONSE:
                yield from self._of_answer(operation, held)
            return
        questions = questions_of(operation)
        if is_too_large(questions, self._settings.max_text):
            yield finding(TOO_LARGE, "")
            return
        if len(questions) > self._settings.max_requests:
            yield finding("too_many_requests", "/inputRequests", f"{len(questions)} questions")
        for question in questions:
            yield from self._of_question(question)

    def _of_question(self, question: Question) -> Iterator[Finding]:
        what = ASKING.get(question.method) if type(question.method) is str else None
        params = {} if question.params is None and what == "roots" else question.params
        if what is None or type(params) is not dict:
            yield finding("unknown_request", question.where)
            return
        is_url = (what == "elicitation" and params.get("mode") == "url") or (what == "elicitation" and "url" in params)
        if ("url" if is_url else what) not in self._settings.allowed:
            yield finding("not_allowed", question.where, "url" if is_url else what)
        if what == "elicitation":
            yield from self._of_elicitation(question.where, params, is_url=is_url)
        elif what == "sampling":
            yield from self._of_sampling(question.where, params)

    def _of_elicitation(self, where: str, params: dict[str, Any], *, is_url: bool) -> Iterator[Finding]:
        message = params.get("message")
        if is_url:
            yield from self._of_url(f"{where}/url" if "url" in params else where, params.get("url"))
        free = False
        fields = fields_of(params)
        asked = message if type(message) is str and len(message) <= _SHORT else ""
        for name, field in fields.items():
            if not takes_text(field):
                continue
            free = True
            if is_for_secret(name, field, asked, fields):
                at = f"{where}/requestedSchema/properties/{token(name)}"
                yield finding("asks_for_secret", at, excerpt(name))
        if type(message) is str:
            for url in urls_in(message):
                yield from self._of_url(f"{where}/message", url)
            if free and asks_for_secret(message):
                yield finding("asks_for_secret", f"{where}/message")
            elif free and names_secret(message):
                yield finding("message_about_secret", f"{where}/message")
            yield from (found for found in _of_text(f"{where}/message", message) if found.rule == "covert_instructions")

    def _of_url(self, where: str, url: Any) -> Iterator[Finding]:
        if type(url) is not str:
            yield finding("malformed_url", where)
            return
        for rule in url_rules(url, self._hosts, self._literals):
            host = host_of(url.partition("://")[2].partition("/")[0])
            yield finding(rule, where, excerpt(host[:_SHORT]))

    def _of_sampling(self, where: str, params: dict[str, Any]) -> Iterator[Finding]:
        if params.get("includeContext") == "allServers":
            yield finding("include_context", f"{where}/includeContext", "allServers")
        tokens = params.get("maxTokens")
        if isinstance(tokens, int | float) and not isinstance(tokens, bool) and tokens > self._settings.max_tokens:
            yield finding("max_tokens", f"{where}/maxTokens", f"{tokens:.0f}")
        if params.get("tools"):
            yield finding("sampling_tools", f"{where}/tools")
        texts = list(sampled_texts(params))
        for place, text in texts[:_MAX_APART]:
            yield from _of_text(where + place, text)
        if rest := texts[_MAX_APART:]:
            yield from _of_text(f"{where}/messages", "\n\n".join(text for _, text in rest))

    def _of_answer(self, operation: Operation, held: Any) -> Iterator[Finding]:
        if isinstance(held, Holding) and not held.own:
            yield finding("foreign_state" if held.known else "unknown_state", "/requestState")
        if self._settings.answers != "ignore":
            for found in self._secrets.evaluate(operation, {}).findings:
                yield finding("secret_in_answer", found.where, f"{found.rule} {found.excerpt}".strip())
        broad = (where for where, uri in _roots(operation.payload) if _is_broad(uri))
        for where in islice(broad, _MAX_ROOTS):
            yield finding("broad_root", where)


def _of_text(where: str, text: str) -> Iterator[Finding]:
    """What ``tool_poisoning`` finds in a text that a model or a user is to read."""
    signs = signs_of(text)
    innocent = 1.0
    for weight in signs.values():
        innocent *= 1 - weight
    if 1 - innocent >= _REVIEW:
        rule = "covert_instructions" if 1 - innocent >= _BLOCK else "doubtful_instructions"
        yield finding(rule, where, ", ".join(sorted(signs))[:_SHORT])


def _roots(payload: Any) -> Iterator[tuple[str, str]]:
    answers: list[tuple[str, Any]] = [("", payload)]
    responses = payload.get("inputResponses") if type(payload) is dict else None
    if type(responses) is dict:
        answers += [(f"/inputResponses/{token(name)}", value) for name, value in responses.items()]
    for where, answer in answers:
        roots = answer.get("roots") if type(answer) is dict else None
        for index, root in enumerate(roots if type(roots) is list else ()):
            uri = root.get("uri") if type(root) is dict else None
            if type(uri) is str:
                yield f"{where}/roots/{index}/uri", uri


def _is_broad(uri: str) -> bool:
    root = uri.lower().rstrip("/")
    drive = root.removeprefix("file:///")
    return root in _WHOLE_DISK or (len(drive) == 2 and drive[0].isalpha() and drive[1] in ":|")  # noqa: PLR2004


INPUT_REQUEST = GuardType(
    name="input_request",
    settings=InputRequestSettings,
    build=InputRequest,
    runs_on=frozenset({Phase.INPUT_REQUEST, Phase.INPUT_RESPONSE, *RESULTS}),
    facts=(REQUEST_STATES,),
    code=CODE,
    rules=lambda _: frozenset(RULES),
    unexceptable=frozenset({TOO_LARGE}),
    summary="Refuses questions of servers that fish for credentials or misuse the client's model, and stolen states.",
)
