"""One deployment's process: `python -m local.azureml.serving`, started by the control plane.

Plays both containers of a real deployment: the storage initializer fetches the model folder from the
datastore, the inference server loads it with `mlflow.pyfunc.load_model` and answers over HTTP on a port of
its own choice, which it tells the control plane.
"""

from __future__ import annotations

import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from local.azureml.processes.lifeline import Lifeline, connect


def main() -> None:
    """Fetch, load, serve until the control plane hangs up."""
    lifeline = connect()
    specification = lifeline.receive()
    folder = Path(specification["folder"]) / "model"
    initialize_storage(specification, folder)
    serve(folder, specification["concurrency"], specification["workers"], lifeline)


def log_to(stream: Any, name: str) -> logging.Logger:
    """A logger of one container."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger(name)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return log


def initialize_storage(specification: dict[str, Any], folder: Path) -> None:
    """Fetch the model; its log is the storage initializer's."""
    from local.azureml.training.datastore import Datastore

    with Path(specification["storage_log"]).open("a", buffering=1) as stream:
        log = log_to(stream, "storage-initializer")
        shutil.rmtree(folder, ignore_errors=True)
        container, path = specification["container"], specification["path"]
        log.info("downloading model from %s/%s", container, path)
        count = Datastore(specification["connection"], {}).download_folder(container, path, folder)
        if count == 0:
            log.error("no files found in %s/%s", container, path)
            sys.exit(f"Model not found at {container}/{path}.")
        log.info("downloaded %d files", count)


def serve(folder: Path, concurrency: int, workers: int, lifeline: Lifeline) -> None:
    """Load the model and answer requests; standard error is the inference server's log."""
    # Imported after the download: a wrong path is reported at once.
    import mlflow.pyfunc
    import uvicorn

    from local.azureml.serving.server import build_app

    log = log_to(sys.stderr, "inference-server")
    log.info("loading model with mlflow.pyfunc.load_model")
    model = mlflow.pyfunc.load_model(str(folder))
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off for such sockets only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    # Listening before the port is told: the probe follows at once.
    listener.listen(2048)
    app = build_app(model, concurrency, log, workers)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=120)
    lifeline.send({"port": listener.getsockname()[1]})
    log.info("serving on port %d", listener.getsockname()[1])
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
