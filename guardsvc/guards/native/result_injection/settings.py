"""Settings of ``result_injection``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.model import Settings

__all__ = ["Action", "ResultInjectionSettings"]

Id = Annotated[str, Field(min_length=1, max_length=128)]
Action = Literal["log", "annotate", "deny"]


class ResultInjectionSettings(Settings):
    """What is looked at, how much it takes, and what becomes of it."""

    block_threshold: float = Field(
        default=0.9, gt=0, le=1, description="Score of one text from which on `block_action` is taken."
    )
    review_threshold: float = Field(
        default=0.6, gt=0, le=1, description="Score of one text from which on `review_action` is taken."
    )
    block_action: Action = Field(
        default="deny",
        description="`deny` refuses the message; `annotate` puts a warning to the model around the text, and denies "
        "where that cannot be done; `log` only reports the findings.",
    )
    review_action: Action = Field(default="log", description="The same from the review threshold on.")
    documents: Literal["lenient", "as_text"] = Field(
        default="lenient",
        description="What becomes of texts with Markdown headings or code fences: `lenient` leaves out code and "
        "quotations and lowers severities by one step, so that documents about attacks pass; `as_text` does not.",
    )
    disabled_rules: tuple[Id, ...] = Field(default=(), description="Rules that are not used, by id.")
    max_text: int = Field(
        default=8_388_608,
        ge=1_024,
        description="Characters of one message that are looked at. One with more is treated as one that reaches the "
        "block threshold.",
    )
