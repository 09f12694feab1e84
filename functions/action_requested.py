"""Somebody wants something done (HTTP): record who asked for what; the row's next step does it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import azure.functions as func

from functions import web
from functions.web import Request, Response
from shared import runtime
from shared.errors import NotFound, PipelineError, TemporaryError
from shared.serving.routes import ACTION_ERRORS, BY

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@web.route(blueprint, "POST", "snapshots/{id}/retry", status=202, errors=ACTION_ERRORS, query=(BY,))
def retry_snapshot(req: Request) -> Response:
    """Goes on with a snapshot that failed, in training, registration or release, or that waits for a person."""
    from shared.operations import actions

    return _answered(lambda: actions.retry(runtime.services(), req.path_params["id"], web.caller_name(req)), req)


@web.route(
    blueprint,
    "POST",
    "snapshots/{id}/override",
    status=202,
    errors=(400, *ACTION_ERRORS),
    query=(BY, ("what", "Names of checks, with commas between.")),
)
def override_snapshot(req: Request) -> Response:
    """Excuses checks for one snapshot, by name or those that block it: it is taken after all, and that is on record."""
    from shared.operations import actions

    what = [name for name in req.query_params.get("what", "").replace(" ", "").split(",") if name]
    return _answered(
        lambda: actions.override(runtime.services(), req.path_params["id"], web.caller_name(req), what), req
    )


@web.route(
    blueprint,
    "POST",
    "snapshots/{id}/cancel",
    status=202,
    errors=ACTION_ERRORS,
    query=(BY, ("reason", "Why, in words: it is kept with the snapshot.")),
)
def cancel_snapshot(req: Request) -> Response:
    """Ends a snapshot that does not serve yet: its job is canceled, or its release taken back."""
    from shared.operations import actions

    reason = web.printable(req.query_params.get("reason", ""), 200)
    return _answered(
        lambda: actions.cancel(runtime.services(), req.path_params["id"], web.caller_name(req), reason), req
    )


@web.route(blueprint, "POST", "datasets/{name}/wake", status=202, errors=ACTION_ERRORS, query=(BY,))
def wake_dataset(req: Request) -> Response:
    """Wakes a sleeping dataset."""
    from shared.operations import actions

    return _answered(
        lambda: actions.ask(runtime.services(), req.path_params["name"], "wake", web.caller_name(req)), req
    )


@web.route(blueprint, "POST", "datasets/{name}/sleep", status=202, errors=ACTION_ERRORS, query=(BY,))
def sleep_dataset(req: Request) -> Response:
    """Puts a live dataset to sleep: its endpoint is removed, its model is kept."""
    from shared.operations import actions

    return _answered(
        lambda: actions.ask(runtime.services(), req.path_params["name"], "sleep", web.caller_name(req)), req
    )


@web.route(blueprint, "POST", "datasets/{name}/rollback", status=202, errors=ACTION_ERRORS, query=(BY,))
def roll_back_dataset(req: Request) -> Response:
    """Goes back to the release before, while its deployment is kept; during a rollout, takes the candidate back."""
    from shared.operations import actions

    return _answered(
        lambda: actions.ask(runtime.services(), req.path_params["name"], "roll_back", web.caller_name(req)), req
    )


@web.route(blueprint, "POST", "datasets/{name}/resume", status=202, errors=ACTION_ERRORS, query=(BY,))
def resume_dataset(req: Request) -> Response:
    """Goes on with a dataset that waits for a person after repeated faults."""
    from shared.operations import actions

    return _answered(lambda: actions.resume(runtime.services(), req.path_params["name"], web.caller_name(req)), req)


@web.route(
    blueprint,
    "POST",
    "datasets/{name}/pause",
    status=202,
    errors=ACTION_ERRORS,
    query=(BY, ("reason", "Why, in words: it is kept with the dataset.")),
)
def pause_dataset(req: Request) -> Response:
    """Has a dataset begin nothing that costs money: new snapshots are checked and wait, what serves goes on."""
    from shared.operations import actions

    reason = web.printable(req.query_params.get("reason", ""), 200)
    return _answered(
        lambda: actions.pause(runtime.services(), req.path_params["name"], web.caller_name(req), reason), req
    )


@web.route(blueprint, "POST", "datasets/{name}/unpause", status=202, errors=ACTION_ERRORS, query=(BY,))
def unpause_dataset(req: Request) -> Response:
    """Has a paused dataset go on; the newest of what waited is taken first."""
    from shared.operations import actions

    return _answered(lambda: actions.unpause(runtime.services(), req.path_params["name"], web.caller_name(req)), req)


@web.route(
    blueprint,
    "POST",
    "night",
    status=202,
    previews=True,
    errors=(401, 409, 503),
    query=(BY, ("dry", "`false`: for real; without it, it is only said what would be done.")),
)
def run_night(req: Request) -> Response:
    """Makes the nightly round now; dry, which says what it would do and save, unless it is asked for real."""
    from shared.operations import nightly
    from shared.operations.actions import ActionAnswer

    if req.query_params.get("dry", "").lower() not in ("0", "false", "no"):
        return _previewed()
    text = "the nightly round begins; GET /api/nights has its report"
    wait = "a nightly round is under way: ask again when it is over"

    def act() -> ActionAnswer:
        begun = nightly.ask_for_round(runtime.services(), web.caller_name(req))
        return ActionAnswer(begun, text if begun else wait)

    return _answered(act, req)


def _previewed() -> Response:
    import msgspec

    from shared.operations import night_preview

    try:
        return web.answer(msgspec.to_builtins(night_preview.preview(runtime.services())))
    except PipelineError as error:
        return web.refusal(503, "unavailable", str(error), 10)


@web.route(
    blueprint,
    "DELETE",
    "datasets/{name}",
    status=202,
    errors=(400, *ACTION_ERRORS),
    query=(BY, ("confirm", "The dataset's name once more."), ("files", "`true`: what was dropped goes as well.")),
)
def delete_dataset(req: Request) -> Response:
    """Deletes a dataset with everything that is its own; its models stay, and so does what was dropped unless asked."""
    from shared.operations import actions

    name = req.path_params["name"]
    if req.query_params.get("confirm") != name:
        plan = "GET /api/datasets/{name}/deletion says what goes and what stays"
        text = f"this deletes {name[:60]} for good: to confirm it, repeat the name as ?confirm=; {plan}"
        return web.refusal(400, "confirmation_needed", text)
    act = partial(actions.delete, runtime.services(), name, web.caller_name(req), _is_true(req, "files"))
    return _answered(act, req)


def _is_true(req: Request, name: str) -> bool:
    return req.query_params.get(name, "").lower() in ("1", "true", "yes")


def _answered(act: Callable[[], object], req: Request) -> Response:
    from shared.operations.actions import ActionAnswer, BadOverride

    try:
        found = act()
    except BadOverride as error:
        return web.refusal(400, "invalid_request", str(error))
    except NotFound as error:
        log.info("asked for something unknown: %s", error)
        return web.refusal(404, "not_found", _unknown(req))
    except TemporaryError as error:
        return web.refusal(503, "unavailable", str(error), 10)
    except PipelineError as error:
        return web.refusal(409, "conflict", str(error))
    assert isinstance(found, ActionAnswer)
    return web.answer({"message": found.text}, 202) if found.done else web.refusal(409, "not_now", found.text)


def _unknown(req: Request) -> str:
    """What to say of the name that the route has, which nothing has."""
    from shared.operations import names

    if snapshot := req.path_params.get("id"):
        return names.unknown_snapshot(runtime.services(), snapshot)
    return names.unknown_dataset(runtime.services(), req.path_params["name"])
