"""The local cloud's command line: `python -m local up|down|status|demo`; `make up` and the like call it.

Each command may be repeated: up and down then find nothing to do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.given import complaint
from local.parts import ROOT
from local.record import CloudRecord


def main() -> int:
    """Run one command; its exit code. Cut off, it has ended what it was starting."""
    try:
        return _run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run() -> int:
    arguments = parse_arguments()
    folder = arguments.folder.resolve()
    if arguments.command in ("up", "demo") and (wrong := complaint(dict(arguments.set))):
        print(f"The local cloud was not started: {wrong}", file=sys.stderr)
        return 2
    match arguments.command:
        case "up":
            return _up(folder, dict(arguments.set))
        case "down":
            return _down(folder)
        case "demo":
            from local.demo import Demo

            where = folder if arguments.keep else folder / "demo"
            return Demo(where, dict(arguments.set), arguments.keep).run()
        case "supervise":
            from local.supervisor import supervise

            return supervise(folder, arguments.report)
        case _:
            from local.status import show

            return show(folder)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The app and its cloud, on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start it; returns when everything answers"),
        ("down", "stop it"),
        ("status", "show what runs"),
        ("demo", "watch a dropped snapshot become a served model"),
        ("supervise", argparse.SUPPRESS),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--folder", type=Path, default=ROOT / ".local", help="where it keeps everything")
        command.add_argument(
            "--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="an app setting"
        )
        if name == "demo":
            command.add_argument("--keep", action="store_true", help="leave everything running, as `up` does")
        command.add_argument("--report", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _up(folder: Path, settings: dict[str, str]) -> int:
    from local.supervisor import OtherSettings, UpFailed, up

    try:
        record = up(folder, settings)
    except UpFailed as error:
        print(f"The local cloud did not start: {error}", file=sys.stderr)
        return 1
    except OtherSettings as error:
        print(f"The local cloud was not started: {error}", file=sys.stderr)
        return 1
    print(describe(record, folder))
    return 0


def describe(record: CloudRecord, folder: Path) -> str:
    """Where everything is, for people."""
    return "\n".join(
        [
            "The local cloud is up.",
            f"  app         {record.app_url}/api",
            f"  page        {record.app_url}/   `droptune open` opens it signed in; its key is app_key in cloud.json",
            f"  storage     {storage_url(record)}   drop snapshots into the container `snapshots`",
            f"  Azure ML    {record.azureml_url}",
            f"  Event Grid  {record.eventgrid_url}",
            f"  keys, addresses and process ids: {folder / 'cloud.json'}",
        ]
    )


def storage_url(record: CloudRecord) -> str:
    """The blob service's address."""
    fields = dict(field.split("=", 1) for field in record.storage_connection_string.split(";") if field)
    return fields["BlobEndpoint"]


def _down(folder: Path) -> int:
    from local.supervisor import down

    ended = down(folder)
    print("The local cloud is down." if ended else "The local cloud was not running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
