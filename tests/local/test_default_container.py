"""Which serving image a deployment of the local Azure ML runs, and how a person chooses another."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.azureml.__main__ import options_from
from local.azureml.settings import CloudSettings, ServingSettings
from local.parts import local_parts
from local.wiring import wire

START = ["--port", "1", "--identity-port", "2", "--subscription", "s", "--resource-group", "g", "--workspace", "w"]


def test_by_default_it_is_the_image_of_phi_4s_models() -> None:
    assert CloudSettings().serving_of("e/d").container == "fmi"


def test_what_a_pattern_says_counts_before_that() -> None:
    settings = CloudSettings(serving={"e/*": ServingSettings(shape="texts")}, container="score")
    assert (settings.serving_of("e/d").container, settings.serving_of("f/d").container) == (None, "score")


@pytest.mark.parametrize(("chosen", "container"), [([], "fmi"), (["score"], "score"), (["plain"], None)])
def test_the_cloud_is_told_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: list[str], container: str | None
) -> None:
    monkeypatch.setenv("STORAGE_CONNECTION", "x")
    more = ["--container", *chosen] if chosen else []
    options, _ = options_from(["--folder", str(tmp_path), *START, *more])
    assert options.settings.serving_of("e/d").container == container


def test_it_is_set_as_settings_of_the_app_are_and_is_none_of_them(tmp_path: Path) -> None:
    _, _, azureml, host = local_parts(wire(tmp_path), {"LOCAL_CONTAINER": "score", "IDLE_HOURS": "2"})
    assert azureml.command[-2:] == ["--container", "score"]
    assert "LOCAL_CONTAINER" not in host.environment
    assert host.environment["IDLE_HOURS"] == "2"
