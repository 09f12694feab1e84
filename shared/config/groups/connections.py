"""Settings: where things are."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from shared.config.groups.values import is_unread, require_encrypted

_LEAST_SECRET = 16


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
    notify_topic: str = Field(
        "",
        description="Endpoint of an Event Grid topic (input schema CloudEventSchemaV1_0) that is told what people wait "
        "for; empty: none.",
    )
    notify_key: SecretStr | None = Field(
        None, description="Access key of that topic; empty: the app's managed identity."
    )
    notify_webhook: SecretStr | None = Field(
        None, description="Address that is told the same by POST, signed; empty: none."
    )
    notify_webhook_secret: SecretStr | None = Field(
        None, description="What the webhook's requests are signed with: `whsec_` and base64, or 16 characters or more."
    )

    @field_validator("notify_topic")
    @classmethod
    def _encrypted_topic(cls, address: str) -> str:
        require_encrypted(address)
        return address

    @field_validator("notify_webhook")
    @classmethod
    def _encrypted_webhook(cls, address: SecretStr | None) -> SecretStr | None:
        if address and not is_unread(address):
            require_encrypted(address.get_secret_value())
        return address

    @field_validator("notify_webhook_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret and not is_unread(secret) and len(secret.get_secret_value()) < _LEAST_SECRET:
            raise ValueError(f"must have {_LEAST_SECRET} characters or more")
        return secret

    @model_validator(mode="after")
    def _signed_webhook(self) -> ConnectionGroup:
        if self.notify_webhook and not self.notify_webhook_secret:
            raise ValueError("NOTIFY_WEBHOOK_SECRET is missing: what NOTIFY_WEBHOOK is told is signed with it")
        return self

    @model_validator(mode="after")
    def _one_storage(self) -> ConnectionGroup:
        if not self.data and not (self.data_blobs and self.data_queues):
            raise ValueError(
                "DATA is missing: give the connection string as DATA, "
                "or both DATA__blobServiceUri and DATA__queueServiceUri"
            )
        return self
