"""Roles and identities: what a caller may do at which scope, who may read a datastore; seen through the real SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from local.azureml.app import SERVICES
from local.azureml.identity.roles import PROVIDER, ROLES, action_of, allowed
from tests.local.azureml_sdk import AmlCompute, ManagedOnlineEndpoint, chat_job, submit
from tests.local.azureml_server import SUBSCRIPTION, AzureMl

# What the app needs, and nothing else: docs/operate.md.
LEAST = {"workspace": ["AzureML Data Scientist"], "subscription": ["Monitoring Reader"]}


def refused(call: Any) -> str:
    with pytest.raises(HttpResponseError) as error:
        call()
    assert error.value.status_code == 403, error.value
    assert "AuthorizationFailed" in str(error.value)
    return str(error.value)


def test_without_roles_in_the_settings_everything_is_allowed(azureml: AzureMl, ml: Any) -> None:
    assert azureml.control("GET", "/settings")["roles"] is None
    assert ml.workspaces.get(ml.workspace_name).name


@pytest.mark.parametrize("missing", ["workspace", "subscription"])
def test_what_a_missing_role_would_have_allowed_is_refused_in_azures_words(
    azureml: AzureMl, ml: Any, missing: str
) -> None:
    azureml.control("PUT", "/settings", {"roles": {scope: roles for scope, roles in LEAST.items() if scope != missing}})
    if missing == "workspace":
        endpoint = ManagedOnlineEndpoint(name="not-allowed", auth_mode="key")
        told = refused(lambda: ml.online_endpoints.begin_create_or_update(endpoint))
        assert "'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/write'" in told
        assert azureml.workspace_path in told
    else:
        told = refused(lambda: list(ml.compute.list_sizes(location="local")))
        assert "'Microsoft.MachineLearningServices/locations/vmSizes/read'" in told
        assert f"over scope '/subscriptions/{SUBSCRIPTION}/" in told
    assert "does not have authorization to perform action" in told


def test_a_role_on_the_workspace_reads_no_metrics(azureml: AzureMl) -> None:
    def ask() -> int:
        headers = {"Authorization": f"Bearer {azureml.token()}"}
        path = f"/subscriptions/{SUBSCRIPTION}/metrics:getBatch?metricnamespace=x&metricnames=y"
        return azureml.send("POST", path, json={"resourceids": []}, headers=headers).status_code

    azureml.control("PUT", "/settings", {"roles": {"workspace": ["AzureML Data Scientist", "Monitoring Reader"]}})
    assert ask() == 401
    azureml.control("PUT", "/settings", {"roles": LEAST})
    assert ask() != 401


def test_clusters_can_be_made_with_the_operators_role_only(azureml: AzureMl, ml: Any, name: str) -> None:
    cluster = AmlCompute(name=name, size="Standard_NC24ads_A100_v4", max_instances=1)
    azureml.control("PUT", "/settings", {"roles": LEAST})
    refused(lambda: ml.compute.begin_create_or_update(cluster))
    more = {**LEAST, "workspace": [*LEAST["workspace"], "AzureML Compute Operator"]}
    azureml.control("PUT", "/settings", {"roles": more})
    assert ml.compute.begin_create_or_update(cluster).result().name == name


def test_a_role_or_scope_that_is_not_imitated_is_refused(azureml: AzureMl) -> None:
    for wrong in ({"workspace": ["Owner of everything"]}, {"planet": ["Reader"]}):
        assert azureml.send("PUT", "/_control/settings", json={"roles": wrong}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "{p}/workspaces/{workspace}", "workspaces/read"),
        ("PUT", "{p}/workspaces/{workspace}/jobs/{name}", "workspaces/jobs/write"),
        ("POST", "{p}/workspaces/{workspace}/jobs/{name}/cancel", "workspaces/jobs/cancel/action"),
        ("DELETE", "{p}/workspaces/{w}/onlineEndpoints/{e}/x/{n}", "workspaces/onlineEndpoints/x/delete"),
        ("GET", "{p}/locations/{location}/vmSizes", "locations/vmSizes/read"),
    ],
)
def test_the_action_follows_from_method_and_path(method: str, path: str, action: str) -> None:
    assert action_of(method, "/x/providers/" + path.replace("{p}", PROVIDER)) == f"{PROVIDER}/{action}"


@pytest.mark.parametrize(
    ("role", "action", "may"),
    [
        ("AzureML Data Scientist", "workspaces/jobs/write", True),
        ("AzureML Data Scientist", "workspaces/read", False),  # only by one of the two readings of `*`
        ("AzureML Data Scientist", "workspaces/computes/write", False),
        ("AzureML Data Scientist", "workspaces/computes/read", True),
        ("AzureML Data Scientist", "workspaces/onlineEndpoints/listKeys/action", True),
        ("AzureML Data Scientist", "workspaces/listKeys/action", False),
        ("AzureML Compute Operator", "workspaces/computes/write", True),
        ("Monitoring Reader", "workspaces/read", True),
        ("Monitoring Reader", "workspaces/jobs/write", False),
    ],
)
def test_roles_allow_what_their_definitions_say(role: str, action: str, may: bool) -> None:
    assert ROLES[role].allows(f"{PROVIDER}/{action}") == may
    assert allowed({"subscription": [role]}, f"{PROVIDER}/{action}", "workspace") == may
    assert not allowed({"workspace": [role]}, f"{PROVIDER}/{action}", "subscription")


def test_the_least_roles_open_every_route_but_the_making_of_clusters() -> None:
    routes = [route for service in SERVICES for route in service.routes]
    needed = {route.endpoint.__dict__.get("action") for route in routes} - {None, ""}
    shut = {
        action
        for action in needed
        if not allowed(LEAST, action, "workspace" if "/workspaces/" in action else "subscription")
    }
    assert shut == {f"{PROVIDER}/workspaces/computes/{verb}" for verb in ("write", "delete")}


# --- who may read a datastore ---


def test_serverless_compute_has_no_identity_to_read_a_datastore_without_a_credential(
    azureml: AzureMl, ml: Any, registry: Any, name: str, faq_files: Any
) -> None:
    azureml.control("PUT", "/settings", {"datastore_readers": {"droptune_frozen": ["/identities/trainer"]}})
    assert azureml.arm("GET", "/datastores/droptune_frozen").json()["properties"]["credentials"] == {
        "credentialsType": "None"
    }
    submit(ml, chat_job(registry, name, faq_files))
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == "Failed"
    assert "serverless has no managed identity" in why(azureml, name)


@pytest.mark.parametrize("identity", ["/identities/trainer", "/identities/somebody-else", None])
def test_a_cluster_reads_with_the_identity_that_it_was_made_with(
    azureml: AzureMl, ml: Any, registry: Any, name: str, faq_files: Any, identity: str | None
) -> None:
    azureml.control("PUT", "/settings", {"datastore_readers": {"droptune_frozen": ["/identities/trainer"]}})
    given = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}} if identity else {}
    size = {"vmSize": "Standard_NC24ads_A100_v4"}
    body = {"location": "local", "properties": {"computeType": "AmlCompute", "properties": size}, **given}
    assert azureml.arm("PUT", f"/computes/{name}", body).status_code in (200, 201, 202)
    azureml.wait_until_idle()
    steps = ("compute_model_import", "compute_preprocess", "compute_finetune")
    submit(ml, chat_job(registry, name, faq_files, **dict.fromkeys(steps, name)))
    azureml.wait_until_idle()
    if identity == "/identities/trainer":
        assert ml.jobs.get(name).status == "Completed"
    else:
        assert ml.jobs.get(name).status == "Failed"
        assert f"compute {name} has {identity or 'no managed identity'}" in why(azureml, name)


def why(azureml: AzureMl, name: str) -> str:
    """The error of a run, as its history has it."""
    path = f"/history/v1.0{azureml.workspace_path}/runs/{name}/details"
    answer = azureml.send("GET", path, headers={"Authorization": f"Bearer {azureml.token()}"})
    return str(answer.json()["error"])


# --- writes that are accepted, and fail then ---


def test_an_endpoint_write_that_is_accepted_may_fail_then_and_leaves_the_traffic(
    azureml: AzureMl, ml: Any, name: str
) -> None:
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key")).result()
    azureml.control("POST", f"/endpoints/{name}", {"code": "SubscriptionNotRegistered", "message": "not now"})
    wanted = ManagedOnlineEndpoint(name=name, auth_mode="key", tags={"a": "b"})
    poller = ml.online_endpoints.begin_create_or_update(wanted)
    with pytest.raises(HttpResponseError, match="not now"):
        poller.result()
    found = ml.online_endpoints.get(name)
    assert (found.provisioning_state, found.traffic) == ("Failed", {})
    ml.online_endpoints.begin_create_or_update(wanted).result()
    assert ml.online_endpoints.get(name).provisioning_state == "Succeeded"
