"""From plain data to settings: every problem named at its place and line, all raised at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from guardsvc.config.faults import faults
from guardsvc.config.problems import ConfigError, Path, Problem, format_path
from guardsvc.config.secrets import ENVIRON, is_reference
from guardsvc.config.shape import Shape
from guardsvc.config.wording import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardsvc.config.document import Document

__all__ = ["Checker", "check"]

M = TypeVar("M", bound=BaseModel)

_SECRETS_ONLY = "environment and file substitution is for secrets only"


class Checker:
    """Gathers the problems of one document over several checks.

    Types are strict: ``"5"`` is no integer and ``"yes"`` no boolean. ``${env:...}`` and ``${file:...}``
    are a problem everywhere in what was checked but in a ``Secret``.

    Args:
        document: the document.
        environ: where ``${env:NAME}`` looks; the environment of the process unless given.
    """

    def __init__(self, document: Document, environ: Mapping[str, str] | None = None) -> None:
        self._document = document
        self._environ = os.environ if environ is None else environ
        self._problems: list[Problem] = []
        self._open_references: set[Path] = set()

    def check(self, model: type[M], value: Any, base: Path = (), *, literal: bool = False) -> M | None:
        """Make settings of a plain value, or note what is wrong with it and return None.

        Args:
            model: the settings.
            value: the part of the document at ``base``.
            base: where the value stands. A part that an earlier model left open (``dict[str, Any]``)
                may be checked later with a model of its own.
            literal: the value is data in which ``${env:...}`` stands for itself.
        """
        refused = set() if literal else self._judge_references(model, value, base)
        try:
            return model.model_validate_json(to_json(value), strict=True, context={ENVIRON: self._environ})
        except ValidationError as error:
            shape = Shape(model, value)
            for group in faults(error, value):
                path, message = describe(group, shape)
                if path not in refused:
                    self.add(base + path, message)
            return None

    def add(self, path: Path, message: str) -> None:
        """Note a problem found elsewhere, at the line of its place."""
        self._problems.append(Problem(format_path(path), message, self._document.line(path)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was noted so far."""
        return tuple(self._problems)

    def raise_if_any(self) -> None:
        """End the checks.

        Raises:
            ConfigError: with everything that was noted.
        """
        if not self._problems:
            for path in self._open_references:
                self.add(path, _SECRETS_ONLY)
        if self._problems:
            raise ConfigError(self._document.source, self._problems)

    def _judge_references(self, model: type[BaseModel], value: Any, base: Path) -> set[Path]:
        """Note references outside secrets; what the model leaves open is for a later check to claim."""
        found = list(_references(value))
        refused: set[Path] = set()
        if not found:
            return refused
        shape = Shape(model, value)
        for path, is_key in found:
            if not is_key and shape.is_open(path):
                self._open_references.add(base + path)
                continue
            self._open_references.discard(base + path)
            if is_key or not shape.is_secret(path):
                refused.add(path)
                self.add(base + path, _SECRETS_ONLY)
        return refused


def check(model: type[M], value: Any, document: Document, base: Path = ()) -> M:
    """Make settings of a plain value, the part of a document at ``base``.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    checker = Checker(document)
    settings = checker.check(model, value, base)
    checker.raise_if_any()
    assert settings is not None  # noqa: S101  without problems there are settings
    return settings


def _references(value: Any, path: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Places whose text, or whose key (then True), asks for substitution."""
    if isinstance(value, str):
        if is_reference(value):
            yield path, False
    elif isinstance(value, dict):
        for key, item in value.items():
            if is_reference(key):
                yield (*path, key), True
            yield from _references(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*path, index))
