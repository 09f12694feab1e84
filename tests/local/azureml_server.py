"""Starts the local Azure ML as the supervisor does, and speaks to its control API; used by every test_azureml_*."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local.ports import free_port

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = "rg"
WORKSPACE = "ws"
# Far more than it promises (2 s): tests time nothing.
STOP_SECONDS = 90.0


class AzureMl:
    """One local Azure ML process on a folder; may be stopped, killed and started again."""

    def __init__(self, folder: Path, connection_string: str, *more: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.identity_port = free_port()
        self.connection_string = connection_string
        self._more = more
        self._process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        """Address of the control plane."""
        return f"https://localhost:{self.port}"

    @property
    def workspace_path(self) -> str:
        """ARM id of the workspace."""
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
        )

    @property
    def ca(self) -> str:
        """What REQUESTS_CA_BUNDLE points to: the authority alone. The bundle has the public ones too, and reading those
        for each connection was half of what these tests cost."""
        return str(self.folder / "ca.pem")

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it says that it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "local.azureml", "--folder", str(self.folder)]
        command += ["--port", str(self.port), "--identity-port", str(self.identity_port)]
        command += ["--subscription", SUBSCRIPTION]
        # Most tests of the control plane want a server without the mistakes of the real images.
        command += ["--resource-group", GROUP, "--workspace", WORKSPACE, "--container", "plain", *self._more]
        secrets = {"IDENTITY_HEADER": "known-to-the-app-only", "STORAGE_CONNECTION": self.connection_string}
        environment = {**os.environ, "TOPIC_KEY": "k", **secrets}
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.kill()
            raise AssertionError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        """Stop it as the supervisor does."""
        if self._process is not None:
            self._process.terminate()
            self._reap(STOP_SECONDS)

    def kill(self) -> None:
        """Kill it without warning."""
        assert self._process is not None
        self._process.kill()
        self._reap(STOP_SECONDS)

    def _reap(self, seconds: float) -> None:
        process, self._process = self._process, None
        assert process is not None
        with process:
            try:
                process.wait(seconds)
            finally:
                process.kill()

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """The environment that sends the unmodified SDK here, as long as the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables().items():
                patch.setenv(name, value)
            # The SDK sets it: set and taken away here, so that it is gone again afterwards.
            patch.setenv("AZUREML_CURRENT_CLOUD", "")
            patch.delenv("AZUREML_CURRENT_CLOUD")
            yield

    def variables(self) -> dict[str, str]:
        """What the app's process is given."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.base}/metadata/endpoints?api-version=2022-09-01",
            "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{self.base}/",
            "REQUESTS_CA_BUNDLE": self.ca,
            "SSL_CERT_FILE": self.ca,
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.identity_port}/msi/token",
            "IDENTITY_HEADER": "known-to-the-app-only",
        }

    # -- requests outside the SDK ----------------------------------------------------------------

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request."""
        options = {"timeout": 90, **options}
        return requests.request(method, f"{self.base}{path}", verify=self.ca, **options)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A control request that succeeds."""
        answer = self.send(method, f"/_control{path}", json=body)
        assert answer.ok, answer.text
        return answer.json()

    def token(self, resource: str | None = None) -> str:
        """A token as the identity endpoint hands it out."""
        answer = requests.get(
            f"http://127.0.0.1:{self.identity_port}/msi/token",
            params={"resource": resource or self.base, "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": "known-to-the-app-only"},
            timeout=90,
        )
        assert answer.ok, answer.text
        token: str = answer.json()["access_token"]
        return token

    def arm(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request to the control plane with a token; the path goes on from the workspace."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return self.send(method, f"{self.workspace_path}{path}", json=body, headers=headers)

    def wait_until_idle(self) -> None:
        """Return once nothing moves any more."""
        self.control("GET", "/idle?timeout=90")
