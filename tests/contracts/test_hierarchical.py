"""Storage in accounts with a hierarchical namespace: folders are things there, and no blobs to the app."""

from __future__ import annotations

import pytest

from shared.azure.storage import Storage
from shared.errors import AzureRefused, LedgerConflict, NotFound
from tests.contracts import test_storage as flat
from tests.contracts.conftest import StorageSide

BOX = "work"


@pytest.fixture
def storage(hierarchical_side: StorageSide) -> Storage:
    """The Storage of either side."""
    return hierarchical_side.storage


def _names(storage: Storage, prefix: str) -> list[str]:
    return [blob.name for blob in storage.list(BOX, prefix)]


@pytest.mark.parametrize(
    "promise",
    [
        flat.test_what_is_created_is_read_back_under_one_etag,
        flat.test_what_exists_is_not_created_again_and_stays_as_it_is,
        flat.test_of_two_writers_with_one_etag_the_second_loses,
        flat.test_what_is_not_there_is_unknown,
        flat.test_one_version_is_deleted_or_another_is_left_and_none_there_is_fine,
        flat.test_a_listing_is_in_the_order_of_names_below_a_prefix_with_metadata,
        flat.test_blocks_are_no_blob_until_they_are_committed_in_the_order_given,
        flat.test_committing_again_after_a_crash_leaves_the_content,
        flat.test_a_reader_fails_once_its_blob_is_gone,
    ],
    ids=lambda promise: promise.__name__,
)
def test_what_is_promised_of_flat_accounts_holds_within_folders(storage: Storage, name: str, promise: object) -> None:
    assert callable(promise)
    promise(storage, f"{name}/a")


def test_folders_are_in_no_listing_whatever_the_prefix(storage: Storage, name: str) -> None:
    storage.put(BOX, f"{name}/a/b/c.jsonl", b"one")
    for prefix in (name, f"{name}/", f"{name}/a", f"{name}/a/", f"{name}/a/b", f"{name}/a/b/c"):
        assert _names(storage, prefix) == [f"{name}/a/b/c.jsonl"]
    assert _names(storage, f"{name}/a/b/c.jsonl/") == []


@pytest.mark.parametrize("folder", ["a", "a/b"])
def test_to_the_app_there_is_no_blob_of_a_folders_name(storage: Storage, name: str, folder: str) -> None:
    storage.put(BOX, f"{name}/a/b/c", b"one")
    path = f"{name}/{folder}"
    for look in (storage.head, storage.read):
        with pytest.raises(NotFound):
            look(BOX, path)
    with pytest.raises((NotFound, LedgerConflict)):
        storage.open(BOX, path, "0x1")


def test_a_name_is_that_of_a_file_or_of_a_folder_and_the_other_is_refused_for_good(storage: Storage, name: str) -> None:
    """It is no matter of patience: nobody is asked again."""
    storage.put(BOX, f"{name}/a/b", b"one")
    for path in (f"{name}/a", f"{name}/a/b/c"):
        with pytest.raises(AzureRefused):
            storage.put(BOX, path, b"two")
    assert _names(storage, name) == [f"{name}/a/b"]


def test_a_folder_is_deleted_once_it_is_empty_and_stays_until_then(storage: Storage, name: str) -> None:
    storage.put(BOX, f"{name}/a/b", b"one")
    storage.delete(BOX, f"{name}/a")
    assert _names(storage, name) == [f"{name}/a/b"]
    storage.delete(BOX, f"{name}/a/b")
    storage.delete(BOX, f"{name}/a")
    storage.delete(BOX, f"{name}/a")
    storage.put(BOX, f"{name}/a", b"a file may have its name now")


def test_all_below_a_folder_is_deleted_with_it_and_nothing_beside_it(storage: Storage, name: str) -> None:
    for path in ("a/b/c/d", "a/b/e", "a/f", "ab/g", "a.json"):
        storage.put(BOX, f"{name}/{path}", b"one")
    for _ in range(2):
        storage.delete_all(BOX, f"{name}/a")
        assert sorted(_names(storage, name)) == [f"{name}/a.json", f"{name}/ab/g"]
    storage.put(BOX, f"{name}/a", b"nothing is left of the folder")
