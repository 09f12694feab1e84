"""Storage that is busy, slow or cut off: each call, through the real SDK and a proxy that does it to Azurite."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from azure.storage.blob import BlobLeaseClient, LinearRetry

import shared.azure.storage as edge
from shared.azure.storage import CONTAINERS, LEASE_SECONDS, QUEUE, Lease, Storage, connection
from shared.azure.storage.connection import BACKOFF_SECONDS, JITTER_SECONDS, TRIES, connect
from shared.errors import LeaseHeld, LedgerConflict, NotFound, ServiceBusy
from tests.contracts.fault_proxy import Fault, FaultProxy, proxied

# The SDK leaves the sockets of answers that were cut off to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BOX = "work"
ONE, TWO = "MDAx", "MDAy"
SOON = 0.4  # s: a proxy on this machine answers in a few ms


@dataclass
class Site:
    """A Storage behind two proxies, and another one that nothing happens to."""

    storage: Storage
    sound: Storage
    blobs: FaultProxy
    queues: FaultProxy

    def meet(self, fault: Fault | None) -> None:
        """From now on requests meet this fault."""
        for proxy in (self.blobs, self.queues):
            proxy.requests.clear()
            proxy.fault = None if fault is None else replace(fault)

    @property
    def requests(self) -> list[str]:
        """What was sent since."""
        return self.blobs.requests + self.queues.requests


@pytest.fixture
def site(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    text = azurite.connection_string
    ports = {kind: int(re.search(rf"{kind}Endpoint=http://127.0.0.1:(\d+)", text)[1]) for kind in ("Blob", "Queue")}  # type: ignore[index]
    monkeypatch.setitem(edge._READ, "read_timeout", SOON)
    with proxied(ports["Blob"]) as blobs, proxied(ports["Queue"]) as queues:
        for port, proxy in ((ports["Blob"], blobs), (ports["Queue"], queues)):
            text = text.replace(f":{port}/", f":{proxy.server_port}/")
        tries: dict[str, Any] = {**TRIES, "backoff": 0, "random_jitter_range": 0}
        quick: dict[str, Any] = {"retry_policy": LinearRetry(**tries)}
        clients = (*connect(text, read_timeout=SOON, **quick), *connect(azurite.connection_string))
        made = Site(Storage(*clients[:2]), Storage(*clients[2:]), blobs, queues)
        made.sound.prepare()
        yield made
        made.meet(None)
        for client in clients:
            client.close()


FAULTS = [
    Fault("503", status=503, code="ServerBusy"),
    Fault("503 after", status=503, code="ServerBusy", after=True),
    Fault("500", status=500, code="InternalError"),
    Fault("500 timed out", status=500, code="OperationTimedOut"),
    Fault("504", status=504),
    Fault("408", status=408, code="RequestTimeout"),
    Fault("429", status=429, code="TooManyRequests", headers={"Retry-After": "7"}),
    Fault("409 timed out", status=409, code="OperationTimedOut"),
    Fault("409 being deleted", status=409, code="ContainerBeingDeleted"),
    Fault("reset", reset=True),
    Fault("reset after", reset=True, after=True),
    Fault("cut", cut=True),
    Fault("silent", silent=True),
    Fault("silent after", silent=True, after=True),
]


def _written(site: Site, name: str) -> str:
    return site.sound.put(BOX, name, b"old")


def _staged(site: Site, name: str) -> None:
    for block in (ONE, TWO):
        site.sound.stage_block(BOX, name, block, block.encode())


def _content(site: Site, name: str) -> bytes:
    return site.sound.read(BOX, name)[0]


@dataclass(frozen=True)
class Call:
    """A call: what is there before, the call itself, and whether it was done."""

    act: Callable[[Storage, str, Any], Any]
    before: Callable[[Site, str], Any] = lambda site, name: None
    done: Callable[[Site, str, Any], bool] = lambda site, name, result: True
    # It is conditional: sent again after it took effect, it meets its own first try.
    conditional: bool = False


def _read_through(storage: Storage, name: str, etag: str) -> bytes:
    with storage.open(BOX, name, etag) as reader:
        return reader.read()


CALLS = {
    "prepare": Call(lambda s, n, b: s.prepare()),
    "read": Call(lambda s, n, b: s.read(BOX, n), _written, lambda site, n, r: bool(r[0] == b"old")),
    "head": Call(lambda s, n, b: s.head(BOX, n), _written, lambda site, n, r: bool(r.size == 3)),
    "list": Call(lambda s, n, b: [x.name for x in s.list(BOX, n)], _written, lambda site, n, r: bool(r == [n])),
    "open": Call(_read_through, _written, lambda site, n, r: bool(r == b"old")),
    "put": Call(lambda s, n, b: s.put(BOX, n, b"new"), _written, lambda site, n, r: _content(site, n) == b"new"),
    "create": Call(
        lambda s, n, b: s.create(BOX, n, b"new"), done=lambda site, n, r: _content(site, n) == b"new", conditional=True
    ),
    "replace": Call(
        lambda s, n, b: s.replace(BOX, n, b"new", b),
        _written,
        lambda site, n, r: _content(site, n) == b"new",
        conditional=True,
    ),
    "delete": Call(lambda s, n, b: s.delete(BOX, n), _written, lambda site, n, r: not [*site.sound.list(BOX, n)]),
    "delete one version": Call(
        lambda s, n, b: s.delete(BOX, n, b), _written, lambda site, n, r: not [*site.sound.list(BOX, n)]
    ),
    "stage": Call(lambda s, n, b: s.stage_block(BOX, n, ONE, b"one")),
    "commit": Call(
        lambda s, n, b: s.commit_blocks(BOX, n, [ONE, TWO]),
        _staged,
        lambda site, n, r: _content(site, n) == b"MDAxMDAy",
    ),
    "send": Call(lambda s, n, b: s.send(n)),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_that_passes_costs_at_most_one_more_call(site: Site, name: str, call: str, fault: Fault) -> None:
    """It works, or says that storage is busy; then the same call works, and what it did is whole."""
    tried = CALLS[call]
    before = tried.before(site, name)
    site.meet(fault)
    patience = 7.0 if fault.status == 429 else None
    try:
        result = tried.act(site.storage, name, before)
    except ServiceBusy as busy:
        patience = busy.retry_after
        site.meet(None)
        try:
            result = tried.act(site.storage, name, before)
        except LedgerConflict:
            assert tried.conditional
            result = None
    except LedgerConflict:
        assert tried.conditional
        assert fault.after or fault.cut
        result = None
    assert tried.done(site, name, result)
    assert patience == (7.0 if fault.status == 429 else None)


@pytest.mark.parametrize("fault", [f for f in FAULTS if not (f.after or f.cut)], ids=lambda f: f.name)
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_that_stays_is_service_busy_after_a_few_requests(
    site: Site, name: str, call: str, fault: Fault
) -> None:
    tried = CALLS[call]
    before = tried.before(site, name)
    site.meet(replace(fault, times=99))
    with pytest.raises(ServiceBusy):
        tried.act(site.storage, name, before)
    assert len(site.requests) <= 6


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_lease_that_is_taken_in_spite_of_a_fault_is_held_by_its_taker(site: Site, name: str, fault: Fault) -> None:
    """Its request may take effect and be sent again: then it meets its own lease."""
    site.sound.create("locks", name, b"")
    site.meet(replace(fault, matches=lambda method, path: "comp=lease" in path))
    try:
        lease = site.storage.lease(name)
    except ServiceBusy:
        assert fault.status in (429, 409)
        return
    with pytest.raises(LeaseHeld):
        site.sound.lease(name)
    lease.check()
    lease.release()
    site.sound.lease(name).release()


def test_a_lease_that_somebody_has_is_told_from_storage_that_is_busy(site: Site, name: str) -> None:
    lease = site.sound.lease(name)
    with pytest.raises(LeaseHeld):
        site.storage.lease(name)
    lease.release()
    site.meet(Fault("409", status=409, code="ContainerBeingDeleted", times=99))
    with pytest.raises(ServiceBusy):
        site.storage.lease(name)


@pytest.mark.parametrize("fault", [f for f in FAULTS if not f.cut], ids=lambda f: f.name)
def test_a_renewal_is_sent_once(site: Site, name: str, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The back-off of the SDK would outlast the lease: the lease itself asks again."""
    monkeypatch.setitem(connection.ONCE, "read_timeout", SOON)
    lease = site.storage.lease(name)
    site.meet(replace(fault, times=99))
    with pytest.raises(Exception):  # noqa: B017, PT011 - of the SDK, whichever it is: the lease asks its clock
        lease._renew()
    assert len([request for request in site.requests if "comp=lease" in request]) == 1
    site.meet(None)
    lease._renew()
    lease.release()


