"""The two sides of each contract: the in-memory fake, and the real thing over Azurite or the local Azure ML."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from shared.azure.storage import QUEUE, Storage
from shared.azure.storage.connection import connect
from shared.azure.workspace import Workspace
from tests.contracts.hierarchical import HierarchicalTransport
from tests.contracts.workspaces import AzureSide, Shop, workspace_at
from tests.contracts.workspaces import FakeSide as WorkspaceFake
from tests.fakes import Clock, FakeStorage, Process
from tests.local.azureml_server import AzureMl


class Holder(Protocol):
    """Another process, and what becomes of it."""

    def pause(self) -> None:
        """It does nothing any more, and lives."""

    def kill(self) -> None:
        """It is ended without being asked."""


class StorageSide(Protocol):
    """A Storage, and what only its side can do."""

    storage: Storage

    def visible(self) -> list[str]:
        """The messages a worker would get now, decoded as the Functions host does."""

    def lose(self, name: str) -> None:
        """Ends a lease as if its holder had died."""

    def holder(self, *names: str) -> Holder:
        """Another process of this machine, which has taken these leases, the first with `take_over`."""

    def upload(self, container: str, name: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        """A blob of somebody else's, past the app."""


class FakeHolder:
    """The process of a FakeStorage, as long as it is not killed."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def pause(self) -> None:
        pass

    def kill(self) -> None:
        self._process.alive = False
        self._process.alive = True


class RealHolder:
    """A process that takes leases in Azurite, and then waits for its end."""

    def __init__(self, connection_string: str, names: tuple[str, ...]) -> None:
        script = (
            "import sys, time; from shared.azure.storage import Storage; "
            "from shared.azure.storage.connection import connect; storage = Storage(*connect(sys.argv[1])); "
            "held = [storage.lease(name, take_over=not at) for at, name in enumerate(sys.argv[2:])]; "
            "print('held', flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", script, connection_string, *names]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "held\n"

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class FakeSide:
    """FakeStorage."""

    def __init__(self, hierarchical: bool = False) -> None:
        self.fake = FakeStorage(Clock(), Process(), hierarchical)
        anything: Any = self.fake
        self.storage: Storage = anything

    def visible(self) -> list[str]:
        return [message for at, _, message in self.fake.messages if at <= self.fake.clock()]

    def lose(self, name: str) -> None:
        self.fake.clock.now += 3600

    def holder(self, *names: str) -> Holder:
        for at, name in enumerate(names):
            self.fake.lease(name, take_over=not at)
        return FakeHolder(self.fake.process)

    def upload(self, container: str, name: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        self.fake.upload(container, name, data, metadata)


class AzuriteSide:
    """shared.azure.storage.Storage over Azurite."""

    def __init__(self, blobs: Any, queues: Any, connection_string: str) -> None:
        self.blobs, self.connection_string = blobs, connection_string
        self.queue = queues.get_queue_client(QUEUE)
        self.storage = Storage(blobs, queues)
        self.storage.prepare()
        self.queue.clear_messages()

    def visible(self) -> list[str]:
        return [base64.b64decode(m.content, validate=True).decode() for m in self.queue.peek_messages(32)]

    def lose(self, name: str) -> None:
        from azure.storage.blob import BlobLeaseClient

        BlobLeaseClient(self.blobs.get_blob_client("locks", name)).break_lease(lease_break_period=0)

    def holder(self, *names: str) -> Holder:
        return RealHolder(self.connection_string, names)

    def upload(self, container: str, name: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        # Azurite takes a backslash for a slash, as Azure does, and the SDK sends it as it is.
        path = name if "." not in name.split("/") and ".." not in name.split("/") else name.replace("/", "\\")
        self.blobs.get_blob_client(container, path).upload_blob(data, metadata=metadata)


@pytest.fixture(params=["fake", pytest.param("azurite", marks=pytest.mark.services)])
def side(request: pytest.FixtureRequest) -> Iterator[StorageSide]:
    """Both sides in turn."""
    if request.param == "fake":
        yield FakeSide()
        return
    text = request.getfixturevalue("azurite").connection_string
    blobs, queues = connect(text)
    with blobs, queues:
        yield AzuriteSide(blobs, queues, text)


@pytest.fixture(params=["fake", pytest.param("azurite", marks=pytest.mark.services)])
def hierarchical_side(request: pytest.FixtureRequest) -> Iterator[StorageSide]:
    """Both sides in turn, as accounts with a hierarchical namespace."""
    if request.param == "fake":
        yield FakeSide(hierarchical=True)
        return
    text = request.getfixturevalue("azurite").connection_string
    plain, _ = connect(text)
    blobs, queues = connect(text, transport=HierarchicalTransport(plain))
    with plain, blobs, queues:
        yield AzuriteSide(blobs, queues, text)


@pytest.fixture
def storage(side: StorageSide) -> Storage:
    """The Storage of either side."""
    return side.storage


@pytest.fixture
def name() -> str:
    """A blob's name that no other test uses: the containers are the app's own."""
    return f"test-{uuid.uuid4().hex}"


# --- the workspace ---

# What azure-ai-ml itself warns about when it is used.
SDK_WARNINGS = (
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
    "ignore:datetime.datetime.utcnow:DeprecationWarning:azure",
)


USE_AZURE_ML = {
    "test_workspace.py",
    "test_workspace_faults.py",
    "test_endpoints.py",
    "test_metrics.py",
    "test_bounds.py",
    "test_registry.py",
    "test_roles.py",
    "test_tracking.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "contracts" and item.path.name in USE_AZURE_ML:
            for warning in SDK_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="module")
def contract_azureml(azurite: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMl]:
    """A local Azure ML for one file of contracts, with the container that training files are read from."""
    text = azurite.connection_string
    blobs, queues = connect(text)
    with blobs, queues:
        Storage(blobs, queues).prepare()
    server = AzureMl(tmp_path_factory.mktemp("contract-azureml"), text)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def azure_workspace(contract_azureml: AzureMl) -> Workspace:
    """The app's clients, one set for a file: making them costs more than most tests do with them."""
    return workspace_at(contract_azureml)


@pytest.fixture
def azure_shop(contract_azureml: AzureMl, azure_workspace: Workspace) -> Iterator[Shop]:
    """The local Azure ML's side; the server is left as it was."""
    settings = contract_azureml.control("GET", "/settings")
    with contract_azureml.environment():
        yield Shop(AzureSide(contract_azureml, azure_workspace), contract_azureml.connection_string)
    contract_azureml.control("DELETE", "/faults")
    contract_azureml.control("PUT", "/settings", settings)
    contract_azureml.wait_until_idle()


@pytest.fixture(params=["fake", pytest.param("azureml", marks=pytest.mark.services)])
def shop(request: pytest.FixtureRequest) -> Shop:
    """Both sides in turn."""
    made: Shop = Shop(WorkspaceFake()) if request.param == "fake" else request.getfixturevalue("azure_shop")
    return made
