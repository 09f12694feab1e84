"""Keys of a local cloud are its owner's: in no command line, in no file that others may read, in no open answer."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from local.cloud import Cloud, mark_prefix
from local.processes import marked
from tests.local.brokers import BrokerProcess
from tests.local.webhooks import Webhook

pytestmark = pytest.mark.services


def secrets_of(cloud: Cloud) -> dict[str, str]:
    """Every secret of a running cloud. Azurite's key is published with it, but so may be the next storage's."""
    record = cloud.record
    return {
        "app key": record.app_key,
        "master key": record.master_key,
        "system key": json.loads(cloud.wiring.host_keys.read_text())["system"]["eventgrid_extension"],
        "event grid key": record.eventgrid_key,
        "identity header": record.identity_header,
        "storage key": dict(p.split("=", 1) for p in record.storage_connection_string.split(";") if p)["AccountKey"],
    }


def test_no_secret_of_a_running_cloud_can_be_seen_by_others(tmp_path: Path) -> None:
    """One story, because a start takes seconds: command lines, files, open addresses, logs."""
    with Cloud(tmp_path / "cloud", {"SCORING_KEYS": "a-scoring-key-of-somebody"}) as cloud:
        secrets = {**secrets_of(cloud), "scoring key": "a-scoring-key-of-somebody"}
        assert all(secrets.values())

        processes = marked(mark_prefix(cloud.folder))
        assert len(processes) >= 4
        for process in processes:
            line = " ".join(process.cmdline())
            assert [name for name, secret in secrets.items() if secret in line] == [], line

        open_addresses = [f"{cloud.wiring.eventgrid_url}/{path}" for path in ("subscriptions", "deliveries", "faults")]
        for address in open_addresses:
            text = httpx.get(address, trust_env=False).raise_for_status().text
            assert [name for name, secret in secrets.items() if secret in text] == [], address
        for path in ("settings", "requests", "faults", "serving"):
            address = f"{cloud.wiring.azureml_url}/_control/{path}"
            text = httpx.get(address, verify=False, trust_env=False).raise_for_status().text
            assert [name for name, secret in secrets.items() if secret in text] == [], address
    readable = [path for path in cloud.folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert readable == []
    assert stat.S_IMODE(cloud.folder.stat().st_mode) == 0o700
    for log in (cloud.folder / "logs").iterdir():
        text = log.read_text("utf-8", "replace")
        assert [name for name, secret in secrets.items() if secret in text] == [], log


def test_a_subscription_is_shown_without_the_key_of_its_webhook(broker: BrokerProcess, webhook: Webhook) -> None:
    made = broker.subscribe("keyed", webhook.url)
    listed = broker.client.get("/subscriptions")
    for answer in (made, listed):
        assert answer.status_code == 200
        assert "secret" not in answer.text
    (shown,) = listed.json()
    assert shown["endpoint"] == webhook.url.replace("code=secret", "...")
    broker.client.post("/topics/custom/api/events", headers={"aeg-sas-key": "wrong"}, content=b"[]")
    assert webhook.url.partition("?")[2] == "code=secret"  # what is delivered still goes to the whole address
