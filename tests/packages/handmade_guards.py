"""Guards of a third-party package, for tests of what only such guards can show: waiting, failing, changing, hiding."""

from __future__ import annotations

import asyncio
from pathlib import Path

from guardsvc.config import Secret
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Facts,
    GuardContext,
    GuardType,
    Modify,
    Operation,
    Settings,
    Tier,
)


class GateSettings(Settings):
    """Where the gate stands."""

    folder: str


class Gate:
    """Notes in its folder that a decision has come, and holds it until the file ``open`` is there."""

    def __init__(self, settings: GateSettings, context: GuardContext) -> None:
        del context
        self._folder = Path(settings.folder)

    async def evaluate(self, operation: Operation, facts: Facts) -> Allow:
        del facts
        (self._folder / f"came-{operation.id}").touch()
        while not (self._folder / "open").exists():  # noqa: ASYNC110  another process opens it
            await asyncio.sleep(0.01)
        return ALLOW


class Marker:
    """Adds the argument ``marked``."""

    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    def evaluate(self, operation: Operation, facts: Facts) -> Modify:
        del facts
        params = operation.payload or {}
        return Modify(payload={**params, "arguments": {**params.get("arguments", {}), "marked": "yes"}})


class Broken:
    """Raises, with words of the caller in the message."""

    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    def evaluate(self, operation: Operation, facts: Facts) -> Allow:
        del facts
        raise RuntimeError(f"cannot judge\n{operation.subject}")


class KeyholderSettings(Settings):
    """A secret that nothing may show."""

    key: Secret


class Keyholder:
    """Denies with a code of its own."""

    def __init__(self, settings: KeyholderSettings, context: GuardContext) -> None:
        del context
        self._key = settings.key

    def evaluate(self, operation: Operation, facts: Facts) -> Deny:
        del operation, facts
        return Deny(code="no_key", message="The key does not fit.")


GATE = GuardType(name="gate", settings=GateSettings, build=Gate, tier=Tier.HTTP)
MARKER = GuardType(name="marker", settings=Settings, build=Marker)
BROKEN = GuardType(name="broken", settings=Settings, build=Broken)
KEYHOLDER = GuardType(name="keyholder", settings=KeyholderSettings, build=Keyholder)
