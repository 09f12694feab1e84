"""Queue functions through a running host and a real Azurite."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.host.functions import Function, QueueAddress
from local.host.invocations import TriggerInput
from local.host.messages import TypedData
from local.host.queue_storage import Queues
from local.host.queues import QueueListener
from local.host.settings import QueueSettings

if TYPE_CHECKING:
    from tests.conftest import Azurite
    from tests.local.host_apps.harness import HostProcess, Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]


@dataclass
class Account:
    """The queues of one test, told apart by a prefix."""

    connection_string: str
    prefix: str

    @property
    def settings(self) -> dict[str, str]:
        return {"AzureWebJobsStorage": self.connection_string, "OtherAccount": self.connection_string, "P": self.prefix}

    def queue(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(self.connection_string, f"{self.prefix}-{name}")

    def make(self, name: str) -> None:
        with self.queue(name) as queue:
            queue.create_queue()

    def send(self, name: str, *texts: str, encoded: bool = True, create: bool = True, **options: Any) -> None:
        with self.queue(name) as queue:
            if create:
                queue.create_queue()
            for text in texts:
                queue.send_message(base64.b64encode(text.encode()).decode() if encoded else text, **options)

    def waiting(self, name: str) -> list[QueueMessage]:
        """The visible messages of a queue."""
        with self.queue(name) as queue:
            try:
                return list(queue.peek_messages(32))
            except ResourceNotFoundError:
                return []

    def left(self, name: str) -> int:
        """How many messages a queue has, hidden ones too."""
        with self.queue(name) as queue:
            return queue.get_queue_properties().approximate_message_count or 0


@pytest.fixture
def account(azurite: Azurite) -> Account:
    return Account(azurite.connection_string, f"t{uuid.uuid4().hex[:10]}")


@pytest.fixture
def serve(start: Starter, account: Account) -> Callable[..., HostProcess]:
    """Starts a host whose queue settings are those given."""

    def begin(*arguments: str, **queues: Any) -> HostProcess:
        quick = {"maxPollingInterval": "00:00:00.2", **queues}
        return start("queue_app", *arguments, host_json={"extensions": {"queues": quick}}, **account.settings).ready()

    return begin


@pytest.fixture
def stopped() -> Callable[[HostProcess], None]:
    """Ends a host in order, so that everything it had to say to the queue is said."""
    return lambda host: None if host.end() == 0 else pytest.fail(host.log)


Serve = Callable[..., "HostProcess"]
Stopped = Callable[["HostProcess"], None]


@pytest.mark.parametrize(("queue", "at"), [("inbox", "sync"), ("blocking", "async")])
def test_a_message_is_served_once_and_deleted(
    account: Account, serve: Serve, witness: Witness, stopped: Stopped, queue: str, at: str
) -> None:
    account.send(queue, "grüße")
    host = serve()
    heard = witness.hear()
    assert (heard["at"], heard["body"], heard["count"], heard["receipt"]) == (at, "grüße", 1, True)
    stopped(host)
    assert account.left(queue) == 0
    assert witness.heard_nothing()
    host.logged(rf"function={at}_reader invocation=\S+ trigger=queue result=succeeded")


def test_a_queue_made_after_the_start_is_found(account: Account, serve: Serve, witness: Witness) -> None:
    serve()
    account.send("inbox", "late")
    assert witness.hear()["body"] == "late"


@pytest.mark.parametrize("queue", ["inbox", "blocking"])
def test_a_running_message_stays_hidden(
    account: Account, serve: Serve, witness: Witness, stopped: Stopped, queue: str
) -> None:
    """Though it is hidden for two seconds at a time only, and even while it blocks the app's loop."""
    account.send(queue, "long")
    host = serve("--visibility", "2")
    held = witness.hold()
    assert held.fields["hidden"] < 10
    threading.Event().wait(5)
    assert account.waiting(queue) == []
    assert witness.heard_nothing()
    held.answer()
    stopped(host)
    assert account.left(queue) == 0


