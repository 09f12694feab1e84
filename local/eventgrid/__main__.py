"""Starts the local Event Grid: `python -m local.eventgrid --folder F --port P --azurite-log FILE`.

Two secrets come by the environment: `STORAGE_CONNECTION` (Azurite's connection string) and `EVENTGRID_KEY` (the key
that publishers send as aeg-sas-key). Everybody on the machine may read a command line.
Started by the local cloud's supervisor and by tests; ends on SIGTERM or SIGINT within two seconds. In its folder it
keeps the subscriptions and how far it has read Azurite's log, and goes on from there when started again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

import httpx
import uvicorn

from local.eventgrid.app import Api, create_app
from local.eventgrid.broker import Broker
from local.eventgrid.dead_letters import DeadLetters
from local.eventgrid.storage_events import StorageEvents
from local.eventgrid.subscriptions import Subscriptions

ACCOUNT = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.Storage/storageAccounts/devstoreaccount1"
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.eventgrid", description="A local Event Grid.")
    parser.add_argument("--folder", type=Path, required=True, help="folder for subscriptions and the log position")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--azurite-log", type=Path, required=True, help="file with Azurite's access log")
    parser.add_argument("--account", default=ACCOUNT, help="resource id of the account that storage events name")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Run until told to stop."""
    options.folder.mkdir(parents=True, exist_ok=True)
    subscriptions = Subscriptions(options.folder / "subscriptions.json")
    storage_connection, key = os.environ["STORAGE_CONNECTION"], os.environ["EVENTGRID_KEY"]
    dead_letters = DeadLetters(storage_connection)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:
        broker = Broker(client, subscriptions, dead_letters)
        record = options.folder / "log-position.json"
        storage = StorageEvents(broker, storage_connection, options.azurite_log, record, options.account)
        url = f"http://127.0.0.1:{options.port}"
        api = Api(broker, storage, subscriptions, dead_letters, client, key, url)
        watching = asyncio.create_task(storage.run())
        watching.add_done_callback(report_end)
        try:
            await server_for(api, options.port).serve()
        finally:
            watching.cancel()
            await broker.stop()


def server_for(api: Api, port: int) -> uvicorn.Server:
    """The HTTP server; who still waits for an answer when it stops is cut off after a second."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(api),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )


def report_end(watching: asyncio.Task[None]) -> None:
    """Storage events must not just stop coming."""
    if not watching.cancelled():
        logging.critical("the access log is no longer followed", exc_info=watching.exception())


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "azure"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.umask(0o077)  # the subscriptions hold keys
    asyncio.run(serve(parse_arguments()))


if __name__ == "__main__":
    main()
