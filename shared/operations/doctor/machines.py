"""What trains and serves: the model, the sizes, the quota, the cluster, and who counts the questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import AccessDenied
from shared.ledger.rows import Check
from shared.operations.doctor.places import ML_VERSION, credential_of
from shared.operations.doctor.report import CheckResult, unknown, well, wrong
from shared.runtime import Services
from shared.training import base_model, compute, preflight

if TYPE_CHECKING:
    from shared.azure.workspace.registry import RegistryModel

_QUOTA = "ask for quota: https://ml.azure.com/quota, or another size (TRAINING_INSTANCE_TYPE, SERVING_INSTANCE_TYPE)"
_SUBSCRIPTION = (
    "az role assignment create --role 'Monitoring Reader' --assignee-object-id <the app's> "
    "--assignee-principal-type ServicePrincipal --scope /subscriptions/{subscription}"
)


@dataclass(frozen=True)
class _Trial:
    """A snapshot that there is not: its quota is looked at here, and its model by another check."""

    overrides: tuple[Check, ...] = (Check.QUOTA, Check.MODEL)


def cluster(services: Services) -> CheckResult:
    """Whether the cluster is there, with an identity that can read a datastore without a credential."""
    name = services.settings.training_compute
    store = services.workspace.documents.get(f"datastores/{services.settings.training_datastore}", ML_VERSION) or {}
    open_store = credential_of(store) == "None"
    if name == compute.SERVERLESS:
        if open_store:
            return wrong(
                "serverless compute has no identity, and the datastore has no credential: jobs cannot read their rows",
                "set TRAINING_COMPUTE to a cluster with an identity, or give the datastore a credential",
            )
        return well("serverless")
    found = services.workspace.documents.get(f"computes/{name}", ML_VERSION)
    if found is None:
        if services.settings.create_compute:
            return unknown(f"the cluster {name} is made with the first job")
        return wrong(
            f"there is no cluster {name}", "azd provision, or set CREATE_COMPUTE or TRAINING_COMPUTE=serverless"
        )
    kind = str((found.get("identity") or {}).get("type", "None"))
    state = str(found.get("properties", {}).get("provisioningState", ""))
    if state == "Failed":
        return wrong(f"the cluster {name} could not be made", "read its errors in Azure ML Studio, Compute")
    if kind == "None" and open_store:
        return wrong(
            f"the cluster {name} has no identity, and the datastore has no credential: jobs cannot read their rows",
            f"az ml compute update --name {name} --identity-type UserAssigned --user-assigned-identities <id>",
        )
    return well(f"{name} is {state or 'there'}, identity {kind}")


def model(services: Services) -> CheckResult:
    """Whether the base model and the component are in the registry, and can be used."""
    given = services.settings
    found, component = _model(services), services.workspace.registry.component(given.component, given.component_version)
    if found is None or component is None:
        missing = given.base_model if found is None else given.component
        return wrong(f"{missing} is not in the registry {given.registry}", "set BASE_MODEL, COMPONENT or REGISTRY")
    if blockers := list(base_model.blockers(services, found, "set BASE_MODEL")):
        return wrong("; ".join(blocker.text for blocker in blockers), "set BASE_MODEL to a model that is alive")
    return well(f"{found.name}:{found.version}, {given.component}:{component}")


def machines(services: Services) -> CheckResult:
    """Whether the sizes are offered and allowed, and quota holds one training and two deployments of a dataset."""
    found = _model(services)
    if found is None:
        return unknown("the model is not known, and so not what it needs")
    trial: Any = _Trial()
    sizes, usages = services.workspace.compute.sizes(), services.workspace.quota.usages()
    texts = [blocker.text for blocker in preflight.examine(services, trial, found).blockers]
    for need in compute.quota_needs(services, sizes, compute.cluster(services)):
        usage, twice = compute.usage_of(need.size, usages), 2 if need.purpose.startswith("serving") else 1
        cores = need.cores * twice
        if usage is not None and cores > usage.limit:
            texts.append(f"{need.purpose}{' twice' if twice == 2 else ''} takes {cores} cores of {need.size.family}, "
                         f"the quota is {usage.limit}")  # fmt: skip
    if texts:
        return wrong("; ".join(texts), _QUOTA)
    given = services.settings
    return well(
        f"quota holds training on {given.training_instance_type}, two deployments on {given.serving_instance_type}"
    )


def metrics(services: Services) -> CheckResult:
    """Whether request counts may be read: Azure asks for that role at the subscription."""
    try:
        services.metrics.check_access()
    except AccessDenied:
        return wrong(
            "request counts may not be read: nothing would be put to sleep, and no stage judged",
            _SUBSCRIPTION.format(subscription=services.settings.azure_subscription_id),
        )
    return well("request counts can be read")


def _model(services: Services) -> RegistryModel | None:
    return services.workspace.registry.model(services.settings.base_model, services.settings.base_model_version)
