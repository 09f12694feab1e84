"""Validation of chat fine-tuning data: files in, a report (and training files) out. It knows no Azure.

The trainer accepts wrong rows without an error, so this is the only guard. One streaming pass finds every bad row, at
its exact place. What is read goes one way, and an import only the other:

    sources -> lines, parquet -> rows -> turns -> inspect -> fold -> report

`sources` are the files and what their names say. `lines` cuts JSONL into lines, which `jsonl` decodes; `parquet` reads
columns. Both give `rows`, whose dialogues `turns` checks. `inspect` does all that with one chunk of a file (`chunks`)
and leaves a result that can be added up; `fold` adds up the results of all chunks and makes the `report`. `freezing`
drives the whole, and `stage` writes the training files meanwhile. `rules` and `policy` say what is wrong, and from
which size on.

`freeze` is the one pass over a snapshot; `python -m cli.check FILE...` runs the same code without staging. Importing
this package loads neither pyarrow nor datasets.
"""

from shared.validation.freezing import FrozenSnapshot, freeze
from shared.validation.inspect import BadRow
from shared.validation.policy import Policy
from shared.validation.report import ValidationReport
from shared.validation.sources import Source, local_source
from shared.validation.stage import Staging

__all__ = ["BadRow", "FrozenSnapshot", "Policy", "Source", "Staging", "ValidationReport", "freeze", "local_source"]
