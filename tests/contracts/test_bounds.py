"""No request of the app waits without end: each has its times, whichever client of an SDK sends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from azure.core.pipeline.transport import RequestsTransport

from shared.azure.clouds import cloud_at
from shared.azure.identity import identity
from shared.azure.metrics import Metrics
from shared.azure.storage import LEASE_SECONDS, Storage
from shared.azure.storage.connection import connect
from shared.azure.workspace import Workspace
from shared.errors import PipelineError
from shared.ledger.fence import ANSWER_SECONDS, CONNECT_SECONDS
from tests.contracts.workspaces import TAGS, Shop
from tests.fakes import GPU
from tests.local.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE


@dataclass
class Sent:
    """What was sent: method and path, and how long it waits to connect and for each piece of the answer (s)."""

    requests: list[tuple[str, float, float]] = field(default_factory=list)

    # Asked by the SDK where ARM_CLOUD_METADATA_URL is set: by the local cloud, never in Azure. It takes no times.
    only_here: ClassVar[str] = "GET /metadata/endpoints"

    def unbounded(self) -> list[tuple[str, float, float]]:
        late = (one for one in self.requests if one[1] > CONNECT_SECONDS or one[2] > ANSWER_SECONDS)
        return [one for one in late if one[0] != self.only_here]

    def paths(self) -> str:
        return " ".join(what for what, _, _ in self.requests)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    found = Sent()
    send = RequestsTransport.send

    def noted(self: Any, request: Any, **options: Any) -> Any:
        connect = options.get("connection_timeout", self.connection_config.timeout)
        read = options.get("read_timeout", self.connection_config.read_timeout)
        found.requests.append((f"{request.method} {urlsplit(request.url).path}", connect, read))
        return send(self, request, **options)

    monkeypatch.setattr(RequestsTransport, "send", noted)
    return found


def test_every_request_to_storage_is_bounded(azurite: Any, name: str, sent: Sent) -> None:
    blobs, queues = connect(azurite.connection_string)
    with blobs, queues:
        storage = Storage(blobs, queues)
        storage.prepare()
        etag = storage.create("work", name, b"one")
        storage.replace("work", name, b"two", etag)
        storage.read("work", name)
        etag = storage.head("work", name).etag
        with storage.open("work", name, etag) as reader:
            reader.read()
        list(storage.list("work", name))
        storage.stage_block("work", name, "MDAx", b"x")
        storage.commit_blocks("work", name, ["MDAx"])
        storage.delete("work", name)
        lease = storage.lease(name)
        lease._renew()
        lease.release()
        storage.send(name)
    assert len(sent.requests) >= 14
    assert sent.unbounded() == []
    assert all(read < LEASE_SECONDS for _, _, read in sent.requests)


def test_every_request_to_azure_ml_is_bounded(azure_shop: Shop, sent: Sent) -> None:
    server: Any = azure_shop.side
    workspace = Workspace(identity(), SUBSCRIPTION, GROUP, WORKSPACE, "azureml", cloud_at(server.server.base))
    azure_shop.workspace = workspace
    workspace.location()
    workspace.registry.component("chat_completion_pipeline", "")
    workspace.compute.sizes()
    workspace.quota.usages()
    workspace.compute.get(azure_shop.id)
    workspace.compute.create(azure_shop.id, GPU, 1, TAGS)
    azure_shop.side.fail_job(f"{azure_shop.id}-bad")
    workspace.jobs.submit(azure_shop.spec(name=f"{azure_shop.id}-bad"))
    azure_shop.side.settle()
    workspace.jobs.failure(f"{azure_shop.id}-bad")
    workspace.jobs.cancel(f"{azure_shop.id}-bad")
    endpoint = azure_shop.served("rel1")
    workspace.models.get(azure_shop.id, "1")
    workspace.endpoints.list()
    workspace.deployments.list(endpoint)
    workspace.deployments.logs(endpoint, "rel1")
    workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    azure_shop.side.settle()
    workspace.endpoints.key(endpoint)
    workspace.endpoints.delete(endpoint)
    azure_shop.side.settle()
    workspace.deployments.delete(endpoint, "rel1")
    for part in ("registr", "/jobs/", "/onlineEndpoints/", "/computes/", "/vmSizes", "/usages", "/models/", "listKeys"):
        assert part in sent.paths(), part
    assert sent.unbounded() == []


def test_every_query_of_metrics_is_bounded(azure_shop: Shop, sent: Sent) -> None:
    side: Any = azure_shop.side
    given: Any = type("Given", (), {"metrics_endpoint": side.server.base})
    metrics = Metrics(given, identity(), azure_shop.workspace)
    assert metrics.requests("e", ["d"], 0.0, 600.0).most is None
    assert "metrics:getBatch" in sent.paths()
    assert sent.unbounded() == []


def test_every_token_is_asked_for_once_and_bounded(
    azure_shop: Shop, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own way of asking again takes minutes, or as long as the answer says."""
    side: Any = azure_shop.side
    monkeypatch.setenv("IDENTITY_HEADER", "another one")
    workspace = Workspace(identity(), SUBSCRIPTION, GROUP, WORKSPACE, "azureml", cloud_at(side.server.base))
    with pytest.raises(PipelineError):
        workspace.endpoints.key("e")
    tokens = [what for what, _, _ in sent.requests if "/msi/" in what or "token" in what]
    assert len(tokens) <= 2, tokens
    assert sent.unbounded() == []
