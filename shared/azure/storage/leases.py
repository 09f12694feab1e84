"""A lease on a blob in `locks`: whoever holds it is the only one at work on a row."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.azure.storage.connection import ONCE
from shared.azure.storage.lease_records import LeaseRecord, record_of
from shared.azure.storage.translation import code_of, translated
from shared.errors import LeaseHeld, LedgerConflict, NotFound, PipelineError, ServiceBusy

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobLeaseClient

# The shortest lease Azure gives is 15 s, the longest 60 s. A short one comes free soon after a crash; it is renewed
# while its holder lives.
LEASE_SECONDS = 20
# So often a lock is looked for and made; more than twice only if it is deleted in between.
_TRIES = 4


class Lease:
    """A lease that is held, and renewed in the background until it is released or lost.

    `renew` and `release` are sent once and return within a few seconds, whatever the service does: a renewal that
    fails is made again soon, as long as the lease lasts.
    """

    def __init__(
        self, renew: Callable[[], object], release: Callable[[], object], seconds: float, asked: float | None = None
    ) -> None:
        """`asked`: when it was asked for, by the monotonic clock; it may have begun to run then."""
        self._renew, self._release, self._seconds = renew, release, seconds
        self._until = (time.monotonic() if asked is None else asked) + seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self, left: float = 0) -> None:
        """Raises LeaseHeld when the lease is lost, or ends within `left` seconds: somebody else may hold it then."""
        if time.monotonic() + left > self._until:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        """Gives the lease back; harmless when it is lost already."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # a lease that cannot be released runs out by itself
            self._release()

    def _keep(self) -> None:
        pause = self._seconds / 5
        while not self._stop.wait(pause):
            asked = time.monotonic()
            try:
                self._renew()
            except Exception:  # noqa: BLE001 - whatever went wrong, only the clock decides whether it is still ours
                pause = self._seconds / 20
                continue
            self._until, pause = asked + self._seconds, self._seconds / 5


def take(lock: BlobClient, make: Callable[[], object], take_over: bool) -> Lease:
    """Takes the lease of this blob, which is made if it is not there. Raises LeaseHeld when somebody has it.

    `take_over`: also at once from a process of this machine that was killed while it held the lease, if that process
    said so, too.
    """
    asked = time.monotonic()
    record = record_of(lock.url) if take_over else None
    # Under an id of its own: sent twice because the first answer was lost, it is the same lease.
    own = str(uuid.uuid4())
    try:
        left = record.left if record else ""
        if record:
            record.note(own)
        held = (_taken_over(lock, left, own) if left else None) or _acquired(lock, own, make)
    except BaseException:
        if record:
            record.give_back()
        raise
    return Lease(lambda: held.renew(**ONCE), lambda: _given_back(held, record), LEASE_SECONDS, asked)


def _acquired(lock: BlobClient, own: str, make: Callable[[], object]) -> BlobLeaseClient:
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                with translated(f"locks/{lock.blob_name}"):
                    return lock.acquire_lease(lease_duration=LEASE_SECONDS, lease_id=own)
            except NotFound:  # never made, or deleted because it was old and free
                if not tries_left:
                    raise
                make()
    except (LedgerConflict, ServiceBusy) as error:
        if not code_of(error.__cause__).startswith("Lease"):
            raise
        raise LeaseHeld(f"{lock.blob_name} is held by another worker") from error
    raise AssertionError("the last try ends it")


def _taken_over(lock: BlobClient, left: str, own: str) -> BlobLeaseClient | None:
    """The lease that a lost process held under the id `left`; None if it ran out, or that process never got it.

    Under another id, so that nothing counts that the lost process sent and that comes only now.
    """
    from azure.storage.blob import BlobLeaseClient

    held = BlobLeaseClient(lock, lease_id=left)
    # Whatever is wrong, it is for who takes the lease as usual to say.
    with contextlib.suppress(PipelineError), translated(f"locks/{lock.blob_name}"):
        held.change(own)
        held.renew()
        return held
    return None


def _given_back(held: BlobLeaseClient, record: LeaseRecord | None) -> None:
    try:
        held.release(**ONCE)
    finally:
        if record:
            record.give_back()
