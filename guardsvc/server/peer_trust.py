"""Peer trust: whether a listener believes a peer when it names a caller, and how many it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from guardsvc.gateways.peers import Believes, Certified, anyone, local, nobody

if TYPE_CHECKING:
    from guardsvc.observe import Metrics
    from guardsvc.server.listener_settings import ListenerSettings

__all__ = ["PeerTrust"]

log = structlog.get_logger(__name__)


class PeerTrust:
    """The rule of one listener.

    Args:
        name: of the listener in the configuration.
        settings: its own.
        metrics: count those that are not believed.
    """

    def __init__(self, name: str, settings: ListenerSettings, metrics: Metrics) -> None:
        self._name = name
        self._rule = _rule(settings)
        self._unbelieved = metrics.unbelieved.labels(name)
        self._said = False

    def believes(self, context: Any) -> bool:
        """Whether the peer of a call is believed; who is not is counted, and the first one logged.

        Args:
            context: a ``grpc.aio.ServicerContext``, or what answers ``peer`` and ``auth_context`` as it does.
        """
        if self._rule(context):
            return True
        if not self._said:
            log.warning("peer_not_believed", listener=self._name, peer=context.peer())
            self._said = True
        self._unbelieved.inc()
        return False


def _rule(settings: ListenerSettings) -> Believes:
    match settings.believed:
        case "local":
            return local
        case "certificate":
            return Certified(settings.trust.uris, settings.trust.dns_names)
        case "any":
            return anyone
        case "none":
            return nobody
