"""Model versions registered in the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.workspace.names import check_tags, named
from shared.azure.workspace.translation import or_none, reading, writing
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient


class RegisteredModel(Struct, frozen=True, kw_only=True):
    """A model version of the workspace."""

    name: str
    version: str
    id: str
    tags: dict[str, str]


class ModelOperations:
    """Registers and reads model versions."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def get(self, name: str, version: str) -> RegisteredModel | None:
        """A model version."""
        with reading(named("model", name, version)):
            found = or_none(lambda: self._client.workspace.models.get(name, version=version))
        if found is None:
            return None
        return RegisteredModel(name=name, version=version, id=found.id, tags=dict(found.tags or {}))

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        """Registers the trained output of a job as a model version."""
        from azure.ai.ml.entities import Model

        what = named("model", name, version)
        named("job", job)
        check_tags(tags)
        model = Model(
            path=f"azureml://jobs/{job}/outputs/trained_model",
            type="mlflow_model",
            name=name,
            version=version,
            tags=tags,
            description=f"Fine-tuned by job {job}.",
        )
        with writing(what):
            self._client.workspace.models.create_or_update(model)

    def id(self, name: str, version: str) -> str:
        """The ARM id of a model version: deployments take the id, never a fetched entity."""
        return self._client.id("models", name, "versions", version)
