"""Queue functions, for tests of the local host: what they do is said by the message."""

import json
import typing

import azure.functions as func

from tests.local.host_apps import witness

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _serve(name: str, message: func.QueueMessage) -> None:
    body = message.get_body().decode()
    inserted, visible = message.insertion_time, message.time_next_visible
    witness.tell(
        at=name,
        body=body,
        id=message.id,
        count=message.dequeue_count,
        receipt=bool(message.pop_receipt),
        hidden=(visible - inserted).total_seconds() if visible and inserted else None,
    )
    if body.startswith("fail"):
        raise ValueError(body)


@app.queue_trigger("message", "%P%-inbox", "AzureWebJobsStorage")
def sync_reader(message: func.QueueMessage) -> None:
    _serve("sync", message)


@app.queue_trigger("message", "%P%-blocking", "OtherAccount")
async def async_reader(message: func.QueueMessage) -> None:
    _serve("async", message)


@app.queue_trigger("message", "%P%-chain", "AzureWebJobsStorage")
@app.queue_output("out", "%P%-inbox", "AzureWebJobsStorage")
def chain(message: func.QueueMessage, out: func.Out[typing.List[str]]) -> None:  # noqa: UP006
    out.set(json.loads(message.get_body()))


@app.queue_trigger("message", "%P%-old-poison", "AzureWebJobsStorage")
def undertaker(message: func.QueueMessage) -> None:
    _serve("undertaker", message)


@app.route("send")
@app.queue_output("$return", "%P%-outbox", "AzureWebJobsStorage")
@app.queue_output("named", "%P%-outbox", "AzureWebJobsStorage")
@app.queue_output("binary", "%P%-outbox", "AzureWebJobsStorage")
def unused(req: func.HttpRequest, named: func.Out[func.QueueMessage], binary: func.Out[bytes]) -> str:
    named.set(func.QueueMessage(body="a message"))
    binary.set(b"\x00\xff")
    return "returned"
