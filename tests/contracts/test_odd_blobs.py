"""Blobs that others made: odd names, folders, and content that storage does not give."""

from __future__ import annotations

from typing import Any

import pytest
from azure.storage.blob import StandardBlobTier

from shared.azure.storage import Storage
from shared.azure.storage.blobs import LONGEST_NAME, why_unreadable_name
from shared.azure.storage.connection import connect
from shared.errors import BlobUnreadable, NotFound
from tests.contracts.conftest import StorageSide
from tests.contracts.fault_proxy import Fault
from tests.contracts.test_storage_faults import CALLS, Site, site

__all__ = ["site"]

BOX = "work"
STEPS = ["{0}/../b.jsonl", "{0}/./b.jsonl", "{0}/..", "{0}/a/../../b"]
NAMES = [
    *STEPS, "../{0}", "./{0}", "..", ".", "{0}\\..\\b", "{0}\\b/../c", "{0}\nb", "{0}\rb", "{0}\tb", "{0}\x00",
    "{0}\x01", "{0}\x7f", "{0}\x85", "{0}\ud800", "\udfff{0}", "{0}\ufffe", "{0}\uffff", "", "{0}" + "x" * LONGEST_NAME,
    "{0}/" + "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("odd", NAMES, ids=lambda name: ascii(name[:24]))
def test_a_name_that_no_request_can_safely_carry_is_sent_nowhere(storage: Storage, name: str, odd: str) -> None:
    """`a/../b` would be asked for as `b`, which is somebody else's."""
    path = odd.format(name)
    for act in (
        lambda: storage.head(BOX, path),
        lambda: storage.read(BOX, path),
        lambda: storage.open(BOX, path, "0x1").read(),
        lambda: storage.put(BOX, path, b""),
        lambda: storage.create(BOX, path, b""),
        lambda: storage.replace(BOX, path, b"", "0x1"),
        lambda: storage.delete(BOX, path),
        lambda: storage.stage_block(BOX, path, "MDAx", b"x"),
    ):
        with pytest.raises(BlobUnreadable) as refused:
            act()
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 300
    assert list(storage.list(BOX, path)) == [] or not path


FINE = ["a..b", "..a/b", "a../b", "a.", "a./b", ".hidden", "a%2e%2e/b", "%2e%2e/b", "a%2Fb", "a?b", "a#b", "a//b", "/a"]


@pytest.mark.parametrize("fine", [*FINE, "x" * 900])
def test_a_name_that_only_looks_odd_is_read_as_it_is(side: StorageSide, name: str, fine: str) -> None:
    path = f"{name}/{fine}"
    side.upload(BOX, path, b"one")
    (listed,) = side.storage.list(BOX, f"{name}/")
    assert (listed.name, listed.unreadable) == (path, "")
    assert side.storage.head(BOX, path).name == path
    assert side.storage.read(BOX, path)[0] == b"one"


@pytest.mark.parametrize("odd", STEPS)
def test_a_blob_of_an_odd_name_is_listed_with_what_is_wrong_beside_the_others(
    side: StorageSide, name: str, odd: str
) -> None:
    side.upload(BOX, f"{name}/good", b"one")
    side.upload(BOX, odd.format(name), b"two")
    found = {blob.name: blob.unreadable for blob in side.storage.list(BOX, name)}
    assert found == {f"{name}/good": "", odd.format(name): why_unreadable_name(odd.format(name))}
    with pytest.raises(BlobUnreadable, match="another blob"):
        side.storage.read(BOX, odd.format(name))


@pytest.mark.parametrize("length", [LONGEST_NAME, LONGEST_NAME + 1])
def test_a_name_may_be_as_long_as_azures_longest(length: int) -> None:
    assert bool(why_unreadable_name("x" * length)) == (length > LONGEST_NAME)


def test_folders_that_are_listed_as_blobs_are_passed_over(side: StorageSide, name: str) -> None:
    """Accounts with a hierarchical namespace have them."""
    side.upload(BOX, f"{name}/folder", b"", {"hdi_isfolder": "true"})
    side.upload(BOX, f"{name}/folder/a.jsonl", b"one", {"hdi_isfolder": "false"} if hasattr(side, "blobs") else None)
    assert [blob.name for blob in side.storage.list(BOX, name)] == [f"{name}/folder/a.jsonl"]
    with pytest.raises(NotFound):
        side.storage.head(BOX, f"{name}/folder")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("BlobArchived", "archive tier"),
        ("BlobBeingRehydrated", "archive tier"),
        ("BlobUsesCustomerSpecifiedEncryption", "key of the uploader's own"),
        ("InvalidUri", "plain name"),
    ],
)
def test_a_blob_whose_content_is_not_given_says_what_it_is(site: Site, name: str, code: str, told: str) -> None:
    for call in ("read", "head", "open"):
        before = CALLS[call].before(site, name)
        site.meet(Fault(code, status=409, code=code, times=99))
        with pytest.raises(BlobUnreadable, match=told):
            CALLS[call].act(site.storage, name, before)


def test_a_blob_that_somebody_took_snapshots_of_is_deleted_with_them(azurite: Any, name: str) -> None:
    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        etag = storage.put(BOX, name, b"one")
        blobs.get_blob_client(BOX, name).create_snapshot()
        storage.delete(BOX, name, etag)
        assert list(storage.list(BOX, name)) == []


def test_a_listing_says_which_blobs_cannot_be_read(azurite: Any, name: str) -> None:
    """Without a request for each of them."""
    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        box = blobs.get_container_client(BOX)
        box.get_blob_client(f"{name}/append").create_append_blob()
        box.upload_blob(f"{name}/archived", b"one", standard_blob_tier=StandardBlobTier.ARCHIVE)
        box.upload_blob(f"{name}/good", b"one")
        found = {blob.name.rpartition("/")[2]: blob for blob in storage.list(BOX, f"{name}/")}
        heads = {end: storage.head(BOX, f"{name}/{end}") for end in found}
    for seen in (found, heads):
        assert seen["good"].unreadable == ""
        assert "archive tier" in seen["archived"].unreadable
        assert "AppendBlob" in seen["append"].unreadable
        assert not any(blob.copying for blob in seen.values())
