"""The Azure ML workspace and its registry, a file a kind of resource. Called by the steps and by scoring.

    workspace.registry      base models and the training component
    workspace.jobs          training jobs
    workspace.tracking      the metrics that jobs log
    workspace.models        registered model versions
    workspace.endpoints     online endpoints: traffic, keys
    workspace.deployments   what stands behind an endpoint
    workspace.compute       clusters and machine sizes
    workspace.datastores    where jobs read and write, and as whom
    workspace.quota         cores in use and allowed
    workspace.documents     what the doctor looks at

Reads return None where there is nothing; starts are create-or-get under the caller's derived name. Nothing here waits
for a long operation: it is started, and its state is read at a later poll. Requests are sent once, in bounded time:
trying again is the ledger's business. States are Azure's words as plain text. The SDK takes seconds to import: callers
who wait for a model's answer need `endpoints.key` only, which does without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.clouds import PUBLIC, AzureCloud
from shared.azure.workspace.client import AzureMlClient
from shared.azure.workspace.compute import ComputeOperations
from shared.azure.workspace.datastores import DatastoreOperations
from shared.azure.workspace.deployments import DeploymentOperations
from shared.azure.workspace.documents import DocumentOperations
from shared.azure.workspace.endpoints import EndpointOperations
from shared.azure.workspace.jobs import JobOperations
from shared.azure.workspace.models import ModelOperations
from shared.azure.workspace.quota import QuotaOperations
from shared.azure.workspace.registry import RegistryOperations
from shared.azure.workspace.tracking import TrackingOperations

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class Workspace:
    """One workspace and its registries, by kind of resource."""

    def __init__(
        self,
        credential: TokenCredential,
        subscription: str,
        group: str,
        name: str,
        registry: str,
        cloud: AzureCloud = PUBLIC,
        base_model_registry: str = "",
    ) -> None:
        self._client = client = AzureMlClient(credential, subscription, group, name, cloud)
        self.registry = RegistryOperations(client, base_model_registry or registry, registry)
        self.jobs = JobOperations(client, registry)
        self.tracking = TrackingOperations(client)
        self.models = ModelOperations(client)
        self.endpoints = EndpointOperations(client)
        self.deployments = DeploymentOperations(client)
        self.compute = ComputeOperations(client)
        self.datastores = DatastoreOperations(client)
        self.quota = QuotaOperations(client)
        self.documents = DocumentOperations(client)

    def location(self) -> str:
        """The workspace's region."""
        return self._client.location()

    def failure(self, operation: str) -> str:
        """Why an operation failed, by the address that a write returned; empty when that is not known. Never raises."""
        return self._client.failure(operation)
