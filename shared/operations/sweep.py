"""What is overdue: the safety net under every event and message. Called by the sweep timer.

It only sends polls, records arrivals that no event told us about, and puts right what a crash left half done; running
it at any time, twice or on several instances is harmless. It costs what is open, not what ever was: snapshots that
ended are not asked about. A listing that fails raises, and nothing is concluded from it. Each part is for itself: what
goes wrong in one is told in the log, and the others go on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shared.operations import access, costs, damage, deletion, imports, open_rows, orphans, publish, whole_ledger
from shared.operations.rounds import run_part
from shared.snapshots import lost_uploads

if TYPE_CHECKING:
    from shared.runtime import Services


def sweep(services: Services) -> list[str]:
    """Everything that may have been forgotten; returns the keys of the rows that move on by it.

    Rows that are overdue and datasets with a release waiting are polled; slots of jobs that are no more are given back;
    what costs money without a row is looked for; uploads that no event told of are recorded; what machines ran is put
    on the month's record, and calls on that of the day; what is damaged in the ledger is named, and so are roles that
    the app's identity lacks. Containers that were deleted are made anew first.
    """
    run_part("containers", services.storage.prepare)
    moved = run_part("whole ledger", partial(whole_ledger.look_once, services))
    datasets, cards = services.ledger.datasets(), list(services.ledger.cards.list())
    ended, damaged = open_rows.EndedSnapshots(), damage.shown_by(datasets)
    patience = open_rows.patience(services, cards, datasets)
    moved += run_part(
        "open rows", partial(open_rows.poll_snapshots, services, cards, ended, patience, damaged), damaged
    )
    run_part("notices", partial(publish.empty, services, ended.untold, datasets), damaged)
    moved += run_part("lost datasets", partial(open_rows.remake_lost, services, datasets, ended), damaged)
    moved += run_part("datasets", partial(open_rows.poll_datasets, services, datasets, ended, patience), damaged)
    run_part("costs", partial(costs.record_ended, services, datasets, damaged))
    run_part("calls of the day", services.call_days.add, damaged)
    run_part("outcomes", partial(open_rows.tell_outcomes, services, datasets, damaged))
    moved += run_part("deletions", partial(deletion.look_after, services, datasets), damaged)
    run_part("ended rows", partial(open_rows.close, services, ended), damaged)
    run_part("slots for jobs", partial(services.budget.audit, partial(_job_status, services)), damaged)
    run_part("orphans", partial(orphans.collect, services, datasets, damaged), damaged)
    moved += run_part("lost uploads", partial(lost_uploads.record, services), damaged)
    moved += run_part("imports", partial(imports.poll_overdue, services, patience), damaged)
    run_part("damage", partial(damage.record_met, services, damaged))
    run_part("roles", partial(access.record, services, cards, datasets))
    return moved


def _job_status(services: Services, name: str) -> str | None:
    job = services.workspace.jobs.get(name)
    return job.status if job else None
