"""What Azure ML tells of its resources, reduced to what the steps need, and what they ask it to make.

Frozen values, without I/O.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.ledger.rows import Struct


class RegistryModel(Struct, frozen=True, kw_only=True):
    """A model of the registry: its id, whether it is archived, its tags and properties as they are (text)."""

    name: str
    version: str
    id: str
    archived: bool
    tags: dict[str, str]
    properties: dict[str, str] = msgspec.field(default_factory=dict)


class MachineSize(Struct, frozen=True, kw_only=True):
    """A machine size: GPUs and cores of one machine, and the family whose quota it takes."""

    name: str
    gpus: int
    cores: int
    family: str = ""


class QuotaUsage(Struct, frozen=True, kw_only=True):
    """The dedicated cores of one machine family in the region: in use by anybody of the subscription, and allowed."""

    used: int
    limit: int


def family_key(family: str) -> str:
    """A machine family's name as it is compared: Azure spells one in several ways (`standard NCASv3_T4 Family`)."""
    return family.replace(" ", "").replace("_", "").lower()


class RunFailure(Struct, frozen=True, kw_only=True):
    """Why a job failed: the child step, the error on record for it, and the end of its log. Each may be empty."""

    step: str = ""
    error: str = ""
    log: str = ""


class Cluster(Struct, frozen=True, kw_only=True):
    """A compute cluster of the workspace."""

    name: str
    size: str
    state: str
    errors: str = ""


class JobSpec(Struct, frozen=True, kw_only=True):
    """All that a training job is made of; two equal specs are the same job."""

    name: str
    display_name: str
    experiment: str
    component: str
    model_id: str
    inputs: dict[str, Any]
    files: dict[str, str]
    tags: dict[str, str]
    compute: str = "serverless"


class Job(Struct, frozen=True, kw_only=True):
    """A job as the workspace reports it. `status` is Azure's word, e.g. Running."""

    name: str
    status: str
    tags: dict[str, str]
    studio_url: str = ""


class RegisteredModel(Struct, frozen=True, kw_only=True):
    """A model version of the workspace."""

    name: str
    version: str
    id: str
    tags: dict[str, str]


class Endpoint(Struct, frozen=True, kw_only=True):
    """A managed online endpoint: provisioning state, traffic by deployment, scoring address, tags."""

    name: str
    state: str
    traffic: dict[str, int]
    tags: dict[str, str]
    scoring_uri: str = ""


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    """All that a deployment is made of."""

    endpoint: str
    name: str
    model_id: str
    instance_type: str
    instances: int
    concurrency: int
    timeout_seconds: int
    tags: dict[str, str]


class Deployment(Struct, frozen=True, kw_only=True):
    """A deployment behind an endpoint, with its provisioning state."""

    name: str
    state: str
    tags: dict[str, str]
