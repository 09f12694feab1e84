"""`droptune` against the app's own functions behind a real server: what is printed, and the exit status."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from cli import costing, dropping, target, watching
from cli.__main__ import app
from cli.client import AppClient
from cli.failures import MEANINGS, CommandFailed, Exit
from cli.target import Target, find_target
from shared.errors import ServiceBusy
from shared.ledger.release import ReleaseOutcome
from shared.ledger.rows import HistoryEntry, TrainingEstimate
from shared.ledger.states import DatasetState as D
from shared.ledger.states import ReleaseState
from shared.ledger.states import SnapshotState as S
from shared.ui.sign_in import PageAccess
from tests.builders import DATASET, ENDPOINT, NEWER, SNAPSHOT, a_dataset, a_snapshot, a_trained_snapshot
from tests.fakes import GPU, KEY, START, World, dialogues
from tests.page_client import Markup
from tests.shared.validation.test_freezing import a_row, jsonl


def droptune(*arguments: str, stdin: str = "") -> Result:
    """Runs a command line as a person does."""
    return CliRunner().invoke(app, arguments, input=stdin)


# -- which app ------------------------------------------------------------------------------------


def test_the_environment_names_the_app(tmp_path: Path) -> None:
    given = {target.APP: "https://a.example.net/api/", target.KEY: "k", target.STORAGE: "https://s.example.net"}
    assert find_target(given, tmp_path) == Target("https://a.example.net", "k", "https://s.example.net")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({target.APP: "https://a"}, target.KEY),
        ({target.APP: "a.example.net", target.KEY: "k"}, "https://"),
        ({target.KEY: "k", target.STORAGE: "https://s"}, f"{target.APP} is not"),
    ],
)
def test_half_an_app_is_refused_by_the_name_of_what_is_missing(
    given: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CommandFailed, match=said) as failure:
        find_target(given, tmp_path)
    assert failure.value.status == Exit.USAGE


def test_the_nearest_local_cloud_is_taken_from_any_folder_below(tmp_path: Path) -> None:
    record = tmp_path / target.RECORD
    record.parent.mkdir()
    record.write_text(json.dumps({"app_url": "http://x", "app_key": "k", "storage_connection_string": "c"}))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_target({}, below) == Target("http://x", "k", "c", local=True)
    record.write_text(json.dumps({**json.loads(record.read_text()), "master_key": "m"}))
    assert find_target({}, below).master == "m"
    record.write_text("{")
    with pytest.raises(CommandFailed, match="make up"):
        find_target({}, below)


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(Target("https://a", "secret", "AccountKey=secret"))


# -- what there is --------------------------------------------------------------------------------


def test_an_empty_app_says_what_to_do_first(an_app: World) -> None:
    for arguments in (["ls"], ["ls", "--datasets"]):
        found = droptune(*arguments)
        assert (found.exit_code, "droptune drop" in found.stdout) == (0, True)


def test_snapshots_datasets_and_refusals_are_listed(an_app: World) -> None:
    an_app.services.ledger.create(
        a_snapshot(S.REJECTED, history=(HistoryEntry(state="REJECTED", at=START, reason="r"),))
    )
    an_app.services.ledger.create(a_dataset())
    an_app.storage.put("snapshots", "Notes.txt", b"x")
    from shared.snapshots import intake

    intake.receive(an_app.services, "Notes.txt")
    printed = droptune("ls").stdout
    assert re.search(rf"{SNAPSHOT} +REJECTED .* r", printed)
    assert "refused" in printed
    assert "Notes.txt" in printed
    assert "Notes.txt" in droptune("ls", "--refused").stdout
    assert "no upload was refused" in droptune("ls", DATASET, "--refused").stdout
    assert re.search(rf"{DATASET} +LIVE +{SNAPSHOT} +1 x \S+ +\? ", droptune("ls", "-d").stdout)
    assert [row["id"] for row in json.loads(droptune("ls", "--json").stdout)["snapshots"]] == [SNAPSHOT]


def test_lists_are_filtered_and_go_on_where_the_page_before_ended(an_app: World) -> None:
    for name in ("aa", "ab", "bb"):
        an_app.services.ledger.create(a_dataset(name=name))
    page = droptune("ls", "-d", "--prefix", "a", "--limit", "1").stdout
    assert re.search(r"^aa ", page, re.MULTILINE)
    assert "2 datasets" in page
    before = re.findall(r"--before (\S+)", page)[0]
    page = droptune("ls", "-d", "--prefix", "a", "--limit", "1", "--before", before).stdout
    assert re.search(r"^ab ", page, re.MULTILINE)
    assert "--before" not in page
    assert "no dataset is like that" in droptune("ls", "-d", "--state", "ASLEEP").stdout
    assert "no snapshot is like that" in droptune("ls", "--state", "TRAINING").stdout
    found = droptune("ls", "-d", "--state", "LVE")
    assert (found.exit_code, "one of ASLEEP" in found.stderr) == (Exit.USAGE, True)
    assert droptune("ls", "--sort", "price").exit_code == 2


@pytest.mark.parametrize("name", [SNAPSHOT, SNAPSHOT[:-3], DATASET], ids=["id", "beginning", "dataset"])
def test_a_snapshot_is_found_by_id_by_its_beginning_and_by_its_dataset(an_app: World, name: str) -> None:
    planned = TrainingEstimate(tokens=1000, size="Standard_NC24", machines=1, hours=2.0, basis="set")
    an_app.services.ledger.create(a_trained_snapshot(estimate=planned))
    an_app.services.ledger.create(a_dataset())
    found = droptune("show", name)
    assert found.exit_code == 0, found.stderr
    assert "30 train, 5 validation, 5 test" in found.stdout
    assert "estimate     1,000 tokens, about 2 h of 1 x NC24 (set speed)" in found.stdout
    assert f"next: droptune ask {DATASET}" in found.stdout


def test_a_dataset_means_its_newest_snapshot(an_app: World) -> None:
    for row in (a_snapshot(), a_snapshot(id=NEWER)):
        an_app.services.ledger.create(row)
    assert json.loads(droptune("show", DATASET, "--json").stdout)["id"] == NEWER
    both = droptune("show", f"{DATASET}-2026")
    assert both.exit_code == Exit.NOT_FOUND
    assert "the beginning of 2 snapshots" in both.stderr


def test_an_unknown_name_is_answered_with_the_nearest(an_app: World) -> None:
    an_app.services.ledger.create(a_snapshot())
    found = droptune("show", "suport-bot")
    assert (found.exit_code, found.stdout) == (Exit.NOT_FOUND, "")
    assert f"did you mean {DATASET}?" in found.stderr


def test_the_report_is_printed_as_check_prints_it(an_app: World, tmp_path: Path) -> None:
    from cli.processes import check
    from shared.validation.policy import Policy
    from shared.validation.sources import local_source

    file = tmp_path / "bad.jsonl"
    file.write_bytes(jsonl([a_row(n) for n in range(20)]) + b'{"messages": [{"role": "bot", "content": "x"}]}\n')
    page = check([local_source(file)], Policy()).model_dump_json().encode()
    row = a_trained_snapshot(S.REJECTED)
    assert row.report is not None
    an_app.storage.put("reports", row.report.blob, page)
    an_app.services.ledger.create(row)
    found = droptune("report", DATASET)
    assert found.exit_code == Exit.FAILED
    assert "row 21, messages[0].role: found" in found.stdout
    assert droptune("report", DATASET, "--json").exit_code == Exit.FAILED


def test_what_is_not_there_yet_says_so(an_app: World) -> None:
    an_app.services.ledger.create(a_snapshot())
    found = droptune("report", DATASET)
    assert found.exit_code == Exit.NOT_FOUND
    assert "no report yet" in found.stderr
    assert "no log was kept" in droptune("logs", DATASET).stdout


def test_kept_logs_are_shown(an_app: World) -> None:
    an_app.services.ledger.create(a_trained_snapshot(S.TRAINING_FAILED))
    an_app.storage.put("reports", f"{SNAPSHOT}.training-1.log", b"step 7\nout of memory\n")
    an_app.storage.put("evaluations", f"{SNAPSHOT}/r1.log.json", b'{"inference-server": "no model"}')
    printed = droptune("logs", DATASET).stdout
    assert "== training, attempt 1 ==\nstep 7\nout of memory" in printed
    assert "== deployment r1, inference-server ==\nno model" in printed


# -- doing something ------------------------------------------------------------------------------


def test_a_dataset_is_put_to_sleep_in_the_callers_name(an_app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    an_app.services.ledger.create(a_dataset())
    assert droptune("sleep", SNAPSHOT).exit_code == 0
    asked = an_app.services.ledger.read(f"dataset/{DATASET}").row.requested
    assert (asked.what, asked.by) == ("sleep", "ada")


def test_what_cannot_be_done_now_is_declined_with_the_reason(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset(D.EMPTY))
    found = droptune("wake", DATASET)
    assert (found.exit_code, found.stdout) == (Exit.FAILED, "")
    assert found.stderr.startswith("droptune: ")
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize("action", ["sleep", "wake", "rollback", "resume", "pause", "unpause", "rm"])
def test_an_unknown_dataset_is_not_found_and_the_nearest_is_named(an_app: World, action: str) -> None:
    an_app.services.ledger.create(a_dataset(D.LIVE))
    found = droptune(action, "suport-bot")
    assert found.exit_code == Exit.NOT_FOUND
    assert f"did you mean {DATASET}?" in found.stderr
    assert "`droptune ls` shows what there is" in droptune(action, "nobody").stderr


@pytest.mark.parametrize("words", [("report",), ("costs",), ("ask", "-"), ("show",)])
def test_what_is_missing_is_told_in_commands_and_not_in_routes(an_app: World, words: tuple[str, ...]) -> None:
    found = droptune(words[0], "nobody", *words[1:])
    assert (found.exit_code, "`droptune ls`" in found.stderr, "GET /api" in found.stderr) == (3, True, False)


@pytest.mark.parametrize(
    "words", [("ls", "--state", "SOLD"), ("ls", "-d", "--sort", "age"), ("costs", "--month", "2026-13")]
)
def test_a_value_that_the_app_does_not_know_is_a_wrong_command_line(an_app: World, words: tuple[str, ...]) -> None:
    assert droptune(*words).exit_code == Exit.USAGE


def test_what_happened_goes_on_behind_the_registered_model(an_app: World) -> None:
    an_app.services.ledger.create(a_trained_snapshot(S.REGISTERED))
    row = a_dataset()
    entry = HistoryEntry(state="LIVE", at=row.history[-1].at + 60 if row.history else 4e9, reason=f"{SNAPSHOT} serves")
    an_app.services.ledger.create(msgspec.structs.replace(row, history=(*row.history, entry)))
    assert f"{SNAPSHOT} serves" in droptune("show", SNAPSHOT).stdout.split("REGISTERED")[-1]


def test_a_check_that_does_not_exist_is_refused_by_the_app(an_app: World) -> None:
    an_app.services.ledger.create(a_snapshot(S.REJECTED))
    found = droptune("override", DATASET, "--what", "sense")
    assert found.exit_code == Exit.USAGE
    assert "sense" in found.stderr


# -- asking ---------------------------------------------------------------------------------------


def test_an_answer_is_printed(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset())
    an_app.workspace.endpoints.write(ENDPOINT, {}, {})
    for found in (droptune("ask", DATASET, "Why?"), droptune("ask", DATASET, stdin="Why?")):
        assert (found.exit_code, found.stdout) == (0, "an answer\n"), found.stderr


def test_a_dataset_whose_only_snapshot_was_refused_is_not_to_be_asked_again(an_app: World) -> None:
    entry = HistoryEntry(state="REJECTED", at=START, reason="bad")
    an_app.services.ledger.create(a_snapshot(S.REJECTED, history=(entry,)))
    an_app.services.ledger.create(a_dataset(D.EMPTY, live=None))
    asked = droptune("ask", DATASET, "Why?")
    assert (asked.exit_code, f"{SNAPSHOT} is REJECTED" in asked.stderr) == (Exit.NOT_FOUND, True)
    assert "try again" not in asked.stderr


def test_a_wrong_key_is_told_from_an_unknown_model(an_app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    an_app.services.ledger.create(a_dataset())
    unknown = droptune("ask", "suport-bot", "Why?")
    assert unknown.exit_code == Exit.NOT_FOUND
    assert f"did you mean {DATASET}?" in unknown.stderr
    monkeypatch.setenv(target.KEY, "another-key-than-that")
    refused = droptune("ask", DATASET, "Why?")
    assert refused.exit_code == Exit.NO_ACCESS
    assert "another-key" not in refused.stderr


def test_an_app_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from local.ports import free_port

    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv(target.APP, address)
    monkeypatch.setenv(target.KEY, KEY)
    found = droptune("ls")
    assert found.exit_code == Exit.UNREACHABLE
    assert address in found.stderr


def test_storage_that_is_busy_is_tried_later(an_app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    monkeypatch.setattr(an_app.services.ledger.__class__, "list", busy)
    found = droptune("ls")
    assert found.exit_code == Exit.UNREACHABLE
    assert "storage is busy; try again in 10 s" in found.stderr


# -- the doctor -----------------------------------------------------------------------------------


def test_the_doctor_asks_the_app_where_its_settings_are_not_here(
    an_app: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.operations import doctor
    from shared.operations.doctor.report import DoctorReport, well, wrong

    asked: list[bool] = []

    def examined(services: Any, with_event: bool) -> DoctorReport:
        asked.append(with_event)
        return DoctorReport([well("it answers").of("app"), wrong("no cluster", "make one").of("cluster")])

    monkeypatch.setattr(doctor, "examine", examined)
    for name in ("AZUREML_WORKSPACE", "DATA", "DATA__blobServiceUri"):
        monkeypatch.delenv(name, raising=False)
    found = droptune("doctor", "--event")
    assert (found.exit_code, asked) == (1, [True]), found.stderr
    assert found.stdout == "   well  app: it answers\n  wrong  cluster: no cluster\n         make one\n"


def test_the_doctor_of_an_app_that_does_not_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from local.ports import free_port

    monkeypatch.setenv(target.APP, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv(target.KEY, KEY)
    for name in ("AZUREML_WORKSPACE", "DATA", "DATA__blobServiceUri"):
        monkeypatch.delenv(name, raising=False)
    found = droptune("doctor")
    assert found.exit_code == Exit.UNREACHABLE
    assert "does not answer" in found.stderr


# -- watching -------------------------------------------------------------------------------------


def test_each_change_is_told_once_and_the_end_decides_the_status(
    an_app: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = an_app.services.ledger
    ledger.create(a_snapshot(S.VALIDATING, waiting="many uploads arrived at once"))

    def moved_on() -> None:
        def ended(row: Any) -> Any:
            entry = HistoryEntry(state="REJECTED", at=START + 60, reason="row 3 is bad")
            return row.but(state=S.REJECTED, history=(*row.history, entry), waiting="")

        ledger.change(f"snapshot/{SNAPSHOT}", ended)

    with AppClient(find_target()) as client:
        told = list(watching.changes(client, SNAPSHOT, moved_on))
    assert [change["state"] for change in told] == ["VALIDATING", "VALIDATING", "REJECTED", "REJECTED"]
    assert told[1]["waiting"] == "many uploads arrived at once"
    found = droptune("watch", DATASET)
    assert found.exit_code == Exit.FAILED
    assert found.stdout.count("row 3 is bad") == 1
    assert f"{SNAPSHOT} is REJECTED\n" in found.stdout
    lines = [json.loads(line) for line in droptune("watch", DATASET, "--json").stdout.splitlines()]
    assert lines[-1]["ended"] is True


def test_the_release_of_a_snapshot_is_part_of_its_story(an_app: World) -> None:
    an_app.services.ledger.create(a_trained_snapshot(history=(HistoryEntry(state="REGISTERED", at=START),)))
    told = (
        ("DEPLOYING", f"release of {SNAPSHOT}"),
        ("SHIFTING", "10 % of the traffic"),
        ("LIVE", f"{SNAPSHOT} serves"),
        ("DEPLOYING", f"release of {NEWER}"),
        ("EVALUATING", "another one's"),
        ("LIVE", f"{NEWER}: WITHHELD: it knows nothing"),
        ("SLEEPING", "asked to"),
    )
    history = tuple(HistoryEntry(state=s, at=START + n, reason=why) for n, (s, why) in enumerate(told, 1))
    an_app.services.ledger.create(a_dataset())
    an_app.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(history=history))
    with AppClient(find_target()) as client:
        states = [(change["state"], change["reason"]) for change in watching.changes(client, SNAPSHOT, lambda: None)]
    assert states[:-1] == [("REGISTERED", ""), *told[:3]]


def test_a_release_that_ended_badly_is_told_by_what_became_of_the_snapshot(an_app: World) -> None:
    an_app.services.ledger.create(a_trained_snapshot(history=(HistoryEntry(state="REGISTERED", at=START),)))
    why = "24 of 24 answered: worse\nthan live"
    told = (("DEPLOYING", f"release of {SNAPSHOT}"), ("LIVE", f"{SNAPSHOT}: WITHHELD: {why}"))
    history = tuple(HistoryEntry(state=s, at=START + n, reason=why) for n, (s, why) in enumerate(told, 1))
    ended = {SNAPSHOT: ReleaseOutcome(state=ReleaseState.WITHHELD, at=START + 2, reason=why)}
    an_app.services.ledger.create(a_dataset(live=None, candidate=None, outcomes=ended))
    an_app.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(history=history))
    with AppClient(find_target()) as client:
        states = [(change["state"], change["reason"]) for change in watching.changes(client, SNAPSHOT, lambda: None)]
    assert states[-2:] == [("WITHHELD", why), ("WITHHELD", why)]
    printed = droptune("watch", SNAPSHOT).stdout
    assert printed.count("24 of 24 answered") == 1
    assert f"{SNAPSHOT} is WITHHELD\n" in printed


@pytest.mark.parametrize("path", ["Bad.jsonl", f"Bad/{'x' * 240}.jsonl"], ids=["short", "cut in the list"])
def test_an_upload_whose_path_was_refused_ends_with_the_reason(an_app: World, path: str) -> None:
    from shared.snapshots import intake

    an_app.storage.put("snapshots", path, b"x")
    intake.receive(an_app.services, path)
    with AppClient(find_target()) as client, pytest.raises(CommandFailed, match="is not a dataset name"):
        watching.await_snapshot(client, SNAPSHOT, path, lambda _: pytest.fail("it is refused already"))


def test_a_reason_that_a_list_cuts_says_that_it_goes_on(an_app: World) -> None:
    reason = "row 7 has no answer; " * 20
    entry = HistoryEntry(state="REJECTED", at=START, reason=reason)
    an_app.services.ledger.create(a_snapshot(S.REJECTED, history=(entry,)))
    (listed,) = json.loads(droptune("ls", "--json").stdout)["snapshots"]
    assert (len(listed["reason"]), listed["reason"][-1], reason.startswith(listed["reason"][:-1])) == (160, "…", True)
    assert json.loads(droptune("show", SNAPSHOT, "--json").stdout)["reason"] == reason


def test_an_upload_that_no_event_tells_of_is_not_waited_for_without_end(
    an_app: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "UNSEEN_SECONDS", 0.0)
    with AppClient(find_target()) as client, pytest.raises(CommandFailed, match="event subscription") as failure:
        watching.await_snapshot(client, SNAPSHOT, "x.jsonl", lambda _: None)
    assert failure.value.status == Exit.UNREACHABLE


# -- dropping -------------------------------------------------------------------------------------


def test_a_folder_goes_up_with_its_marker_last_and_nothing_of_an_earlier_drop(tmp_path: Path) -> None:
    folder = tmp_path / "support-bot"
    folder.mkdir()
    for name in ("train.jsonl", "test.jsonl", "snapshot.json", "README.md", ".hidden", "_SUCCESS"):
        (folder / name).write_text("{}")
    first, later = (dropping.plan(folder, now=datetime(2026, 1, 1, 0, 0, second)) for second in (1, 2))
    names = [one.path.rpartition("/")[2] for one in first]
    assert names == ["test.jsonl", "train.jsonl", "snapshot.json", "_SUCCESS"]
    assert {one.path.split("/")[0] for one in first} == {"support-bot"}
    assert not {one.path for one in first} & {one.path for one in later}


@pytest.mark.parametrize(
    ("name", "dataset", "path"),
    [
        ("faq.jsonl", "", "faq.jsonl"),
        ("Big Export.jsonl.gz", "faq", "faq.jsonl.gz"),
        ("v1.2.parquet", "faq", "faq.parquet"),
    ],
)
def test_a_file_takes_the_datasets_name(tmp_path: Path, name: str, dataset: str, path: str) -> None:
    (tmp_path / name).write_text("{}")
    assert [one.path for one in dropping.plan(tmp_path / name, dataset)] == [path]


def test_options_beside_a_file_go_up_before_it(tmp_path: Path) -> None:
    (tmp_path / "Big Export.jsonl.gz").write_text("{}")
    (tmp_path / "Big Export.snapshot.json").write_text("{}")
    found = dropping.plan(tmp_path / "Big Export.jsonl.gz", "faq")
    assert [one.path for one in found] == ["faq.snapshot.json", "faq.jsonl.gz"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.csv.gz"])
def test_what_has_to_be_converted_is_told_with_the_command(name: str, tmp_path: Path) -> None:
    """Also in a folder."""
    folder = tmp_path / "my data"
    folder.mkdir()
    (folder / name).write_text("{}")
    for source in (folder / name, folder):
        with pytest.raises(CommandFailed) as failed:
            dropping.plan(source, "faq")
        assert f"`droptune prepare '{source}' --out FOLDER`" in str(failed.value)


@pytest.mark.parametrize(
    ("name", "said"), [("Big Export.jsonl", "--dataset"), ("rows.txt", "ends in .jsonl"), ("none.jsonl", "no file")]
)
def test_what_the_app_would_refuse_is_refused_before_the_upload(tmp_path: Path, name: str, said: str) -> None:
    if name != "none.jsonl":
        (tmp_path / name).write_text("{}")
    with pytest.raises(CommandFailed, match=said):
        dropping.plan(tmp_path / name)


def test_bad_rows_are_not_uploaded(an_app: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(target.STORAGE, "https://unreachable.invalid")
    file = tmp_path / "faq.jsonl"
    file.write_text('{"messages": []}\n' * 20)
    found = droptune("drop", str(file))
    assert found.exit_code == Exit.FAILED
    assert "not dropped" in found.stdout
    assert "`droptune override`" in found.stdout, "the app would refuse them as well"
    assert "read        340 B in" in found.stdout
    assert "MB/s" not in found.stdout, "so little says nothing of the speed"


def test_a_dropped_file_has_the_id_that_the_app_gives_it(
    an_app: World, tmp_path: Path, azurite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the real SDK: name, time and ETag are what storage said."""
    from azure.storage.blob import BlobServiceClient

    from shared import naming

    with BlobServiceClient.from_connection_string(azurite.connection_string) as account:
        container = account.get_container_client("snapshots")
        if not container.exists():
            container.create_container()
        file = tmp_path / "faq.jsonl"
        file.write_bytes(jsonl([a_row(n) for n in range(20)]))
        sent: list[int] = []
        monkeypatch.setattr(dropping, "_bar", lambda total, quiet: _hearing(sent))
        snapshot = dropping.upload(account, dropping.plan(file))
    with BlobServiceClient.from_connection_string(azurite.connection_string) as account:
        found = account.get_blob_client("snapshots", "faq.jsonl").get_blob_properties()
    modified, etag = found["last_modified"].timestamp(), str(found["etag"])
    assert snapshot == naming.snapshot_id("faq", modified, "snapshots/faq.jsonl", etag)
    assert sum(sent) == file.stat().st_size


