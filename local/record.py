"""`cloud.json`: what runs in a folder and how to reach it. Written by a running cloud, read by everybody else.

A record may outlive its cloud when that is killed; process ids therefore come with start times.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import msgspec
import psutil

from local.wiring import Wiring, write_private

NAME = "cloud.json"


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process, told apart from a later one with the same id by when it started."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this id now; raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    @property
    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class PartRecord(msgspec.Struct, frozen=True):
    """One part as it was started last."""

    process: ProcessRecord
    port: int
    log: str


class CloudRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client, a test or a person needs to use the cloud."""

    storage_connection_string: str
    app_url: str
    app_key: str
    master_key: str
    azureml_url: str
    azureml_ca: str
    azureml_ca_bundle: str
    identity_endpoint: str
    identity_header: str
    subscription_id: str
    resource_group: str
    workspace: str
    eventgrid_url: str
    eventgrid_key: str
    supervisor: ProcessRecord
    parts: dict[str, PartRecord]
    settings: dict[str, str] = {}

    @classmethod
    def describe(cls, wiring: Wiring, supervisor: int, parts: dict[str, PartRecord], settings: dict[str, str]) -> Self:
        """The record of a running cloud."""
        keys = json.loads(wiring.host_keys.read_text()) if wiring.host_keys.exists() else {}
        return cls(
            storage_connection_string=wiring.storage,
            app_url=wiring.app_url,
            app_key=keys.get("function", ""),
            master_key=keys.get("master", ""),
            azureml_url=wiring.azureml_url,
            azureml_ca=str(wiring.azureml_ca),
            azureml_ca_bundle=str(wiring.azureml_ca_bundle),
            identity_endpoint=wiring.identity_endpoint,
            identity_header=wiring.identity_header,
            subscription_id=wiring.subscription_id,
            resource_group=wiring.resource_group,
            workspace=wiring.workspace,
            eventgrid_url=wiring.eventgrid_url,
            eventgrid_key=wiring.eventgrid_key,
            supervisor=ProcessRecord.of(supervisor),
            parts=parts,
            settings=settings,
        )

    @property
    def dead(self) -> list[str]:
        """The parts that do not run any more."""
        return [name for name, part in self.parts.items() if part.process.process is None]

    def write(self, folder: Path) -> None:
        """Replace the folder's record; only its owner may read it, since it holds keys."""
        write_private(folder / NAME, msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def read_record(folder: Path) -> CloudRecord | None:
    """The folder's record, whether or not its cloud still runs; an unreadable one counts as none."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=CloudRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def running(folder: Path) -> CloudRecord | None:
    """The folder's record if its supervisor is alive."""
    record = read_record(folder)
    return record if record and record.supervisor.process else None


def forget(folder: Path) -> None:
    """Remove the record."""
    (folder / NAME).unlink(missing_ok=True)
