"""Validation of chat fine-tuning data: one streaming pass that finds every bad row, at its exact place.

The trainer accepts wrong rows without an error, so this is the only guard. `snapshot.freeze` reads, checks,
splits and stages a snapshot; `python -m shared.validation FILE...` runs the same code without staging.
Importing this package loads neither pyarrow nor datasets.
"""

from shared.validation.inspection import BadRow
from shared.validation.policy import Policy
from shared.validation.report import Report
from shared.validation.snapshot import Frozen, freeze
from shared.validation.sources import Source, local_source
from shared.validation.staging import Staging

__all__ = ["BadRow", "Frozen", "Policy", "Report", "Source", "Staging", "freeze", "local_source"]
