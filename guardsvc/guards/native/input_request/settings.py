"""Settings of ``input_request``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.guards.native.storage import StoredSettings

__all__ = ["InputRequestSettings"]

Host = Annotated[str, Field(min_length=1, max_length=253)]


class InputRequestSettings(StoredSettings):
    """What servers may ask, and what becomes of the rest."""

    allowed: tuple[Literal["elicitation", "url", "sampling", "roots"], ...] = Field(
        default=("elicitation", "url", "sampling", "roots"),
        description="What a server may ask for: forms (`elicitation`), visits of a page (`url`), answers of the "
        "client's model (`sampling`), the client's folders (`roots`).",
    )
    url_hosts: tuple[Host, ...] | None = Field(
        default=None, description="Hosts that a user may be sent to, as globs; any where this is left out."
    )
    max_tokens: int = Field(
        default=16_384, ge=1, le=10_000_000, description="Most tokens that a server may have sampled at once."
    )
    max_requests: int = Field(default=8, ge=1, le=1000, description="Most questions of one result.")
    max_text: int = Field(
        default=262_144,
        ge=1024,
        le=16_777_216,
        description="Characters that the questions of one message have at most, in all their texts.",
    )
    answers: Literal["deny", "report", "ignore"] = Field(
        default="deny", description="What becomes of an answer that carries a credential (`secrets` says which)."
    )
    unknown_state: Literal["allow", "deny"] = Field(
        default="allow",
        description="What becomes of a `requestState` that nobody was seen to be given: where responses are not shown, "
        "after `state_ttl_s`, or with a memory that begins anew.",
    )
    state_ttl_s: int = Field(
        default=3600, ge=60, le=604_800, description="Seconds for which it is remembered who was given a state."
    )
    deny_from: Literal["low", "medium", "high"] = Field(
        default="high", description="Severity from which on a finding denies."
    )
