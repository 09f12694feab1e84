"""The local Azure ML as its clients see it: a token of the managed identity, the endpoints there are, the pace of jobs.

Used by `provision`, which sets the cloud up through the control plane as in Azure, and by the demo.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx


def client(authority: str | Path) -> httpx.Client:
    """A client that trusts the control plane's own certificate."""
    trust = ssl.create_default_context(cafile=authority)
    return httpx.Client(verify=trust, timeout=40, trust_env=False)


def token(http: httpx.Client, identity_endpoint: str, identity_header: str, resource: str) -> str:
    """A token of the managed identity for a resource."""
    query = {"resource": resource, "api-version": "2019-08-01"}
    answer = http.get(identity_endpoint, params=query, headers={"x-identity-header": identity_header})
    return str(answer.raise_for_status().json()["access_token"])


def ask_workspace(cloud: Mapping[str, Any], method: str, path: str, body: Any = None) -> httpx.Response:
    """A request to the workspace as the managed identity; any status is returned. `cloud`: as `cloud.json` has it."""
    base = cloud["azureml_url"].rstrip("/")
    workspace = (
        f"{base}/subscriptions/{cloud['subscription_id']}/resourceGroups/{cloud['resource_group']}/providers"
        f"/Microsoft.MachineLearningServices/workspaces/{cloud['workspace']}"
    )
    with client(cloud["azureml_ca"]) as http:
        bearer = token(http, cloud["identity_endpoint"], cloud["identity_header"], cloud["azureml_url"])
        query, headers = {"api-version": "2024-04-01"}, {"authorization": f"Bearer {bearer}"}
        return http.request(method, f"{workspace}{path}", params=query, headers=headers, json=body)


def endpoints(cloud: Mapping[str, Any]) -> list[str]:
    """The endpoints that Azure ML has."""
    answer = ask_workspace(cloud, "GET", "/onlineEndpoints").raise_for_status()
    return [endpoint["name"] for endpoint in answer.json()["value"]]


@contextlib.contextmanager
def paced(cloud: Mapping[str, Any], seconds: float) -> Iterator[None]:
    """Each step of a training job takes so long, as long as the block lasts; then what it took before, however the
    block ends."""
    control = f"{cloud['azureml_url'].rstrip('/')}/_control"
    with client(cloud["azureml_ca"]) as http:
        before = http.get(f"{control}/settings").raise_for_status().json()["pace"]["job_step_seconds"]
        http.put(f"{control}/pace", json={"job_step_seconds": seconds}).raise_for_status()
        try:
            yield
        finally:
            with contextlib.suppress(httpx.HTTPError):  # it may be what ended the block, and its pace with it
                http.put(f"{control}/pace", json={"job_step_seconds": before})
