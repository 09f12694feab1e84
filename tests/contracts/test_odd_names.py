"""Blobs under names that no client would send: whoever may only create blobs must not stop the sweep with one."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from azure.storage.queue import QueueServiceClient

from shared.azure.storage import Storage
from shared.runtime import Services
from shared.snapshots import intake, lost_uploads, refusals
from tests.conftest import Azurite
from tests.fakes import World

NAMES = [
    "odd/../b.jsonl",
    "..",
    "odd/..",
    "../ledger/x.jsonl",
    "odd/%2e%2e/c.jsonl",
    "odd/./d.jsonl",
    "odd.",
    "odd/",
    "odd//e.csv",
    "odd%0Aline.jsonl",
    "odd/f%0Ag.jsonl",
]

pytestmark = pytest.mark.services


@pytest.fixture
def services(azurite: Azurite) -> Iterator[Services]:
    """The app over Azurite."""
    text, world = azurite.connection_string, World()
    with BlobServiceClient.from_connection_string(text) as blobs, QueueServiceClient.from_connection_string(text) as qs:
        storage: Any = Storage(blobs, qs)
        storage.prepare()
        fake: Any = world
        yield Services(world.services.settings, storage, fake.workspace, fake.metrics, fake.inference)


@pytest.fixture
def upload(azurite: Azurite, services: Services) -> Iterator[Callable[[str], None]]:
    """Creates a blob with a signature that allows nothing else, under a name as it is; removed afterwards."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        uploaded: list[str] = []

        def put(name: str) -> None:
            uploaded.append(name)
            _send(blobs, "PUT", name, ContainerSasPermissions(create=True))

        yield put
        for name in uploaded:
            _send(blobs, "DELETE", name, ContainerSasPermissions(delete=True))


def _send(blobs: BlobServiceClient, method: str, name: str, permission: ContainerSasPermissions) -> None:
    account, key = str(blobs.account_name), blobs.credential.account_key
    until = datetime.now(UTC) + timedelta(hours=1)
    signature = generate_container_sas(account, "snapshots", account_key=key, permission=permission, expiry=until)
    address = urlsplit(blobs.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    path = f"{address.path.rstrip('/')}/snapshots/{name}?{signature}"
    connection.request(method, path, b"x", {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status in (201, 202), (method, name, answer.status)


def test_a_name_that_no_client_would_send_is_told_once_and_passed_over(
    services: Services, upload: Callable[[str], None]
) -> None:
    intake.accept_since(services)
    for name in NAMES:
        upload(name)
    missed = lost_uploads.missed_uploads(services)
    odd = [blob for blob in missed if blob.name.startswith(("odd", ".."))]
    assert len(odd) == len(NAMES)
    for blob in odd:
        assert intake.receive_listed(services, blob) is None
        assert intake.receive(services, blob.name) is None
    again = {blob.name for blob in lost_uploads.missed_uploads(services)}
    assert not again & {blob.name for blob in odd}
    told = {refusal.path for refusal in refusals.newest(services, 1000)}
    assert {blob.name for blob in odd} <= told


@pytest.mark.parametrize("name", ["told/../b.jsonl", "told%0Aline.jsonl", "told/c%0Ad.jsonl"])
def test_the_event_of_such_a_name_has_it_refused_at_once(
    services: Services, upload: Callable[[str], None], name: str
) -> None:
    assert intake.receive(services, unquote(name)) is None
    upload(name)
    assert intake.receive(services, unquote(name)) is None
    assert unquote(name) in {refusal.path for refusal in refusals.newest(services, 1000)}
