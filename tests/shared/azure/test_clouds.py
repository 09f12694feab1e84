"""A national cloud is chosen by one address: everything else that differs there follows.

Assumptions: `clouds`.
"""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport

from shared.azure.clouds import NATIONAL, PUBLIC, AzureCloud, cloud_at
from shared.azure.identity import identity
from shared.azure.metrics import Metrics
from shared.azure.workspace import Workspace
from shared.errors import ServiceBusy

pytestmark = pytest.mark.filterwarnings(
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
)


class _Credential:
    """Notes whom tokens are asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("token", 2**40)


@pytest.mark.parametrize("cloud", [PUBLIC, *NATIONAL], ids=lambda cloud: cloud.name or "public")
def test_an_address_with_or_without_a_slash_is_its_cloud(cloud: AzureCloud) -> None:
    assert cloud_at(cloud.resource_manager) is cloud_at(f"{cloud.resource_manager.upper()}/") is cloud


def test_another_address_is_that_of_an_emulator() -> None:
    assert cloud_at("https://localhost:8443/") == AzureCloud("https://localhost:8443")


@pytest.mark.parametrize("cloud", [PUBLIC, *NATIONAL], ids=lambda cloud: cloud.name or "public")
def test_all_addresses_are_those_of_the_cloud(cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARM_CLOUD_METADATA_URL", raising=False)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", cloud.name or "AzureCloud")  # the SDK writes it
    credential: Any = _Credential()
    workspace = Workspace(credential, "s", "g", "w", "azureml", cloud)
    assert str(workspace._client.workspace._base_url).rstrip("/") == cloud.resource_manager
    given: Any = type("Given", (), {"metrics_endpoint": ""})
    monkeypatch.setattr(workspace, "location", lambda: "somewhere")
    metrics = Metrics(given, credential, workspace, cloud)
    assert metrics._client._endpoint == f"https://somewhere.{cloud.metrics}"
    assert metrics.requests("e", ["d"], 0.0, 600.0).most is None
    assert credential.scopes == [f"https://{cloud.metrics}/.default"]


@pytest.mark.parametrize("cloud", [PUBLIC, *NATIONAL], ids=lambda cloud: cloud.name or "public")
def test_people_sign_in_where_the_cloud_has_them(cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TENANT_ID": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    chain: Any = identity(authority=cloud.authority)
    assert cloud.authority in str(vars(chain.credentials[0]._credential).values())


REGISTRIES = {
    "": "https://eastus.api.azureml.ms/",
    "AzureUSGovernment": "https://usgovarizona.api.ml.azure.us/",
    "AzureChinaCloud": "https://chinaeast2.api.ml.azure.cn/",
}


@pytest.mark.parametrize("cloud", [PUBLIC, *NATIONAL], ids=lambda cloud: cloud.name or "public")
def test_the_registry_is_looked_for_where_the_cloud_has_it(cloud: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARM_CLOUD_METADATA_URL", raising=False)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", cloud.name or "AzureCloud")
    asked: list[str] = []

    def refuse(transport: Any, request: Any, **_: Any) -> Any:
        asked.append(request.url)
        raise ServiceRequestError("there is no network")

    monkeypatch.setattr(RequestsTransport, "send", refuse)
    credential: Any = _Credential()
    with pytest.raises(ServiceBusy):
        Workspace(credential, "s", "g", "w", "azureml", cloud).registry.model("Phi-4", "8")
    assert asked[0].startswith(REGISTRIES[cloud.name])
