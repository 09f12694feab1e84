"""Names and addresses of the one workspace that this process is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from local.azureml.wire.routing import PROVIDER


@dataclass(frozen=True)
class Addresses:
    """Where everything is; derived from the port and the ids alone, so equal after every restart."""

    port: int
    subscription: str
    group: str
    workspace: str
    location: str = "local"
    # The SDK drops the portal host's first two labels and asks for tokens for `https://ml.azure.` plus the
    # rest.
    portal: str = "https://portal.azure.localhost"
    aml_resource: str = "https://ml.azure.localhost"

    @property
    def base(self) -> str:
        """The resource manager, and the audience of its tokens."""
        return f"https://localhost:{self.port}"

    @property
    def workspace_id(self) -> str:
        """ARM id of the workspace."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/{PROVIDER}/workspaces/{self.workspace}"

    @property
    def tenant(self) -> str:
        """The directory that tokens name."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"tenant/{self.subscription}"))

    def metadata_url(self) -> str:
        """What ARM_CLOUD_METADATA_URL is set to."""
        return f"{self.base}/metadata/endpoints?api-version=2022-09-01"

    def scoring(self, endpoint: str) -> str:
        """An endpoint's scoring URI."""
        return f"{self.base}/endpoints/{endpoint}/score"

    def tracking(self) -> str:
        """Where runs log, as job documents name it."""
        return f"azureml://localhost:{self.port}/mlflow/v1.0{self.workspace_id}?"

    def output(self, datastore: str, path: str) -> str:
        """The long form of a datastore URI, as the service writes it into assets."""
        return (
            f"azureml://subscriptions/{self.subscription}/resourceGroups/{self.group}/workspaces/"
            f"{self.workspace}/datastores/{datastore}/paths/{path}"
        )
