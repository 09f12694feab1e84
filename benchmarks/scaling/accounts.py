"""A storage account that a benchmark measures against, with the app's real client. Called by the benchmarks."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.azurite import AzuritePorts, answers, command
from local.ports import free_port
from local.processes import ChildProcess
from shared.azure.storage import Storage, connection


@contextmanager
def azurite() -> Iterator[Storage]:
    """A storage account in memory, of this process alone."""
    ports = AzuritePorts(blob=free_port(), queue=free_port(), table=free_port())
    with tempfile.TemporaryDirectory() as folder:
        child = ChildProcess.start(command(ports, None), dict(os.environ), Path(folder) / "log", folder=Path(folder))
        try:
            while not answers(ports.connection_string):
                time.sleep(0.1)
            made = Storage(*connection.connect(ports.connection_string))
            made.prepare()
            yield made
        finally:
            child.stop()
