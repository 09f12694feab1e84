"""The options of `droptune prepare`. Loaded with the command line, so nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import Json


class FileEnding(StrEnum):
    """What `prepare` can write."""

    JSONL = "jsonl"
    PACKED = "jsonl.gz"
    PARQUET = "parquet"


Given = Annotated[str, typer.Argument(metavar="INPUT", help="A file, a folder, or a dataset's name on the Hub.")]
Out = Annotated[Path, typer.Option(help="The folder to write; it must not be there yet.")]
Shape = Annotated[str, typer.Option(help="The shape of the rows, where several fit: docs/bring-your-data.md.")]
User = Annotated[str, typer.Option(help="The column of the question; several, with commas between.")]
Assistant = Annotated[str, typer.Option(help="The column of the answer.")]
System = Annotated[str, typer.Option(help="The column of the system turn.")]
Turns = Annotated[str, typer.Option(help="The column of the turns, or of the text that has them.")]
Splits = Annotated[list[str] | None, typer.Option(help="A split to read, such as train_sft; may be repeated.")]
Subset = Annotated[str, typer.Option(help="Which part of a dataset on the Hub.")]
Revision = Annotated[str, typer.Option(help="Which version of a dataset on the Hub.")]
Encoding = Annotated[str, typer.Option(help="Of text files that are not UTF-8, such as cp1252.")]
Fraction = Annotated[float, typer.Option(help="Share of the rows to take, drawn at random.")]
MostRows = Annotated[int, typer.Option(min=0, help="Most rows to keep of each input file or split; 0: all.")]
Seed = Annotated[int, typer.Option(help="The same seed draws the same rows.")]
TestShare = Annotated[float, typer.Option(help="Share to hold out as a test split; 0: the app holds out.")]
Ending = Annotated[FileEnding, typer.Option("--format", help="Format of the files that are written.")]
ShardRows = Annotated[int, typer.Option(min=0, help="Most rows of a file; 0: one file for each split.")]
Unweighted = Annotated[bool, typer.Option("--keep-unweighted", help="Learn from answers of weight 0 as well.")]
Tools = Annotated[bool, typer.Option("--keep-tools", help="Keep calls of tools, for a model that knows the role tool.")]
BaseModel = Annotated[str, typer.Option(help="The model to train, for snapshot.json.")]
Version = Annotated[str, typer.Option(help="The version of that model.")]
Hyperparameters = Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for snapshot.json; may be repeated.")]
Note = Annotated[str, typer.Option(help="What the snapshot is, for snapshot.json.")]


def prepare(
    context: typer.Context,
    given: Given,
    out: Out,
    shape: Shape = "",
    user: User = "",
    assistant: Assistant = "",
    system: System = "",
    turns: Turns = "",
    split: Splits = None,
    subset: Subset = "",
    revision: Revision = "",
    encoding: Encoding = "",
    fraction: Fraction = 1.0,
    rows: MostRows = 0,
    seed: Seed = 0,
    test_share: TestShare = 0.0,
    file_format: Ending = FileEnding.JSONL,
    shard_rows: ShardRows = 0,
    keep_unweighted: Unweighted = False,
    keep_tools: Tools = False,
    base_model: BaseModel = "",
    base_model_version: Version = "",
    hyperparameter: Hyperparameters = None,
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Make a snapshot of a file, a folder or a dataset on the Hub, in whatever shape its rows are."""
    from cli.prepare import run

    raise typer.Exit(run(context.params))
