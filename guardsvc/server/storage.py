"""Storage: the folders of what guards keep in files, which are there before the first decision needs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardsvc.config import BUILT_IN, ConfigError, Document, Problem, Secret
from guardsvc.config.problems import format_path
from guardsvc.server.configuration import Configuration, load_configuration
from guardsvc.state.open_tables import SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["load_to_serve", "make_folders"]

MODE = 0o700


def load_to_serve(path: Path | None, overrides: Mapping[str, Any], *, workers: int | None = None) -> Configuration:
    """Load a configuration that is going to be served: the folders that its guards write to are there.

    Args:
        path: the file, or None for the built-in default.
        overrides: settings of the ``service`` section over the file's.
        workers: how many workers run, where they do already.

    Raises:
        ConfigError: with every problem found.
        GuardLoadError: an installed package's guard cannot be used.
    """
    configuration = load_configuration(path, overrides, workers=workers)
    make_folders(configuration)
    return configuration


def make_folders(configuration: Configuration) -> None:
    """Make folders of storage that are not there, for this user alone. Only the last one of a path is made.

    Raises:
        ConfigError: one cannot be made, or not be written to.
    """
    problems = [(index, problem) for index, folder in _folders(configuration) if (problem := _problem(folder))]
    if not problems:
        return
    content = configuration.content
    document = None if configuration.source == BUILT_IN else Document.parse(content, configuration.source)
    raise ConfigError(
        configuration.source,
        [
            Problem(format_path(place), problem, None if document is None else document.line(place))
            for index, problem in problems
            for place in [("policy", "guards", index, "settings", "storage")]
        ],
    )


def _folders(configuration: Configuration) -> Iterator[tuple[int, Path]]:
    for index, entry in enumerate(configuration.policy.settings.guards):
        storage = getattr(entry.settings, "storage", None)
        if entry.enabled and isinstance(storage, Secret) and (url := storage.reveal()).startswith(SQLITE):
            yield index, Path(url.removeprefix(SQLITE)).parent


def _problem(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, which is made if need be."""
    try:
        folder.mkdir(mode=MODE, exist_ok=True)
    except OSError as error:
        why = f"the folder {folder} is not there and cannot be made: {error.strerror}"
    else:
        if os.access(folder, os.W_OK | os.X_OK):
            return None
        why = f"the folder {folder} cannot be written to by user {os.geteuid()}"
    return f"{why}; expected memory, sqlite:/path in a folder that can be written to, or the URL of a Redis"
