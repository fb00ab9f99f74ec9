"""Kept: components that were in force, so that one can go back by one, and those pulled from registries.

They lie in the folder of compiled modules, of this user alone. A record carries a MAC, a component is held against its
digest, so that what is there and not right is as if it were not there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from guardsvc.guards.wasm.loading.compiled import MAC_BYTES, key_of, mac_of, read_private, write_private
from guardsvc.guards.wasm.loading.sources.artifact import Artifact, Evidence, digest_of
from guardsvc.model import file_state

if TYPE_CHECKING:
    from pathlib import Path

    from guardsvc.guards.wasm.loading.sources.place import Place
    from guardsvc.model import FileState

__all__ = ["Kept", "Pin", "Rollback"]

MOST_COMPONENTS = 64
MOST_RECORDS = 256


@dataclass(frozen=True)
class Rollback:
    """That one went back.

    Attributes:
        away_from: digest of the component that is not to run.
        to: digest of the one that runs in its place.
    """

    away_from: str
    to: str


class Pin(NamedTuple):
    """A component that a policy pinned.

    Attributes:
        module: its place, as the policy names it.
        digest: its own.
        path: where it is kept.
    """

    module: str
    digest: str
    path: Path


class Kept:
    """What is kept in a folder, or nothing where it cannot be written.

    Args:
        folder: made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = key_of(folder)

    @property
    def usable(self) -> bool:
        """Whether anything can be kept."""
        return self._key is not None

    def loaded(self, place: Place, artifact: Artifact) -> None:
        """A component of a place is good. The one before stays, so that one can go back to it."""
        record = self._read(_name(place, "history"))
        current = record.get("current", {})
        if self._key is None or current.get("digest") == artifact.digest:
            return
        self._keep_component(artifact.digest, artifact.content)
        rollback = self.rollback(place)
        left = rollback is not None and rollback.away_from == current.get("digest")
        previous = record.get("previous", {}) if left else current
        self._write(_name(place, "history"), {"current": _described(artifact), "previous": previous})

    def loaded_pinned(self, guard: str, place: Place, artifact: Artifact) -> None:
        """A component is good that the policy of a guard pins. The one before stays, to be told of.

        Args:
            guard: which, as ``of_configuration`` names it.
            place: of the component.
            artifact: the component.
        """
        name = _pin_name(guard)
        record = self._read(name)
        current, previous = record.get("current", {}), record.get("previous", {})
        pin = {"module": str(place), "digest": artifact.digest}
        if self._key is None or current == pin:
            return
        self._keep_component(artifact.digest, artifact.content)
        same = current.get("digest") == artifact.digest
        self._write(name, {"current": pin, "previous": previous if same else current})

    def pins(self, guard: str) -> list[Pin]:
        """The latest good component that was pinned for a guard, and the one before it, as far as they are known."""
        record = self._read(_pin_name(guard))
        known = [pin for pin in (record.get("current"), record.get("previous")) if pin]
        return [Pin(pin["module"], pin["digest"], self._component_path(pin["digest"])) for pin in known]

    def before(self, place: Place) -> tuple[str, Artifact] | None:
        """The digest of the latest good component of a place, and the one before it."""
        record = self._read(_name(place, "history"))
        current, previous = record.get("current", {}), record.get("previous", {})
        content = self._component(previous.get("digest", ""))
        if content is None:
            return None
        evidence = tuple(
            Evidence(base64.b64decode(signature), None if payload is None else base64.b64decode(payload))
            for signature, payload in previous["evidence"]
        )
        return current["digest"], Artifact(content, previous["digest"], previous["manifest"], evidence)

    def rollback(self, place: Place) -> Rollback | None:
        """That of a place, None where there is none."""
        record = self._read(_name(place, "rollback"))
        return Rollback(record["away_from"], record["to"]) if record else None

    def rollback_file(self, place: Place) -> tuple[Path, FileState]:
        """Where that of a place is written, and its state now."""
        path = self._folder / _name(place, "rollback")
        return path, file_state(path)

    def go_back(self, place: Place, rollback: Rollback | None) -> bool:
        """Put a rollback in force, or end it with None; whether it could be done."""
        name = _name(place, "rollback")
        if rollback is None:
            with suppress(OSError):
                (self._folder / name).unlink()
            return True
        return self._write(name, {"away_from": rollback.away_from, "to": rollback.to})

    def pulled(self, manifest: str) -> tuple[str, bytes] | None:
        """Digest and content of the component that a manifest names, where it was pulled before."""
        digest = self._read(_pulled_name(manifest)).get("digest", "")
        content = self._component(digest)
        return None if content is None else (digest, content)

    def keep_pulled(self, manifest: str, digest: str, content: bytes) -> None:
        """Keep the component that a manifest names."""
        if self._key is not None and self.pulled(manifest) is None:
            self._keep_component(digest, content)
            self._write(_pulled_name(manifest), {"digest": digest})

    def _component(self, digest: str) -> bytes | None:
        path = self._component_path(digest)
        if self._key is None or not digest or not path.exists():
            return None
        content = read_private(path)
        return content if content is not None and digest_of(content) == digest else None

    def _component_path(self, digest: str) -> Path:
        return self._folder / f"{digest.partition(':')[2]}.component"

    def _keep_component(self, digest: str, content: bytes) -> None:
        if self._component(digest) is None:
            write_private(self._component_path(digest), content)
            self._prune("component", MOST_COMPONENTS)

    def _read(self, name: str) -> dict[str, Any]:
        path = self._folder / name
        if self._key is None or not path.exists():
            return {}
        data = read_private(path)
        if data is None or not hmac.compare_digest(data[:MAC_BYTES], mac_of(self._key, name, data[MAC_BYTES:])):
            return {}
        record: dict[str, Any] = json.loads(data[MAC_BYTES:])
        return record

    def _write(self, name: str, record: dict[str, Any]) -> bool:
        if self._key is None:
            return False
        body = json.dumps(record).encode()
        written = write_private(self._folder / name, mac_of(self._key, name, body), body)
        self._prune(name.rpartition(".")[2], MOST_RECORDS)
        return written

    def _prune(self, kind: str, most: int) -> None:
        """Let go of what was written longest ago."""
        with suppress(OSError):
            kept = sorted(self._folder.glob(f"*.{kind}"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-most]:
                path.unlink()


def _name(place: Place, what: str) -> str:
    """Name of a record of a place; a tag that moves is one place."""
    key = f"{place.name}|{place.tag or ''}"
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{what}"


def _pin_name(guard: str) -> str:
    return f"{hashlib.sha256(guard.encode()).hexdigest()[:32]}.pins"


def _pulled_name(manifest: str) -> str:
    return f"{manifest.partition(':')[2]}.pulled"


def _described(artifact: Artifact) -> dict[str, Any]:
    return {
        "digest": artifact.digest,
        "manifest": artifact.manifest,
        "evidence": [
            [
                base64.b64encode(each.signature).decode(),
                None if each.payload is None else base64.b64encode(each.payload).decode(),
            ]
            for each in artifact.evidence
        ],
    }
