"""The HTTP listener for metrics and probes; it may be open to the cluster, so it shows no decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

import guardsvc
from guardsvc.server.settings import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardsvc.observe import JointMetrics, Metrics
    from guardsvc.policy import Policy

__all__ = ["HttpListener"]


class HttpListener:
    """Serves ``/metrics``, ``/livez``, ``/readyz`` and ``/version``.

    Args:
        address: ``host:port``; port 0 takes a free one.
        metrics: what ``/metrics`` shows.
        policy: gives the policy in force.
        ready: whether the service takes decisions.
        about: what ``/readyz`` says beside that.
    """

    def __init__(
        self,
        address: str,
        metrics: Metrics | JointMetrics,
        policy: Callable[[], Policy],
        ready: Callable[[], bool],
        about: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._address = host_and_port(address)
        self._metrics = metrics
        self._policy = policy
        self._ready = ready
        self._about = about
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._show_metrics),
                web.get("/livez", self._show_live),
                web.get("/readyz", self._show_ready),
                web.get("/version", self._show_version),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)

    async def start(self) -> str:
        """Listen.

        Returns:
            The address, with the port that was taken.

        Raises:
            OSError: the address cannot be bound.
        """
        host, port = self._address
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        return f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(),
            headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _show_live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _show_ready(self, _: web.Request) -> web.Response:
        if not self._ready():
            return web.json_response({"status": "not ready", **self._about()}, status=503)
        return web.json_response({"status": "ready", "policy": self._policy().hash, **self._about()})

    async def _show_version(self, _: web.Request) -> web.Response:
        policy = self._policy()
        return web.json_response(
            {"version": guardsvc.__version__, "policy": {"name": policy.settings.name, "hash": policy.hash}}
        )
