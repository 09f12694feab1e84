"""The app of a local cloud imports a dataset of the Hub, which stands on loopback, and serves what came of it; and a
webhook is told, signed."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from local.cloud import Cloud
from local.droptune import Droptune
from shared.azure.notifications import signature, signing_key
from tests.e2e.conftest import SETTINGS
from tests.hub_server import hub_server

pytestmark = pytest.mark.nightly
SECRET = "the-secret-of-the-webhook"


def _part(word: str) -> bytes:
    made = io.BytesIO()
    rows = [{"question": f"What is {word}{n}?", "answer": f"It is number {n} of {word}."} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), made)
    return made.getvalue()


class Receiver(ThreadingHTTPServer):
    """A webhook that keeps what it is sent, with the headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ReceiverHandler)
        self.received: list[tuple[Any, bytes]] = []


class _ReceiverHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.server.received.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_dataset_of_the_hub_is_imported_served_and_told_of(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> None:
    files = {f"data/train-0000{n}-of-00002.parquet": _part(word) for n, word in enumerate("ab")}
    with hub_server({"owner/faq": files}) as hub:
        hooks = {
            "NOTIFY_WEBHOOK": f"http://127.0.0.1:{receiver.server_port}/told",
            "NOTIFY_WEBHOOK_SECRET": SECRET,
        }
        settings = {
            **SETTINGS,
            **hooks,
            "IMPORT_SOURCES": "owner/*",
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path_factory.mktemp("hf")),
        }
        with Cloud(tmp_path_factory.mktemp("cloud"), settings=settings) as cloud, Droptune(cloud.description) as app:
            answer = app.post("imports?by=ada", {"source": "owner/faq", "dataset": "faq"})
            assert answer.status_code == 202, answer.text
            row = app.wait_for("faq", "LIVE")
            shown = app.get(f"imports/{answer.json()['id']}")
            assert (shown["state"], shown["snapshot"], shown["rows"]["written"]) == (
                "IMPORTED",
                row["id"],
                {"train": 40},
            )
            assert app.wait(lambda: "ImportEnded" in str(receiver.received) and "LIVE" in str(receiver.received))
    for headers, body in receiver.received:
        sent = signature(signing_key(SECRET), headers["webhook-id"], headers["webhook-timestamp"], body)
        assert headers["webhook-signature"] == sent
        assert json.loads(body)["id"] == headers["webhook-id"]