class _Failing:
    """A lease's service that is away for a number of renewals."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.back = threading.Event()

    def renew(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("away")
        self.back.set()


def test_a_renewal_that_fails_is_made_again_soon() -> None:
    """In step with the others, five failures would have cost the lease."""
    service = _Failing(5)
    began = time.monotonic()
    lease = Lease(service.renew, lambda: None, 2)
    assert service.back.wait(60)
    while time.monotonic() - began < 2.1:
        time.sleep(0.05)
    lease.check()
    lease.release()


def test_what_is_waited_before_a_request_is_sent_again_is_short_beside_a_lease() -> None:
    assert TRIES["retry_total"] * (BACKOFF_SECONDS + JITTER_SECONDS) < LEASE_SECONDS / 5


def test_an_identity_without_a_role_is_named_and_no_lost_race(site: Site, name: str) -> None:
    for call in CALLS.values():
        before = call.before(site, name)
        site.meet(Fault("403", status=403, code="AuthorizationPermissionMismatch", times=99))
        with pytest.raises(ServiceBusy, match="Storage Blob Data Contributor"):
            call.act(site.storage, name, before)
    with pytest.raises(ServiceBusy, match="Storage Blob Data Contributor"):
        site.storage.lease(name)


# --- what somebody deleted ------------------------------------------------------------------------------------


def test_a_container_that_somebody_deleted_is_made_again_by_the_next_write(azurite: Any, name: str) -> None:
    blobs, queues = connect(azurite.connection_string)
    box = name[:40]
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        for write in (
            lambda: storage.create(box, name, b"one"),
            lambda: storage.put(box, name, b"one"),
            lambda: storage.stage_block(box, name, ONE, b"one"),
            lambda: storage.commit_blocks(box, name, []),
        ):
            assert list(storage.list(box)) == []
            write()
            blobs.get_container_client(box).delete_container()
        queues.get_queue_client(QUEUE).delete_queue()
        storage.send(name)
        assert [message.content for message in queues.get_queue_client(QUEUE).peek_messages()]


@pytest.mark.parametrize("box", CONTAINERS)
def test_each_container_of_the_app_is_made_again_while_it_runs(azurite: Any, name: str, box: str) -> None:
    """By what meets it first: a read finds nothing, a write makes it, and so does the preparation of each sweep."""
    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        container = blobs.get_container_client(box)
        container.delete_container()
        assert list(storage.list(box)) == []
        for look in (storage.head, storage.read):
            with pytest.raises(NotFound):
                look(box, name)
        with pytest.raises(NotFound):
            storage.open(box, name, '"0x1"')
        storage.delete(box, name)
        storage.delete_all(box, name)
        if box == "locks":
            storage.lease(name).release()
        else:
            storage.create(box, name, b"one")
        assert container.exists()
        container.delete_container()
        storage.prepare()
        assert container.exists()


def test_a_lease_that_somebody_broke_is_lost_and_not_renewed(site: Site, azurite: Any, name: str) -> None:
    lease = site.sound.lease(name)
    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        BlobLeaseClient(blobs.get_blob_client("locks", name)).break_lease(lease_break_period=0)
    with pytest.raises(Exception):  # noqa: B017, PT011
        lease._renew()
    lease.release()
