"""Variants: a candidate version of a guard beside the current one, for a stable share of the callers.

Which caller is in the share depends on the salt, the tenant and the verified principal alone: it is the same in every
worker, behind every gateway and after every reload.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from guardsvc.model import Allow, Deny, Mode, Modify, Settings

if TYPE_CHECKING:
    from guardsvc.model import Verdict

__all__ = ["CANDIDATE", "CURRENT", "ERROR", "NONE", "OUTCOMES", "Assignment", "Told", "VariantSettings", "told_of"]

CURRENT, CANDIDATE = "current", "candidate"
"""The arms."""
NONE, ERROR = "none", "error"
OUTCOMES = (NONE, "allow", "warn", "modify", "deny", ERROR)
"""What came of asking an arm; ``none`` where it has nothing that judges such an operation."""

_WHOLE = 2**64


class VariantSettings(Settings):
    """A candidate version of the component. What is not said here is as for the current one."""

    module: str = Field(min_length=1, max_length=4096, description="The candidate, as `module` names the current one.")
    digest: str | None = Field(
        default=None, pattern=r"^sha256:[0-9a-f]{64}$", description="Digest that the candidate must have."
    )
    allow_unsigned: bool = Field(default=False, description="Accept a candidate whose digest is not given.")
    config: dict[str, Any] | None = Field(
        default=None, description="Settings for the candidate; those of the current version by default."
    )
    share: float = Field(gt=0, le=100, description="Percent of the verified principals.")
    salt: str = Field(
        min_length=1,
        max_length=256,
        description="Makes the choice of the share: the same salt, the same callers; another one, others.",
    )
    mode: Mode = Field(
        default=Mode.SHADOW,
        description="`shadow`: the candidate judges beside the current version, which decides. `enforce`: it decides "
        "for the callers of its share, and the current version judges beside it.",
    )


class Assignment:
    """Who is in the share.

    Args:
        salt: see ``VariantSettings``.
        share: percent.
    """

    def __init__(self, salt: str, share: float) -> None:
        self._key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
        self._below = int(_WHOLE * share / 100)

    def chooses(self, tenant: str | None, principal: str | None, *, verified: bool) -> bool:
        """Whether a caller is in the share; never one whose principal is not verified."""
        if not verified or not principal:
            return False
        named = (tenant or "").encode("utf-8", "surrogatepass")
        text = len(named).to_bytes(4, "big") + named + principal.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._below


class Told(NamedTuple):
    """What came of asking an arm.

    Attributes:
        outcome: one of ``OUTCOMES``.
        more: code of a denial or kind of a failure, what goes on, texts of warnings: two that differ here differ.
    """

    outcome: str
    more: Any = None


def told_of(verdict: Verdict) -> Told:
    """A verdict in short."""
    match verdict:
        case Deny(code=code):
            return Told("deny", code)
        case Modify(payload=payload):
            return Told("modify", payload)
        case Allow(findings=findings) if findings:
            return Told("warn", [finding.excerpt for finding in findings])
        case _:
            return Told("allow")
