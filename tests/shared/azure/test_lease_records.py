"""The id of a lease is told only to who comes after a process that ended without giving it back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.azure.storage import lease_records, leases
from shared.azure.storage.lease_records import record_of
from shared.errors import LeaseHeld

LEASE = "https://account.blob.core.windows.net/locks/support-bot%230"
_HOLDS = (
    "import sys; from shared.azure.storage.lease_records import record_of; record = record_of(sys.argv[1]); "
    "record.note('its-id'); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    lease_records._folder.cache_clear()
    yield tmp_path
    lease_records._folder.cache_clear()


def _holder() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, LEASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_killed_process_leaves_its_id_and_a_living_one_does_not(disk: Path) -> None:
    holder = _holder()
    assert record_of(LEASE) is None
    other = record_of(f"{LEASE}1")
    assert other
    assert not other.left
    holder.kill()
    holder.communicate()
    record = record_of(LEASE)
    assert record
    assert record.left == "its-id"
    assert record_of(LEASE) is None, "another thread of this process has it now"
    record.give_back()
    record.give_back()
    other.give_back()
    assert not [path for path in disk.rglob("*") if path.is_file()]


def test_a_lease_that_was_given_back_leaves_nothing() -> None:
    for number in range(2):
        record = record_of(LEASE)
        assert record
        assert not record.left
        record.note(f"id {number}")
        record.give_back()


@pytest.mark.parametrize("left", [b"\0" * 36, b"\xff" * 36, b"id\r\nx-ms-lease-action: break"])
def test_a_record_that_holds_no_id_says_nothing(disk: Path, left: bytes) -> None:
    record = record_of(LEASE)
    assert record
    (path,) = [path for path in disk.rglob("*") if path.is_file()]
    os.close(record._file)
    path.write_bytes(left)
    again = record_of(LEASE)
    assert again
    assert not again.left
    again.give_back()


def test_a_lease_runs_from_when_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was stopped between the request and its answer may find that somebody else has had the lease since."""
    clock = SimpleNamespace(now=100.0)

    class Lock:
        url = blob_name = "locks/support-bot"

        def acquire_lease(self, **_: object) -> SimpleNamespace:
            clock.now += self.takes
            return SimpleNamespace(renew=lambda **_: None, release=lambda **_: None)

        def __init__(self, takes: float) -> None:
            self.takes = takes

    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: clock.now))
    for takes, is_held in ((1, True), (60, False)):
        lock: Any = Lock(takes)
        lease = leases.take(lock, lambda: None, take_over=False)
        with nullcontext() if is_held else pytest.raises(LeaseHeld):
            lease.check()
        lease.release()


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 500, 503])
def test_a_lease_that_cannot_be_taken_over_is_asked_for_as_any(status: int) -> None:
    """Whatever storage says of the id that a lost process left, which may be none that it ever gave."""
    lost = record_of(LEASE)
    assert lost
    lost.note("no id at all")
    os.close(lost._file)
    taken = []

    class Lock:
        url, blob_name = LEASE, "support-bot#0"

        def acquire_lease(self, lease_id: str, **_: object) -> SimpleNamespace:
            taken.append(lease_id)
            return SimpleNamespace(renew=lambda **_: None, release=lambda **_: None)

    def refuse(*_: object, **__: object) -> None:
        raise HttpResponseError(response=SimpleNamespace(status_code=status, headers={}, reason=""))

    lock: Any = Lock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("azure.storage.blob.BlobLeaseClient", lambda *_, **__: SimpleNamespace(change=refuse))
        leases.take(lock, lambda: None, take_over=True).release()
    assert len(taken) == 1


def test_a_record_that_was_deleted_while_it_is_held_says_nothing(disk: Path) -> None:
    held = record_of(LEASE)
    assert held
    held.note("its-id")
    (path,) = [path for path in disk.rglob("*") if path.is_file()]
    path.unlink()
    again = record_of(LEASE)
    assert again
    assert not again.left
    held.give_back()
    again.give_back()


def test_nothing_is_recorded_where_others_could_write_or_the_boot_is_not_known(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(LEASE)
    assert record
    record.give_back()
    (folder,) = disk.iterdir()
    folder.chmod(0o777)
    lease_records._folder.cache_clear()
    assert record_of(LEASE) is None
    folder.rmdir()
    folder.symlink_to(disk)
    lease_records._folder.cache_clear()
    assert record_of(LEASE) is None
    monkeypatch.setattr(lease_records, "_BOOT", disk / "none")
    lease_records._folder.cache_clear()
    assert record_of(LEASE) is None
