"""What tests of every folder share: the services they may use, the marks that tell which tests run when, and
`--shuffle SEED`, which runs files, and the tests of each, in another order: no test may rely on what ran before it."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.azurite import AzuritePorts, answers, command
from local.ports import free_port
from local.processes import MARK, ChildProcess
from local.reaper import Reaper

# A test that asks for one of these, or has it as a parameter, needs processes of its own (`start`: a Functions host)
# and is left out of `make test-fast`.
SERVICES = {"azurite", "cloud", "start"}
START_SECONDS = 90


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", metavar="SEED", help="run files, and the tests of each, in the order of this seed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes seconds; left out of `make test-fast`")
    config.addinivalue_line("markers", "services: starts services; left out of `make test-fast`")
    config.addinivalue_line("markers", "nightly: more of what other tests show; run by `make nightly` only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if SERVICES & asked or any(value in SERVICES for value in parameters if isinstance(value, str)):
            item.add_marker("services")
        if item.get_closest_marker("nightly"):
            item.add_marker("long")
    if seed := config.getoption("shuffle"):
        items[:] = shuffled(items, seed)


def shuffled(items: list[pytest.Item], seed: str) -> list[pytest.Item]:
    """The tests in an order that the seed decides; those of one file stay together, since they share what it starts."""
    dice, files = random.Random(seed), dict[Path, list[pytest.Item]]()
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = list(files)
    dice.shuffle(order)
    return [item for path in order for item in dice.sample(files[path], len(files[path]))]


@dataclass(frozen=True)
class Azurite:
    """A running Azurite: how to reach it, and where its access log is."""

    connection_string: str
    log: Path


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for all tests, in memory; tests keep apart by the names of their containers and queues."""
    ports = AzuritePorts(blob=free_port(), queue=free_port(), table=free_port())
    mark = f"tests#{uuid.uuid4()}"
    log = tmp_path_factory.mktemp("azurite") / "azurite.log"
    with Reaper(mark):
        child = ChildProcess.start(command(ports, folder=None), {**os.environ, MARK: mark}, log, folder=log.parent)
        await_azurite(child, ports.connection_string)
        yield Azurite(connection_string=ports.connection_string, log=log)
        child.stop()


def await_azurite(child: ChildProcess, connection_string: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(connection_string):
        if child.exit_code is not None or time.monotonic() > deadline:
            child.kill()
            pytest.fail(f"Azurite did not start:\n{child.log.read_text()}")
        time.sleep(0.05)
