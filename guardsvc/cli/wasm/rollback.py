"""``guardsvc wasm rollback``: back to the component before the present one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm.options import end
from guardsvc.config import Checker, ConfigError, Document, Problem
from guardsvc.config.document import MAX_BYTES
from guardsvc.guards.wasm.loading.kept import Kept, Rollback
from guardsvc.guards.wasm.loading.sources import Place, PlaceKind, SourceError
from guardsvc.guards.wasm.options import cache_folder, configure, of_configuration
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.policy.presets import over_preset
from guardsvc.server.configuration import installed_guard_types

if TYPE_CHECKING:
    from guardsvc.policy.settings import GuardEntry

__all__ = ["run_rollback"]


def run_rollback(guard: str, config: str, *, undo: bool) -> None:
    """Put a rollback in force, or end it. A running service takes it as a changed module.

    Raises:
        ConfigError: the file is wrong.
    """
    settings = _settings_of(guard, config)
    try:
        place = Place.parse(settings.module)
    except SourceError as error:
        end(str(error), ExitCode.CONFIGURATION)
    kept = Kept(cache_folder())
    if settings.digest is not None or place.digest is not None:
        end(_how_to_pin(guard, config, settings, place, kept), ExitCode.USAGE)
    if undo:
        if kept.rollback(place) is None:
            end(f"{guard} was not rolled back", ExitCode.REFUSED)
        kept.go_back(place, None)
        print(f"{guard} runs what is at {place}")
        return
    before = kept.before(place)
    if before is None:
        end(f"of {guard} no component before the present one is kept in {cache_folder()}", ExitCode.REFUSED)
    away_from, artifact = before
    if not kept.go_back(place, Rollback(away_from, artifact.digest)):
        end(f"{cache_folder()} cannot be written", ExitCode.UNAVAILABLE)
    print(f"{guard} runs {artifact.digest} in place of {away_from}, until {place} is another one")


def _how_to_pin(guard: str, config: str, settings: WasmSettings, place: Place, kept: Kept) -> str:
    """What to write for the component before: the policy that names a digest is not contradicted."""
    why = f"{guard} is pinned, so that the policy says what runs;"
    pinned = (
        pin
        for pin in kept.pins(of_configuration(guard))
        if pin.module != str(place) or settings.digest not in (None, pin.digest)
    )
    before = next(pinned, None)
    if before is None:
        return f"{why} of components before nothing is kept in {cache_folder()}: name one by its digest in {config}"
    lines = [f"{why} for the component before write in {config}:"]
    if before.module != str(place):
        lines.append(f"  module: {before.module}")
    if settings.digest is not None:
        lines.append(f"  digest: {before.digest}")
    if place.kind is PlaceKind.PATH:
        lines.append(f"and put it back at {before.module}; it is kept as {before.path}")
    return "\n".join(lines)


def _settings_of(guard: str, config: str) -> WasmSettings:
    """The settings of a guard. Nothing is loaded: the present component may be what is wrong."""
    try:
        with Path(config).open("rb") as file:
            document = Document.parse(file.read(MAX_BYTES + 1), config)
    except OSError as error:
        raise ConfigError(config, (Problem("", f"cannot be read: {error.strerror}", None),)) from error
    checker = Checker(document)
    raw = dict(document.value)
    if "policy" in raw:
        raw["policy"] = over_preset(raw["policy"])
    settings: Any = checker.check(installed_guard_types()[1], raw)
    checker.raise_if_any()
    configure(settings.service.wasm, Path(config))
    guards: list[GuardEntry] = [each for each in settings.policy.guards if isinstance(each.settings, WasmSettings)]
    found = next((each for each in guards if each.name == guard), None)
    if found is None:
        known = ", ".join(each.name for each in guards) or "none"
        end(f'"{guard}" is no wasm guard of {config}; there are: {known}', ExitCode.USAGE)
    return cast("WasmSettings", found.settings)
