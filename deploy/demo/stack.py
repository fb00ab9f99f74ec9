"""Stack: guardsvc, the MCP server and Envoy together, each on free ports, with their logs in one folder."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, Bootstrap
from deploy.demo.services import Envoy, Guardsvc, McpServer
from deploy.demo.tokens import TokenIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["POLICY", "TENANTS", "Stack"]

POLICY = Path(__file__).parent / "policy.yaml"
TENANTS = "mcp_tenants"
"""The listener that takes only requests with a token."""


class Stack:
    """What runs between a client and its server. As a context manager it ends everything it started.

    Args:
        policies: configuration file of each guardsvc, by the name of its cluster in Envoy.
        change: alters the bootstrap before Envoy starts.
        environment: variables for guardsvc over those of this process.

    Attributes:
        folder: where all logs are.
        issuer: signs the tokens that the listener for tenants takes.
        keep_logs: leave the folder there in the end; so it is too after an error.
    """

    def __init__(
        self,
        policies: Mapping[str, Path] | None = None,
        change: Callable[[Bootstrap], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._change = change
        self.issuer = TokenIssuer()
        self.keep_logs = False
        self.folder = Path(tempfile.mkdtemp(prefix="guardsvc-demo-"))
        self.mcp_server = McpServer(self.folder)
        self.services = {
            name: Guardsvc(config, self.folder, name=name, environment=environment)
            for name, config in (policies or {GUARDSVC: POLICY}).items()
        }
        self._running = ExitStack()
        self.envoy: Envoy

    @property
    def guardsvc(self) -> Guardsvc:
        """The guardsvc of the shipped listener."""
        return self.services[GUARDSVC]

    def url(self, listener: str | None = None) -> str:
        """The MCP endpoint as clients reach it, through the shipped listener or another."""
        return self.envoy.url() if listener is None else self.envoy.url(listener)

    def __enter__(self) -> Self:
        """Start everything and wait until it is ready.

        Raises:
            NotReadyError: something did not start; all of it is ended again.
        """
        try:
            self._start()
        except BaseException as error:
            self._end(type(error))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything; after an error the logs stay."""
        self._end(kind)

    def tails(self) -> str:
        """The last lines of every log."""
        return "\n".join(process.tail() for process in (*self.services.values(), self.mcp_server, self.envoy))

    def _end(self, kind: type[BaseException] | None) -> None:
        self._running.close()
        if not self.keep_logs and (kind is None or not issubclass(kind, Exception)):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        behind: tuple[Guardsvc | McpServer, ...] = (*self.services.values(), self.mcp_server)
        for process in behind:
            self._running.callback(process.stop)
            process.start()
        for process in behind:
            process.wait()
        bootstrap = Bootstrap()
        bootstrap.add_token_listener(TENANTS, self.issuer.jwks)
        if self._change is not None:
            self._change(bootstrap)
        bootstrap.point(MCP_SERVER, self.mcp_server.port)
        for name, service in self.services.items():
            bootstrap.point(name, service.port)
        self.envoy = Envoy(bootstrap, self.folder)
        self._running.callback(self.envoy.stop)
        self.envoy.start()
        self.envoy.wait()
