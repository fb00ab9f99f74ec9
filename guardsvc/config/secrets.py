"""Secret: a setting that holds a password, token or key; it alone may name a variable or a file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema, to_jsonable_python

from guardsvc.config.turns import give_way
from guardsvc.config.values import kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["ENVIRON", "MASK", "MAX_SECRET_BYTES", "Secret", "is_reference", "mask"]

ENVIRON = "environ"
"""Key of the pydantic validation context under which another environment than the process's is given."""

MASK = "********"

MAX_SECRET_BYTES = 64 << 10
"""Size of a file that holds a secret."""

_REFERENCE = re.compile(r"\$\{(env|file):([^{}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLES = ("${env:NAME}", "${file:/path}")
_DESCRIPTION = (
    "A secret: the text itself, ${env:NAME} for an environment variable, or ${file:/path} for the content of a file."
)


class Secret:
    """Text that is never shown: ``str`` and ``repr`` are masked, and so is every JSON dump.

    In a configuration its value is the text itself, ``${env:NAME}`` or ``${file:/path}`` (one trailing
    newline is dropped). An empty secret is an error.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself."""
        return self._text

    def __str__(self) -> str:
        """The mask."""
        return MASK

    def __repr__(self) -> str:
        """The mask."""
        return f"Secret({MASK!r})"

    def __eq__(self, other: object) -> bool:
        """Whether the other hides the same text."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """By the text."""
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read literals and references, write masks."""
        return core_schema.with_info_plain_validator_function(
            _validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A string that is written and never read back."""
        return {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": _DESCRIPTION,
            "examples": list(_EXAMPLES),
        }


def is_reference(text: str) -> bool:
    """Whether a text asks for substitution anywhere in it."""
    return "${env:" in text or "${file:" in text


def mask(settings: BaseModel) -> dict[str, Any]:
    """Settings as plain JSON-like data in a stable order, with every secret shown as ``MASK``."""
    return {key: _plain(value) for key, value in settings.model_dump(by_alias=True).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    give_way()
    if isinstance(value, dict):
        return {to_jsonable_python(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    return to_jsonable_python(value)


def _validate(value: Any, info: core_schema.ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError(f"the secret is {kind_of(value)}; expected a string")  # noqa: TRY004  pydantic's contract
    environ = (info.context or {}).get(ENVIRON, os.environ)
    text = _substitute(value, environ) if is_reference(value) else value
    if not text:
        raise ValueError("the secret is empty")
    return Secret(text)


def _substitute(value: str, environ: Mapping[str, str]) -> str:
    reference = _REFERENCE.fullmatch(value)
    if reference is None:
        raise ValueError("a reference is the whole value: ${env:NAME} or ${file:/path}")
    kind, name = reference.groups()
    return _variable(name, environ) if kind == "env" else _file(name)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{shown(name)} is not the name of an environment variable")
    if name not in environ:
        raise ValueError(f"the environment variable {name} is not set")
    if not environ[name]:
        raise ValueError(f"the environment variable {name} is empty")
    return environ[name]


def _file(name: str) -> str:
    if not name.startswith("/"):
        raise ValueError(f"{shown(name)} is not an absolute path")
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"the file {shown(name)} cannot be read: {reason}") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"the file {shown(name)} has more than {MAX_SECRET_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the file {shown(name)} is not UTF-8") from None
    text = text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")
    if not text:
        raise ValueError(f"the file {shown(name)} is empty")
    return text