def test_a_killed_hosts_message_comes_back_soon(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("inbox", "again")
    host = serve("--visibility", "2")
    first = witness.hold().fields
    host.end(signal.SIGKILL)
    serve("--visibility", "2")
    second = witness.hear()
    assert (first["id"], first["count"]) == (second["id"], 1)
    assert second["count"] == 2


def test_a_failing_message_is_tried_again_then_poisoned(
    account: Account, serve: Serve, witness: Witness, stopped: Stopped
) -> None:
    account.send("inbox", "fail now")
    host = serve(maxDequeueCount=3)
    assert [witness.hear()["count"] for _ in range(3)] == [1, 2, 3]
    host.logged(f"moved to queue {account.prefix}-inbox-poison")
    stopped(host)
    assert witness.heard_nothing()
    assert account.left("inbox") == 0
    (poison,) = account.waiting("inbox-poison")
    assert base64.b64decode(poison.content) == b"fail now"


def test_a_failed_message_rests_for_the_visibility_timeout(
    account: Account, serve: Serve, witness: Witness, stopped: Stopped
) -> None:
    account.send("inbox", "fail slowly")
    host = serve(visibilityTimeout="00:10:00")
    assert witness.hear()["count"] == 1
    host.logged("function=sync_reader .*result=failed")
    stopped(host)
    assert account.left("inbox") == 1
    assert account.waiting("inbox") == []
    assert witness.heard_nothing()


def test_a_message_that_kills_its_hosts_is_poisoned_unread(account: Account, serve: Serve, witness: Witness) -> None:
    """Its deliveries end without a verdict; the one after the last allowed is not made."""
    account.send("inbox", "killer")
    with account.queue("inbox") as queue:
        for _ in range(2):
            assert len(list(queue.receive_messages(visibility_timeout=1))) == 1
            threading.Event().wait(1.2)
    host = serve(maxDequeueCount=2)
    host.logged("moved to queue .*-inbox-poison")
    assert witness.heard_nothing()


def test_a_poison_queue_has_no_poison_queue(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("old-poison", "fail for ever")
    serve(maxDequeueCount=1)
    assert [witness.hear()["count"] for _ in range(3)] == [1, 2, 3]


def test_a_message_in_the_wrong_encoding_is_poisoned_as_it_is(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("inbox", "not base64!", encoded=False)
    serve().logged("moved to queue .*-inbox-poison")
    assert [message.content for message in account.waiting("inbox-poison")] == ["not base64!"]
    assert witness.heard_nothing()


def test_messages_can_be_plain_text(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("chain", '["<a> & b"]', encoded=False)
    account.make("inbox")
    serve(messageEncoding="none")
    assert witness.hear()["body"] == "<a> & b"


def test_a_batch_runs_side_by_side_and_the_next_waits_for_room(
    account: Account, serve: Serve, witness: Witness
) -> None:
    account.send("inbox", *"abcdef")
    serve(batchSize=4, newBatchThreshold=1, maxPollingInterval="00:00:00.1")
    first = [witness.hold() for _ in range(4)]
    first[0].answer()
    first[1].answer()
    assert len(account.waiting("inbox")) == 2  # three, then two are running: above the threshold
    first[2].answer()
    second = [witness.hold(), witness.hold()]
    assert sorted(note.fields["body"] for note in [*first, *second]) == list("abcdef")
    for note in [first[3], *second]:
        note.answer()


def test_batch_size_one_means_one_at_a_time(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("inbox", "a", "b")
    host = serve(batchSize=1)
    held = witness.hold()
    host.client.get("/healthz")
    assert len(account.waiting("inbox")) == 1
    assert witness.heard_nothing()
    held.answer()
    assert witness.hear()["body"] == "b"


def test_the_items_of_a_list_are_messages_of_their_own(account: Account, serve: Serve, witness: Witness) -> None:
    host = serve()
    answer = host.run_by_hand("chain", json.dumps(["one", "two"]))
    assert answer.status_code == 200
    assert answer.json()["result"] == "succeeded"
    assert {witness.hear()["body"], witness.hear()["body"]} == {"one", "two"}


class Looked(QueueListener):
    """Tells when it has looked into its queue."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.looked = asyncio.Event()

    async def _receive(self) -> list[QueueMessage]:
        batch = await super()._receive()
        self.looked.set()
        return batch


class Calls:
    """An Invoker that notes the messages it is given."""

    def __init__(self) -> None:
        self.bodies: asyncio.Queue[str] = asyncio.Queue()

    async def run(self, _function: Function, given: TriggerInput) -> None:
        self.bodies.put_nowait(given.data.string)


def test_an_output_wakes_its_reader_at_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader, which found nothing, would look again in ten minutes only."""
    monkeypatch.setattr("local.host.queues._SHORTEST_PAUSE", 600)
    address = QueueAddress(account.connection_string, f"{account.prefix}-inbox")
    function = Function("id", "read", "queueTrigger", {"name": "message", "queue": address}, {})

    async def look_then_put() -> str:
        queues, calls = Queues(base64_encoded=True), Calls()
        listener = Looked(function, queues, QueueSettings(), 15, calls)
        polling = asyncio.create_task(listener.run())
        await listener.looked.wait()
        await queues.put(address, TypedData(string="now"))
        body = await asyncio.wait_for(calls.bodies.get(), 20)
        listener.stop()
        await polling
        await listener.finish()
        await queues.close()
        return body

    assert asyncio.run(look_then_put()) == "now"


def test_outputs_of_every_kind_are_written(account: Account, serve: Serve) -> None:
    """The queue is made on the way; text, QueueMessage and bytes are encoded alike."""
    host = serve()
    answer = host.client.get("/api/send")
    assert answer.status_code == 200
    contents = sorted(base64.b64decode(message.content) for message in account.waiting("outbox"))
    assert contents == [b"\x00\xff", b"a message", b"returned"]


def test_a_delayed_message_waits(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("inbox", "later", visibility_timeout=600)
    account.send("inbox", "now", create=False)
    serve()
    assert witness.hear()["body"] == "now"
    assert witness.heard_nothing()


def test_a_stopped_host_finishes_and_deletes_what_it_runs(account: Account, serve: Serve, witness: Witness) -> None:
    account.send("inbox", "running")
    host = serve()
    held = witness.hold()
    host.process.send_signal(signal.SIGTERM)
    host.closed()
    account.send("inbox", "too late", create=False)
    threading.Event().wait(0.5)  # more than two looks of a poller that goes on
    held.answer()
    assert host.wait() == 0
    assert [base64.b64decode(message.content) for message in account.waiting("inbox")] == [b"too late"]
    assert account.left("inbox") == 1


def test_an_account_out_of_reach_is_waited_for(start: Starter, account: Account, witness: Witness) -> None:
    """And said once, not at every look."""
    nowhere = account.connection_string.replace("127.0.0.1", "127.9.9.9")
    host = start("queue_app", **{**account.settings, "OtherAccount": nowhere}).ready()
    host.logged(f"queue {account.prefix}-blocking cannot be read")
    account.send("inbox", "served all the same")
    assert witness.hear()["body"] == "served all the same"
    assert host.end() == 0
    assert host.log.count("cannot be read") == 1
