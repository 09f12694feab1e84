"""`infra/` and the code say the same: settings, containers, queue, functions, filters of events, texts of alerts."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from local.eventgrid.filters import AdvancedFilter
from local.eventgrid.schemas import read_events
from local.eventgrid.subscriptions import Subscription
from shared.azure import events
from shared.azure.storage import CONTAINERS, QUEUE
from shared.config.groups.connections import ConnectionGroup
from shared.config.settings import Settings, setting_name
from tests.infra import bicep, proofs
from tests.recorded import NAMES, event, payload
from tests.test_docs import functions

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
sys.path.insert(0, str(INFRA / "hooks"))
import subscriptions  # type: ignore[import-not-found]  # noqa: E402

# What the platform reads and the app does not.
HOSTS = re.compile(
    r"AzureWebJobsStorage__(blobServiceUri|queueServiceUri|tableServiceUri|credential|clientId)"
    r"|DATA__(credential|clientId)|APPLICATIONINSIGHTS_(CONNECTION|AUTHENTICATION)_STRING"
)
# Where things are is known to the template, but for these, with the reason.
NOT_BY_THE_TEMPLATE = {
    "DATA": "a connection string has a key; the template gives the two addresses",
    "METRICS_ENDPOINT": "it follows from the workspace's region",
    "NOTIFY_KEY": "the topic takes no key",
    "NOTIFY_WEBHOOK": "somebody's own, given among `settings` as a reference to a vault",
    "NOTIFY_WEBHOOK_SECRET": "somebody's own, given among `settings` as a reference to a vault",
}


def app_settings(folder: Path = INFRA) -> dict[str, bicep.Value]:
    """The settings that the template gives the app, with their values where those are written out."""
    module = bicep.read(folder / "modules" / "droptune.bicep").modules["app"]
    given = module.body["params"]["settings"]
    assert isinstance(given, bicep.Expression)
    found = bicep.value_of(given.node.named_children[1].named_children[1])
    assert isinstance(found, dict)
    return found


def settings_complaints(folder: Path) -> list[str]:
    """Settings that the code does not know, and those of the code that the template leaves out."""
    given = app_settings(folder)
    known = {setting_name(field) for field in Settings.model_fields}
    where = {setting_name(field) for field in ConnectionGroup.model_fields}
    unknown = [f"{name} is no setting of the app or the platform" for name in given if name not in known]
    return [
        *(text for text in unknown if not HOSTS.fullmatch(text.split(" ")[0])),
        *(f"the template does not set {name}" for name in sorted(where - set(NOT_BY_THE_TEMPLATE) - set(given))),
        *(f"{name} is set, though {NOT_BY_THE_TEMPLATE[name]}" for name in NOT_BY_THE_TEMPLATE.keys() & given.keys()),
    ]


def storage_complaints(folder: Path) -> list[str]:
    """Containers, queue and rules of age that differ from the code."""
    template = bicep.read(folder / "modules" / "data-storage.bicep")
    made, wanted = template.variables["containers"].value, {*CONTAINERS, subscriptions.DEAD_LETTERS}
    assert isinstance(made, list)
    found = [f"the template makes the container {name}, which nobody knows" for name in set(made) - wanted]
    found += [f"the template does not make the container {name}" for name in wanted - set(made)]
    if (queue := template.resources["due"].body["name"]) != QUEUE:
        found.append(f"the template makes the queue {queue}, the app reads {QUEUE}")
    for rule in template.resources["lifecycle"].body["properties"]["policy"]["rules"]:
        prefixes = {prefix.rstrip("/") for prefix in rule["definition"]["filters"]["prefixMatch"]}
        found += [f"rule {rule['name']} is for {name}, which nobody knows" for name in prefixes - wanted]
        if "delete" in rule["definition"]["actions"]["baseBlob"]:
            found += [f"rule {rule['name']} deletes from {name}" for name in prefixes - {"work", "deadletters"}]
        found += [f"rule {rule['name']} touches the {name}" for name in prefixes & {"ledger", "locks"}]
    return found


def alert_complaints(folder: Path) -> list[str]:
    """Texts that an alert looks for in the log, and that the app does not write."""
    lines = [line for path in ROOT.glob("shared/**/*.py") for line in path.read_text("utf-8").splitlines()]
    logged = "\n".join(line for line in lines if re.search(r"\blog\.|\bfault \+?= ", line))
    text = (folder / "modules" / "alerts.bicep").read_text("utf-8")
    looked_for = re.findall(r'Message has "([^"]+)"', text) + re.findall(r'parse Message with \* "([^"]+)"', text)
    assert len(looked_for) == 2
    return [f"no log line has {words!r}" for words in looked_for if words not in logged]


CHECKS = (settings_complaints, storage_complaints, alert_complaints)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_templates_say_what_the_code_says(check: Any) -> None:
    assert check(INFRA) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "complaint"),
    [
        (settings_complaints, "droptune", "AZUREML_WORKSPACE:", "AZURE_ML_WORKSPACE:",
         "AZURE_ML_WORKSPACE is no setting of the app or the platform\nthe template does not set AZUREML_WORKSPACE"),
        (settings_complaints, "droptune", "DATA__queueServiceUri:", "DATA__queueServiceUrl:", "does not set DATA__queue"),
        (settings_complaints, "droptune", "RESOURCE_MANAGER:", "NOTIFY_KEY:", "NOTIFY_KEY is set, though the topic takes no"),
        (storage_complaints, "data-storage", "'evaluations'", "'evaluation'", "does not make the container evaluations"),
        (storage_complaints, "data-storage", "name: 'due'", "name: 'dues'", "makes the queue dues, the app reads due"),
        (storage_complaints, "data-storage", "'work/'", "'ledger/'", "rule scratch deletes from ledger"),
        (alert_complaints, "alerts", "needs_attention", "needs attention", "no log line has 'needs attention'"),
    ],
)  # fmt: skip
def test_a_planted_difference_is_found(
    check: Any, file: str, old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    folder = proofs.planted(INFRA, tmp_path, f"modules/{file}.bicep", old, new)
    assert complaint in "\n".join(check(folder))


def test_the_settings_of_the_template_start_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value that is written out is one that the setting takes; the others stand for texts of Azure's."""
    group = "/subscriptions/s/resourceGroups/g/providers"
    numbers = {
        "TRAINING_NODES": "1",
        "NOTIFY_TOPIC": "https://droptune-notices-x.westeurope-1.eventgrid.azure.net/api/events",
        "TRAINING_IDENTITY": f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/training",
    }
    for name, value in app_settings().items():
        monkeypatch.setenv(name, value if isinstance(value, str) else numbers.get(name, "a-text-of-some-length"))
    found = Settings()
    assert (found.training_compute, found.training_datastore) == ("a-text-of-some-length", "droptune_frozen")