def _hearing(sent: list[int]) -> Any:
    return contextlib.nullcontext(sent.append)


# -- help -----------------------------------------------------------------------------------------


def test_help_names_every_command_and_exit_status() -> None:
    printed = droptune("--help").stdout
    assert all(meaning.split(":")[0].split(",")[0] in " ".join(printed.split()) for meaning in MEANINGS.values())
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.strip("_")  # type: ignore[union-attr]
        assert re.search(rf"^ +{name} ", printed, re.MULTILINE), name
        assert " ".join((command.callback.__doc__ or "-").split()) in " ".join(printed.split()), "cut off"
    statuses = printed[printed.index("Exit statuses:") :].strip().splitlines()
    assert [line.split()[0] for line in statuses[1:] if line[:5].strip()] == [str(one.value) for one in MEANINGS]
    assert "" not in statuses
    assert max(map(len, statuses)) <= 80


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, cli.__main__; print(*[m for m in ('azure', 'httpx', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# -- what it costs --------------------------------------------------------------------------------


def test_costs_are_told_by_dataset_by_snapshot_and_by_night(an_app: World) -> None:
    an_app.settings |= {"prices": {GPU: 2.0}, "currency": "EUR"}
    an_app.services = an_app.new_process()
    assert "nothing cost anything" in droptune("costs").stdout
    an_app.services.ledger.create(a_dataset())
    an_app.clock.now += 4
    assert re.search(rf"{DATASET} +0 +0.00 +0.001 +<0.01 +<0.01", droptune("costs").stdout), "some time costs something"
    an_app.clock.now += 7196
    printed = droptune("costs").stdout
    assert re.search(rf"{DATASET} +0 +0.00 +2 +4.00 +4.00", printed)
    assert "4.00 EUR as far as prices are known" in printed
    assert "not counted: storage" in printed
    assert re.search(rf"{SNAPSHOT} +0 +0.00 +2 +4.00 +4.00", droptune("costs", SNAPSHOT).stdout)
    assert json.loads(droptune("costs", "--json").stdout)["total"]["spent"] == 4.0
    assert "there was no nightly round yet" in droptune("costs", "--nights").stdout
    from shared.operations import nightly

    nightly.run(an_app.services)
    assert re.search(r"T\d{6} +0 +0.00 EUR +idle endpoints", droptune("costs", "--nights").stdout)
    wrong = droptune("costs", "--month", "May")
    assert (wrong.exit_code, "such as 2026-11" in wrong.stderr) == (Exit.USAGE, True)
    assert droptune("costs", "nobody").exit_code == 3


def test_what_is_not_known_of_a_cost_is_said(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset())
    an_app.clock.now += 3600
    assert f"not known: PRICES has no price of {GPU}; 1 h have no price" in droptune("costs").stdout


def test_a_drop_says_what_its_training_will_cost_once_its_rows_are_checked(
    an_app: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_app.settings |= {"prices": {GPU: 2.0}, "currency": "EUR", "training_tokens_per_second": 0.1}
    an_app.services = an_app.new_process()
    file = tmp_path / "support-bot.jsonl"
    file.write_bytes(dialogues(40))
    with AppClient(find_target()) as client:
        assert dropping._passes(client, file, as_json=False)
    printed = capsys.readouterr().out
    assert re.search(
        r"training will go through [\d,]+ tokens, about [\d.]+ (?:h|min) of 1 x \S+ \(set speed\), about [\d.]+ EUR",
        printed,
    )
    file.write_text("{}\n")
    with AppClient(find_target()) as client:
        assert not dropping._passes(client, file, as_json=False)
    assert "training will" not in capsys.readouterr().out


def test_an_app_that_does_not_say_what_training_costs_keeps_nobody_from_dropping(an_app: World, tmp_path: Path) -> None:
    file = tmp_path / "support-bot.jsonl"
    file.write_bytes(dialogues(40))
    with AppClient(Target("http://127.0.0.1:9", "k", "c")) as client:
        assert dropping._passes(client, file, as_json=False)


# -- deleting -------------------------------------------------------------------------------------


def test_rm_shows_what_goes_and_deletes_nothing_where_nobody_can_be_asked(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset(D.LIVE))
    found = droptune("rm", DATASET)
    assert (found.exit_code, "--yes" in found.stderr) == (Exit.USAGE, True)
    assert "goes" in found.stdout
    assert "stays" in found.stdout
    assert "an hour" in found.stdout
    assert an_app.services.ledger.read(f"dataset/{DATASET}").row.state == D.LIVE


def test_rm_deletes_at_once_when_it_is_told_to(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset(D.LIVE))
    found = droptune("rm", DATASET, "--yes", "--files")
    assert (found.exit_code, "will be deleted" in found.stdout) == (0, True)
    row = an_app.services.ledger.read(f"dataset/{DATASET}").row
    assert (row.state, row.deletion.with_files) == (D.DELETING, True)


def test_rm_of_what_is_not_there_is_not_found(an_app: World) -> None:
    assert droptune("rm", "nobody").exit_code == Exit.NOT_FOUND
    assert droptune("rm", "nobody", "--yes").exit_code == Exit.NOT_FOUND


# -- the nightly round ----------------------------------------------------------------------------


def test_night_is_dry_unless_it_is_asked_for_real(an_app: World) -> None:
    an_app.services.ledger.create(a_dataset(D.LIVE))
    found = droptune("night")
    assert found.exit_code == 0
    assert DATASET in found.stdout
    assert "nothing was done" in found.stdout
    assert not an_app.storage.messages or "night" not in {message for _, _, message in an_app.storage.messages}
    found = droptune("night", "--for-real")
    assert (found.exit_code, "begins" in found.stdout) == (0, True)
    assert "night" in {message for _, _, message in an_app.storage.messages}


@pytest.mark.parametrize(
    ("hours", "cost", "said"),
    [
        (0.0, 0.0, "under a minute of 2 x NC24 (set speed), less than 0.01 EUR"),
        (0.25, 1.5, "about 15 min of 2 x NC24 (set speed), about 1.50 EUR"),
        (3.25, 1234.5, "about 3.25 h of 2 x NC24 (set speed), about 1,234.50 EUR"),
        (None, None, "5,000 tokens; the time or price is not known: a speed"),
    ],
)
def test_an_estimate_is_told_in_words_that_fit_its_size(hours: float | None, cost: float | None, said: str) -> None:
    known = {"tokens": 5000, "machines": 2, "size": "Standard_NC24", "basis": "set", "currency": "EUR"}
    missing = ["a speed"] if hours is None else []
    assert said in costing.in_words({**known, "hours": hours, "cost": cost, "unknown": missing})


# -- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "path"), [((), ""), ((DATASET,), f"/datasets/{DATASET}"), ((SNAPSHOT,), f"/snapshots/{SNAPSHOT}")]
)
def test_open_prints_the_address_and_never_the_key(
    an_app: World, served: str, named: tuple[str, ...], path: str
) -> None:
    found = droptune("open", *named, "--no-browser")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0] == f"{served}/api/ui{path}"
    assert KEY not in found.stdout
    assert json.loads(droptune("open", *named, "--no-browser", "--json").stdout) == {
        "address": f"{served}/api/ui{path}"
    }


def test_open_has_a_file_of_the_users_own_sign_the_browser_in(
    an_app: World, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", opened.append)
    for _ in range(2):
        assert droptune("open", "support-bot").exit_code == 0
    file = tmp_path / "droptune" / "open.html"
    assert opened == [file.as_uri()] * 2, "others can read what programs are run with: neither key nor ticket is there"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    page = Markup(file.read_text())
    assert page.forms == {f"{served}/api/ui/sign-in"}
    fields = {str(a["name"]): str(a["value"]) for tag, a in page.tags if tag == "input"}
    assert (fields["next"], fields["plain"]) == ("/api/ui/datasets/support-bot", "1")
    assert PageAccess((KEY,), (), "", time.time).enter(fields["ticket"])
    assert KEY not in file.read_text()


def test_open_shows_the_page_where_no_file_can_be_written(
    an_app: World, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    (tmp_path / "droptune").write_bytes(b"no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert droptune("open").exit_code == 0
    assert opened == [f"{served}/api/ui"]
