"""Settings: where things are."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, model_validator


class ConnectionGroup(BaseModel):
    """Where things are."""

    data: SecretStr | None = Field(
        None,
        description="Connection string of the storage account with the containers (or the two DATA__ addresses).",
    )
    data_blobs: str = Field(
        "",
        validation_alias="DATA__blobServiceUri",
        description="Blob address of the storage account, used with the app's managed identity.",
    )
    data_queues: str = Field(
        "",
        validation_alias="DATA__queueServiceUri",
        description="Queue address of the storage account, used with the app's managed identity.",
    )
    azure_subscription_id: str = Field(description="Subscription of the Azure ML workspace.")
    azure_resource_group: str = Field(description="Resource group of the Azure ML workspace.")
    azureml_workspace: str = Field(description="Name of the Azure ML workspace.")
    resource_manager: str = Field(
        "https://management.azure.com",
        description="Address of Azure's control plane; that of a national cloud "
        "(`https://management.usgovcloudapi.net`, `https://management.chinacloudapi.cn`) brings its others with it.",
    )
    azure_client_id: str = Field("", description="Client id of the user-assigned identity, if there is one.")
    metrics_endpoint: str = Field(
        "", description="Address of Azure Monitor's metrics; empty: that of the workspace's region."
    )
    training_datastore: str = Field(
        "droptune_frozen", description="Datastore of the workspace that points at the container `frozen`."
    )
    notify_topic: str = Field("", description="Event Grid topic that is told of every state change; empty: none.")
    notify_key: SecretStr | None = Field(
        None, description="Access key of that topic; empty: the app's managed identity."
    )

    @model_validator(mode="after")
    def _one_storage(self) -> ConnectionGroup:
        if not self.data and not (self.data_blobs and self.data_queues):
            raise ValueError(
                "DATA is missing: give the connection string as DATA, "
                "or both DATA__blobServiceUri and DATA__queueServiceUri"
            )
        return self
