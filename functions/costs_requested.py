"""Somebody wants to know what it costs (HTTP): before a training, in a month, by dataset or snapshot, by night."""

from __future__ import annotations

import re

import azure.functions as func

from functions import answers, web
from functions.web import Request, Response
from shared import runtime
from shared.errors import BadRequest
from shared.serving.routes import LIST_ERRORS, PAGE, STATUS_ERRORS

blueprint = func.Blueprint()
_MONTH = ("month", "A month such as `2026-11`, of UTC; this one without it.")


@web.route(
    blueprint,
    "GET",
    "costs",
    errors=LIST_ERRORS,
    query=(
        _MONTH,
        ("prefix", "Only datasets whose names begin so."),
        ("sort", "In the order of `name`, or by what was `spent`, the most first."),
        *PAGE,
    ),
)
def list_costs(req: Request) -> Response:
    """What each dataset cost in a month, training and serving apart, what nights saved, and what is not counted."""
    from shared.operations import costs

    return answers.listed(req, costs.FILTERS, costs.page)


@web.route(blueprint, "GET", "costs/{dataset}", errors=(400, *STATUS_ERRORS), query=(_MONTH,))
def get_costs(req: Request) -> Response:
    """What each snapshot of a dataset cost in a month: its training, and the hours of its deployments."""
    from shared.operations import costs

    name, month = req.path_params["dataset"], req.query_params.get("month", "")
    unknown = "nothing is known of a dataset of that name in that month; GET /api/costs lists those that cost something"
    return answers.found(lambda: costs.of_dataset(runtime.services(), name, month), unknown)


@web.route(
    blueprint,
    "GET",
    "estimate",
    errors=LIST_ERRORS,
    query=(
        ("rows", "How many rows to train on."),
        ("tokens_per_row", "How many tokens each of them has, on average."),
        ("epochs", "How often the model sees them; without it as HYPERPARAMETERS says."),
    ),
)
def estimate_training(req: Request) -> Response:
    """What training on so many rows would take and cost, before anything is dropped."""
    from shared.operations import costs

    def number(name: str, default: str = "") -> float:
        text = req.query_params.get(name, "") or default
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
            raise BadRequest(f"{name}: a number")
        return float(text)

    return answers.found(
        lambda: costs.planned(
            runtime.services(), int(number("rows")), number("tokens_per_row"), int(number("epochs", "0"))
        )
    )


@web.route(
    blueprint,
    "GET",
    "nights",
    errors=LIST_ERRORS,
    query=(("month", "Only the nights of a month such as `2026-11`, of UTC."), *PAGE),
)
def list_nights(req: Request) -> Response:
    """The reports of the nightly rounds, newest first: how many were asked to sleep, and the money saved."""
    from shared.operations import nightly

    return answers.listed(req, nightly.FILTERS, nightly.page)


@web.route(blueprint, "GET", "nights/{night}", errors=STATUS_ERRORS)
def get_night(req: Request) -> Response:
    """A night's report: every dataset with what was found, why, and what its sleep saved."""
    from shared.operations import documents

    unknown = "there is no report of that night; GET /api/nights lists them"
    return answers.found(lambda: documents.night(runtime.services(), req.path_params["night"]), unknown)
