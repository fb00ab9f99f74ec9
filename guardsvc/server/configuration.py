"""Configuration: a file, the environment's secrets and the command line joined and checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from guardsvc.config import BUILT_IN, Checker, ConfigError, Document, Problem
from guardsvc.config.document import MAX_BYTES
from guardsvc.guards.registry import load_registry
from guardsvc.model import GuardType, Settings
from guardsvc.policy import Policy, build_policy, policy_model
from guardsvc.server.settings import MIB, ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Configuration", "configuration_model", "installed_guard_types", "load_configuration"]

MIN_SEAL_KEY = 16


@dataclass(frozen=True)
class Configuration:
    """What a configuration amounts to.

    Attributes:
        source: the file, or ``<built-in>``.
        content: what the file held when it was read, to notice a change; empty where it is built in.
        service: settings of the process.
        policy: the policy, built.
    """

    source: str
    content: bytes
    service: ServiceSettings
    policy: Policy


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


def load_configuration(path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Configuration:
    """Read, check and build a configuration; nothing of it is used unless all of it is right.

    Args:
        path: the file, or None for the built-in default.
        overrides: settings of the ``service`` section that flags or environment variables give, by
            section, over the file's.

    Raises:
        ConfigError: with every problem found.
        GuardLoadError: an installed package's guard cannot be used.
    """
    source = BUILT_IN if path is None else str(path)
    content = b"" if path is None else _read(path)
    document = Document.parse(_default_text() if path is None else content, source)
    checker = Checker(document)
    registry, model = installed_guard_types()
    raw = _merge(document.value, overrides or {})
    settings: Any = checker.check(model, raw)
    checker.raise_if_any()
    _check_service(settings.service, settings.policy.integrity.max_bytes, checker)
    policy = build_policy(settings.policy, registry, checker)
    checker.raise_if_any()
    if policy is None:
        raise AssertionError("a policy that was not built left no problem")
    return Configuration(source=source, content=content, service=settings.service, policy=policy)


def _check_service(service: ServiceSettings, max_bytes: int, checker: Checker) -> None:
    for index, key in enumerate(service.seal.keys):
        if len(key.reveal()) < MIN_SEAL_KEY:
            checker.add(("service", "seal", "keys", index), f"shorter than {MIN_SEAL_KEY} characters")
    if max_bytes + MIB > service.grpc.max_message_bytes:
        checker.add(
            ("policy", "integrity", "max_bytes"),
            f"{max_bytes} does not fit service.grpc.max_message_bytes {service.grpc.max_message_bytes} with 1 MiB "
            "left for headers",
        )


def _merge(value: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    merged = dict(value)
    if overrides and isinstance(merged.get("service", {}), dict):
        service = dict(merged.get("service", {}))
        for section, settings in overrides.items():
            base = service.get(section, {})
            service[section] = {**base, **settings} if isinstance(base, dict) else base
        merged["service"] = service
    return merged


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), (Problem("", f"cannot be read: {error.strerror}", None),)) from error


def _default_text() -> str:
    return (files("guardsvc.policy") / "default.yaml").read_text()
