"""Options: which component a command is about, and by which settings of the service."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.config import Checker, ConfigError, Document, Problem
from guardsvc.config.document import MAX_BYTES
from guardsvc.guards.wasm.loading.sources import Place, SourceError, read
from guardsvc.guards.wasm.options import RegistrySettings, TrustSettings, WasmOptions, cache_folder, configure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.wasm.loading.sources import Artifact

__all__ = ["Asked", "end", "object_of"]


@dataclass(frozen=True)
class Asked:
    """What the command line says.

    Attributes:
        text: the place of the component, as given.
        place: the same, taken apart.
        options: of WASM guards.
    """

    text: str
    place: Place
    options: WasmOptions

    @classmethod
    def of(
        cls,
        module: str,
        config: str | None,
        *,
        keys: Sequence[str] = (),
        insecure: bool = False,
        others: Sequence[str] = (),
    ) -> Asked:
        """That of a command line; ends the process where it is wrong.

        Raises:
            ConfigError: the file is wrong.
        """
        options = WasmOptions() if config is None else _wasm_of(config)
        try:
            places = [Place.parse(text) for text in (module, *others)]
        except SourceError as error:
            end(str(error), ExitCode.USAGE)
        changed: dict[str, Any] = {}
        if keys:
            changed["trust"] = (TrustSettings(keys=tuple(keys), required=True),)
        if insecure:
            hosts = {place.host: RegistrySettings(insecure=True) for place in places if place.host}
            changed["registries"] = {**options.registries, **hosts}
        options = options.model_copy(update=changed)
        configure(options)
        return cls(module, places[0], options)

    def read(self) -> Artifact:
        """The component; ends the process where it cannot be read."""
        from guardsvc.guards.wasm.loading.kept import Kept

        try:
            return read(self.place, self.options, Kept(cache_folder()))
        except SourceError as error:
            end(str(error), ExitCode.USAGE)


def object_of(option: str, text: str) -> dict[str, Any]:
    """A JSON object of the command line; ends the process where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        end(f"{option} is no JSON object", ExitCode.USAGE)
    return value


def end(message: str, code: ExitCode) -> NoReturn:
    """End with a line on standard error."""
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(code)


def _wasm_of(config: str) -> WasmOptions:
    """``service.wasm`` of a file; what else is in it need not be right."""
    try:
        with Path(config).open("rb") as file:
            document = Document.parse(file.read(MAX_BYTES + 1), config)
    except OSError as error:
        raise ConfigError(config, (Problem("", f"cannot be read: {error.strerror}", None),)) from error
    service = document.value.get("service") or {}
    checker = Checker(document)
    given = service.get("wasm", {}) if isinstance(service, dict) else {}
    options: WasmOptions | None = checker.check(WasmOptions, given, ("service", "wasm"))
    checker.raise_if_any()
    assert options is not None  # noqa: S101  without problems there are options
    return options