def test_the_datastore_and_the_cluster_are_those_that_the_app_is_told_of() -> None:
    training = bicep.read(INFRA / "modules" / "training.bicep").resources
    assert training["frozen"].body["name"] == app_settings()["TRAINING_DATASTORE"]
    assert training["frozen"].body["properties"]["containerName"] in CONTAINERS
    assert training["frozen"].body["properties"]["credentials"] == {"credentialsType": "None"}
    assert training["cluster"].body["properties"]["properties"]["scaleSettings"]["minNodeCount"] == 0
    variables = bicep.read(INFRA / "modules" / "droptune.bicep").variables
    assert (
        app_settings()["TRAINING_COMPUTE"]
        == bicep.read(INFRA / "modules" / "droptune.bicep").modules["training"].body["params"]["clusterName"]
    )
    assert (INFRA / "hooks" / "predown.py").read_text("utf-8").count(f"/computes/{variables['clusterName'].value}") == 1


@pytest.mark.parametrize("name", ["host-storage", "data-storage", "workspace"])
def test_no_storage_account_takes_a_key_or_shows_anything_to_everybody(name: str) -> None:
    accounts = [
        resource
        for resource in bicep.read(INFRA / "modules" / f"{name}.bicep").resources.values()
        if resource.what.startswith("Microsoft.Storage/storageAccounts@")
    ]
    for account in accounts:
        properties = account.body["properties"]
        assert (properties["allowSharedKeyAccess"], properties["allowBlobPublicAccess"]) == (False, False)
        assert (properties["minimumTlsVersion"], properties["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
    assert len(accounts) == 1


# --- events ---


def accepts(name: str, body: dict[str, Any], filter_: dict[str, Any]) -> bool:
    """Whether a subscription of this filter delivers an event, as the local Event Grid works it out."""
    conditions = [
        AdvancedFilter(one["operatorType"], one["key"], tuple(one["values"]))
        for one in filter_.get("advancedFilters", ())
    ]
    wanted = Subscription(
        "t",
        "http://app",
        included_event_types=tuple(filter_["includedEventTypes"]),
        subject_begins_with=filter_.get("subjectBeginsWith", ""),
        advanced_filters=tuple(conditions),
    )
    (read,) = read_events(json.dumps([body]).encode(), "t")
    return wanted.wants("t", read)


RECORDED = [name for name in NAMES if not name.endswith("_cloudevent") and name != "subscription_validation"]


@pytest.mark.parametrize("name", RECORDED)
def test_the_filters_let_through_what_the_app_takes_and_nothing_else(name: str) -> None:
    uploads, runs = subscriptions.UPLOADS, subscriptions.RUNS
    assert accepts(name, payload(name), uploads) == (events.uploaded_path(event(name)) is not None)
    assert accepts(name, payload(name), runs) == (events.changed_run(event(name)) is not None)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"subjectBeginsWith": "/blobServices/default/containers/frozen/blobs/"}, "blob_created_put_blob"),
        ({"advancedFilters": []}, "blob_created_create_file"),
        ({"includedEventTypes": ["Microsoft.Storage.BlobCreated"]}, "blob_renamed"),
    ],
)
def test_a_wrong_filter_is_found(changed: dict[str, Any], wrong: str) -> None:
    found = accepts(wrong, payload(wrong), {**subscriptions.UPLOADS, **changed})
    assert found != (events.uploaded_path(event(wrong)) is not None)


