"""What a guest does with ``http`` in one call: how much of it, and no longer than the call may take."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from time import perf_counter
from typing import TYPE_CHECKING, Any

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.http.client import HttpRefused, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.wasm.host.host import HostCalls
    from guardsvc.guards.wasm.http.client import HttpAccess

__all__ = ["HTTP_FUNCTIONS", "HttpCalls"]

Sent = Future[HttpResponse]


class HttpCalls:
    """The requests of one call.

    Args:
        access: what may be called.
        deadline: when the call is over, on the clock of ``time.perf_counter``.
    """

    def __init__(self, access: HttpAccess, deadline: float) -> None:
        self.limits = access.limits
        self._access = access
        self._deadline = deadline
        self._sent: list[Sent] = []

    def send(self, request: HttpRequest) -> Sent:
        """Send a request; the future ends with ``HttpRefused`` where there is no answer."""
        if len(self._sent) >= self.limits.http_calls:
            refused: Sent = Future()
            refused.set_exception(HttpRefused("too-large", f"more than {self.limits.http_calls} requests"))
            return refused
        sent = self._access.send(request, self._deadline)
        self._sent.append(sent)
        return sent

    def wait(self, sent: Sequence[Sent], *, all_: bool = True) -> None:
        """Wait for answers.

        Raises:
            WasmFailure: the call's time is over.
        """
        waiting = [each for each in sent if not each.done()]
        if not waiting or (not all_ and len(waiting) < len(sent)):
            return
        done, rest = wait(
            waiting,
            timeout=max(0.0, self._deadline - perf_counter()),
            return_when="ALL_COMPLETED" if all_ else FIRST_COMPLETED,
        )
        late = perf_counter() >= self._deadline
        if late or (rest and (all_ or not done)):
            raise WasmFailure("deadline", "a host it called has not answered in time")

    def end(self) -> None:
        """Nobody waits for what is still under way."""
        for sent in self._sent:
            sent.cancel()


def _send(calls: HostCalls, request: dict[str, Any]) -> tuple[str, Any]:
    return _send_all(calls, [request])[0]


def _send_all(calls: HostCalls, requests: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    http = calls.http
    sent = [
        http.send(HttpRequest(request["method"], request["url"], tuple(request["headers"]), request["body"].encode()))
        for request in requests
    ]
    http.wait(sent)
    return [_answer(each) for each in sent]


def _answer(sent: Sent) -> tuple[str, Any]:
    error = sent.exception()
    if isinstance(error, HttpRefused):
        return "err", error.name
    response = sent.result()
    body = response.body.decode("utf-8", "replace")
    return "ok", {"status": response.status, "headers": response.headers, "body": body}


HTTP_FUNCTIONS = {("http", "send"): _send, ("http", "send-all"): _send_all}
"""The host functions of the import ``http``."""
