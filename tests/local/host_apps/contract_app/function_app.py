"""One function for every way in and out that the local host serves: see record_contract.py."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("page")
def page(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    _ = (req.get_body(), dict(req.headers), dict(req.params), dict(req.route_params), req.url, req.method)
    _ = (context.invocation_id, context.trace_context.trace_parent, context.retry_context.retry_count)
    response = func.HttpResponse("text")
    response.headers.add("Set-Cookie", "a=1; Path=/; Domain=x; HttpOnly; Secure; SameSite=Lax; Max-Age=60")
    response.headers.add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Strict")
    response.headers.add("Set-Cookie", "c=3; SameSite=None")
    return response


@app.queue_trigger("message", "in", "X")
@app.queue_output("$return", "out", "X")
@app.queue_output("one", "out", "X")
@app.queue_output("raw", "out", "X")
async def read(message: func.QueueMessage, one: func.Out[func.QueueMessage], raw: func.Out[bytes]) -> str:
    _ = (message.get_body(), message.dequeue_count, message.insertion_time)
    one.set(func.QueueMessage(body="x"))
    raw.set(b"x")
    return "x"


@app.timer_trigger("timer", "0 0 * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
def tick(timer: func.TimerRequest) -> None:
    _ = timer.past_due


@app.timer_trigger("timer", "0 0 * * * *")
@app.retry(
    strategy="exponential_backoff", max_retry_count="2", minimum_interval="00:00:01", maximum_interval="00:00:09"
)
def tock(timer: func.TimerRequest) -> None:
    raise ValueError("on purpose")


@app.event_grid_trigger("event")
def happen(event: func.EventGridEvent) -> None:
    _ = event.id
