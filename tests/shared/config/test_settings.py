"""Settings: every one explained, wrong ones named with what is allowed, secrets never shown."""

from __future__ import annotations

import json
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from shared.config import settings
from shared.config.groups.values import keys_in
from shared.config.settings import Settings, SettingsError, load, setting_name

CONFIG_AS_SHIPPED = settings.CONFIG
SECRET = "AccountName=x;AccountKey=TOP-SECRET=="
NEEDED = {"AZURE_SUBSCRIPTION_ID": "sub", "AZURE_RESOURCE_GROUP": "rg", "AZUREML_WORKSPACE": "ws", "DATA": SECRET}


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without any setting, and no config.json yet."""
    for field in Settings.model_fields:
        for name in (setting_name(field), setting_name(field).lower()):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "CONFIG", tmp_path / "config.json")
    return tmp_path / "config.json"


def _environment(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    for name, value in {**NEEDED, **more}.items():
        monkeypatch.setenv(name, value)


def _refused() -> str:
    with pytest.raises(SettingsError) as refused:
        load()
    return str(refused.value)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_a_help_that_is_a_sentence(field: str) -> None:
    text = Settings.model_fields[field].description
    assert text
    assert text[-1] in ".)"
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*|DATA__(blob|queue)ServiceUri", setting_name(field))


def test_only_ids_and_storage_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch)
    found = load()
    assert (found.azure_subscription_id, found.azure_resource_group, found.azureml_workspace) == ("sub", "rg", "ws")
    assert (found.base_model, found.component) == ("Phi-4", "chat_completion_pipeline")
    assert found.data is not None
    assert found.data.get_secret_value() == SECRET


def test_every_missing_setting_is_named_with_its_help() -> None:
    lines = _refused().splitlines()
    for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"):
        (line,) = [text for text in lines if text.startswith(f"  {name}: ")]
        assert "required" in line
        assert "workspace" in line


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("MIN_ROWS", "two", "valid integer"),
        ("MIN_ROWS", "2", "greater than or equal to 3"),
        ("CREATE_COMPUTE", "perhaps", "valid boolean"),
        ("SYSTEM_TURNS", "maybe", "'auto', 'allow', 'fold' or 'reject'"),
        ("ACCEPT_SINCE", "soon", "valid datetime"),
        ("SCORING_TIMEOUT_SECONDS", "181", "less than or equal to 180"),
        ("CALL_SECONDS", "226", "less than or equal to 225"),
        ("GATE_MAX_ERROR_PERCENT", "100", "less than 100"),
        ("IDLE_HOURS", "0", "greater than 0"),
        ("HYPERPARAMETERS", "{nope", 'must be a JSON object, e.g. {"num_train_epochs": 2}'),
        ("PRICES", "3.1 EUR", 'must be a JSON object, e.g. {"Standard_NC6s_v3": 3.1}'),
        ("GATE_PARAMETERS", "{'do_sample': False}", 'must be a JSON object, e.g. {"do_sample": false}'),
        ("HYPERPARAMETERS", "[1]", "valid dictionary"),
        ("HYPERPARAMETER_LIMITS", "3", "valid dictionary"),
        ("SERVING_INSTANCES", "51", "less than or equal to 50"),
        ("TRAINING_IDENTITY", "trainer", "userAssignedIdentities"),
    ],
)
def test_a_wrong_setting_is_named_with_the_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    _environment(monkeypatch, **{name: value})
    (line,) = _refused().splitlines()[1:]
    assert line.startswith(f"  {name} = ")
    assert value in line
    assert allowed in line
    assert str(Settings.model_fields[name.lower()].description) in line


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, MIN_ROWS="two", KEEP_DAYS="-1")
    monkeypatch.delenv("AZUREML_WORKSPACE")
    text = _refused()
    assert all(name in text for name in ("MIN_ROWS", "KEEP_DAYS", "AZUREML_WORKSPACE"))


def test_a_bound_that_could_not_hold_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, HYPERPARAMETER_LIMITS='{"optim": 1, "epochs": 3}')
    assert "HYPERPARAMETER_LIMITS: epochs, optim can have no limit; there are lora_alpha, " in _refused()
    _environment(monkeypatch, HYPERPARAMETER_LIMITS="{}", MAX_RUN_COST="50")
    assert "MAX_RUN_COST = 50: needs PRICES" in _refused()
    _environment(monkeypatch, PRICES='{"Standard_NC24ads_A100_v4": 4.1}')
    assert Settings().max_run_cost == 50


def test_hyperparameters_are_checked_at_the_start_and_name_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, HYPERPARAMETERS='{"num_epochs": 2}')
    assert "HYPERPARAMETERS: unknown hyperparameter 'num_epochs'; did you mean 'num_train_epochs'" in _refused()
    monkeypatch.setenv("HYPERPARAMETERS", '{"num_train_epochs": 0}')
    assert "num_train_epochs = 0" in _refused()
    monkeypatch.setenv("HYPERPARAMETERS", '{"num_train_epochs": 2}')
    assert load().hyperparameters == {"num_train_epochs": 2}


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ({}, False),
        ({"DATA": SECRET}, True),
        ({"DATA__blobServiceUri": "https://b"}, False),
        ({"DATA__blobServiceUri": "https://b", "DATA__queueServiceUri": "https://q"}, True),
        ({"DATA__BLOBSERVICEURI": "https://b", "data__queueserviceuri": "https://q"}, True),
    ],
)
def test_storage_is_a_connection_string_or_both_addresses(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], good: bool
) -> None:
    _environment(monkeypatch)
    monkeypatch.delenv("DATA")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if good:
        found = load()
        assert found.data or (found.data_blobs, found.data_queues) == ("https://b", "https://q")
    else:
        assert "both DATA__blobServiceUri and DATA__queueServiceUri" in _refused()


def test_an_empty_setting_is_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, MIN_ROWS="", NOTIFY_KEY="", ACCEPT_SINCE="")
    found = load()
    assert (found.min_rows, found.notify_key, found.accept_since) == (20, None, None)


def test_accept_since_is_read_as_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, ACCEPT_SINCE="2026-01-15T10:00:00Z")
    assert load().accept_since == datetime(2026, 1, 15, 10, tzinfo=UTC)


SECRETS = [f for f, info in Settings.model_fields.items() if SecretStr in get_args(info.annotation)]


def test_a_key_that_could_be_guessed_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, SCORING_KEYS="long-enough-to-be-a-key, short")
    assert "  SCORING_KEYS = ***: a key has at least 16 characters" in _refused()
    assert "short" not in _refused()


def test_every_setting_that_holds_a_key_is_a_secret() -> None:
    assert sorted(SECRETS) == [
        "data",
        "notify_key",
        "notify_webhook",
        "notify_webhook_secret",
        "page_keys",
        "page_reader_keys",
        "scoring_keys",
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"HYPERPARAMETERS": '{"zz": 1}'}, {"MIN_ROWS": "x"}, {"AZUREML_WORKSPACE": ""}],
    ids=lambda w: next(iter(w)),
)
def test_secrets_are_in_no_error(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    _environment(monkeypatch, NOTIFY_KEY="NOTIFY-SECRET", **wrong)
    with pytest.raises(SettingsError) as refused:
        load()
    with pytest.raises(ValidationError) as raw:
        Settings()
    for error in (refused.value, raw.value):
        assert "SECRET" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("field", SECRETS)
def test_a_wrong_secret_is_named_but_not_shown(field: str) -> None:
    given: dict[str, Any] = {**{name.lower(): value for name, value in NEEDED.items()}, field: ["TOP-HIDDEN"]}
    with pytest.raises(ValidationError) as raw:
        Settings(**given)
    (line,) = map(settings._line, raw.value.errors())
    assert line.startswith(f"  {field.upper()} = ***: ")
    assert "HIDDEN" not in line


def test_secrets_are_in_no_picture_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    _environment(monkeypatch, NOTIFY_KEY="NOTIFY-SECRET")
    found = load()
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert "SECRET" not in text


def test_a_setting_that_is_none_any_more_is_ignored_and_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _environment(monkeypatch, VALIDATION_PLACES="none", call_max_messages="5")
    assert load().min_rows == 20
    (line,) = caplog.messages
    assert "CALL_MAX_MESSAGES, VALIDATION_PLACES" in line


def test_settings_that_all_exist_log_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    _environment(monkeypatch, MIN_ROWS="21")
    load()
    assert caplog.messages == []


def test_no_removed_setting_is_a_setting_and_each_has_a_reason() -> None:
    assert {setting_name(name) for name in Settings.model_fields}.isdisjoint(settings.REMOVED)
    assert all(settings.REMOVED.values())


def test_every_setting_belongs_to_one_group() -> None:
    groups = [base for base in Settings.__bases__ if issubclass(base, BaseModel) and base is not BaseSettings]
    fields = [name for group in groups for name in group.model_fields]
    assert sorted(fields) == sorted(Settings.model_fields)
    assert all(group.__doc__ for group in groups)


def test_the_file_from_studio_is_looked_for_beside_the_app() -> None:
    root = Path(__file__).parents[3]
    assert (root / "function_app.py").exists()
    assert root / "config.json" == CONFIG_AS_SHIPPED


IDS = {"subscription_id": "s1", "resource_group": "g1", "workspace_name": "w1"}


def test_the_file_from_studio_brings_the_ids(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("DATA", SECRET)
    config.write_text(json.dumps({**IDS, "tenant_id": "more"}))
    found = load()
    assert (found.azure_subscription_id, found.azure_resource_group, found.azureml_workspace) == ("s1", "g1", "w1")


def test_an_app_setting_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("DATA", SECRET)
    monkeypatch.setenv("AZUREML_WORKSPACE", "w2")
    config.write_text(json.dumps(IDS))
    assert load().azureml_workspace == "w2"


@pytest.mark.parametrize(("text", "told"), [("{", "not JSON"), ("[1]", "must hold an object"), ("5", "an object")])
def test_a_broken_file_is_named(monkeypatch: pytest.MonkeyPatch, config: Path, text: str, told: str) -> None:
    _environment(monkeypatch)
    config.write_text(text)
    assert told in _refused()
    assert "config.json" in _refused()


def test_a_file_with_half_of_the_ids_leaves_the_others_missing(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("DATA", SECRET)
    config.write_text(json.dumps({"subscription_id": "s1"}))
    text = _refused()
    assert "AZURE_RESOURCE_GROUP" in text
    assert "AZURE_SUBSCRIPTION_ID" not in text


def test_settings_cannot_be_changed() -> None:
    given: dict[str, Any] = {k.lower(): v for k, v in NEEDED.items()}
    found = Settings(**given)
    with pytest.raises(ValidationError):
        found.min_rows = 5  # type: ignore[misc]


@pytest.mark.parametrize("reference", ["SecretUri=https://v.vault.azure.net/secrets/k", "VaultName=v;SecretName=k, x"])
def test_a_reference_to_a_vault_that_was_not_read_is_no_key(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform then hands the words over as they are, and anybody can guess them."""
    _environment(monkeypatch, SCORING_KEYS=f"@Microsoft.KeyVault({reference})")
    assert keys_in(load().scoring_keys) == ()
