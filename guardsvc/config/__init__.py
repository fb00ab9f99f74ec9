"""Configuration in general: strict YAML, checked against settings models, with every problem at its line.

It knows neither policies nor guards; their settings live beside them.
"""

from guardsvc.config.check import Checker, check
from guardsvc.config.document import Document
from guardsvc.config.problems import BUILT_IN, ConfigError, Path, Problem, format_path
from guardsvc.config.reference import reference
from guardsvc.config.schema import json_schema
from guardsvc.config.secrets import MASK, Secret, mask
from guardsvc.config.shape import schema_of
from guardsvc.config.turns import give_way, in_turns

__all__ = [
    "BUILT_IN",
    "MASK",
    "Checker",
    "ConfigError",
    "Document",
    "Path",
    "Problem",
    "Secret",
    "check",
    "format_path",
    "give_way",
    "in_turns",
    "json_schema",
    "mask",
    "reference",
    "schema_of",
]
