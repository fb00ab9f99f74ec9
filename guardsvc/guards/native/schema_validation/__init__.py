"""``schema_validation``: holds the arguments of a call against the schema that its tool declares."""

from guardsvc.guards.native.schema_validation.guard import SCHEMA_VALIDATION, SchemaValidation
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings

__all__ = ["SCHEMA_VALIDATION", "SchemaValidation", "SchemaValidationSettings"]
