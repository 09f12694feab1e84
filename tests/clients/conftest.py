"""One local cloud with a live dataset for all clients; each test leaves the way it answers as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.serving.scenarios import QUICK
from benchmarks.serving.served import Served
from benchmarks.serving.served import served as start


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The cloud and the addresses in it."""
    with start(tmp_path_factory.mktemp("cloud"), QUICK) as served:
        yield served


@pytest.fixture
def served(cloud: Served) -> Iterator[Served]:
    """The same for one test."""
    yield cloud
    cloud.control("DELETE", "faults")
    cloud.control("PUT", "serving", {})
