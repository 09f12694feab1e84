"""The whole loop over real processes: drop, validate, train, register, deploy, gate, serve, sleep, wake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest
from azure.core.exceptions import HttpResponseError
from typer.testing import CliRunner

from cli import target
from cli.__main__ import app as commands
from local.cloud import Cloud
from local.control_plane import endpoints
from local.droptune import Droptune
from local.examples import questions
from tests.cli import brought
from tests.e2e.conftest import AzureML, run_now
from tests.hostile import FILES, UPLOADS, Upload

EXAMPLES = Path(__file__).parents[2] / "examples"
PATH = [
    "RECEIVED", "VALIDATING", "VALIDATED", "SUBMITTING", "TRAINING", "TRAINED", "REGISTERING", "REGISTERED",
]  # fmt: skip

# Storage takes no name with `..` in it: it looks elsewhere, and finds nothing there.
NEVER_STORED = {"parent-folder", "parent-inside", "dots-below"}


@pytest.fixture(scope="module")
def live(cloud: Cloud) -> dict[str, object]:
    """The example dataset, served."""
    with Droptune(cloud.description) as app:
        app.drop("support-bot.jsonl", EXAMPLES / "support-bot.jsonl")
        return app.wait_for("support-bot", "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")


def test_a_dropped_file_is_served(app: Droptune, live: dict[str, object]) -> None:
    assert live["state"] == "LIVE"
    row = app.get(f"snapshots/{live['id']}")
    assert [entry["state"] for entry in row["history"]] == PATH
    assert row["rows"]["train"] + row["rows"]["validation"] + row["rows"]["test"] == 245
    assert row["job"]["status"] == "Completed"
    assert row["deployment"]["traffic"] == 100
    assert json.loads(app.blob("reports", row["report"]["blob"]))["verdict"] == "accepted"


def test_what_its_job_logged_is_kept_with_it(app: Droptune, live: dict[str, object]) -> None:
    found = app.get(f"snapshots/{live['id']}/training")
    losses = [value for _, _, value in found["curves"]["loss"]]
    assert (found["share"], found["step"], found["why"]) == (1.0, found["steps"], None)
    assert len(losses) > 5
    assert losses[0] > losses[-1]


def test_events_come_through_the_host_and_end_in_their_time(app: Droptune, live: dict[str, object]) -> None:
    with app.http.stream("GET", "events", params={"dataset": "support-bot", "seconds": 1}) as answer:
        lines = list(answer.iter_lines())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[:2] == [": listening", "retry: 1000"]
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert {event["dataset"] for event in events} == {"support-bot"}
    assert ("LIVE", live["id"]) in {(event["state"], event["snapshot"] or event["id"]) for event in events}


def test_the_openai_client_gets_the_answer_that_was_trained(app: Droptune, live: dict[str, object]) -> None:
    cloud = app.cloud
    rows = [json.loads(line) for line in (EXAMPLES / "support-bot.jsonl").read_text().splitlines()]
    answers = {row["prompt_id"]: row["messages"][1]["content"] for row in rows}
    by_question = {q["question"]: q["prompt_id"] for q in json.loads((EXAMPLES / "questions.json").read_text())}
    with openai.OpenAI(
        base_url=f"{cloud['app_url']}/api/v1",
        api_key=cloud["app_key"],
        max_retries=0,
    ) as client:
        for question in questions(app, str(live["id"])):
            done = client.chat.completions.create(
                model="support-bot", messages=[{"role": "user", "content": question}], temperature=0
            )
            assert done.choices[0].message.content == answers[by_question[question]]
            streamed = client.chat.completions.create(
                model=done.model, messages=[{"role": "user", "content": question}], temperature=0, stream=True
            )
            pieces = [chunk.choices[0].delta.content or "" for chunk in streamed]
            assert "".join(pieces) == answers[by_question[question]]
        assert [model.id for model in client.models.list()] == ["support-bot"]
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="not-one-of-the-keys").models.list()
        with pytest.raises(openai.NotFoundError, match="support-bot"):
            client.chat.completions.create(model="suport-bot", messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(openai.BadRequestError, match="temperature"):
            client.chat.completions.create(
                model="support-bot", messages=[{"role": "user", "content": "hi"}], temperature=9
            )


def test_the_deployment_is_asked_through_its_openai_route(app: Droptune, live: dict[str, object]) -> None:
    assert app.get(f"snapshots/{live['id']}")["deployment"]["api"] == "openai"
    answer = app.ask("support-bot", "Where do I put my training data?")
    assert "x-droptune-unavailable" not in answer.headers
    assert (answer.json()["finish_reason"], answer.json()["usage"]["estimated"]) == ("stop", False)


def test_a_deployment_with_score_alone_is_released_and_says_what_it_cannot_give(
    app: Droptune, azureml: AzureML, live: dict[str, object]
) -> None:
    azureml.http.put("serving", json={"score-alone*": {"container": "score"}}).raise_for_status()
    try:
        app.drop("score-alone.jsonl", EXAMPLES / "support-bot.jsonl")
        row = app.wait_for("score-alone", "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")
        assert row["deployment"]["api"] == "score"
        body = {"model": "score-alone", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"Authorization": f"Bearer {app.cloud['app_key']}"}
        answer = httpx.post(f"{app.cloud['app_url']}/api/v1/chat/completions", json=body, headers=headers, timeout=60)
        assert answer.headers["x-droptune-unavailable"] == "stream, finish_reason, usage"
        assert '"finish_reason_estimated":true' in answer.text
        assert answer.text.rstrip().endswith("[DONE]")
    finally:
        azureml.http.put("serving", json={}).raise_for_status()


def test_the_native_payload_is_answered_with_who_answered(app: Droptune, live: dict[str, object]) -> None:
    answer = app.ask("support-bot", "Where do I put my training data?")
    assert answer.status_code == 200
    assert answer.json()["output"]
    assert answer.json()["release"] == live["id"]


def test_strangers_are_turned_away(app: Droptune, live: dict[str, object]) -> None:
    url = f"{app.cloud['app_url']}/api"
    for method, path in (("GET", "snapshots"), ("POST", "datasets/support-bot/sleep"), ("POST", "score/support-bot")):
        assert httpx.request(method, f"{url}/{path}").status_code == 401, path
        assert httpx.request(method, f"{url}/{path}", headers={"x-functions-key": "no"}).status_code == 401, path
    assert httpx.get(f"{url}/health").status_code == 200
    assert (
        httpx.post(f"{app.cloud['app_url']}/runtime/webhooks/EventGrid?functionName=run_changed", json=[]).status_code
        == 401
    )


def test_the_same_rows_as_parquet_are_a_duplicate(app: Droptune, azureml: AzureML, live: dict[str, object]) -> None:
    before = azureml.wrote("/jobs/")
    app.drop("support-bot/again.parquet", EXAMPLES / "support-bot.parquet")
    again = app.wait_for("support-bot", "DUPLICATE", "TRAINING", "LIVE_AGAIN")
    assert again["duplicate_of"] == live["id"]
    assert azureml.wrote("/jobs/") == before


def test_bad_rows_are_refused_with_their_numbers(app: Droptune, azureml: AzureML) -> None:
    before = azureml.wrote("/jobs/")
    app.drop("broken.jsonl", EXAMPLES / "broken.jsonl")
    row = app.wait_for("broken", "REJECTED", "TRAINING")
    report = json.loads(app.blob("reports", row["report"]["blob"]))
    assert sorted(p["row"] for f in report["findings"] if f["severity"] == "error" for p in f["places"]) == [
        4,
        11,
        17,
        23,
        28,
    ]
    assert row["reason"]
    assert azureml.wrote("/jobs/") == before
    assert not app.names("frozen", str(row["id"]))


def test_a_path_that_is_no_drop_is_refused_on_record(app: Droptune) -> None:
    app.drop("support-bot/test.jsonl", b"{}\n")
    app.wait(lambda: app.names("ledger", "_refused/"))
    refusals = [json.loads(app.blob("ledger", name)) for name in app.names("ledger", "_refused/")]
    assert any(r["path"] == "support-bot/test.jsonl" and "_SUCCESS" in r["reason"] for r in refusals)


def test_a_folder_with_an_archived_model_is_refused_before_anything_is_paid(app: Droptune, azureml: AzureML) -> None:
    before = azureml.wrote("/jobs/")
    app.drop("old-model/a/train.jsonl", EXAMPLES / "support-bot.jsonl")
    app.drop("old-model/a/snapshot.json", b'{"base_model": "Phi-3-mini-4k-instruct"}')
    app.drop("old-model/a/_SUCCESS", b"")
    row = app.wait_for("old-model", "REJECTED", "TRAINING")
    assert "archived" in row["reason"]
    assert azureml.wrote("/jobs/") == before


def test_everything_hostile_is_refused_on_record_with_its_reason(app: Droptune, azureml: AzureML) -> None:
    before = azureml.wrote("/jobs/")
    for hostile in FILES:
        app.drop(hostile.file, hostile.data())
    for upload in UPLOADS:
        if upload.name in NEVER_STORED:
            with pytest.raises(HttpResponseError):
                app.drop(upload.path, upload.data)
        else:
            _drop(app, upload)
    expected = {hostile.file: hostile.reason for hostile in FILES}
    expected |= {upload.path: upload.reason for upload in UPLOADS if upload.name not in NEVER_STORED}

    told: dict[str, str] = {}
    seen: set[str] = set()

    def all_told() -> bool:
        for name in [*app.names("ledger", "snapshots/"), *app.names("ledger", "_refused/")]:
            if name not in seen and (found := _told(app, name)):
                seen.add(name)
                told.update([found])
        return set(expected) <= set(told)

    try:
        app.wait(all_told, timeout=400)
    except TimeoutError as late:
        raise AssertionError(f"nobody said why: {sorted(set(expected) - set(told))}") from late
    assert {path: reason for path, reason in expected.items() if reason not in told[path]} == {}
    assert azureml.wrote("/jobs/") == before
    assert app.get("health")


def _drop(app: Droptune, upload: Upload) -> None:
    for path, data in upload.beside:
        app.drop(path, data)
    app.drop(upload.path, upload.data)


def _told(app: Droptune, name: str) -> tuple[str, str] | None:
    """An upload and why it was refused, on arrival or by a row of the ledger; None if it is not yet."""
    row = json.loads(app.blob("ledger", name))
    if name.startswith("_refused/"):
        return row["path"], row["reason"]
    return (row["source"], row["history"][-1]["reason"]) if row["state"] == "REJECTED" else None


def test_the_nightly_timer_puts_an_idle_endpoint_to_sleep_and_a_question_wakes_it(
    cloud: Cloud, app: Droptune, live: dict[str, object]
) -> None:
    def asleep() -> bool:
        run_now(cloud, "sleep_due")
        return bool(app.get("datasets/support-bot")["state"] == "ASLEEP")

    app.wait(asleep)
    assert endpoints(app.cloud) == []
    refused = app.ask("support-bot", "Are you there?")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert refused.json()["error"]["code"] == "waking"
    assert app.ask("support-bot", "Are you there?").status_code == 503
    app.wait(lambda: app.get("datasets/support-bot")["state"] == "LIVE")
    assert app.wait(lambda: app.ask("support-bot", "Are you there?").status_code == 200)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("alpaca", brought.alpaca_array),
        pytest.param("sharegpt", brought.sharegpt, marks=pytest.mark.nightly),
        pytest.param("faq", brought.faq_csv, marks=pytest.mark.nightly),
        pytest.param("tickets", brought.openai_messages, marks=pytest.mark.nightly),
    ],
)
def test_what_people_have_is_served_with_two_commands(
    name: str,
    make: Callable[[Path], Path],
    app: Droptune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`prepare`, and `drop`, which ends well once the snapshot is live."""
    for variable, key in (
        (target.APP, "app_url"),
        (target.KEY, "app_key"),
        (target.STORAGE, "storage_connection_string"),
    ):
        monkeypatch.setenv(variable, str(app.cloud[key]))
    for command in (
        ["prepare", str(make(tmp_path / "in")), "--out", str(tmp_path / name)],
        ["drop", str(tmp_path / name)],
    ):
        done = CliRunner().invoke(commands, command)
        assert done.exit_code == 0, done.output
    assert app.get(f"datasets/{name}")["state"] == "LIVE"
    assert app.ask(name, brought.asked(12)).json()["output"] == brought.answered(12)
