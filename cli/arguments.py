"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SnapshotName = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="An id, the beginning of one, or a dataset for its newest snapshot.")
]
Prefix = Annotated[str, typer.Option(help="Only datasets whose names begin so.")]
Limit = Annotated[str, typer.Option(help="How many at most.")]
Before = Annotated[str, typer.Option(help="Go on with the page after another one, as that says.")]
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset, or one of its snapshots.")]
