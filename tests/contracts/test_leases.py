"""Leases and messages; the same over the fake and over Azurite."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.azure.storage import LEASE_SECONDS, Lease, Storage, leases
from shared.azure.storage.connection import connect
from shared.errors import LeaseHeld
from tests.contracts.conftest import StorageSide

# --- leases ---------------------------------------------------------------------------------------------------


def test_a_lease_is_held_by_one_until_it_is_given_back(storage: Storage, name: str) -> None:
    lease = storage.lease(name)
    with pytest.raises(LeaseHeld):
        storage.lease(name)
    storage.lease(f"{name}-other").release()
    lease.check()
    lease.release()
    storage.lease(name).release()


def test_giving_a_lease_back_twice_takes_nothing_from_its_next_holder(storage: Storage, name: str) -> None:
    first = storage.lease(name)
    first.release()
    second = storage.lease(name)
    first.release()
    with pytest.raises(LeaseHeld):
        storage.lease(name)
    second.check()
    second.release()


def test_a_lease_whose_holder_died_comes_free(side: StorageSide, name: str) -> None:
    dead = side.storage.lease(name)
    side.lose(name)
    alive = side.storage.lease(name)
    dead.release()
    with pytest.raises(LeaseHeld):
        side.storage.lease(name)
    alive.check()
    alive.release()


def test_a_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once_and_no_other(
    side: StorageSide, name: str
) -> None:
    other = f"{name}-other"
    holder = side.holder(name, other)
    try:
        with pytest.raises(LeaseHeld):
            side.storage.lease(name, take_over=True)
        holder.pause()
        with pytest.raises(LeaseHeld):
            side.storage.lease(name, take_over=True)
    finally:
        holder.kill()
    with pytest.raises(LeaseHeld):
        side.storage.lease(name)
    for unsaid in (False, True):
        with pytest.raises(LeaseHeld):
            side.storage.lease(other, take_over=unsaid)
    alive = side.storage.lease(name, take_over=True)
    with pytest.raises(LeaseHeld):
        side.storage.lease(name, take_over=True)
    alive.check()
    alive.release()
    side.storage.lease(name).release()


@pytest.mark.services
def test_what_a_lost_process_sent_late_takes_nothing_from_who_took_its_lease_over(azurite: Any, name: str) -> None:
    from azure.storage.blob import BlobLeaseClient

    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.create("locks", name, b"")
        lock = blobs.get_blob_client("locks", name)
        lost, own = lock.acquire_lease(lease_duration=20), str(uuid.uuid4())
        for no_holder in (str(uuid.uuid4()), lost.id[:20]):
            assert leases._taken_over(lock, no_holder, own) is None
        held = leases._taken_over(lock, lost.id, own)
        assert held
        for late in (lost.renew, lost.release):
            with pytest.raises(HttpResponseError):
                late()
        with pytest.raises(LeaseHeld):
            storage.lease(name)
        BlobLeaseClient(lock, lease_id=own).release()
        assert leases._taken_over(lock, own, lost.id) is None, "it is free: to be asked for as any"


def test_a_lock_that_is_held_is_not_deleted_and_one_that_was_deleted_is_made_anew(storage: Storage, name: str) -> None:
    lease = storage.lease(name)
    storage.delete_many("locks", [name, f"{name}-never"])
    with pytest.raises(LeaseHeld):
        storage.lease(name)
    lease.check()
    lease.release()
    storage.delete_many("locks", [name])
    assert not [blob for blob in storage.list("locks", name) if blob.name == name]
    storage.lease(name).release()


def test_a_lease_keeps_nobody_from_writing_the_row(storage: Storage, name: str) -> None:
    lease = storage.lease(name)
    storage.replace("ledger", name, b"two", storage.create("ledger", name, b"one"))
    storage.delete("ledger", name)
    lease.release()


class _Renewing:
    """A lease's service: each renewal is told, and fails on request."""

    def __init__(self) -> None:
        self.renewed = threading.Semaphore(0)
        self.lost = False

    def renew(self) -> None:
        self.renewed.release()
        if self.lost:
            raise ConnectionError("the lease is gone")

    def release(self) -> None:
        if self.lost:
            raise ConnectionError("the lease is gone")


def test_a_lease_is_renewed_in_time_as_long_as_it_is_held() -> None:
    service = _Renewing()
    started = time.monotonic()
    lease = Lease(service.renew, service.release, 1)
    for _ in range(6):
        assert service.renewed.acquire(timeout=60)
    assert time.monotonic() - started > 1
    lease.check()
    lease.release()
    assert not lease._thread.is_alive()


def test_a_lease_that_is_not_renewed_any_more_is_lost_when_its_time_is_over_and_not_before() -> None:
    service = _Renewing()
    service.lost = True
    lease = Lease(service.renew, service.release, 2)
    lease.check()
    assert service.renewed.acquire(timeout=60)
    lost_by = time.monotonic() + 2
    while time.monotonic() <= lost_by:
        service.renewed.acquire(timeout=0.1)
    with pytest.raises(LeaseHeld):
        lease.check()
    lease.release()


def test_a_lease_has_a_length_that_azure_gives() -> None:
    assert 15 <= LEASE_SECONDS <= 60


# --- messages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["snapshot/a-20260101000000-01234567?", "ü日本", "<&>"])
def test_a_message_can_be_had_at_once(side: StorageSide, text: str) -> None:
    side.storage.send(text)
    assert side.visible() == [text]


@pytest.mark.parametrize("delay", [60, 30 * 86_400])
def test_a_message_for_later_cannot_be_had_now(side: StorageSide, delay: float) -> None:
    side.storage.send("later", delay)
    side.storage.send("now")
    assert side.visible() == ["now"]


def test_a_message_for_a_moment_later_cannot_be_had_before_a_second_is_over(side: Any) -> None:
    """A queue counts whole seconds; on a busy machine a look may come when they are over, and is taken again."""
    for number in range(60):
        began = time.monotonic()
        side.storage.send(f"later {number}", 0.4)
        side.storage.send(f"now {number}")
        seen = side.visible()
        if time.monotonic() - began < 1:
            assert f"now {number}" in seen
            assert f"later {number}" not in seen
            return
    pytest.fail("the machine was never quiet for a second")


@pytest.mark.parametrize("delay", [0, -5])
def test_a_message_that_is_overdue_can_be_had_at_once(side: StorageSide, delay: float) -> None:
    side.storage.send("now", delay)
    assert side.visible() == ["now"]


def test_the_same_message_twice_is_two_messages(side: StorageSide) -> None:
    side.storage.send("again")
    side.storage.send("again")
    assert side.visible() == ["again", "again"]


def test_a_delayed_message_can_be_had_when_its_time_has_come(side: Any) -> None:
    side.storage.send("soon", 1)
    if hasattr(side, "fake"):
        assert side.visible() == []
        side.fake.clock.now += 1
    deadline = time.monotonic() + 60
    while not side.visible() and time.monotonic() < deadline:
        time.sleep(0.05)  # a queue tells nobody: workers poll it too
    assert side.visible() == ["soon"]
