"""Somebody wants something done (HTTP): record who asked for what; the row's next step does it."""

from __future__ import annotations

from functools import partial

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime
from shared.serving.routes import ACTION_ERRORS, BY

blueprint = func.Blueprint()


@web.route(blueprint, "POST", "snapshots/{id}/retry", status=202, errors=ACTION_ERRORS, query=(BY,))
def retry_snapshot(req: Request) -> Response:
    """Goes on with a snapshot that failed, in training, registration or release, or that waits for a person."""
    from shared.operations import actions

    return answers.acted(req, actions.retry)


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
    return answers.acted(req, partial(actions.override, what=what))


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
    return answers.acted(req, partial(actions.cancel, reason=reason))


@web.route(blueprint, "POST", "datasets/{name}/wake", status=202, errors=ACTION_ERRORS, query=(BY,))
def wake_dataset(req: Request) -> Response:
    """Wakes a sleeping dataset."""
    from shared.operations import actions

    return answers.acted(req, partial(actions.ask, what="wake"))


@web.route(blueprint, "POST", "datasets/{name}/sleep", status=202, errors=ACTION_ERRORS, query=(BY,))
def sleep_dataset(req: Request) -> Response:
    """Puts a live dataset to sleep: its endpoint is removed, its model is kept."""
    from shared.operations import actions

    return answers.acted(req, partial(actions.ask, what="sleep"))


@web.route(blueprint, "POST", "datasets/{name}/rollback", status=202, errors=ACTION_ERRORS, query=(BY,))
def roll_back_dataset(req: Request) -> Response:
    """Goes back to the release before, while its deployment is kept; during a rollout, takes the candidate back."""
    from shared.operations import actions

    return answers.acted(req, partial(actions.ask, what="roll_back"))


@web.route(blueprint, "POST", "datasets/{name}/resume", status=202, errors=ACTION_ERRORS, query=(BY,))
def resume_dataset(req: Request) -> Response:
    """Goes on with a dataset that waits for a person after repeated faults."""
    from shared.operations import actions

    return answers.acted(req, actions.resume)


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
    return answers.acted(req, partial(actions.pause, reason=reason))


@web.route(blueprint, "POST", "datasets/{name}/unpause", status=202, errors=ACTION_ERRORS, query=(BY,))
def unpause_dataset(req: Request) -> Response:
    """Has a paused dataset go on; the newest of what waited is taken first."""
    from shared.operations import actions

    return answers.acted(req, actions.unpause)


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
    from shared.operations import night_preview, nightly

    if web.is_true(req, "dry", without=True):
        return answers.found(lambda: night_preview.preview(runtime.services()))
    return answers.acted(req, nightly.ask_for_round)


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
    return answers.acted(req, partial(actions.delete, with_files=web.is_true(req, "files")))
