"""Fields of the forms that a server has a user fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.input_request.words import (
    asks_for_secret,
    is_for_other_thing,
    is_secret_field,
    names_secret,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_for_secret", "takes_text"]


def takes_text(field: Any) -> bool:
    """Whether a user can write what they like: no number, no choice, no yes or no."""
    if type(field) is not dict:
        return False
    if field.get("type") not in (None, "string", "integer", "number"):
        return False
    return not any(member in field for member in ("enum", "oneOf", "anyOf", "const"))


def is_for_secret(name: str, field: dict[str, Any], asked: str, beside: Iterable[str]) -> bool:
    """Whether a field is for a credential.

    Args:
        name: of the field.
        field: its schema.
        asked: message of the form.
        beside: names of all fields of the form.
    """
    title, description = field.get("title"), field.get("description")
    if field.get("format") == "password" or field.get("writeOnly") is True:
        return True
    texts = "\n".join(text for text in (title, description, asked) if type(text) is str)
    if is_for_other_thing(name, texts, beside, is_number=field.get("type") in ("integer", "number")):
        return False
    if is_secret_field(name) or (type(title) is str and is_secret_field(title)):
        return True
    said = [text for text in (title, description) if type(text) is str]
    return any(asks_for_secret(text) or names_secret(text) for text in said)
