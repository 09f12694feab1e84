"""The two HTTP apps: control plane with data planes (HTTPS), and the managed identity endpoint (HTTP)."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from local.azureml.arm import urls as arm
from local.azureml.cloud import ControlPlane
from local.azureml.compute import urls as compute
from local.azureml.control import urls as control
from local.azureml.control.faults import ConnectionCut
from local.azureml.control.middleware import ControlMiddleware, answer_cut
from local.azureml.data import urls as data
from local.azureml.endpoints import urls as endpoints
from local.azureml.identity import urls as identity
from local.azureml.jobs import urls as jobs
from local.azureml.metrics import urls as metrics
from local.azureml.models import urls as models
from local.azureml.operations import urls as operations
from local.azureml.registry import urls as registry
from local.azureml.scoring import urls as scoring
from local.azureml.tracking import urls as tracking
from local.azureml.wire.errors import NotImitated, WireError, answer_error
from local.azureml.workspace import urls as workspace

SERVICES = (
    # First, because most requests are scoring: the others need not be tried.
    scoring,
    workspace,
    registry,
    compute,
    data,
    models,
    jobs,
    tracking,
    endpoints,
    metrics,
    operations,
    arm,
    control,
)


def control_plane(cloud: ControlPlane) -> ASGIApp:
    """Everything but identity, behind the door where faults happen."""
    routes = [route for service in SERVICES for route in service.routes]
    handlers = {WireError: answer_error, HTTPException: _not_imitated, ConnectionCut: answer_cut}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.cloud = cloud
    app.router.redirect_slashes = False
    return ControlMiddleware(app, cloud.faults, cloud.requests)


def identity_plane(cloud: ControlPlane) -> ASGIApp:
    """Tokens for the app."""
    app = Starlette(routes=identity.routes, exception_handlers={WireError: answer_error})
    app.state.cloud = cloud
    return app


async def _not_imitated(request: Request, error: Exception) -> Response:
    """What no route answers: 501 and the path, never a 404 that a client could take for "does not exist"."""
    assert isinstance(error, HTTPException)
    refusal = NotImitated(f"{request.method} {request.url.path} is not imitated by the local Azure ML.")
    return JSONResponse(refusal.document(), refusal.status)
