"""Load: a component from its source to a module that a guard can use, or what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema_rs
import msgspec

from guardsvc.guards.wasm.calls.call import Arguments, run
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import HostCalls
from guardsvc.guards.wasm.loading.engines import EngineKind
from guardsvc.guards.wasm.loading.module import Module, ModuleError
from guardsvc.guards.wasm.loading.sources import Artifact, Place, SourceError, read
from guardsvc.guards.wasm.loading.trust import Trusted
from guardsvc.guards.wasm.options import of_configuration, options
from guardsvc.model import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from guardsvc.guards.wasm.runtime import Runtime
    from guardsvc.guards.wasm.settings import WasmSettings
    from guardsvc.model import FileState, GuardContext

__all__ = ["Loaded", "load"]

MIB = 1_048_576
SETTLES_WITHIN = 2.0
"""Seconds that a component may take to judge its settings."""


class Loaded(NamedTuple):
    """A module with what belongs to it.

    Attributes:
        module: compiled.
        config: its settings, JSON by key, with its own defaults where it has any.
        files: what it was read from.
        described: which component it is, for ``explain``.
    """

    module: Module
    config: Mapping[str, str]
    files: Mapping[Path, FileState]
    described: Mapping[str, Any]


def load(settings: WasmSettings, context: GuardContext, runtime: Runtime) -> Loaded:
    """Read a component, check and compile it. It takes as long as its source does: never on the event loop.

    Raises:
        SettingsError: it cannot be used.
    """
    try:
        source = _Source(settings, context.guard_id, runtime)
        artifact, signer = source.read()
    except SourceError as error:
        raise SettingsError(("module",), str(error)) from None
    _check_size(len(artifact.content), settings, str(source.place))
    kind = EngineKind.of(settings.limits)
    try:
        module = runtime.modules.load(artifact.content, artifact.digest, kind)
    except ModuleError as error:
        raise SettingsError(("module",), f"{source.place}: {error}") from None
    _check_size(module.size, settings, f"{source.place} when compiled")
    if settings.grants.kv is None and any(each.interface == "kv" for each in module.shape.imports):
        raise SettingsError(("grants", "kv"), f"{source.place} needs kv, which is not granted")
    config = _Trial(module, settings, context.guard_id, runtime).config()
    described: dict[str, Any] = {"digest": artifact.digest}
    if artifact.manifest is not None:
        described["manifest"] = artifact.manifest
    if signer is not None:
        described["signed_by"] = signer
    if source.rolled_back is not None:
        described["rolled_back_from"] = source.rolled_back
    else:
        source.keep(artifact)
    return Loaded(module, _texts(config), dict(artifact.files), described)


def _check_size(size: int, settings: WasmSettings, what: str) -> None:
    most = settings.limits.module_mib
    if size > most * MIB:
        raise SettingsError(("limits", "module_mib"), f"{what} has {size / MIB:.3g} MiB, more than {most:g}")


class _Source:
    """Where the component of a guard comes from.

    Attributes:
        place: it is at.
        rolled_back: digest of the component that is there and does not run, None where none was rolled back.
    """

    def __init__(self, settings: WasmSettings, guard: str, runtime: Runtime) -> None:
        self.place = Place.parse(settings.module)
        self.rolled_back: str | None = None
        self._settings = settings
        self._guard = guard
        self._kept = runtime.kept
        self._pinned = settings.digest is not None or self.place.digest is not None

    def read(self) -> tuple[Artifact, str | None]:
        """The component, and who signed it.

        Raises:
            SourceError: it cannot be read, or may not run.
            SettingsError: it has another digest.
        """
        given = options()
        trusted = Trusted(self.place, given.trust)
        rollback_file, state = self._kept.rollback_file(self.place)
        artifact = read(self.place, given, self._kept, signatures=trusted.asks(pinned=self._pinned))
        wanted = self._settings.digest
        if wanted not in (None, artifact.digest):
            raise SettingsError(("digest",), f"{self.place} has the digest {artifact.digest}")
        if not self._pinned:
            artifact = self._gone_back(artifact)
            artifact = replace(artifact, files={**artifact.files, rollback_file: state})
        signer = trusted.accept(artifact, pinned=self._pinned, allow_unsigned=self._settings.allow_unsigned)
        return artifact, signer

    def keep(self, artifact: Artifact) -> None:
        """The component is good."""
        if self._pinned:
            self._kept.loaded_pinned(of_configuration(self._guard), self.place, artifact)
        else:
            self._kept.loaded(self.place, artifact)

    def _gone_back(self, artifact: Artifact) -> Artifact:
        rollback = self._kept.rollback(self.place)
        if rollback is None or rollback.away_from != artifact.digest:
            return artifact
        before = self._kept.before(self.place)
        if before is None or before[1].digest != rollback.to:
            raise SourceError(f"{self.place} was rolled back to {rollback.to}, which is not kept any more")
        self.rolled_back = artifact.digest
        return replace(before[1], files=artifact.files)


class _Trial:
    """What a component says when it is loaded; whether it can be instantiated at all is seen by that."""

    def __init__(self, module: Module, settings: WasmSettings, guard: str, runtime: Runtime) -> None:
        self._module = module
        self._settings = settings
        self._guard = guard
        self._clock = runtime.engines.clock

    def config(self) -> dict[str, Any]:
        """The settings, checked by the component as far as it can.

        Raises:
            SettingsError: it refuses them, or fails.
        """
        given = self._settings.config
        self._instantiate()
        functions = self._module.shape.settings
        if "defaults" in functions:
            given = {**self._defaults(), **given}
        if "schema" in functions:
            self._check_schema(given)
        if "validate" in functions:
            which, why = self._call("validate", _text(given))
            if which == "err":
                raise SettingsError(("config",), f"the component refuses it: {why[:300]}")
        return given

    def _defaults(self) -> dict[str, Any]:
        text = self._call("defaults")
        try:
            defaults = json.loads(text or "{}")
        except (ValueError, RecursionError):
            defaults = None
        if not isinstance(defaults, dict):
            raise SettingsError(("module",), "its default settings are no JSON object")
        return defaults

    def _check_schema(self, given: dict[str, Any]) -> None:
        text = self._call("schema")
        if not text.strip():
            return
        try:
            schema = json.loads(text)
            validator = jsonschema_rs.validator_for(schema, retriever=_no_retrieval)
            problem = next(iter(validator.iter_errors(given)), None)
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            raise SettingsError(("module",), f"the schema of its settings cannot be used: {str(error)[:200]}") from None
        if problem is not None:
            raise SettingsError(("config", *problem.instance_path), problem.message[:300])

    def _instantiate(self) -> None:
        try:
            run(self._module, None, _NONE, **self._bounds())
        except WasmFailure as failure:
            raise SettingsError(("module",), f"it cannot be instantiated: {failure}") from None

    def _call(self, name: str, *texts: str) -> Any:
        exported = self._module.shape.settings[name]
        params = exported.signature.params
        values = {param: text.encode() for (param, _), text in zip(params, texts, strict=True)}
        try:
            return run(self._module, exported, Arguments(params, values, {}), **self._bounds())
        except WasmFailure as failure:
            raise SettingsError(("module",), f"its function {exported.name} fails: {failure}") from None

    def _bounds(self) -> dict[str, Any]:
        limits = self._settings.limits
        config = _texts(self._settings.config)
        return {
            "limits": limits,
            "calls": HostCalls(self._guard, limits, config=config),
            "clock": self._clock,
            "deadline": perf_counter() + SETTLES_WITHIN,
        }


_NONE = Arguments((), {}, {})


def _text(value: Any) -> str:
    """JSON as arguments have it too: in UTF-8 and without escapes that nothing asks for."""
    return msgspec.json.encode(value).decode()


def _texts(config: dict[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in config.items()}


def _no_retrieval(uri: str) -> Any:
    raise ValueError(f"{uri[:80]} is not fetched")
