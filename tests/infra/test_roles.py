"""The roles that the templates assign cover every call of the app, where Azure asks for it; and their ids are theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.azureml import app as azureml
from local.azureml.identity import roles
from tests.infra import bicep, proofs

INFRA = Path(__file__).parents[2] / "infra"
# From Azure's list of built-in roles, read 2026-04.
BUILT_IN = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "AzureML Compute Operator": "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    "Monitoring Reader": "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "EventGrid Data Sender": "d5a91429-5739-47e2-a06b-3470a27159e7",
}
# How the templates call them.
VARIABLES = {
    "blobOwner": "Storage Blob Data Owner",
    "blobContributor": "Storage Blob Data Contributor",
    "queueContributor": "Storage Queue Data Contributor",
    "tableContributor": "Storage Table Data Contributor",
    "dataScientist": "AzureML Data Scientist",
    "reader": "Reader",
    "monitoringReader": "Monitoring Reader",
    "metricsPublisher": "Monitoring Metrics Publisher",
    "secretsUser": "Key Vault Secrets User",
    "eventSender": "EventGrid Data Sender",
}
# Beside Azure ML: who needs which role where, and for which call.
NEEDED = {
    ("appPrincipalId", "Storage Blob Data Owner", "host"): "the platform: code, leases of timers, keys",
    ("appPrincipalId", "Storage Queue Data Contributor", "host"): "the platform: queues",
    ("appPrincipalId", "Storage Table Data Contributor", "host"): "the platform: diagnostics",
    ("appPrincipalId", "Storage Blob Data Contributor", "data"): "shared/azure/storage: blobs, leases, containers",
    ("appPrincipalId", "Storage Queue Data Contributor", "data"): "shared/azure/storage and the trigger of step_due",
    ("appPrincipalId", "Key Vault Secrets User", "vault"): "the platform: SCORING_KEYS, PAGE_KEYS",
    ("appPrincipalId", "Monitoring Metrics Publisher", "insights"): "the platform: logs, with no key",
    ("appPrincipalId", "EventGrid Data Sender", "topic"): "shared/azure/notifications",
    (
        "trainingPrincipalId",
        "Storage Blob Data Contributor",
        "data",
    ): "the component mounts frozen rows for writing too",
    ("trainingPrincipalId", "Storage Blob Data Contributor", "storage"): "the component writes the model",
    ("storageTopicPrincipalId", "Storage Blob Data Contributor", "data"): "dead letters of uploads",
    ("workspaceTopicPrincipalId", "Storage Blob Data Contributor", "data"): "dead letters of runs",
}
# What the app asks for only where a setting says so; the templates leave that to whoever sets it.
ONLY_WITH = {"Microsoft.MachineLearningServices/workspaces/computes/write": "CREATE_COMPUTE"}
# What the local Azure ML answers and the app does not ask for.
NEVER_ASKED = re.compile(
    r"/(computes/delete|data(/versions)?/\w+|workspaces/(write|delete)|onlineEndpoints/regenerateKeys/action)$"
)


@dataclass(frozen=True)
class Assignment:
    """One role of one principal: `at` is the symbol of a resource, or the scope of the file."""

    who: str
    role: str
    at: str
    where: str


def assignments(folder: Path) -> Iterator[Assignment]:
    """Every role assignment of the templates; the role by its id, whatever its variable is called."""
    names = {identity: name for name, identity in BUILT_IN.items()}
    for path in proofs.files(folder):
        template = bicep.read(path)
        for resource in template.resources.values():
            if not resource.what.startswith("Microsoft.Authorization/roleAssignments@"):
                continue
            body, properties = resource.body, resource.body["properties"]
            variable = properties["roleDefinitionId"].text.rstrip(")").rpartition(", ")[2]
            identity = str(template.variables[variable].value)
            scope = body["scope"].text if "scope" in body else template.scope
            yield Assignment(
                properties["principalId"].text, names.get(identity, identity), scope, template.where(resource)
            )


def id_complaints(folder: Path) -> list[str]:
    """Ids that are not those of the role whose name they go under."""
    return [
        f"{template.where(variable)}: {name} is {variable.value}, and {VARIABLES[name]} is {BUILT_IN[VARIABLES[name]]}"
        for template in map(bicep.read, proofs.files(folder))
        for name, variable in template.variables.items()
        if name in VARIABLES and variable.value != BUILT_IN[VARIABLES[name]]
    ]


def name_complaints(folder: Path) -> list[str]:
    """An assignment's name is derived from scope, principal and role: else a second deployment collides with the first."""
    found = []
    for template in map(bicep.read, proofs.files(folder)):
        for resource in template.resources.values():
            if resource.what.startswith("Microsoft.Authorization/roleAssignments@"):
                who = resource.body["properties"]["principalId"].text
                role = resource.body["properties"]["roleDefinitionId"].text.rstrip(")").rpartition(", ")[2]
                at = f"{resource.body['scope'].text}.id" if "scope" in resource.body else f"{template.scope}().id"
                wanted = f"guid({at}, {who}, {role})"
                if resource.body["name"].text != wanted:
                    found.append(f"{template.where(resource)}: the name is {resource.body['name'].text}, not {wanted}")
    return found


