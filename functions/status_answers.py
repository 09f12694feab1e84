"""The answers of routes that only read: what was found as JSON, or why there is nothing. A repeat reads again."""

from __future__ import annotations

from collections.abc import Callable

from functions import web
from functions.web import Response


def found(ask: Callable[[], object], unknown: str | Callable[[], str] = "") -> Response:
    """What was asked for, as JSON; 400 where a parameter cannot be, 404 with `unknown` where there is no such thing,
    503 while storage or the row is out of reach."""
    import msgspec

    from shared.errors import BadSnapshot, NotFound, TemporaryError
    from shared.operations.names import UnclearName
    from shared.operations.paging import BadPageQuery

    try:
        return web.answer(msgspec.to_builtins(ask()))
    except (BadPageQuery, BadSnapshot) as error:
        return web.refusal(400, "invalid_request", str(error))
    except UnclearName as error:
        return web.refusal(404, "not_found", str(error))
    except NotFound:
        return web.refusal(404, "not_found", unknown if isinstance(unknown, str) else unknown())
    except TemporaryError as error:
        return web.refusal(503, "unavailable", str(error), 10)
