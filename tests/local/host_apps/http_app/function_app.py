"""HTTP functions of every kind, for tests of the local host."""

import asyncio
import json
import logging

import azure.functions as func

from tests.local.host_apps import witness

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("items/{id:int}", methods=["GET", "HEAD", "PUT"])
async def item(req: func.HttpRequest) -> func.HttpResponse:
    return _echo(req)


@app.route("items/{name}", methods=["GET"])
def named_item(req: func.HttpRequest) -> func.HttpResponse:
    response = _echo(req)
    response.headers["x-function"] = "named_item"
    return response


@app.route("items/{name}", methods=["DELETE"])
def removed_item(req: func.HttpRequest) -> func.HttpResponse:
    response = _echo(req)
    response.headers["x-function"] = "removed_item"
    return response


@app.route("files/{*rest}")
def files(req: func.HttpRequest) -> func.HttpResponse:
    return _echo(req)


@app.route("guarded", auth_level=func.AuthLevel.FUNCTION)
def guarded(req: func.HttpRequest) -> str:
    return "let in"


@app.route("owner", auth_level=func.AuthLevel.ADMIN)
def owner(req: func.HttpRequest) -> str:
    return "let in"


@app.route("fail")
def fail(req: func.HttpRequest) -> str:
    raise ValueError("the secret reason")


@app.route("exit")
def leave(req: func.HttpRequest) -> str:
    raise SystemExit(3)


@app.route("cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(status_code=201, headers={"x-many": "one"})
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax; Max-Age=60")
    response.headers.add("Set-Cookie", "b=2; Domain=example.com; Secure; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response


@app.route("bytes")
def raw(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body()[::-1], mimetype="application/octet-stream", status_code=418)


@app.route("nothing")
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"ignored", status_code=204)


@app.route("log/async")
async def log_async(req: func.HttpRequest, context: func.Context) -> str:
    await asyncio.to_thread(logging.info, "from a thread of %s", context.invocation_id)
    logging.info("async says %s", context.invocation_id)
    logging.getLogger("azure.core").info("never shown")
    return context.invocation_id


@app.route("log/sync")
def log_sync(req: func.HttpRequest, context: func.Context) -> str:
    logging.info("sync says %s", context.invocation_id)
    return context.invocation_id


@app.route("wait/sync")
def wait_sync(req: func.HttpRequest) -> str:
    witness.tell(at="wait/sync")
    return "waited"


@app.route("wait/async")
async def wait_async(req: func.HttpRequest) -> str:
    """Blocks the app's loop, as a careless app would."""
    witness.tell(at="wait/async")
    return "waited"


@app.route("wait/cancelled")
async def wait_cancelled(req: func.HttpRequest) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        witness.tell(at="cancelled")
        raise
    return "never"