def test_the_subscriptions_are_for_the_functions_that_take_events() -> None:
    assert {one["function"] for one in functions() if one["type"] == "eventGridTrigger"} == set(
        subscriptions.SUBSCRIPTIONS
    )


@pytest.mark.parametrize("function", subscriptions.SUBSCRIPTIONS)
def test_what_the_hook_sends_is_what_azure_takes(function: str, tmp_path: Path) -> None:
    """Held to the same published types as the templates."""
    body = {"name": "x", "properties": subscriptions.properties(function, "/app", "/account")}
    known = proofs.TYPES["Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15"]["types"]
    assert list(proofs._object(body, "body", known, bicep.Template(tmp_path))) == []
    body["properties"]["retryPolicy"]["maxDeliveryAttempt"] = 30
    assert list(proofs._object(body, "body", known, bicep.Template(tmp_path))) == [
        ".properties.retryPolicy.maxDeliveryAttempt: there is no such property (did you mean maxDeliveryAttempts?)"
    ]


def test_the_local_cloud_subscribes_alike() -> None:
    from local import provision

    for function, (_, wanted) in subscriptions.SUBSCRIPTIONS.items():
        here = provision.SUBSCRIPTIONS[function][2]
        assert {**here, "subjectBeginsWith": None} == {**wanted, "subjectBeginsWith": None}
        assert str(wanted.get("subjectBeginsWith", "")).startswith(here.get("subjectBeginsWith", ""))


# --- azd ---

_HOOKS = {"preprovision", "postprovision", "predeploy", "postdeploy", "preup", "postup", "predown", "postdown",
          "prepackage", "postpackage", "prerestore", "postrestore"}  # fmt: skip
