"""Denials: how a policy words its refusals to clients, by templates that can repeat nothing of the message."""

from __future__ import annotations

import re
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from guardsvc.model import Settings, SettingsError

__all__ = ["DenialSettings"]

MESSAGE_FIELDS = ("message", "reason", "decision_id", "support_url")
URL_FIELDS = ("reason", "decision_id")

_URL = re.compile(r"https?://[!-~]+")


def _check_message(template: str) -> str:
    return _check(template, MESSAGE_FIELDS)


def _check_url(template: str) -> str:
    if not _URL.fullmatch(template):
        raise ValueError("not an http or https URL in plain ASCII")
    return _check(template, URL_FIELDS)


def _check(template: str, fields: tuple[str, ...]) -> str:
    legal = ", ".join(f"{{{field}}}" for field in fields)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"not a template: {error}; a brace itself is written twice") from error
    for _, field, form, conversion in parts:
        if field is not None and (field not in fields or form or conversion):
            raise ValueError(f'"{{{field[:80]}}}" is not one of {legal}, as they stand here')
    return template


class DenialSettings(Settings):
    """How a refusal is told to the client."""

    status: Literal[200, 403] = Field(
        default=200, description="HTTP status of a refused request where no specification fixes one."
    )
    message: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_check_message)] | None = Field(
        default=None,
        description="Template of `error.message`: `{message}` is what it would be without one, `{reason}` the reason "
        "code, `{decision_id}` the decision, `{support_url}` the link; a brace itself is written twice.",
    )
    support_url: Annotated[str, Field(max_length=500), AfterValidator(_check_url)] | None = Field(
        default=None,
        description="Where a client's user finds help, as `error.data.support_url`; a template with `{reason}` and "
        "`{decision_id}`.",
    )

    @model_validator(mode="after")
    def _links_somewhere(self) -> Self:
        fields = {field for _, field, _, _ in Formatter().parse(self.message or "")}
        if "support_url" in fields and self.support_url is None:
            raise SettingsError(("message",), "{support_url} is used, but support_url is not given")
        return self

    @property
    def plain(self) -> bool:
        """Whether refusals are told as guards and the table of reasons word them."""
        return self.message is None and self.support_url is None

    def link(self, *, reason: str, decision_id: str) -> str | None:
        """The support link of one refusal, None where there is none."""
        return None if self.support_url is None else self.support_url.format(reason=reason, decision_id=decision_id)

    def word(self, message: str, *, reason: str, decision_id: str) -> str:
        """The sentence of one refusal.

        Args:
            message: what the guard or the table of reasons says.
            reason: the reason code.
            decision_id: the decision.
        """
        if self.message is None:
            return message
        link = self.link(reason=reason, decision_id=decision_id)
        return self.message.format(message=message, reason=reason, decision_id=decision_id, support_url=link)
