"""The empty handler that every other candidate is compared with: ``grpc.aio``, the same bytes for every call."""

from __future__ import annotations

import asyncio
import os
import signal

__all__ = ["ANSWER"]

ANSWER = bytes.fromhex("0a00")
"""A CheckResponse with an empty status: allow."""


async def _serve() -> None:
    import grpc  # after its environment is set

    async def check(_data: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return ANSWER

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f'{{"event": "ready", "grpc": "127.0.0.1:{port}"}}', flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    import uvloop

    from guardsvc.cli.serve import GRPC_EXPERIMENTS

    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)
    uvloop.run(_serve())
