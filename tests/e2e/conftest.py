"""One whole local cloud for the stories of this folder, and a client to tell them with."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from local.droptune import Droptune

# Two seconds without a question are a long idle time here, so that the nightly timer has something to do.
SETTINGS = {"IDLE_HOURS": str(2 / 3600), "MIN_ROWS": "20"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A fresh local cloud for each file of stories."""
    with Cloud(tmp_path_factory.mktemp("cloud"), settings=SETTINGS) as cloud:
        yield cloud


@pytest.fixture
def app(cloud: Cloud) -> Iterator[Droptune]:
    """A person at this cloud."""
    with Droptune(cloud.description) as app:
        yield app


def run_now(cloud: Cloud, timer: str) -> None:
    """Lets a timer function run, whatever its schedule says."""
    keys = json.loads((cloud.folder / "host" / "keys.json").read_text())
    httpx.post(
        f"{cloud.description['app_url']}/admin/functions/{timer}",
        headers={"x-functions-key": keys["master"]},
        json={"input": ""},
        timeout=60,
    ).raise_for_status()


class AzureML:
    """The control side of the local Azure ML: what arrived there, and what should go wrong."""

    def __init__(self, cloud: Cloud) -> None:
        given = cloud.description
        trust = ssl.create_default_context(cafile=given["azureml_ca"])
        self.http = httpx.Client(base_url=f"{given['azureml_url'].rstrip('/')}/_control/", verify=trust, timeout=300)

    def wrote(self, path: str, method: str = "PUT") -> set[str]:
        """The different addresses written to below a path."""
        found = self.http.get("requests", params={"method": method, "path": path}).raise_for_status().json()
        return {row["path"].split("?")[0].lower() for row in found["value"] if int(row["status"] or 0) < 300}

    def fault(self, **fault: Any) -> str:
        """Makes the next matching request go wrong; returns the fault's id."""
        return str(self.http.post("faults", json=fault).raise_for_status().json()["id"])

    def came(self, fault: str, seconds: float) -> bool:
        """Whether the fault was hit within so many seconds."""
        answer = self.http.get(f"faults/{fault}/reached", params={"timeout": seconds})
        return answer.status_code == 200 and bool(answer.json()["reached"])

    def clear(self) -> None:
        """Forgets all faults."""
        self.http.delete("faults").raise_for_status()


@pytest.fixture
def azureml(cloud: Cloud) -> Iterator[AzureML]:
    """The control side, with all faults forgotten afterwards."""
    control = AzureML(cloud)
    yield control
    control.clear()
    control.http.close()
