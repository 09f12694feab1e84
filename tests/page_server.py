"""The page over an in-memory world, served by HTTP for a browser. For tests, and for those who look at the page:

python -m tests.page_server        # prints an address; the key is `KEY`
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from tests.fakes import KEY, World
from tests.page_world import READER_KEY, page_world


def application() -> Starlette:
    """All HTTP functions of the page, as the host routes to them."""
    import function_app  # noqa: F401 - declares the routes
    from functions import web

    found = sorted(web.PAGE_ROUTES, key=lambda one: one[0].path.count("{"))
    return Starlette(routes=[Route(f"/{web.PREFIX}{r.path}", act, methods=[r.method]) for r, act in found])


@contextlib.contextmanager
def served(world: World) -> Iterator[str]:
    """The address of the page while it is served."""
    from functions import chat_requested, page_site
    from shared import runtime

    before = runtime._services, runtime.settings
    runtime._services = lambda: world.services  # type: ignore[assignment]
    runtime.settings = lambda: world.services.settings  # type: ignore[assignment]
    page_site.access.cache_clear()
    chat_requested._made_service.cache_clear()
    server = uvicorn.Server(uvicorn.Config(application(), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        runtime._services, runtime.settings = before
        page_site.access.cache_clear()
    chat_requested._made_service.cache_clear()


if __name__ == "__main__":
    with served(page_world()) as address:
        print(f"{address}/api/ui  keys: {KEY} {READER_KEY}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
