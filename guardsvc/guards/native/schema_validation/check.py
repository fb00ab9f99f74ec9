"""Check: a tool's schema made ready to judge arguments, within bounds and without ever fetching anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from guardsvc.guards.native.schema_validation.adapt import adapt
from guardsvc.guards.native.schema_validation.keywords import DEFAULT_DIALECT, DIALECTS, DRAFT_4
from guardsvc.guards.native.schema_validation.load import MAX_LOAD, MAX_STEPS, is_larger, load_of
from guardsvc.guards.native.schema_validation.references import BASE, References
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings
from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    import jsonschema_rs

__all__ = ["MAX_SCHEMA_DEPTH", "ArgumentCheck", "SchemaError"]

MAX_SCHEMA_DEPTH = 64
"""Objects and arrays inside each other in a schema."""
_PATTERN_BYTES = 262_144
_AUTOMATON_BYTES = 1_048_576
_MAX_PATTERNS = 256


class SchemaError(ValueError):
    """A schema that arguments cannot be held against.

    Attributes:
        pointer: JSON pointer into the schema.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class ArgumentCheck:
    """One schema, ready to judge.

    Args:
        schema: ``inputSchema`` of a tool.
        settings: of the guard.

    Attributes:
        schema: what is judged by: the schema as the settings change it.
        dialect: URI of its dialect.
        references: of ``schema``.

    Raises:
        SchemaError: it is no schema, is out of bounds, or needs something from elsewhere.
    """

    def __init__(self, schema: Mapping[str, Any], settings: SchemaValidationSettings) -> None:
        import jsonschema_rs  # noqa: PLC0415  only where there are schemas, since it is large

        self._library = jsonschema_rs
        plain = _bounded(schema, settings.max_schema_bytes)
        self.dialect = _dialect(plain)
        self._options: dict[str, Any] = {
            "validate_formats": settings.formats,
            "pattern_options": jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_AUTOMATON_BYTES),
            "offline": True,
        }
        try:
            self.schema = adapt(plain, self.dialect, settings, self._is_pattern)
        except ValueError as error:
            raise SchemaError("", str(error)) from None
        self.references = References(self.schema, "id" if self.dialect == DRAFT_4 else "$id")
        self.load = load_of(self.schema, self.references)
        if self.load > MAX_LOAD:
            raise SchemaError("", f"it takes more than {MAX_LOAD} steps for one value")
        self._validator = self._compile(self.schema, base_uri=BASE)
        # Under its own name, so that what is relative in it is relative to that.
        self._base = self.references.base_of(self.schema)
        self._registry = jsonschema_rs.Registry([(self._base, self.schema)])
        self._parts: dict[tuple[str | int, ...], jsonschema_rs.Validator] = {}

    def accepts(self, arguments: Any) -> bool:
        """Whether the arguments are valid.

        Raises:
            GuardFailure: that would take too long.
        """
        if is_larger(arguments, MAX_STEPS // self.load):
            raise GuardFailure(ErrorKind.OVER_BUDGET, f"the arguments take more than {MAX_STEPS} steps to validate")
        return self._validator.is_valid(arguments)

    def part(self, path: tuple[str | int, ...]) -> jsonschema_rs.Validator:
        """The validator of a schema inside this one."""
        if path not in self._parts:
            pointer = "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)
            reference = {"$schema": self.dialect, "$ref": f"{self._base}#{quote(pointer)}"}
            self._parts[path] = self._compile(reference, registry=self._registry)
        return self._parts[path]

    def alone(self, keywords: dict[str, Any]) -> jsonschema_rs.Validator:
        """The validator of some keywords by themselves."""
        return self._compile({"$schema": self.dialect, **keywords})

    def _compile(self, schema: dict[str, Any], **options: Any) -> jsonschema_rs.Validator:
        try:
            return self._library.validator_for(schema, **self._options, **options)
        except self._library.ValidationError as error:
            raise SchemaError(_pointer(error.instance_path), error.message) from None
        except ValueError as error:
            raise SchemaError("", str(error)) from None

    def _is_pattern(self, pattern: str) -> bool:
        try:
            self.alone({"pattern": pattern})
        except SchemaError:
            return False
        return True


def _bounded(schema: Mapping[str, Any], most: int) -> dict[str, Any]:
    """A copy as plain JSON."""
    try:
        data = msgspec.json.encode(schema)
        plain = msgspec.json.decode(data)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise SchemaError("", f"it is no JSON: {error}") from None
    if type(plain) is not dict:
        raise SchemaError("", "it is no object")
    if len(data) > most:
        raise SchemaError("", f"{len(data)} bytes, max_schema_bytes allows {most}")
    level: list[Any] = [plain]
    depth = patterns = 0
    while level:
        depth += 1
        patterns += sum(_patterns(item) for item in level)
        level = [inner for item in level for inner in (item.values() if type(item) is dict else item) if inner]
        level = [inner for inner in level if type(inner) is dict or type(inner) is list]
    if depth > MAX_SCHEMA_DEPTH:
        raise SchemaError("", f"{depth} levels, {MAX_SCHEMA_DEPTH} are allowed")
    if patterns > _MAX_PATTERNS:
        raise SchemaError("", f"{patterns} patterns, {_MAX_PATTERNS} are allowed")
    return plain


def _patterns(item: Any) -> int:
    if type(item) is not dict:
        return 0
    named = item.get("patternProperties")
    return ("pattern" in item) + (len(named) if type(named) is dict else 0)


def _dialect(schema: dict[str, Any]) -> str:
    stated = schema.get("$schema", DEFAULT_DIALECT)
    uri = stated.removesuffix("#") if type(stated) is str else stated
    found = next((dialect for dialect in DIALECTS if uri in (dialect, _other_scheme(dialect))), None)
    if found is None:
        raise SchemaError("/$schema", f"{stated!r} is not one of {', '.join(DIALECTS)}")
    return found


def _other_scheme(uri: str) -> str:
    return f"http{uri.removeprefix('https')}" if uri.startswith("https") else f"https{uri.removeprefix('http')}"


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)
