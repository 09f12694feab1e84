"""What every step relies on in storage; the same over the fake and over Azurite."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, ContentSettings
from azure.storage.queue import QueueServiceClient

from shared.azure.storage import READ_BLOCK, Storage
from shared.azure.storage.connection import connect
from shared.azure.storage.readahead import AHEAD
from shared.errors import BlocksMissing, LedgerConflict, NotFound
from tests.conftest import Azurite

BOX = "work"


def _bare(etag: str) -> str:
    return etag.strip('"')


def _names(storage: Storage, prefix: str) -> list[str]:
    return [blob.name for blob in storage.list(BOX, prefix)]


# --- blobs ----------------------------------------------------------------------------------------------------


def test_preparing_twice_is_preparing_once(storage: Storage) -> None:
    storage.prepare()
    storage.prepare()
    assert storage.address.endswith("/ledger")


def test_containers_and_the_queue_are_seen_and_what_is_not_there_is_not(storage: Storage) -> None:
    storage.prepare()
    assert storage.containers() >= {"snapshots", "ledger", "work"}
    before = storage.queue_length()
    assert before is not None
    storage.send("snapshot/x", 3600)
    assert storage.queue_length() == before + 1
    assert storage.queue_length("nobodys-queue") is None
    assert storage.account


def test_what_is_created_is_read_back_under_one_etag(storage: Storage, name: str) -> None:
    etag = storage.create(BOX, name, b"one", {"state": "LIVE"})
    data, read = storage.read(BOX, name)
    blob = storage.head(BOX, name)
    (listed,) = storage.list(BOX, name)
    assert data == b"one"
    assert {_bare(e) for e in (etag, read, blob.etag, listed.etag)} == {_bare(etag)}
    assert (blob.name, blob.size, dict(blob.metadata)) == (name, 3, {"state": "LIVE"})
    assert blob.uploaded_at == listed.uploaded_at == int(blob.uploaded_at)


def test_what_exists_is_not_created_again_and_stays_as_it_is(storage: Storage, name: str) -> None:
    etag = storage.create(BOX, name, b"one", {"a": "1"})
    with pytest.raises(LedgerConflict):
        storage.create(BOX, name, b"two", {"a": "2"})
    assert storage.read(BOX, name) == (b"one", etag)
    assert dict(storage.head(BOX, name).metadata) == {"a": "1"}


def test_of_two_writers_with_one_etag_the_second_loses(storage: Storage, name: str) -> None:
    first = storage.create(BOX, name, b"one", {"a": "1"})
    second = storage.replace(BOX, name, b"two", first, {"b": "2"})
    assert _bare(second) != _bare(first)
    with pytest.raises(LedgerConflict):
        storage.replace(BOX, name, b"three", first)
    assert storage.read(BOX, name) == (b"two", second)
    assert dict(storage.head(BOX, name).metadata) == {"b": "2"}


def test_an_etag_from_a_listing_is_as_good_as_one_from_a_read(storage: Storage, name: str) -> None:
    storage.create(BOX, name, b"one")
    (listed,) = storage.list(BOX, name)
    storage.replace(BOX, name, b"two", listed.etag)
    with pytest.raises(LedgerConflict):
        storage.replace(BOX, name, b"three", listed.etag)


def test_the_same_bytes_again_are_another_version(storage: Storage, name: str) -> None:
    assert _bare(storage.put(BOX, name, b"one")) != _bare(storage.put(BOX, name, b"one"))


def test_an_unconditional_write_replaces_content_and_metadata(storage: Storage, name: str) -> None:
    storage.create(BOX, name, b"one", {"a": "1"})
    storage.put(BOX, name, b"two")
    assert storage.read(BOX, name)[0] == b"two"
    assert dict(storage.head(BOX, name).metadata) == {}


def test_nothing_can_be_replaced_where_nothing_is(storage: Storage, name: str) -> None:
    """A row that was deleted meanwhile is a conflict, as any other change is."""
    etag = storage.create(BOX, name, b"one")
    storage.delete(BOX, name)
    with pytest.raises(LedgerConflict):
        storage.replace(BOX, name, b"two", etag)
    assert _names(storage, name) == []


def test_what_is_not_there_is_unknown(storage: Storage, name: str) -> None:
    for act in (storage.read, storage.head):
        with pytest.raises(NotFound, match=name):
            act(BOX, name)
    with pytest.raises(NotFound, match=name):
        storage.open(BOX, name, "0x1")


def test_deleting_twice_is_deleting_once(storage: Storage, name: str) -> None:
    storage.create(BOX, name, b"one")
    storage.delete(BOX, name)
    storage.delete(BOX, name)
    assert _names(storage, name) == []


def test_one_version_is_deleted_or_another_is_left_and_none_there_is_fine(storage: Storage, name: str) -> None:
    old = storage.create(BOX, name, b"one")
    new = storage.replace(BOX, name, b"two", old)
    with pytest.raises(LedgerConflict):
        storage.delete(BOX, name, old)
    assert _names(storage, name) == [name]
    storage.delete(BOX, name, new)
    storage.delete(BOX, name, new)
    assert _names(storage, name) == []


def test_a_listing_is_in_the_order_of_names_below_a_prefix_with_metadata(storage: Storage, name: str) -> None:
    for path in ("b", "a/2", "a-x", "a/10", "B"):
        storage.create(BOX, f"{name}/{path}", b"x" * len(path), {"path": path.replace("/", "-")})
    found = list(storage.list(BOX, f"{name}/"))
    assert [blob.name.removeprefix(f"{name}/") for blob in found] == ["B", "a-x", "a/10", "a/2", "b"]
    assert [dict(blob.metadata)["path"] for blob in found] == ["B", "a-x", "a-10", "a-2", "b"]
    assert [blob.size for blob in found] == [1, 3, 4, 3, 1]
    assert _names(storage, f"{name}/a/") == [f"{name}/a/10", f"{name}/a/2"]
    assert _names(storage, f"{name}/zz") == []


@pytest.mark.parametrize("odd", ["a b", "50%", "a%20b", "ünï", "a+b", "a#b", "a&b=c", "日本", "a'b", "(1)"])
def test_a_blob_may_have_any_name_that_people_give_files(storage: Storage, name: str, odd: str) -> None:
    path = f"{name}/{odd}.jsonl"
    storage.create(BOX, path, b"one")
    assert _names(storage, name) == [path]
    assert storage.read(BOX, path)[0] == b"one"
    assert storage.head(BOX, path).name == path
    assert storage.open(BOX, path, storage.head(BOX, path).etag).read() == b"one"


# --- readers --------------------------------------------------------------------------------------------------


def _opened(storage: Storage, name: str, data: bytes) -> io.BufferedReader:
    storage.put(BOX, name, data)
    return storage.open(BOX, name, storage.head(BOX, name).etag)


@pytest.mark.parametrize("size", [0, 1, 1000, READ_BLOCK, READ_BLOCK + 7])
def test_a_reader_reads_the_whole_blob(storage: Storage, name: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    with _opened(storage, name, data[:size]) as reader:
        assert reader.read() == data[:size]
        assert reader.read() == b""


def test_a_reader_reads_a_large_blob_in_few_requests(azurite: Any, name: str) -> None:
    asked: list[str] = []
    note: dict[str, Any] = {"raw_request_hook": lambda request: asked.append(request.http_request.method)}
    blobs, queues = connect(azurite.connection_string, **note)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        for read in (lambda r: r.read(), list):
            reader = _opened(storage, name, (b"x" * 99 + b"\n") * 50_000)
            asked.clear()
            read(reader)
            assert 1 <= len(asked) <= 3


def test_a_reader_reads_lines_and_ends(storage: Storage, name: str) -> None:
    with _opened(storage, name, b"one\n\ntwo\nthree") as reader:
        assert list(reader) == [b"one\n", b"\n", b"two\n", b"three"]


def test_a_reader_can_be_moved(storage: Storage, name: str) -> None:
    """Parquet is read from its end."""
    with _opened(storage, name, b"0123456789") as reader:
        assert reader.seekable()
        assert reader.seek(-3, io.SEEK_END) == 7
        assert reader.read() == b"789"
        assert reader.seek(2) == reader.tell() == 2
        assert reader.read(3) == b"234"
        assert reader.seek(1, io.SEEK_CUR) == 6
        assert reader.read(1) == b"6"
        reader.seek(99)
        assert reader.read() == b""


def test_a_reader_of_another_version_fails(storage: Storage, name: str) -> None:
    old = storage.put(BOX, name, b"one")
    storage.put(BOX, name, b"two")
    with pytest.raises(LedgerConflict):
        storage.open(BOX, name, old).read()


def test_a_reader_fails_once_its_blob_was_overwritten(storage: Storage, name: str) -> None:
    """It never mixes two versions, whatever it has read already."""
    size = (AHEAD + 2) * READ_BLOCK
    reader = _opened(storage, name, b"x" * size)
    assert reader.read(10) == b"x" * 10
    storage.put(BOX, name, b"y" * size)
    with pytest.raises(LedgerConflict):
        reader.read()


def test_a_reader_fails_once_its_blob_is_gone(storage: Storage, name: str) -> None:
    reader = _opened(storage, name, b"x" * 10)
    storage.delete(BOX, name)
    with pytest.raises(NotFound, match=name):
        reader.read()


# --- blocks ---------------------------------------------------------------------------------------------------

ONE, TWO, THREE = "MDAx", "MDAy", "MDAz"


def test_blocks_are_no_blob_until_they_are_committed_in_the_order_given(storage: Storage, name: str) -> None:
    storage.stage_block(BOX, name, TWO, b"two")
    storage.stage_block(BOX, name, ONE, b"one")
    assert _names(storage, name) == []
    with pytest.raises(NotFound):
        storage.read(BOX, name)
    storage.commit_blocks(BOX, name, [ONE, TWO])
    assert storage.read(BOX, name)[0] == b"onetwo"


def test_a_block_staged_again_replaces_the_first(storage: Storage, name: str) -> None:
    storage.stage_block(BOX, name, ONE, b"old")
    storage.stage_block(BOX, name, ONE, b"new")
    storage.commit_blocks(BOX, name, [ONE])
    assert storage.read(BOX, name)[0] == b"new"


def test_blocks_that_are_not_named_are_left_out(storage: Storage, name: str) -> None:
    for block in (ONE, TWO, THREE):
        storage.stage_block(BOX, name, block, block.encode())
    storage.commit_blocks(BOX, name, iter([THREE, ONE]))
    assert storage.read(BOX, name)[0] == b"MDAzMDAx"


def test_committing_again_after_a_crash_leaves_the_content(storage: Storage, name: str) -> None:
    storage.stage_block(BOX, name, ONE, b"one")
    for _ in range(2):
        storage.commit_blocks(BOX, name, [ONE])
    assert storage.read(BOX, name)[0] == b"one"


def test_blocks_that_are_gone_leave_a_blob_of_other_blocks_as_it_is(storage: Storage, name: str) -> None:
    """Else the training file of an earlier attempt would be taken for that of this one."""
    storage.stage_block(BOX, name, ONE, b"one")
    storage.commit_blocks(BOX, name, [ONE])
    for wanted in ([TWO], [ONE, TWO], [TWO, ONE]):
        with pytest.raises(BlocksMissing):
            storage.commit_blocks(BOX, name, wanted)
    assert storage.read(BOX, name)[0] == b"one"


def test_staging_and_committing_again_leaves_the_same_content(storage: Storage, name: str) -> None:
    for _ in range(2):
        storage.stage_block(BOX, name, ONE, b"one")
        storage.stage_block(BOX, name, TWO, b"two")
        storage.commit_blocks(BOX, name, [ONE, TWO])
    assert storage.read(BOX, name)[0] == b"onetwo"


def test_staged_blocks_leave_a_blob_as_it_is_until_they_are_committed(storage: Storage, name: str) -> None:
    storage.put(BOX, name, b"old")
    storage.stage_block(BOX, name, ONE, b"new")
    assert storage.read(BOX, name)[0] == b"old"
    storage.commit_blocks(BOX, name, [ONE])
    assert storage.read(BOX, name)[0] == b"new"


def test_no_blocks_make_an_empty_file(storage: Storage, name: str) -> None:
    storage.commit_blocks(BOX, name, [])
    assert storage.read(BOX, name)[0] == b""


def test_blocks_that_were_never_staged_make_nothing(storage: Storage, name: str) -> None:
    with pytest.raises(BlocksMissing, match=name):
        storage.commit_blocks(BOX, name, [ONE])
    assert _names(storage, name) == []


@pytest.mark.services
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
def test_bytes_come_as_they_are_stored_whatever_encoding_the_uploader_names(
    azurite: Azurite, name: str, encoding: str
) -> None:
    """Else a small blob would be unpacked into any amount of memory before anything looks at it."""
    text = azurite.connection_string
    with BlobServiceClient.from_connection_string(text) as blobs, QueueServiceClient.from_connection_string(text) as qs:
        storage, client = Storage(blobs, qs), blobs.get_blob_client(BOX, name)
        storage.prepare()
        for data in (b'{"a": 1}\n' * 1000, gzip.compress(b'{"a": 1}\n' * 1000)):
            client.upload_blob(data, overwrite=True, content_settings=ContentSettings(content_encoding=encoding))
            with storage.open(BOX, name, storage.head(BOX, name).etag) as file:
                assert file.read() == data
            assert storage.read(BOX, name)[0] == data


def test_many_blobs_are_deleted_and_those_that_are_not_there_are_fine(storage: Storage, name: str) -> None:
    for n in range(3):
        storage.put(BOX, f"{name}/{n} ü&.json", b"{}")
    storage.delete_many(BOX, [f"{name}/{n} ü&.json" for n in range(2)] + [f"{name}/never"])
    assert _names(storage, f"{name}/") == [f"{name}/2 ü&.json"]
    storage.delete_many(BOX, [])
