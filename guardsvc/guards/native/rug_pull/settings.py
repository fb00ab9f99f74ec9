"""Settings of ``rug_pull``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from guardsvc.config import Secret
from guardsvc.model import Settings

__all__ = ["DEFAULT_STORAGE", "RugPullSettings"]

DEFAULT_STORAGE = "sqlite:/var/lib/guardsvc/baseline.db"
Weight = Annotated[float, Field(ge=0, le=100)]


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f'"{path[:80]}" is not an absolute path')
    return path


File = Annotated[str, AfterValidator(_absolute)]


class RugPullSettings(Settings):
    """What is trusted, where that is kept, and how much of a change is too much."""

    trust: Literal["first_use", "approval"] = Field(
        default="first_use",
        description="`first_use` trusts what a clean and complete list shows first, and weighs later changes of it; "
        "`approval` trusts what a person approved, and refuses every change of it.",
    )
    when_unknown: Literal["allow", "deny"] | None = Field(
        default=None,
        description="What becomes of a call to something that is not trusted yet: `allow` with a finding, the default "
        "under `first_use`, or `deny`, the default under `approval`.",
    )
    on_change: Literal["deny_list", "drop_tool"] = Field(
        default="deny_list",
        description="What becomes of a list with a refused change: it is denied, or goes on without the entry.",
    )
    storage: Literal["memory"] | Secret = Field(
        default=Secret(DEFAULT_STORAGE),
        union_mode="left_to_right",
        description="`memory` of the process, `sqlite:/path` that the workers of a host share, or the URL of a Redis "
        "or Valkey that replicas share.",
    )
    per_worker: bool = Field(
        default=False,
        description="Let each worker keep its own; without it, memory with several workers is an error.",
    )
    lockfile: File | None = Field(
        default=None,
        description="File of approved definitions, as `guardsvc baseline export` writes it; read with the "
        "configuration. What it names is approved, and nothing but the file changes that.",
    )
    risk_threshold: float = Field(
        default=5, gt=0, le=1000, description="Sum of weights from which on a change is refused, where it is weighed."
    )
    poisoning_weight: Weight = Field(
        default=12.5, description="Times the score (0 to 1) of what `tool_poisoning` finds in the added text alone."
    )
    relaxed_annotation_weight: Weight = Field(
        default=5, description="A hint says that the tool does less harm than before."
    )
    new_parameter_weight: Weight = Field(default=0, description="A parameter that was not there.")
    sink_weight: Weight = Field(
        default=2, description="Added text or a new parameter names an address to send to: a URL, an email address."
    )
    schema_change_weight: Weight = Field(default=0, description="A schema takes more values than before.")
    description_change_weight: Weight = Field(default=0, description="Text is added.")
    removal_weight: Weight = Field(default=0, description="A parameter is gone, or a schema takes fewer values.")
    rename_weight: Weight = Field(
        default=5, description="A definition that was pinned under another name, which the list has no more."
    )
    addition_weight: Weight = Field(
        default=0, description="An entry that is new at a server of which others are pinned."
    )
    update_baseline_on_allow: bool = Field(
        default=True,
        description="Whether a change that was weighed and allowed is pinned. It is weighed against what was trusted "
        "first all the same, so that small changes add up.",
    )
    max_entries: int = Field(
        default=2000, ge=1, le=100_000, description="Most pins of one tenant and server; beyond, nothing is learned."
    )

    @property
    def denies_unknown(self) -> bool:
        """``when_unknown``, or its default."""
        return (self.when_unknown or ("deny" if self.trust == "approval" else "allow")) == "deny"
