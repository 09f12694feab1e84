"""Names that were meant for settings: refused with the nearest one; what belongs to others is left alone."""

from __future__ import annotations

import pytest

from shared.config import names
from shared.config.names import OTHER_NAMES
from shared.config.settings import REMOVED, SettingsError, load, setting_names

NEEDED = {"AZURE_SUBSCRIPTION_ID": "sub", "AZURE_RESOURCE_GROUP": "rg", "AZUREML_WORKSPACE": "ws", "DATA": "x"}
# What environments of clouds, builds and shells have.
FOREIGN = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_SUBSCRIPTION_NAME",
    "AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_STORAGE_CONNECTION_STRING", "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_WORKSPACE_NAME", "AZUREML_RUN_ID", "APPSETTING_AZUREML_WORKSPACE", "APPSETTING_SCORING_KEYS",
    "CUSTOMCONNSTR_DATA", "WEBSITE_SITE_NAME", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_RUNTIME",
    "AzureWebJobsStorage", "APPLICATIONINSIGHTS_CONNECTION_STRING", "IDENTITY_ENDPOINT", "IDENTITY_HEADER",
    "MSI_ENDPOINT", "REGION_NAME", "INSTANCE_TYPE", "AWS_INSTANCE_TYPE", "DATE", "DATABASE", "DATA_DIR", "PRICE",
    "REGISTRY_URL", "COMPONENTS", "MODEL", "BASE_DIR", "BASE_URL", "SYSTEM_DEBUG", "KEEP", "MAX_WORKERS",
    "MIN_WORKERS", "LOG_LEVEL", "HF_HOME", "PIP_INDEX_URL", "GITHUB_RUN_ID", "RUNNER_OS", "HOME", "PATH",
    "SERVING_PORT", "TRAINING_DATA", "ROLLOUT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PYTHONPATH",
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AZUREML_WORKSPCE", "AZUREML_WORKSPACE"),
        ("AZURE_ML_WORKSPACE", "AZUREML_WORKSPACE"),
        ("AZURE_SUBSCRIPTON_ID", "AZURE_SUBSCRIPTION_ID"),
        ("DEPLOY_INSTANCE_TYP", "SERVING_INSTANCE_TYPE"),
        ("SERVING_INSTANCE_TYPES", "SERVING_INSTANCE_TYPE"),
        ("TRAIN_INSTANCE_TYPE", "TRAINING_INSTANCE_TYPE"),
        ("scoring_key", "SCORING_KEYS"),
        ("MAX_RUN_PER_DAY", "MAX_RUNS_PER_DAY"),
        ("IDLE_HOUR", "IDLE_HOURS"),
        ("ROLLOUT_STAGE", "ROLLOUT_STAGES"),
        ("DATA__blobServiceURL", "DATA__blobServiceUri"),
    ],
)
def test_a_misspelt_setting_in_the_environment_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.delenv(meant, raising=False)
    monkeypatch.setenv(name, "3")
    with pytest.raises(SettingsError) as refused:
        load()
    assert f"  {name} is no setting; did you mean {meant}?" in str(refused.value).splitlines()


@pytest.mark.parametrize("name", FOREIGN)
def test_what_belongs_to_others_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "3")
    load()


@pytest.mark.parametrize("name", [*REMOVED, *setting_names()])
def test_a_setting_and_what_was_one_are_not_taken_for_misspelt(name: str) -> None:
    assert list(names.misspelt({name: "x", name.lower(): "x"}, [*setting_names(), *REMOVED])) == []


def test_a_name_beside_the_setting_itself_or_without_a_value_is_somebody_elses() -> None:
    settings = setting_names()
    assert list(names.misspelt({"SCORING_KEY": "x", "SCORING_KEYS": "y"}, settings)) == []
    assert list(names.misspelt({"SCORING_KEY": ""}, settings)) == []
    assert list(names.misspelt({"SCORING_KEY": "x", "SCORING_KEYS": ""}, settings)) == [("SCORING_KEY", "SCORING_KEYS")]


def test_what_others_call_a_setting_leads_to_one() -> None:
    assert set(OTHER_NAMES.values()) <= set(setting_names())
    assert not set(OTHER_NAMES) & set(setting_names())


def test_of_names_that_are_given_one_by_one_every_one_has_to_be_known() -> None:
    settings = setting_names()
    assert list(names.unknown(["look_seconds", "WEBSITE_CORS_ALLOWED_ORIGINS", "PYTHONPATH"], settings)) == []
    found = dict(names.unknown(["IDLE_HUORS", "DATS", "XYZZY"], settings))
    assert found == {"IDLE_HUORS": "IDLE_HOURS", "DATS": "DATA", "XYZZY": ""}
    assert names.in_words("XYZZY", "") == "XYZZY is no setting: docs/settings.md has all"
