"""Credentials: who one is to a registry, by the settings of the service or the configuration of Docker's client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guardsvc.guards.wasm.loading.sources.artifact import SourceError
from guardsvc.guards.wasm.loading.sources.encoding import from_base64, json_object
from guardsvc.guards.wasm.loading.sources.files import read_bounded

if TYPE_CHECKING:
    from guardsvc.guards.wasm.options import RegistrySettings

__all__ = ["DOCKER_HUB", "Credentials", "credentials_of"]

DOCKER_HUB = "docker.io"
HUB_NAMES = ("docker.io", "https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")
MAX_FILE = 1_048_576


class Credentials(NamedTuple):
    """Name and password."""

    username: str
    password: str


def credentials_of(host: str, settings: RegistrySettings) -> Credentials | None:
    """Those for a registry: of the settings, else of ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``.

    Raises:
        SourceError: that file is broken.
    """
    if settings.username is not None and settings.password is not None:
        return Credentials(settings.username, settings.password.reveal())
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")  # noqa: PTH111, PTH118
    path = Path(folder) / "config.json"
    if not path.is_file():
        return None
    known = json_object(read_bounded(path, MAX_FILE), path).get("auths")
    if not isinstance(known, dict):
        return None
    names = HUB_NAMES if host == DOCKER_HUB else (host, f"https://{host}", f"http://{host}")
    for entry in (known.get(name) for name in names):
        if isinstance(entry, dict) and isinstance(entry.get("auth"), str) and entry["auth"]:
            return _decoded(entry["auth"], path)
    return None


def _decoded(auth: str, path: Path) -> Credentials:
    text = from_base64(auth, f"a credential of {path}").decode(errors="replace")
    username, colon, password = text.partition(":")
    if not colon:
        raise SourceError(f"a credential of {path} is no name and password")
    return Credentials(username, password)
