"""Live policy: the policy in force, and how a new one takes its place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from guardsvc.config import ConfigError, in_turns
from guardsvc.observe import set_level

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guardsvc.observe import Metrics
    from guardsvc.observe.logs import LogLevel
    from guardsvc.policy import Policy
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.settings import ServiceSettings

__all__ = ["LivePolicy", "tell_expired_exceptions"]

log = structlog.get_logger(__name__)


class LivePolicy:
    """Holds one policy and swaps one reference; decisions under way keep the one they began with.

    Args:
        configuration: the one the process started with.
        load: builds the configuration anew from its source.
        metrics: are told of reloads.
        spread: puts a configuration in force wherever else it must be, or raises and changes nothing.
        adopted: is told of every configuration that is put in force after the first.
    """

    def __init__(
        self,
        configuration: Configuration,
        load: Callable[[], Configuration],
        metrics: Metrics,
        spread: Callable[[Configuration], Awaitable[None]] | None = None,
        adopted: Callable[[Configuration], None] = lambda _: None,
    ) -> None:
        self._configuration = configuration
        self._running = configuration.service
        self._load = load
        self._spread = spread
        self._adopted = adopted
        self._metrics = metrics
        self._lock = asyncio.Lock()
        metrics.policy_loaded.set(time.time())
        metrics.policy_stale.set(0)
        metrics.exceptions.labels("active").set_function(lambda: self._exceptions() - self._expired())
        metrics.exceptions.labels("expired").set_function(self._expired)

    def __call__(self) -> Policy:
        """The policy in force."""
        return self._configuration.policy

    @property
    def log_level(self) -> LogLevel:
        """The log level of the configuration in force."""
        return self._configuration.service.log.level

    async def reload(self) -> None:
        """Build the configuration from its source, off the event loop, and put it in force.

        On any error the last good policy stays, which the metrics and the log say. Of the ``service``
        section only the log level changes.
        """
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(in_turns, self._load)
                if self._spread is not None:
                    await self._spread(loaded)
            except ConfigError as error:
                self._failed(problems=[str(problem) for problem in error.problems])
                return
            except Exception as error:
                self._failed(problems=[f"{type(error).__name__}: {error}"])
                return
            self._put_in_force(loaded)

    def adopt(self, loaded: Configuration) -> Configuration:
        """Put a configuration in force without a word: the policy, and the log level.

        Returns:
            The one before.
        """
        before, self._configuration = self._configuration, loaded
        self._adopted(loaded)
        if loaded.service.log.level != before.service.log.level:
            set_level(loaded.service.log.level)
        return before

    def _put_in_force(self, loaded: Configuration) -> None:
        before = self.adopt(loaded)
        changed = loaded.policy.hash != before.policy.hash
        self._metrics.policy_stale.set(0)
        self._metrics.policy_reloads.labels("loaded" if changed else "unchanged").inc()
        if _settled(loaded.service) != _settled(self._running):
            log.warning("restart_needed", changed="service settings that count from the next start on")
        if changed:
            self._metrics.policy_loaded.set(time.time())
            log.info("policy_loaded", policy=loaded.policy.hash, before=before.policy.hash, source=loaded.source)
            tell_expired_exceptions(loaded.policy)

    def _exceptions(self) -> int:
        return len(self().exceptions)

    def _expired(self) -> int:
        return len(self().expired_exceptions(time.time()))

    def _failed(self, *, problems: list[str]) -> None:
        self._metrics.policy_stale.set(1)
        self._metrics.policy_reloads.labels("failed").inc()
        log.error(
            "reload_failed",
            kept=self._configuration.policy.hash,
            source=self._configuration.source,
            problems=problems,
        )


def tell_expired_exceptions(policy: Policy) -> None:
    """Log which exceptions of a policy have no effect any more."""
    if expired := policy.expired_exceptions(time.time()):
        log.warning("exceptions_expired", exceptions=[entry.id for entry in expired], policy=policy.hash)


def _settled(service: ServiceSettings) -> ServiceSettings:
    """The settings without those that count from a reload on: the log level, and where WASM modules come from."""
    changes = {"log": service.log.model_copy(update={"level": "info"}), "wasm": service.wasm.settled()}
    return service.model_copy(update=changes)
