"""azd, imitated: reads `azure.yaml`, packages, provisions into the local cloud, deploys, and runs the hooks in order.

What azd and Azure do is done here with the local cloud's means; what this project does (hooks, package, template's
outputs) is its own, run as azd runs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from local import parts, provision
from local.cloud import Cloud
from local.parts import CloudProcess, local_parts
from local.wiring import Wiring
from scripts.package import package
from tests.infra import bicep

ROOT = Path(__file__).parents[2]


@dataclass
class Azd:
    """One environment of azd over a local cloud in a folder. `dependencies`: with them in the package, or this venv's."""

    folder: Path
    dependencies: bool = False
    project: dict[str, Any] = field(default_factory=lambda: yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8")))
    ran: list[str] = field(default_factory=list)
    cloud: Cloud | None = None

    def up(self) -> subprocess.CompletedProcess[str]:
        """package, provision, deploy, with the hooks around; what the last hook said."""
        service = self.project["services"]["app"]
        if self.dependencies:
            assert self._hook("prepackage", service["hooks"], {}).returncode == 0
        self.digest = self.package()
        if self.cloud is None:
            self.cloud = Cloud(
                self.folder / "cloud", settings=self.settings(), parts_of=self._parts, furnish=self._provision
            )
            self.cloud.__enter__()
        return self._hook("postdeploy", self.project["hooks"], self.outputs())

    def down(self) -> subprocess.CompletedProcess[str]:
        """The hook before everything is deleted."""
        return self._hook("predown", self.project["hooks"], self.outputs())

    def close(self) -> None:
        """Stop the local cloud."""
        if self.cloud is not None:
            self.cloud.close()

    def package(self) -> str:
        """A digest of what is in the zip; the first one is unpacked into an empty folder, as the platform does."""
        archive, site = self.folder / "app.zip", self.folder / "site"
        package(ROOT, archive, dependencies=self.dependencies)
        with zipfile.ZipFile(archive) as opened:
            if self.cloud is None:
                opened.extractall(site)
            files = sorted((one.filename, one.CRC) for one in opened.infolist())
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def settings(self) -> dict[str, str]:
        """What the template says that is not an address."""
        return {"TRAINING_COMPUTE": "droptune-gpu", "TRAINING_DATASTORE": "droptune_frozen"}

    def outputs(self) -> dict[str, str]:
        """The template's outputs, for this cloud; all of them, by the names in main.bicep."""
        assert self.cloud is not None
        wiring = self.cloud.wiring
        group = f"/subscriptions/{wiring.subscription_id}/resourceGroups/{wiring.resource_group}/providers"
        topics = f"{group}/Microsoft.EventGrid/systemTopics"
        found = {
            "AZURE_LOCATION": "local",
            "AZURE_RESOURCE_GROUP": wiring.resource_group,
            "AZURE_TENANT_ID": "t",
            "DROPTUNE_RESOURCE_MANAGER": wiring.azureml_url,
            "DROPTUNE_APP_ID": f"{group}/Microsoft.Web/sites/droptune",
            "DROPTUNE_APP_NAME": "droptune",
            "DROPTUNE_APP_URL": wiring.app_url,
            "DROPTUNE_DATA_ACCOUNT": "devstoreaccount1",
            "DROPTUNE_DATA_ACCOUNT_ID": wiring.account_id,
            "DROPTUNE_STORAGE_TOPIC_ID": f"{topics}/droptune-uploads",
            "DROPTUNE_WORKSPACE_TOPIC_ID": f"{topics}/droptune-runs",
            "DROPTUNE_WORKSPACE_ID": f"{group}/Microsoft.MachineLearningServices/workspaces/{wiring.workspace}",
            "DROPTUNE_WORKSPACE_MADE": "true",
            "DROPTUNE_GROUP_MADE": "true",
            "DROPTUNE_VAULT": "droptune",
            "DROPTUNE_SCORING_KEY_MADE": "true",
            "DROPTUNE_BUDGET_START": "2026-11-01",
            "SUBSCRIPTION_ROLE_COMMAND": "",
        }
        assert set(found) == set(bicep.read(ROOT / "infra" / "main.bicep").outputs)
        return {**found, "AZURE_ENV_NAME": "test", "DROPTUNE_HOOK_PAUSE": "0.2"}

    def control_plane(self) -> httpx.Client:
        """The local control plane as somebody who may do everything."""
        assert self.cloud is not None
        wiring = self.cloud.wiring
        return httpx.Client(
            base_url=wiring.azureml_url,
            verify=ssl.create_default_context(cafile=wiring.azureml_ca),
            headers={"authorization": f"Bearer {self._token()}"},
            timeout=60,
        )

    def _provision(self, wiring: Wiring) -> None:
        """What the template makes before the code is there: containers, the workspace with its cluster; no subscription."""
        provision.make_storage(wiring.storage)
        with self.control_plane() as client:
            workspace = self.outputs()["DROPTUNE_WORKSPACE_ID"]
            version = {"api-version": "2025-06-01"}
            assert client.put(workspace, params=version, json={}).status_code == 200
            cluster = {
                "identity": {"type": "UserAssigned", "userAssignedIdentities": {wiring.training_identity: {}}},
                "properties": {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_NC24ads_A100_v4"}},
            }
            made = client.put(f"{workspace}/computes/droptune-gpu", params=version, json=cluster)
            assert made.status_code in (200, 201), made.text

    def _parts(self, wiring: Wiring, settings: Mapping[str, str]) -> Sequence[CloudProcess]:
        """The parts, with a host that serves the unpacked package; with nothing else on its path, if that is complete."""
        site = self.folder / "site"
        found = local_parts(wiring, settings)
        host = next(part for part in found if part.name == "host")
        host.command[host.command.index("--app") + 1] = str(site)
        if self.dependencies:
            # The host is this project's own and stands beside the package; what it needs must not help the app.
            beside = self.folder / "host-only"
            beside.mkdir(exist_ok=True)
            if not (beside / "local").exists():
                (beside / "local").symlink_to(ROOT / "local")
            host.command.insert(1, "-S")
            packages = site / ".python_packages" / "lib" / "site-packages"
            assert isinstance(host.environment, dict)
            host.environment["PYTHONPATH"] = f"{packages}{os.pathsep}{beside}"
        return found

    def _hook(self, name: str, hooks: dict[str, Any], values: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """A hook as azd runs it: its file, in its folder, with the environment's values; isolated from this venv."""
        self.ran.append(name)
        script = ROOT / hooks[name]["run"]
        bin_ = self.folder / "bin"
        bin_.mkdir(exist_ok=True)
        environment = {"PATH": f"{bin_}:/usr/bin:/bin", **values}
        if values:
            assert self.cloud is not None
            (bin_ / "azd").write_text(f"#!/bin/sh\necho '{json.dumps({'token': self._token()})}'\n")
            (bin_ / "azd").chmod(0o700)
            environment["SSL_CERT_FILE"] = str(self.cloud.wiring.azureml_ca)
        else:
            environment |= {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "HOME", "UV_"))}
        command = [sys.executable, *(("-S",) if values else ()), str(script)]
        return subprocess.run(command, cwd=script.parent, env=environment, capture_output=True, text=True, timeout=600)

    def _token(self) -> str:
        assert self.cloud is not None
        wiring = self.cloud.wiring
        header = {"x-identity-header": wiring.identity_header}
        query = {"resource": wiring.azureml_url}
        return str(httpx.get(wiring.identity_endpoint, params=query, headers=header).json()["access_token"])


assert parts.ROOT == ROOT
