"""The four parts of a local cloud: how each is started, what it must wait for, how one sees that it is ready.

Used by `Cloud`, which asks anew at every start, so that changed settings take effect. The app's environment is
made here: it is all that tells the app that it is not in Azure.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from local import azurite
from local.host import keys
from local.wiring import Wiring, write_private

ROOT = Path(__file__).parent.parent
# What would take days in Azure must be seen while one waits: how often the app looks, on this machine.
SETTINGS = {
    "LOOK_SECONDS": "1",
    "FAULT_SECONDS": "1",
    "ROLLOUT_BAKE_MINUTES": "0.05",
    "ROLLOUT_WAIT_MINUTES": "0.05",
    "ROLLOUT_MIN_REQUESTS": "5",
    "SWEEP_SCHEDULE": "*/20 * * * * *",
    "SLEEP_SCHEDULE": "0 0 2 * * *",
    # An example of a list price, so that costs can be seen. Nothing costs anything here.
    "PRICES": '{"Standard_NC24ads_A100_v4": 3.67}',
    "CURRENCY": "USD",
}
# The serving image of all deployments of the local Azure ML: `--set LOCAL_CONTAINER=score`. No setting of the app.
CONTAINER = "LOCAL_CONTAINER"
# The cluster that trains, by the app's default; and the datastores of the workspace, which have no credential.
CLUSTER = "droptune-gpu"
DATASTORES = ("droptune_frozen", "workspaceblobstore")
# The topic on which the app tells what people wait for.
TOPIC = "droptune"
# A developer's own sign-in or proxy must not leak into the parts.
_FOREIGN = ("AZURE_", "ARM_", "AZUREML_", "IDENTITY_", "MSI_", "APPLICATIONINSIGHTS_")


@dataclass(frozen=True)
class CloudProcess:
    """One process. `environment` is added to that of the supervisor; `ready` is asked again and again.

    Secrets go into `environment`: everybody on the machine may read a command line.
    """

    name: str
    command: list[str]
    port: int
    ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def local_parts(wiring: Wiring, settings: Mapping[str, str]) -> list[CloudProcess]:
    """Azurite, Event Grid, Azure ML and the Functions host with the app."""
    return [_azurite(wiring), _eventgrid(wiring), _azureml(wiring, settings), _host(wiring, settings)]


def base_environment() -> dict[str, str]:
    """What every part inherits: this process's environment, without what is meant for other clouds."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    local = "localhost,127.0.0.1"
    direct = {name: f"{inherited[name]},{local}" if inherited.get(name) else local for name in ("NO_PROXY", "no_proxy")}
    return {**inherited, **direct, "PYTHONUNBUFFERED": "1"}


def _azurite(wiring: Wiring) -> CloudProcess:
    folder = wiring.folder / "azurite"
    folder.mkdir(parents=True, exist_ok=True)
    return CloudProcess(
        "azurite",
        azurite.command(wiring.azurite_ports, folder),
        wiring.ports["blob"],
        lambda: azurite.answers(wiring.storage),
    )


def _eventgrid(wiring: Wiring) -> CloudProcess:
    command = _python("local.eventgrid", wiring.folder / "eventgrid", wiring.ports["eventgrid"])
    command += ["--azurite-log", str(wiring.logs / "azurite.log"), "--account", wiring.account_id]
    return CloudProcess(
        "eventgrid",
        command,
        wiring.ports["eventgrid"],
        lambda: healthy(wiring.eventgrid_url),
        environment={"STORAGE_CONNECTION": wiring.storage, "EVENTGRID_KEY": wiring.eventgrid_key},
    )


