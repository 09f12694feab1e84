"""What is wrong with an installation, and what mends it: asked by `GET /api/doctor`, `python -m cli.doctor` and after a
deployment.

Each check is a harmless call, made as the app; none stops another. Nothing is changed but scratch files, which are
removed again. A repeat asks again.
"""

from __future__ import annotations

from shared.errors import PipelineError
from shared.operations.doctor import events, machines, notifications, places, versions
from shared.operations.doctor.report import CheckResult, DoctorCheck, DoctorReport, failed
from shared.runtime import Services

__all__ = ["CHECKS", "CheckResult", "DoctorCheck", "DoctorReport", "examine"]

CHECKS: tuple[DoctorCheck, ...] = (
    DoctorCheck("versions", versions.versions),
    DoctorCheck("identity", places.identity),
    DoctorCheck("storage", places.storage),
    DoctorCheck("clock", places.clock),
    DoctorCheck("containers", places.containers),
    DoctorCheck("queue", places.queue),
    DoctorCheck("scoring keys", places.scoring_keys),
    DoctorCheck("page keys", places.page_keys),
    DoctorCheck("workspace", places.workspace),
    DoctorCheck("roles", places.roles),
    DoctorCheck("datastore", places.datastore),
    DoctorCheck("cluster", machines.cluster),
    DoctorCheck("model", machines.model),
    DoctorCheck("machines", machines.machines),
    DoctorCheck("metrics", machines.metrics),
    DoctorCheck("uploads", events.uploads),
    DoctorCheck("runs", events.runs),
    DoctorCheck("dead letters", events.dead_letters),
    DoctorCheck("notifications", notifications.notifications),
    DoctorCheck("imports", places.imports),
)
PROBE = DoctorCheck("event", events.round_trip)


def examine(services: Services, *, with_event: bool = False) -> DoctorReport:
    """Every check's result. `with_event`: also uploads a file and waits until Event Grid tells of it."""
    return DoctorReport([_result(services, check) for check in (*CHECKS, *((PROBE,) if with_event else ()))])


def _result(services: Services, check: DoctorCheck) -> CheckResult:
    try:
        return check.run(services).of(check.name)
    except PipelineError as error:
        return failed(error).of(check.name)
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide what the others find
        return failed(error).of(check.name)
