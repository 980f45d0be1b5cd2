"""Where the APIs listen: checked and bound before anything is made, served once everything is ready."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from cyclades.cli.protocol import BoundedProtocol
from cyclades.cli.refused import Refused
from cyclades.config import Api


def check(api: Api) -> None:
    """Refuse what would let passwords travel in clear, and TLS that would not work."""
    if (api.tls_cert is None) != (api.tls_key is None):
        raise Refused("TLS needs both a certificate and its key: give --tls-cert and --tls-key.")
    if api.tls_cert is not None:
        try:
            # Without a password of ours, OpenSSL would ask for one on the terminal.
            ssl.create_default_context().load_cert_chain(api.tls_cert, api.tls_key, password="")
        except (OSError, ValueError) as error:
            raise Refused(f"TLS cannot use {api.tls_cert} with {api.tls_key}: {error}.") from error
    if not (_is_loopback(api.host) or api.tls_cert or api.insecure):
        raise Refused(
            f"{api.host} can be reached by other machines, and passwords would travel in clear: give --tls-cert and "
            "--tls-key, or --insecure if something in front does TLS."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at the address and port, which nobody else has from now on. Who connects waits."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, number)
    except OSError as error:
        raise Refused(f"{host} is no address of this machine: {error.strerror}.") from error
    with made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(address)
            made.listen()  # with SO_REUSEADDR only this shows that somebody else has it
        except OSError as error:
            raise Refused(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        yield made


@asynccontextmanager
async def serving(app: Any, where: socket.socket, tls: Api | None = None) -> AsyncIterator[None]:
    """Inside, `app` answers requests at `where`, with the certificate of `tls` if that has one. Signals are left to the
    process, which has more to stop in order."""
    config = uvicorn.Config(
        app,
        ssl_certfile=str(tls.tls_cert) if tls and tls.tls_cert else None,
        ssl_keyfile=str(tls.tls_key) if tls and tls.tls_key else None,
        http=BoundedProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        reset_contextvars=True,  # what is logged of one request has nothing of another's
        timeout_graceful_shutdown=5,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[where])
    main = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        server.should_exit = True
        await main
        await server.shutdown(sockets=[where])
