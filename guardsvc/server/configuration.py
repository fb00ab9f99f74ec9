"""Configuration: a file, the environment's secrets and the command line joined and checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from guardsvc.config import BUILT_IN, Checker, ConfigError, Document, Problem
from guardsvc.config.document import MAX_BYTES
from guardsvc.guards.registry import load_registry
from guardsvc.guards.wasm import configure
from guardsvc.model import GuardType, Settings
from guardsvc.policy import Policy, build_policy, policy_model
from guardsvc.policy.presets import over_preset
from guardsvc.server.audit_settings import audit_problems
from guardsvc.server.capture_settings import capture_problems
from guardsvc.server.load_settings import load_problems
from guardsvc.server.settings import MIB, ServiceSettings
from guardsvc.server.workers.addresses import collisions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Configuration", "configuration_model", "installed_guard_types", "load_configuration"]

MIN_SEAL_KEY = 16
BUILT_IN_TEXT = "policy: {preset: default}"


@dataclass(frozen=True)
class Configuration:
    """What a configuration amounts to.

    Attributes:
        source: the file, or ``<built-in>``.
        content: what the file held when it was read, to notice a change; empty where it is built in.
        service: settings of the process.
        policy: the policy, built.
        overrides: settings of the ``service`` section over those of the file.
        workers: how many workers serve it.
    """

    source: str
    content: bytes
    service: ServiceSettings
    policy: Policy
    overrides: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1


def configuration_model(registry: Mapping[str, GuardType[Any]]) -> type[Settings]:
    """The model of a whole configuration file, with the settings of every guard type of a registry."""
    policy = policy_model(registry)
    return create_model(
        "Configuration",
        __base__=Settings,
        service=(ServiceSettings, Field(default=ServiceSettings(), description="How the process runs.")),
        policy=(
            policy,
            Field(
                description="What is decided. A file must have it: one that was emptied by mistake must not "
                "bring back the built-in policy."
            ),
        ),
    )


@lru_cache(maxsize=1)
def installed_guard_types() -> tuple[Mapping[str, GuardType[Any]], type[Settings]]:
    """The guard types installed here and the model of their configurations, the same while the process runs.

    Raises:
        GuardLoadError: an installed package's guard cannot be used.
    """
    registry = load_registry()
    return registry, configuration_model(registry)


def load_configuration(
    path: Path | None,
    overrides: Mapping[str, Any] | None = None,
    *,
    content: bytes | None = None,
    workers: int | None = None,
    instead: Mapping[str, GuardType[Any]] | None = None,
) -> Configuration:
    """Read, check and build a configuration; nothing of it is used unless all of it is right.

    Args:
        path: the file, or None for the built-in default.
        overrides: settings of the ``service`` section that flags or environment variables give, over
            the file's.
        content: what the file holds, where it has been read already.
        workers: how many workers run, where they do already; the number of the file counts at start only.
        instead: guard types by name, with the settings of those installed, that are built in their place.

    Raises:
        ConfigError: with every problem found.
        GuardLoadError: an installed package's guard cannot be used.
    """
    source = BUILT_IN if path is None else str(path)
    if content is None:
        content = b"" if path is None else _read(path)
    document = Document.parse(BUILT_IN_TEXT if path is None else content, source)
    checker = Checker(document)
    registry, model = installed_guard_types()
    raw = _merge(document.value, overrides or {})
    if "policy" in raw:
        raw["policy"] = over_preset(raw["policy"])
    settings: Any = checker.check(model, raw)
    checker.raise_if_any()
    _check_service(settings.service, settings.policy.integrity.max_bytes, checker)
    for place, problem in collisions(settings.service):
        checker.add(("service", *place), problem)
    workers = workers or settings.service.workers
    configure(settings.service.wasm, path)
    policy = build_policy(settings.policy, {**registry, **(instead or {})}, checker, workers=workers)
    checker.raise_if_any()
    if policy is None:
        raise AssertionError("a policy that was not built left no problem")
    return Configuration(
        source=source,
        content=content,
        service=settings.service,
        policy=policy,
        overrides=overrides or {},
        workers=workers,
    )


def _check_service(service: ServiceSettings, max_bytes: int, checker: Checker) -> None:
    for place, problem in audit_problems(service.audit, service.workers, max_bytes):
        checker.add(("service", *place), problem)
    for place, problem in capture_problems(service.capture, service.workers):
        checker.add(("service", *place), problem)
    for place, problem in load_problems(service.overload, service.grpc.max_message_bytes, service.audit):
        checker.add(("service", *place), problem)
    for index, key in enumerate(service.seal.keys):
        if len(key.reveal()) < MIN_SEAL_KEY:
            checker.add(("service", "seal", "keys", index), f"shorter than {MIN_SEAL_KEY} characters")
    if max_bytes + MIB > service.grpc.max_message_bytes:
        checker.add(
            ("policy", "integrity", "max_bytes"),
            f"{max_bytes} does not fit service.grpc.max_message_bytes {service.grpc.max_message_bytes} with 1 MiB "
            "left for headers",
        )


def _merge(value: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    if overrides and isinstance(merged.get("service", {}), dict):
        service = dict(merged.get("service", {}))
        for section, settings in overrides.items():
            if not isinstance(settings, dict):
                service[section] = settings
                continue
            service[section] = _over(service.get(section, {}), settings)
        merged["service"] = service
    return merged


def _over(base: Any, settings: Mapping[str, Any]) -> Any:
    """Settings over those of the file, key by key; what the file has in the wrong form stays, to be named."""
    if not isinstance(base, dict):
        return base
    merged = dict(base)
    for key, value in settings.items():
        merged[key] = _over(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), (Problem("", f"cannot be read: {error.strerror}", None),)) from error
