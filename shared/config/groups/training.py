"""Settings: what is trained, and on what."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import NoDecode

from shared.config.groups.values import json_object


class TrainingGroup(BaseModel):
    """What is trained, and on what."""

    registry: str = Field("azureml", description="Azure ML registry of the component, and of the base model.")
    base_model_registry: str = Field(
        "", description="Registry of the base model, such as `azureml-meta`; empty: the same as `REGISTRY`."
    )
    base_model: str = Field("Phi-4", description="Base model that is fine-tuned.")
    base_model_version: str = Field("", description="Its version; empty: the latest, pinned per snapshot.")
    component: str = Field("chat_completion_pipeline", description="Pipeline component that trains.")
    component_version: str = Field("", description="Its version; empty: the latest, pinned per snapshot.")
    training_compute: str = Field(
        "droptune-gpu",
        description="Name of a compute cluster with a managed identity, or `serverless`, which reads no datastore "
        "without a credential.",
    )
    create_compute: bool = Field(False, description="Whether a missing cluster is created.")
    training_identity: str = Field(
        "",
        pattern=r"^(/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.ManagedIdentity"
        r"/userAssignedIdentities/[\w-]+)?$",
        description="Resource id of the user-assigned identity that a cluster gets which the app creates; it reads the "
        "training files.",
    )
    training_instance_type: str = Field("Standard_NC24ads_A100_v4", description="GPU size that trains.")
    training_nodes: int = Field(1, ge=1, le=64, description="Number of machines that train.")
    preparation_instance_type: str = Field(
        "Standard_E8s_v3",
        description="CPU size of the steps that import the model and prepare the data, on serverless compute; "
        "its disk holds the model twice.",
    )
    hyperparameters: Annotated[dict[str, Any], NoDecode, json_object('{"num_train_epochs": 2}')] = Field(
        default_factory=dict, description="Training parameters as a JSON object, for every snapshot."
    )
    experiment: str = Field("droptune", description="Experiment under which jobs are listed.")
    silence_minutes: int = Field(60, ge=1, description="A job not responding for so long is canceled and has failed.")

    @property
    def registry_of_models(self) -> str:
        """Where base models are looked up."""
        return self.base_model_registry or self.registry

    @model_validator(mode="after")
    def _known_hyperparameters(self) -> TrainingGroup:
        from shared.config.hyperparameters import merged
        from shared.errors import BadSnapshot

        try:
            merged(("HYPERPARAMETERS", self.hyperparameters))
        except BadSnapshot as error:
            raise ValueError(str(error)) from error
        return self
