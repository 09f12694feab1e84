"""The events the broker makes from what is done to blobs in Azurite."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobServiceClient,
    ContainerClient,
    ResourceTypes,
    generate_account_sas,
)

from local.eventgrid.access_log import AccessLog, BlobChange, parse
from tests.conftest import Azurite
from tests.local.brokers import BrokerProcess, guard
from tests.local.webhooks import Webhook

PREFIX = "/blobServices/default/containers/watched/"


@pytest.fixture(scope="module")
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as storage:
        yield storage.create_container("watched")


def subscribe(broker: BrokerProcess, webhook: Webhook) -> None:
    assert broker.subscribe("blobs", webhook.url, topic="storage", subject_begins_with=PREFIX).status_code == 200


DOTTED = ("a/../b.jsonl", "..", "../../x.jsonl", "./a.jsonl", "a/..", "a/./b/../c.jsonl")


@pytest.mark.parametrize("name", DOTTED)
def test_a_name_with_dot_segments_keeps_no_events_of_others_back(
    broker: BrokerProcess, webhook: Webhook, container: ContainerClient, azurite: Azurite, name: str
) -> None:
    """Its properties were asked for under another name, refused with 403, and asked for again for ever."""
    subscribe(broker, webhook)
    put_as_it_stands(azurite, f"watched/{name}")
    container.upload_blob("after.jsonl", b"1", overwrite=True)
    assert broker.settle()
    subjects = [received.event["subject"] for received in webhook.received]
    assert f"{PREFIX}blobs/after.jsonl" in subjects
    assert set(subjects) <= {f"{PREFIX}blobs/after.jsonl", f"{PREFIX}blobs/{name}"}
    for received in webhook.received:
        if received.event["subject"].endswith(name):
            assert received.event["data"]["contentLength"] == 7


def put_as_it_stands(azurite: Azurite, path: str) -> None:
    """Upload to an address that no client library would send: they take dot segments out."""
    parts = dict(part.split("=", 1) for part in azurite.connection_string.split(";") if part)
    sas = generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        ResourceTypes(object=True),
        AccountSasPermissions(write=True, create=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    address = urlsplit(parts["BlobEndpoint"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 0, timeout=90)
    connection.request(
        "PUT",
        f"{address.path}/{path}?{sas}",
        b"dotted\n",
        {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-12-02"},
    )
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


def test_upload_raises_an_event_of_the_true_shape(
    broker: BrokerProcess, webhook: Webhook, container: ContainerClient
) -> None:
    subscribe(broker, webhook)
    written = container.upload_blob("2026 01/träin%.jsonl", b"12345", overwrite=True)
    assert broker.settle()
    (received,) = webhook.received
    event, data = received.event, received.event["data"]
    assert event["eventType"] == "Microsoft.Storage.BlobCreated"
    assert event["subject"] == f"{PREFIX}blobs/2026 01/träin%.jsonl"
    assert event["topic"].endswith("/storageAccounts/devstoreaccount1")
    assert data["api"] == "PutBlob"
    assert data["eTag"] == written.get_blob_properties().etag
    assert data["contentLength"] == 5
    assert data["contentType"] == "application/octet-stream"
    assert data["blobType"] == "BlockBlob"
    assert data["url"] == written.url
    assert len(data["sequencer"]) == 32
    assert set(data) == {
        *("api", "clientRequestId", "requestId", "eTag", "contentType", "contentLength", "blobType", "url"),
        *("sequencer", "storageDiagnostics"),
    }


def test_operations_are_told_apart(broker: BrokerProcess, webhook: Webhook, container: ContainerClient) -> None:
    blocks = container.get_blob_client("blocks")
    source = container.upload_blob("source", b"1", overwrite=True)
    assert broker.settle()
    subscribe(broker, webhook)
    blocks.stage_block("MDAw", b"123")
    blocks.commit_block_list([BlobBlock("MDAw")])
    container.get_blob_client("copy").start_copy_from_url(source.url)
    source.set_blob_metadata({"a": "b"})
    source.delete_blob()
    assert broker.settle()
    seen = {(r.event["eventType"].rpartition(".")[2], r.event["data"]["api"]) for r in webhook.received}
    assert seen == {("BlobCreated", "PutBlockList"), ("BlobCreated", "CopyBlob"), ("BlobDeleted", "DeleteBlob")}
    assert len(webhook.received) == 3


def test_sequencer_grows_with_each_write_of_a_blob(
    broker: BrokerProcess, webhook: Webhook, container: ContainerClient
) -> None:
    subscribe(broker, webhook)
    for content in (b"1", b"2", b"3"):
        container.upload_blob("again", content, overwrite=True)
        assert broker.settle()
    sequencers = [received.event["data"]["sequencer"] for received in webhook.received]
    assert sequencers == sorted(set(sequencers))
    assert len(sequencers) == 3


def test_other_containers_and_failed_writes_raise_nothing(
    broker: BrokerProcess, webhook: Webhook, azurite: Azurite, container: ContainerClient
) -> None:
    subscribe(broker, webhook)
    written = container.upload_blob("leased", b"1", overwrite=True)
    lease = written.acquire_lease()
    with pytest.raises(Exception, match="lease"):
        written.upload_blob(b"2", overwrite=True)
    lease.release()
    with BlobServiceClient.from_connection_string(azurite.connection_string) as storage:
        storage.create_container("unwatched").upload_blob("x", b"1")
    assert broker.settle()
    assert [received.event["data"]["contentLength"] for received in webhook.received] == [1]


def test_killed_broker_goes_on_where_it_was(azurite: Azurite, tmp_path: Path, container: ContainerClient) -> None:
    """Uploads made while it was dead are told, and one that was being delivered when it died is told again."""
    process = BrokerProcess(tmp_path, azurite.connection_string, azurite.log)
    with guard(process), process.client, Webhook() as webhook:
        process.start()
        assert process.settle()  # what earlier tests uploaded is behind it
        subscribe(process, webhook)
        container.upload_blob("before", b"1", overwrite=True)
        assert process.settle()
        process.subscribe("blobs", webhook.url, topic="storage", subject_begins_with=PREFIX, retry={"delays": [60]})
        webhook.answer(500)
        container.upload_blob("during", b"1", overwrite=True)
        failed = webhook.wait_for(2)[-1]
        process.child.kill()
        container.upload_blob("meanwhile", b"1", overwrite=True)
        process.start()
        received = webhook.wait_for(4)
        assert process.settle()
        process.child.stop()
    again = [one.event["subject"].rpartition("/")[2] for one in received]
    assert again[:2] == ["before", "during"]
    assert sorted(again[2:]) == ["during", "meanwhile"]
    assert failed.event["id"] in {one.event["id"] for one in received[2:]}


@pytest.mark.parametrize(
    ("request_line", "status", "found"),
    [
        ("PUT /devstoreaccount1/c/a%20b/%C3%BC", 201, BlobChange("PutBlob", "c", "a b/ü")),
        ("PUT /devstoreaccount1/c/x?timeout=30&sv=2025&sig=a%3D", 201, BlobChange("PutBlob", "c", "x")),
        ("PUT /devstoreaccount1/c/x?comp=blocklist", 201, BlobChange("PutBlockList", "c", "x")),
        ("PUT /devstoreaccount1/c/x", 202, BlobChange("CopyBlob", "c", "x")),
        ("DELETE /devstoreaccount1/c/x", 202, BlobChange("DeleteBlob", "c", "x")),
        ("DELETE /devstoreaccount1/c/x?snapshot=2026", 202, None),
        ("PUT /devstoreaccount1/c/x", 412, None),
        ("PUT /devstoreaccount1/c/x?comp=block&blockid=1", 201, None),
        ("PUT /devstoreaccount1/c/x?comp=lease", 201, None),
        ("PUT /devstoreaccount1/c?restype=container", 201, None),
        ("PUT /devstoreaccount1/queue/messages/1?popreceipt=2", 204, None),
        ("DELETE /devstoreaccount1/queue/messages/1?popreceipt=2", 204, None),
        ("GET /devstoreaccount1/c/x", 200, None),
    ],
)
def test_log_line_means_what_azurite_did(request_line: str, status: int, found: BlobChange | None) -> None:
    line = f'127.0.0.1 - - [24/Nov/2026:01:38:29 +0000] "{request_line} HTTP/1.1" {status} -'
    assert parse(line) == found


def texts(log: AccessLog) -> list[str]:
    return [line.text.strip() for line in log.new_lines()]


def test_half_a_line_is_not_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AccessLog(path)
    assert texts(log) == []
    with path.open("w") as file:
        file.write("one\ntw")
        file.flush()
        assert texts(log) == ["one"]
        file.write("o\n")
    assert texts(log) == ["two"]
    log.close()


def test_replaced_log_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    log = AccessLog(path)
    assert texts(log) == ["one"]
    with path.open("a") as file:
        file.write("two\n")
    path.rename(tmp_path / "log.1")
    path.write_text("three\n")
    assert texts(log) == ["two", "three"]
    log.close()


def test_shortened_log_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a long line\n")
    log = AccessLog(path)
    assert texts(log) == ["a long line"]
    path.write_text("short\n")
    assert texts(log) == ["short"]
    log.close()


def test_position_in_another_file_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(json.dumps({"n": 1}) + "\n")
    log = AccessLog(path, file=1, position=5)
    assert texts(log) == ['{"n": 1}']
    log.close()