def coverage_complaints(folder: Path) -> list[str]:
    """Calls of the app that no role of its allows at a sufficient scope."""
    given = list(assignments(folder))
    have = {(one.who, one.role, one.at) for one in given}
    found = [
        f"{who} has not {role} on {at}: {why}" for (who, role, at), why in NEEDED.items() if (who, role, at) not in have
    ]
    at = {
        "subscription": [one.role for one in given if one.who == "appPrincipalId" and one.at == "subscription"],
        "workspace": [one.role for one in given if one.who == "appPrincipalId" and one.at == "workspace"],
    }
    for action, scope in sorted(asked()):
        if action not in ONLY_WITH and not roles.allowed(at, action, scope):
            found.append(f"the app may not {action} at the {scope}: it has {at}")
    return found


def asked() -> set[tuple[str, roles.Scope]]:
    """Every action that the app asks Azure ML and its metrics for, with the scope at which Azure checks it."""
    routes = (route for service in azureml.SERVICES for route in service.routes)
    found: set[tuple[str, roles.Scope]] = set()
    for route in routes:
        action = str(getattr(route.endpoint, "action", ""))
        if action and not NEVER_ASKED.search(action):
            found.add((action, "workspace" if "{workspace}" in route.path else "subscription"))
    return found


def surplus_complaints(folder: Path) -> list[str]:
    """Roles that no call needs."""
    needed = {*NEEDED, ("appPrincipalId", "AzureML Data Scientist", "workspace"), ("appPrincipalId", "Reader", "workspace"),
              ("appPrincipalId", "Monitoring Reader", "subscription")}  # fmt: skip
    people = {"deployerId"}
    return [f"{one.where}: {one.who} has {one.role} on {one.at}, which nothing needs" for one in assignments(folder)
            if one.who not in people and (one.who, one.role, one.at) not in needed]  # fmt: skip


CHECKS = (id_complaints, name_complaints, coverage_complaints, surplus_complaints)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_roles_hold(check: proofs.Proof) -> None:
    assert check(INFRA) == []


def test_every_call_to_azure_ml_is_among_those_that_are_checked() -> None:
    actions = {action.rpartition("Services/")[2] for action, _ in asked()}
    assert actions >= {"workspaces/jobs/write", "workspaces/onlineEndpoints/listKeys/action", "locations/vmSizes/read",
                       "workspaces/onlineEndpoints/deployments/getLogs/action", "locations/usages/read"}  # fmt: skip
    assert {scope for _, scope in asked()} == {"workspace", "subscription"}


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "complaint"),
    [
        (id_complaints, "roles", "ba92f5b4-2d11-453d", "2a2b9908-6ea1-4ae2", "blobContributor is 2a2b9908-6ea1-4ae2"),
        (name_complaints, "roles", "name: guid(vault.id, appPrincipalId, secretsUser)", "name: guid(vault.id)",
         "the name is guid(vault.id), not guid(vault.id, appPrincipalId, secretsUser)"),
        (coverage_complaints, "roles-subscription", "43d0d8ad-25c7-4714-9337-8ba259a9fe05", BUILT_IN["AzureML Data Scientist"],
         "the app may not Microsoft.Insights/metrics/read at the subscription"),
        (coverage_complaints, "roles-workspace", BUILT_IN["AzureML Data Scientist"], BUILT_IN["Monitoring Reader"],
         "the app may not Microsoft.MachineLearningServices/workspaces/jobs/write at the workspace"),
        (coverage_complaints, "roles", "resource appDataQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n"
         "  name: guid(data.id, appPrincipalId, queueContributor)\n  scope: data", "resource appDataQueues "
         "'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n  name: guid(host.id, appPrincipalId, queueContributor)\n"
         "  scope: host", "appPrincipalId has not Storage Queue Data Contributor on data: shared/azure/storage"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_found(
    check: proofs.Proof, file: str, old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    folder = proofs.planted(INFRA, tmp_path, f"modules/{file}.bicep", old, new)
    assert complaint in "\n".join(check(folder))


def test_a_role_that_nothing_needs_is_found(tmp_path: Path) -> None:
    assignment = (
        "guid(data.id, appPrincipalId, blobContributor)\n  scope: data\n  properties: {\n    principalId: appPrincipalId\n"
        "    principalType: 'ServicePrincipal'\n    roleDefinitionId: subscriptionResourceId(roles, {role})"
    )
    old, new = (assignment.replace("{role}", role) for role in ("blobContributor", "blobOwner"))
    folder = proofs.planted(INFRA, tmp_path, "modules/roles.bicep", old, new)
    assert "appPrincipalId has Storage Blob Data Owner on data, which nothing needs" in "\n".join(
        surplus_complaints(folder)
    )