_SERVICE = {"project", "language", "host", "remoteBuild", "hooks", "resourceName", "resourceGroup", "dist", "config"}
_HOOK = {"run", "kind", "shell", "continueOnError", "interactive", "windows", "posix", "secrets", "dir"}


def azure_yaml_complaints(text: str, root: Path = ROOT) -> list[str]:
    """What azd would refuse or, worse, not notice."""
    found = yaml.safe_load(text)
    complaints = [f"no such key: {key}" for key in found.keys() - {
        "name", "metadata", "requiredVersions", "infra", "services", "hooks"}]  # fmt: skip
    hooks = dict(found.get("hooks") or {})
    for name, service in (found.get("services") or {}).items():
        complaints += [f"service {name}: {key} is missing" for key in {"project", "host"} - service.keys()]
        complaints += [f"service {name}: no such key: {key}" for key in service.keys() - _SERVICE]
        complaints += ["remoteBuild is no truth"] if not isinstance(service.get("remoteBuild"), bool) else []
        hooks |= service.get("hooks") or {}
    for name, hook in hooks.items():
        complaints += [f"no such hook: {name}"] if name not in _HOOKS else []
        complaints += [f"hook {name}: no such key: {key}" for key in hook.keys() - _HOOK]
        complaints += (
            [f"hook {name}: kind {hook.get('kind')}"] if hook.get("kind") not in ("python", "sh", "pwsh") else []
        )
        complaints += [f"hook {name}: no file {hook['run']}"] if not (root / hook["run"]).exists() else []
    infra = found.get("infra") or {}
    template = root / infra.get("path", "infra") / f"{infra.get('module', 'main')}.bicep"
    return complaints + ([] if template.exists() else [f"no file {template.name}"])


def test_azure_yaml_is_what_azd_reads() -> None:
    assert azure_yaml_complaints((ROOT / "azure.yaml").read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("postdeploy:", "afterdeploy:", "no such hook: afterdeploy"),
        ("kind: python", "kind: bash", "kind bash"),
        ("    host: function\n", "", "service app: host is missing"),
        ("remoteBuild:", "remotebuild:", "service app: no such key: remotebuild"),
        ("predown.py", "pre-down.py", "hook predown: no file infra/hooks/pre-down.py"),
        ("module: main", "module: all", "no file all.bicep"),
    ],
)
def test_a_mistake_in_azure_yaml_is_found(old: str, new: str, complaint: str) -> None:
    text = (ROOT / "azure.yaml").read_text("utf-8")
    assert old in text
    assert complaint in "\n".join(azure_yaml_complaints(text.replace(old, new)))


def test_what_the_hooks_read_the_template_writes() -> None:
    written = set(bicep.read(INFRA / "main.bicep").outputs) | {"AZURE_ENV_NAME", "DROPTUNE_HOOK_PAUSE"}
    for path in sorted((INFRA / "hooks").glob("*.py")):
        read = set(re.findall(r'"((?:AZURE|DROPTUNE)_[A-Z_]+)"', path.read_text("utf-8")))
        assert read - written == set(), path.name


def test_the_site_carries_the_tag_by_which_azd_finds_it() -> None:
    services = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["services"]
    assert f"'azd-service-name': '{next(iter(services))}'" in (INFRA / "modules" / "app.bicep").read_text("utf-8")


def test_nothing_of_this_needs_more_than_the_standard_library() -> None:
    """azd runs the hooks with whatever Python a person has."""
    own = {path.stem for path in (INFRA / "hooks").glob("*.py")}
    for path in sorted((INFRA / "hooks").glob("*.py")):
        imported = re.findall(r"^(?:from|import) ([\w]+)", path.read_text("utf-8"), re.MULTILINE)
        assert set(imported) - own <= set(sys.stdlib_module_names) | {"__future__"}, path.name
    assert msgspec.json.decode((INFRA / "main.parameters.json").read_bytes())["contentVersion"] == "1.0.0.0"
