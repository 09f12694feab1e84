"""Endpoints and deployments; the same over the fake and over the local Azure ML, through the SDK."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from shared.azure.inference import InferenceClient
from shared.azure.probe import ProbeResult, find_api
from shared.errors import AzureRefused, EndpointNameTaken, ServiceBusy
from tests.contracts.workspaces import BROKEN, TAGS, Shop

MOVING = {"Creating", "Updating", "Deleting"}


def test_an_endpoint_is_nothing_then_moving_then_there_without_traffic(shop: Shop) -> None:
    assert shop.workspace.endpoints.get(shop.id) is None
    shop.side.slow()
    shop.workspace.endpoints.write(shop.id, TAGS, {})
    moving = shop.workspace.endpoints.get(shop.id)
    assert moving is not None
    assert moving.state in MOVING
    shop.side.settle()
    found = shop.workspace.endpoints.get(shop.id)
    assert found is not None
    assert (found.name, found.state, found.traffic) == (shop.id, "Succeeded", {})
    assert found.tags.items() >= TAGS.items()
    assert shop.id in found.scoring_uri


def test_endpoints_and_their_deployments_are_listed_with_their_tags(shop: Shop) -> None:
    endpoint = shop.served("rel1", "rel2")
    (found,) = [one for one in shop.workspace.endpoints.list() if one.name == endpoint]
    assert found == shop.workspace.endpoints.get(endpoint)
    below = shop.workspace.deployments.list(endpoint)
    assert sorted(one.name for one in below) == ["rel1", "rel2"]
    assert all(one.tags.items() >= TAGS.items() for one in below)
    assert shop.workspace.deployments.list("no-such-endpoint") == []


def test_a_name_that_is_taken_in_the_region_is_told_apart_from_other_refusals(shop: Shop) -> None:
    shop.side.take(shop.id)
    with pytest.raises(EndpointNameTaken, match=shop.id):
        shop.workspace.endpoints.write(shop.id, TAGS, {})
    with pytest.raises(AzureRefused) as refused:
        shop.workspace.endpoints.write(f"{shop.id}-x", TAGS, {"nothing": 100})
    assert not isinstance(refused.value, EndpointNameTaken)


def test_an_endpoint_that_moves_refuses_other_writes_for_the_time_being(shop: Shop) -> None:
    model = shop.registered()
    shop.side.slow()
    shop.workspace.endpoints.write(shop.id, TAGS, {})
    with pytest.raises(ServiceBusy):
        shop.workspace.endpoints.write(shop.id, TAGS, {})
    with pytest.raises(ServiceBusy):
        shop.workspace.deployments.create(shop.deployment(model))
    with pytest.raises(ServiceBusy):
        shop.workspace.endpoints.delete(shop.id)
    shop.side.settle()
    assert shop.workspace.deployments.get(shop.id, "rel1") is None


def test_a_deployment_is_nothing_then_moving_with_its_endpoint_then_there(shop: Shop) -> None:
    model, endpoint = shop.registered(), shop.endpoint()
    assert shop.workspace.deployments.get(endpoint, "rel1") is None
    shop.side.slow()
    shop.workspace.deployments.create(shop.deployment(model))
    moving, around = shop.workspace.deployments.get(endpoint, "rel1"), shop.workspace.endpoints.get(endpoint)
    assert moving is not None
    assert around is not None
    assert {moving.state, around.state} <= MOVING
    with pytest.raises(ServiceBusy):
        shop.workspace.deployments.create(shop.deployment(model, name="rel2"))
    with pytest.raises(ServiceBusy):
        shop.workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    found = shop.workspace.deployments.get(endpoint, "rel1")
    assert found is not None
    assert (found.name, found.state) == ("rel1", "Succeeded")
    assert found.tags.items() >= TAGS.items()


def test_traffic_is_set_as_one_absolute_split(shop: Shop) -> None:
    endpoint = shop.served("rel1", "rel2")
    for split in ({"rel1": 100}, {"rel1": 80, "rel2": 20}, {"rel1": 0, "rel2": 100}):
        shop.workspace.endpoints.write(endpoint, TAGS, split)
        shop.side.settle()
        found = shop.workspace.endpoints.get(endpoint)
        assert found is not None
        assert found.traffic == {name: share for name, share in split.items() if share}
        assert found.tags.items() >= TAGS.items()


@pytest.mark.parametrize("split", [{"rel9": 100}, {"rel1": 50}])
def test_a_split_that_cannot_be_is_refused_and_the_old_one_stays(shop: Shop, split: dict[str, int]) -> None:
    endpoint = shop.served("rel1")
    shop.workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    with pytest.raises(AzureRefused):
        shop.workspace.endpoints.write(endpoint, TAGS, split)
    found = shop.workspace.endpoints.get(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Succeeded", {"rel1": 100})


def test_a_deployment_with_traffic_is_not_deleted_and_one_without_is(shop: Shop) -> None:
    endpoint = shop.served("rel1", "rel2")
    shop.workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    with pytest.raises(AzureRefused):
        shop.workspace.deployments.delete(endpoint, "rel1")
    shop.workspace.deployments.delete(endpoint, "rel2")
    shop.side.settle()
    assert shop.workspace.deployments.get(endpoint, "rel1") is not None
    assert shop.workspace.deployments.get(endpoint, "rel2") is None
    shop.workspace.deployments.delete(endpoint, "rel2")


def test_an_endpoint_is_deleted_with_all_behind_it(shop: Shop) -> None:
    endpoint = shop.served("rel1")
    shop.workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    shop.side.slow()
    shop.workspace.endpoints.delete(endpoint)
    moving = shop.workspace.endpoints.get(endpoint)
    assert moving is not None
    assert moving.state == "Deleting"
    shop.side.settle()
    assert shop.workspace.endpoints.get(endpoint) is None
    assert shop.workspace.deployments.get(endpoint, "rel1") is None
    shop.workspace.endpoints.delete(endpoint)
    shop.workspace.deployments.delete(endpoint, "rel1")


def test_a_deleted_endpoint_can_be_made_again(shop: Shop) -> None:
    endpoint = shop.endpoint()
    shop.workspace.endpoints.delete(endpoint)
    shop.side.settle()
    assert shop.endpoint() == endpoint
    found = shop.workspace.endpoints.get(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Succeeded", {})


def test_a_deployment_that_fails_says_so_keeps_its_log_and_leaves_its_endpoint_usable(shop: Shop) -> None:
    model, endpoint = shop.registered(), shop.endpoint()
    shop.side.fail_deployment(endpoint, "rel1")
    shop.workspace.deployments.create(shop.deployment(model))
    shop.side.settle()
    found, around = shop.workspace.deployments.get(endpoint, "rel1"), shop.workspace.endpoints.get(endpoint)
    assert found is not None
    assert around is not None
    assert (found.state, around.state) == ("Failed", "Succeeded")
    assert "it broke" in "".join(shop.workspace.deployments.logs(endpoint, "rel1").values())
    shop.workspace.deployments.delete(endpoint, "rel1")
    shop.side.settle()
    assert shop.workspace.deployments.get(endpoint, "rel1") is None


def test_logs_of_nothing_are_nothing(shop: Shop) -> None:
    assert shop.workspace.deployments.logs(shop.id, "rel1") == {}


def test_a_deployment_needs_its_endpoint(shop: Shop) -> None:
    with pytest.raises(AzureRefused):
        shop.workspace.deployments.create(shop.deployment(shop.registered()))


def test_an_endpoint_has_a_key_and_nothing_has_none(shop: Shop) -> None:
    endpoint = shop.endpoint()
    assert len(shop.workspace.endpoints.key(endpoint)) > 8
    assert shop.workspace.endpoints.key(endpoint) == shop.workspace.endpoints.key(endpoint)
    with pytest.raises(AzureRefused):
        shop.workspace.endpoints.key(f"{shop.id}-none")


def test_a_service_that_is_busy_says_so_once_and_nothing_has_happened(shop: Shop) -> None:
    shop.side.busy(shop.endpoint())
    with pytest.raises(ServiceBusy):
        shop.workspace.endpoints.write(shop.id, TAGS, {})
    found = shop.workspace.endpoints.get(shop.id)
    assert found is not None
    assert found.state == "Succeeded"


# --- writes that are accepted, and fail then ---


def test_traffic_that_is_accepted_and_fails_leaves_the_old_split_and_says_why(shop: Shop) -> None:
    workspace, endpoint = shop.workspace, shop.served("rel1", "rel2")
    workspace.endpoints.write(endpoint, TAGS, {"rel1": 100})
    shop.side.settle()
    shop.side.break_next(endpoint)
    operation = workspace.endpoints.write(endpoint, TAGS, {"rel1": 90, "rel2": 10})
    shop.side.settle()
    found = workspace.endpoints.get(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Failed", {"rel1": 100})
    assert workspace.failure(operation) == BROKEN
    workspace.endpoints.write(endpoint, TAGS, {"rel1": 90, "rel2": 10})
    shop.side.settle()
    found = workspace.endpoints.get(endpoint)
    assert found is not None
    assert (found.state, found.traffic) == ("Succeeded", {"rel1": 90, "rel2": 10})


def test_an_endpoint_whose_removal_is_accepted_and_fails_is_there_and_says_why(shop: Shop) -> None:
    workspace, endpoint = shop.workspace, shop.endpoint()
    shop.side.break_next(endpoint)
    operation = workspace.endpoints.delete(endpoint)
    shop.side.settle()
    found = workspace.endpoints.get(endpoint)
    assert found is not None
    assert found.state == "Failed"
    assert workspace.failure(operation) == BROKEN
    workspace.endpoints.delete(endpoint)
    shop.side.settle()
    assert workspace.endpoints.get(endpoint) is None


def test_a_deployment_whose_removal_is_accepted_and_fails_is_there_and_says_why(shop: Shop) -> None:
    workspace, endpoint = shop.workspace, shop.served("rel1")
    shop.side.break_next(endpoint, "rel1")
    operation = workspace.deployments.delete(endpoint, "rel1")
    shop.side.settle()
    assert workspace.deployments.get(endpoint, "rel1") is not None
    assert workspace.failure(operation) == BROKEN
    workspace.deployments.delete(endpoint, "rel1")
    shop.side.settle()
    assert workspace.deployments.get(endpoint, "rel1") is None


@pytest.mark.services
def test_what_each_container_speaks_is_found_out_without_asking_its_model(azure_shop: Shop) -> None:
    endpoint, server = azure_shop.served("rel1"), azure_shop.side.server  # type: ignore[attr-defined]
    found = azure_shop.workspace.endpoints.get(endpoint)
    assert found is not None
    key = azure_shop.workspace.endpoints.key(endpoint)

    async def probe(client: InferenceClient) -> ProbeResult:
        # In the app the authority of the local cloud is trusted by the environment.
        trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=server.ca))
        client._pools[asyncio.get_running_loop()] = aiohttp.ClientSession(connector=trust)
        try:
            return await find_api(client, found.scoring_uri, key, "rel1")
        finally:
            await client.close()

    speaks = {}
    for container in ("fmi", "serve", "score", "mlflow"):
        server.control("PUT", "/serving", {"*": {"container": container}})
        speaks[container] = asyncio.run(probe(InferenceClient())).api
    assert speaks == {"fmi": "openai", "serve": "openai", "score": "score", "mlflow": "mlflow"}
    assert server.control("GET", "/serving")[f"{endpoint}/rel1"]["answered"] == 0
