"""The HTTP side of GuardService: ``POST /v1/security/evaluate``, for gateways that speak none of the gRPC protocols.

It is the contract that the design of these guards began with, with what it has not: all phases, both directions, the
caller's proof. Whatever goes wrong has a status of 400 or above and is no decision.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import msgspec
from aiohttp import web

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.guard_service.json_decode import decode_json
from guardsvc.gateways.guard_service.json_encode import encode_json
from guardsvc.gateways.guard_service.json_members import ContractError, Problem
from guardsvc.gateways.holding import Holding, deciding

if TYPE_CHECKING:
    import ssl

    from guardsvc.gateways.admission import Shed
    from guardsvc.gateways.guard_service.service import GuardService
    from guardsvc.model import Decision

__all__ = ["PATH", "HttpGuardService"]

PATH = "/v1/security/evaluate"
JSON = "application/json"
READ_WITHIN = 5.0
"""Seconds in which a body must be there."""


class HttpGuardService:
    """Answers POST.

    Args:
        service: decides, as over gRPC.
        max_bytes: bytes of the largest body.
    """

    def __init__(self, service: GuardService, max_bytes: int) -> None:
        self._service = service
        self._most = max_bytes

    def application(self) -> web.Application:
        """The application to serve."""
        app = web.Application()
        app.add_routes([web.post(PATH, self.evaluate)])
        return app

    async def evaluate(self, request: web.Request) -> web.Response:
        """Decide about one operation."""
        arrived = perf_counter()
        peer = _Peer(request.transport)
        if "origin" in request.headers:
            # A page in a browser on this host would be believed as this host is.
            return _failure(HTTPStatus.FORBIDDEN, Problem("", "browsers are not answered"))
        if request.content_type != JSON or request.headers.get("content-encoding", "identity") != "identity":
            problem = f"the body must be {JSON} and not compressed"
            return _failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Problem("", problem))
        admission = self._service.intake.admission
        holding = Holding(admission)
        try:
            body = await self._read(request, holding)
            with deciding(admission):
                return await self._decide(body, peer, arrived)
        except OverloadedError as error:
            admission.tell(error.limit)
            return self._shed(peer, error.limit)
        except ContractError as error:
            return _failure(HTTPStatus.BAD_REQUEST, *error.problems)
        except _UnreadError as error:
            return _failure(error.status, Problem("", str(error)))
        except _FailedError:
            return _failure(HTTPStatus.INTERNAL_SERVER_ERROR, Problem("", "the decision failed"))
        finally:
            holding.release()

    async def _read(self, request: web.Request, holding: Holding) -> bytes:
        """The body, which is counted while it comes.

        Raises:
            OverloadedError: there is no room for it.
            _UnreadError: it is too large, or did not come in time.
        """
        unread = self._service.intake.unread
        if unread is not None and unread.full:
            raise OverloadedError("memory")
        body = bytearray()
        if (request.content_length or 0) > self._most:
            raise self._too_large()
        try:
            async with asyncio.timeout(READ_WITHIN):
                async for piece in request.content.iter_any():
                    holding.hold(len(body) + len(piece))
                    body += piece
                    if len(body) > self._most:
                        raise self._too_large()
        except TimeoutError:
            problem = f"the body was not there in {READ_WITHIN:g} s"
            raise _UnreadError(HTTPStatus.REQUEST_TIMEOUT, problem) from None
        return bytes(body)

    def _too_large(self) -> _UnreadError:
        return _UnreadError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {self._most} bytes")

    async def _decide(self, body: bytes, peer: _Peer, arrived: float) -> web.Response:
        asked = self._service.read(
            lambda policy, believed, learns: decode_json(
                body, policy, peer=peer.peer(), believed=believed, learns=learns
            ),
            peer,
        )
        peer.seconds = asked.seconds

        def write(decision: Decision) -> bytes:
            return encode_json(decision, lists_tools=asked.lists_tools, renamed=asked.renamed)

        answer = await self._service.ask(asked.question, peer, write, arrived=arrived)
        return web.Response(body=answer, content_type=JSON)

    def _shed(self, peer: _Peer, limit: Shed) -> web.Response:
        told: list[Decision] = []

        def write(decision: Decision) -> bytes:
            told.append(decision)
            return encode_json(decision)

        answer = self._service.refuse_unread(peer, limit, write)
        if told[0].applied == "allow":
            return web.Response(body=answer, content_type=JSON)
        wait = -(-self._service.intake.admission.bounds.retry_after_ms // 1000)
        return web.Response(
            body=answer,
            content_type=JSON,
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={"retry-after": str(wait)},
        )


class _UnreadError(Exception):
    """A body cannot be read to its end."""

    def __init__(self, status: HTTPStatus, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class _FailedError(Exception):
    """guardsvc itself failed."""


class _Peer:
    """The caller, asked what a call of gRPC is asked.

    Attributes:
        seconds: what the body says that the decision may take.
    """

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        self._transport = transport
        self.seconds: float | None = None

    def peer(self) -> str:
        """Its address in the form of gRPC; one that has gone already has none, and is nobody."""
        name = self._info("peername")
        if isinstance(name, tuple):
            host, port = name[0], name[1]
            return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        return "unix:" if self._info("socket") is not None else "unknown:"

    def auth_context(self) -> dict[str, list[bytes]]:
        """Names of its certificate, which the TLS handshake has verified, in the form of gRPC."""
        tls: ssl.SSLObject | None = self._info("ssl_object")
        if tls is None:
            return {}
        shown: dict[str, list[bytes]] = {"transport_security_type": [b"ssl"], "peer_uri": [], "peer_dns": []}
        certificate: dict[str, Any] = tls.getpeercert() or {}
        for kind, name in certificate.get("subjectAltName", ()):
            if kind in ("URI", "DNS"):
                shown[f"peer_{kind.lower()}"].append(name.encode())
        return shown

    def time_remaining(self) -> float | None:
        """Seconds that the decision may take."""
        return self.seconds

    async def abort(self, _code: grpc.StatusCode, _details: str) -> NoReturn:
        """End the call."""
        raise _FailedError

    def _info(self, name: str) -> Any:
        return None if self._transport is None else self._transport.get_extra_info(name)


def _failure(status: HTTPStatus, *problems: Problem) -> web.Response:
    body = msgspec.json.encode({"errors": problems})
    return web.Response(body=body, content_type=JSON, status=status)
