"""host.json, `%SETTING%`, connections and keys."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from local.host import keys, settings
from local.host.errors import CannotStart


def host_json(folder: Path, content: Any) -> settings.HostSettings:
    (folder / "host.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return settings.read_host_json(folder)


def test_without_host_json_the_defaults_are_those_of_azure(tmp_path: Path) -> None:
    found = settings.read_host_json(tmp_path)
    assert found.route_prefix == "api"
    assert found.function_timeout == 1800
    assert found.queues == settings.QueueSettings(16, 8, 5, 0, 2, True)


def test_every_honoured_key_of_host_json_is_read(tmp_path: Path) -> None:
    queues = {
        "batchSize": 5,
        "newBatchThreshold": 1,
        "maxDequeueCount": 3,
        "visibilityTimeout": "00:00:10",
        "maxPollingInterval": "00:00:00.5",
        "messageEncoding": "none",
    }
    extensions = {"http": {"routePrefix": "/v1/"}, "queues": queues}
    found = host_json(tmp_path, {"functionTimeout": "00:00:07", "extensions": extensions})
    assert found == settings.HostSettings("v1", 7.0, settings.QueueSettings(5, 1, 3, 10.0, 0.5, False))


def test_the_new_batch_threshold_is_half_of_the_batch_by_default(tmp_path: Path) -> None:
    """So that batchSize 1 means one message at a time."""
    found = host_json(tmp_path, {"extensions": {"queues": {"batchSize": 1}}})
    assert found.queues.new_batch_threshold == 0


def test_no_function_timeout_is_spelled_minus_one(tmp_path: Path) -> None:
    assert host_json(tmp_path, {"functionTimeout": "-1"}).function_timeout is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "host.json"),
        ({"functionTimeout": "5 minutes"}, "time span"),
        ({"extensions": {"queues": {"batchSize": 33}}}, "batchSize is 33"),
        ({"extensions": {"queues": {"maxDequeueCount": 0}}}, "maxDequeueCount"),
        ({"extensions": {"queues": {"visibilityTimeout": 30}}}, "30 is not a time span"),
        ({"extensions": {"queues": {"messageEncoding": "utf8"}}}, "messageEncoding"),
        ({"extensions": []}, "host.json"),
    ],
)
def test_a_wrong_host_json_is_refused_by_key(tmp_path: Path, content: Any, complaint: str) -> None:
    with pytest.raises(CannotStart, match=complaint):
        host_json(tmp_path, content)


def test_settings_are_put_in_for_percent_signs() -> None:
    assert settings.resolve("%A%-%B%", {"A": "x", "B": "y"}) == "x-y"
    assert settings.resolve("100% sure, 50% not", {}) == "100% sure, 50% not"
    with pytest.raises(CannotStart, match=r"setting C, used as %C%, is missing"):
        settings.resolve("%C%", {})


def test_a_connection_is_a_setting_by_its_name_or_azures_prefix() -> None:
    assert settings.connection_string("DATA", {"DATA": "a", "AzureWebJobsDATA": "b"}) == "a"
    assert settings.connection_string("DATA", {"AzureWebJobsDATA": "b"}) == "b"


def test_a_connection_by_identity_is_refused_with_what_is_needed() -> None:
    with pytest.raises(CannotStart, match=r"identity \(DATA__queueServiceUri\).*connection string.*DATA"):
        settings.connection_string("DATA", {"DATA__queueServiceUri": "https://x"})
    with pytest.raises(CannotStart, match="DATA, which is missing"):
        settings.connection_string("DATA", {"DATA": ""})


def test_keys_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    first = keys.load(tmp_path / "new")
    file = tmp_path / "new" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.load(tmp_path / "new") == first
    assert len({first.function, first.master, first.eventgrid}) == 3
    assert json.loads(file.read_text())["system"] == {"eventgrid_extension": first.eventgrid}


def test_given_keys_are_kept_and_missing_ones_added(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"function": "mine", "note": "kept"}')
    loaded = keys.load(tmp_path)
    stored = json.loads((tmp_path / "keys.json").read_text())
    assert loaded.function == stored["function"] == "mine"
    assert stored["note"] == "kept"
    assert stored["master"] == loaded.master


def test_a_damaged_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[1")
    with pytest.raises(CannotStart, match="damaged"):
        keys.load(tmp_path)


@pytest.mark.parametrize(
    ("level", "opened_by"),
    [
        ("anonymous", {"function", "master", "eventgrid", "wrong", None}),
        ("function", {"function", "master"}),
        ("eventgrid", {"eventgrid", "master"}),
        ("admin", {"master"}),
    ],
)
def test_each_level_opens_to_its_own_key_and_the_master(level: keys.Level, opened_by: set[str | None]) -> None:
    own = keys.HostKeys("function", "master", "eventgrid")
    offers: list[str | None] = ["function", "master", "eventgrid", "wrong", None, "", "schlüssel"]
    assert {offer for offer in offers if own.allow(level, offer)} - {"", "schlüssel"} == opened_by
