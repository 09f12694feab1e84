"""Starts the local Azure ML: `python -m local.azureml --folder F --port P --identity-port I ...`.

Secrets come by the environment: `STORAGE_CONNECTION` (the connection string of the storage account), `IDENTITY_HEADER`
(what the app sends to get tokens), `TOPIC_KEY` (for `--topic-url`). Everybody on the machine may read a command line.

Started by the local cloud's supervisor and by tests. Ends on SIGTERM or SIGINT within two seconds, all
children with it; started again on the same folder it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import uvicorn
from starlette.types import ASGIApp

from local.azureml.addresses import Addresses
from local.azureml.app import control_plane, identity_plane
from local.azureml.arm.models import Neighbours
from local.azureml.certificates import Certificates
from local.azureml.cloud import ControlPlane, Options
from local.azureml.settings import PLAIN, changed, read_settings


class QuietServer(uvicorn.Server):
    """A server that leaves signals to this module (there are two in one process) and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def options_from(arguments: list[str] | None = None) -> tuple[Options, int]:
    """Options and the identity port from the command line."""
    parser = argparse.ArgumentParser(prog="python -m local.azureml", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--identity-port", type=int, required=True)
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--resource-group", required=True)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--topic-url")
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--app-url", default="", help="address of the Functions host")
    parser.add_argument("--host-keys", type=Path, help="file with the host's keys")
    containers = (PLAIN, "fmi", "serve", "score", "mlflow")
    parser.add_argument("--container", choices=containers, help="the image of deployments for which nothing is set")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    settings = read_settings(given.settings)
    if given.container:
        settings = changed(settings, {"container": None if given.container == PLAIN else given.container})
    options = Options(
        folder=given.folder.resolve(),
        addresses=Addresses(given.port, given.subscription, given.resource_group, given.workspace),
        storage=os.environ["STORAGE_CONNECTION"],
        settings=settings,
        topic_url=given.topic_url,
        topic_key=os.environ.get("TOPIC_KEY"),
        neighbours=Neighbours(given.app_url, given.host_keys, (given.topic_url or "").partition("/topics/")[0]),
    )
    return options, given.identity_port


def server_for(app: ASGIApp, port: int, certificate: Path | None = None) -> QuietServer:
    """A server on the loopback interface, with TLS when there is a certificate."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        ssl_certfile=certificate,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    return QuietServer(config)


async def serve(options: Options, identity_port: int) -> None:
    """Run until told to stop."""
    certificates = Certificates(options.folder)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as session:
        cloud = ControlPlane(options, session)
        servers = [
            server_for(control_plane(cloud), options.addresses.port, certificates.server),
            server_for(identity_plane(cloud), identity_port),
        ]
        _stop_on_signals(servers, cloud)
        cloud.start()
        try:
            await asyncio.gather(*(server.serve() for server in servers), _say_when_ready(servers))
        finally:
            await cloud.stop()


async def _say_when_ready(servers: list[QuietServer]) -> None:
    """One line on standard output, for whoever started this process and waits."""
    for server in servers:
        await server.ready.wait()
    print("ready", flush=True)


def _stop_on_signals(servers: list[QuietServer], cloud: ControlPlane) -> None:
    def stop() -> None:
        # Held requests would keep the servers waiting.
        cloud.faults.clear()
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)  # the resources hold keys
    options, identity_port = options_from()
    asyncio.run(serve(options, identity_port))


if __name__ == "__main__":
    main()
