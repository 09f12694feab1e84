"""The App Service managed identity protocol, version 2019-08-01."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.azureml.cloud import cloud_of
from local.azureml.identity.exceptions import NoResource, WrongIdentityHeader


async def token(request: Request) -> Response:
    """GET /msi/token?resource=..&api-version=2019-08-01"""
    cloud = cloud_of(request)
    given = request.headers.get("x-identity-header", "")
    if not hmac.compare_digest(given.encode(), cloud.identity_header.encode()):
        raise WrongIdentityHeader("X-IDENTITY-HEADER is missing or wrong.")
    resource = request.query_params.get("resource", "")
    if not resource:
        raise NoResource("The query has no resource.")
    return JSONResponse(cloud.tokens.issue(resource))
