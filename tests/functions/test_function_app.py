"""The table of contents: which functions there are, what starts them, and who may call them."""

from __future__ import annotations

from typing import Any

import pytest

from functions import web

TRIGGERS = {
    "snapshot_uploaded": "eventGridTrigger",
    "run_changed": "eventGridTrigger",
    "step_due": "queueTrigger",
    "sweep_due": "timerTrigger",
    "sleep_due": "timerTrigger",
}
ROUTES = {
    "retry_snapshot": ("POST", "snapshots/{id}/retry"),
    "override_snapshot": ("POST", "snapshots/{id}/override"),
    "cancel_snapshot": ("POST", "snapshots/{id}/cancel"),
    "wake_dataset": ("POST", "datasets/{name}/wake"),
    "sleep_dataset": ("POST", "datasets/{name}/sleep"),
    "roll_back_dataset": ("POST", "datasets/{name}/rollback"),
    "resume_dataset": ("POST", "datasets/{name}/resume"),
    "pause_dataset": ("POST", "datasets/{name}/pause"),
    "unpause_dataset": ("POST", "datasets/{name}/unpause"),
    "plan_deletion": ("GET", "datasets/{name}/deletion"),
    "delete_dataset": ("DELETE", "datasets/{name}"),
    "run_night": ("POST", "night"),
    "score": ("POST", "score/{dataset}"),
    "chat_completions": ("POST", "v1/chat/completions"),
    "start_import": ("POST", "imports"),
    "list_imports": ("GET", "imports"),
    "get_import": ("GET", "imports/{id}"),
    "list_datasets": ("GET", "datasets"),
    "list_models": ("GET", "v1/models"),
    "get_model": ("GET", "v1/models/{model}"),
    "list_snapshots": ("GET", "snapshots"),
    "get_snapshot": ("GET", "snapshots/{id}"),
    "get_report": ("GET", "snapshots/{id}/report"),
    "get_evaluation": ("GET", "snapshots/{id}/evaluation"),
    "get_logs": ("GET", "snapshots/{id}/logs"),
    "get_training": ("GET", "snapshots/{id}/training"),
    "stream_events": ("GET", "events"),
    "get_dataset": ("GET", "datasets/{name}"),
    "list_refusals": ("GET", "refusals"),
    "list_costs": ("GET", "costs"),
    "get_costs": ("GET", "costs/{dataset}"),
    "estimate_training": ("GET", "estimate"),
    "list_nights": ("GET", "nights"),
    "get_night": ("GET", "nights/{night}"),
    "health": ("GET", "health"),
    "describe_routes": ("GET", "openapi.json"),
    "examine": ("GET", "doctor"),
}
# What people see in a browser; the app itself asks who they are.
PAGE = {
    "show_overview": ("GET", "ui"),
    "show_datasets": ("GET", "ui/datasets"),
    "show_dataset": ("GET", "ui/datasets/{name}"),
    "show_snapshots": ("GET", "ui/snapshots"),
    "show_snapshot": ("GET", "ui/snapshots/{id}"),
    "show_try_box": ("GET", "ui/datasets/{name}/ask"),
    "try_model": ("POST", "ui/datasets/{name}/ask"),
    "ask_about_dataset": ("GET", "ui/datasets/{name}/{action}"),
    "act_on_dataset": ("POST", "ui/datasets/{name}/{action}"),
    "ask_about_snapshot": ("GET", "ui/snapshots/{id}/{action}"),
    "act_on_snapshot": ("POST", "ui/snapshots/{id}/{action}"),
    "ask_about_night": ("GET", "ui/nights/run"),
    "make_night": ("POST", "ui/nights/run"),
    "show_imports": ("GET", "ui/imports"),
    "ask_about_import": ("GET", "ui/imports/new"),
    "begin_import": ("POST", "ui/imports"),
    "show_import": ("GET", "ui/imports/{id}"),
    "show_upload": ("GET", "ui/upload"),
    "upload_file": ("POST", "ui/upload"),
    "show_nights": ("GET", "ui/nights"),
    "show_night": ("GET", "ui/nights/{night}"),
    "show_sign_in": ("GET", "ui/sign-in"),
    "sign_in": ("POST", "ui/sign-in"),
    "sign_out": ("POST", "ui/sign-out"),
    "get_asset": ("GET", "ui/{asset}"),
}
ROOT = "open_root"
# Takes what no route takes, with every method.
FALLBACK = "explain_routes"


@pytest.fixture(scope="module")
def bindings() -> dict[str, dict[str, Any]]:
    """The trigger of every function, by the function's name."""
    from function_app import app

    app.functions_bindings = {}  # an app can be indexed once; leave it as it was for others
    found = {str(f.get_function_name()): f.get_trigger() for f in app.get_functions()}
    app.functions_bindings = {}
    return {name: trigger.get_dict_repr() for name, trigger in found.items() if trigger}


def test_these_functions_and_no_others_are_indexed(bindings: dict[str, Any]) -> None:
    assert set(bindings) == {*TRIGGERS, *ROUTES, *PAGE, ROOT, FALLBACK}


def test_each_is_started_by_what_happened(bindings: dict[str, Any]) -> None:
    assert {name: bindings[name]["type"] for name in TRIGGERS} == TRIGGERS


def test_each_route_has_one_method(bindings: dict[str, Any]) -> None:
    known = {**ROUTES, **PAGE}
    found = {name: ([m.value for m in bindings[name]["methods"]], bindings[name]["route"]) for name in known}
    assert found == {name: ([method], f"api/{route}") for name, (method, route) in known.items()}


def test_the_platform_checks_no_key_where_the_app_does_or_nobody_has_to(bindings: dict[str, Any]) -> None:
    levels = {name: bindings[name]["authLevel"].value for name in ROUTES}
    by_the_app = {"score", "chat_completions", "list_models", "get_model"}
    assert {name for name, level in levels.items() if level == "anonymous"} == {
        "health",
        "describe_routes",
    } | by_the_app


def test_every_route_is_in_the_openapi_document_and_no_other(bindings: dict[str, Any]) -> None:
    described: dict[tuple[str, str], str] = {(route.method, route.path): route.caller for route in web.ROUTES}
    assert set(described) == set(ROUTES.values())
    for name, route in ROUTES.items():
        assert (described[route] == "function") == (bindings[name]["authLevel"].value == "function"), name


def test_steps_come_from_the_queue_of_the_data_account(bindings: dict[str, Any]) -> None:
    assert (bindings["step_due"]["queueName"], bindings["step_due"]["connection"]) == ("due", "DATA")


def test_timers_run_when_the_settings_say(bindings: dict[str, Any]) -> None:
    assert bindings["sweep_due"]["schedule"] == "0 */5 * * * *"
    assert bindings["sleep_due"]["schedule"] == "0 0 2 * * *"