def _azureml(wiring: Wiring, given: Mapping[str, str]) -> CloudProcess:
    command = _python("local.azureml", wiring.folder / "azureml", wiring.ports["azureml"])
    command += ["--identity-port", str(wiring.ports["identity"])]
    command += ["--subscription", wiring.subscription_id, "--resource-group", wiring.resource_group]
    command += ["--workspace", wiring.workspace]
    command += ["--topic-url", f"{wiring.eventgrid_url}/topics/azureml/api/events"]
    command += ["--app-url", wiring.app_url, "--host-keys", str(wiring.host_keys)]
    command += ["--settings", str(_azureml_settings(wiring))]
    command += ["--container", given[CONTAINER]] if CONTAINER in given else []
    identity = wiring.identity_endpoint.removesuffix("/msi/token")
    return CloudProcess(
        "azureml",
        command,
        wiring.ports["azureml"],
        lambda: healthy(wiring.azureml_url, wiring.azureml_ca) and healthy(identity),
        after=("azurite",),
        environment={
            "IDENTITY_HEADER": wiring.identity_header,
            "STORAGE_CONNECTION": wiring.storage,
            "TOPIC_KEY": wiring.eventgrid_key,
        },
    )


def _azureml_settings(wiring: Wiring) -> Path:
    """What a template makes in the workspace: a cluster with an identity, and datastores that only this may read.

    A file `azureml-settings.json` in the cloud's folder says otherwise.
    """
    own, used = wiring.folder / "azureml-settings.json", wiring.folder / "azureml" / "settings.json"
    readers = {key: [wiring.training_identity] for key in DATASTORES}
    furnished = {"clusters": {CLUSTER: wiring.training_identity}, "datastore_readers": readers}
    given = json.loads(own.read_text()) if own.exists() else {}
    write_private(used, json.dumps({**furnished, **given}).encode())
    return used


def _host(wiring: Wiring, settings: Mapping[str, str]) -> CloudProcess:
    command = _python("local.host", wiring.folder / "host", wiring.ports["host"])
    command += ["--app", str(ROOT)]
    return CloudProcess(
        "host",
        command,
        wiring.ports["host"],
        lambda: healthy(wiring.app_url),
        # Azure ML makes the certificates that the app's environment names.
        after=("azurite", "azureml"),
        environment=app_environment(wiring, settings),
    )


def app_environment(wiring: Wiring, settings: Mapping[str, str]) -> dict[str, str]:
    """The app settings, and the redirections that make unmodified Azure SDKs find this cloud."""
    return {
        "AzureWebJobsStorage": wiring.storage,
        "DATA": wiring.storage,
        "AZURE_SUBSCRIPTION_ID": wiring.subscription_id,
        "AZURE_RESOURCE_GROUP": wiring.resource_group,
        "AZUREML_WORKSPACE": wiring.workspace,
        "TRAINING_DATASTORE": "droptune_frozen",
        "TRAINING_IDENTITY": wiring.training_identity,
        "METRICS_ENDPOINT": wiring.azureml_url,
        "RESOURCE_MANAGER": wiring.azureml_url,
        "IDENTITY_ENDPOINT": wiring.identity_endpoint,
        "IDENTITY_HEADER": wiring.identity_header,
        "ARM_CLOUD_METADATA_URL": f"{wiring.azureml_url}/metadata/endpoints?api-version=2022-09-01",
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{wiring.azureml_url}/",
        "REQUESTS_CA_BUNDLE": str(wiring.azureml_ca_bundle),
        "SSL_CERT_FILE": str(wiring.azureml_ca_bundle),
        "NOTIFY_TOPIC": f"{wiring.eventgrid_url}/topics/{TOPIC}/api/events",
        "NOTIFY_KEY": wiring.eventgrid_key,
        # One key opens all routes: those that the host checks, and those that the app checks itself.
        "SCORING_KEYS": keys.load(wiring.host_keys.parent).function,
        "PAGE_KEYS": keys.load(wiring.host_keys.parent).function,
        **SETTINGS,
        **{name: value for name, value in settings.items() if name != CONTAINER},
    }


def healthy(url: str, authority: Path | None = None) -> bool:
    """Whether a part answers that it is well."""
    if authority is not None and not authority.exists():
        return False
    verify = ssl.create_default_context(cafile=authority) if authority else False
    try:
        answer = httpx.get(f"{url}/healthz", verify=verify, timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


def _python(module: str, folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", module, "--folder", str(folder), "--port", str(port)]
