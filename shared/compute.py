"""Checks on machines before money is spent: is the size allowed for the model, does it exist, what does a cluster look
like. Called by the submit step. The rules are the notebook's.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from shared.errors import BadSnapshot, Waiting
from shared.records import Size

if TYPE_CHECKING:
    from shared.clients import Parts
    from shared.records import BaseModel

SERVERLESS = "serverless"
# Sizes the notebook refuses by name: too old to train on.
_OLD = ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r")
FINETUNE, INFERENCE = "finetune_compute_allow_list", "inference_compute_allow_list"


def training_size(parts: Parts, model: BaseModel) -> Size:
    """The size that will train, checked against the model's allow list, the region and the cluster.

    Raises BadSnapshot when it cannot be used, Waiting while a cluster is being made.
    """
    name = parts.settings.training_compute
    size = parts.settings.training_instance_type
    if name != SERVERLESS:
        size = _cluster_size(parts, name, size)
    return _checked(parts, model, size, FINETUNE)


def serving_size(parts: Parts, model: BaseModel) -> Size:
    """The size that will serve, checked likewise: a model that cannot be served is not worth training."""
    return _checked(parts, model, parts.settings.serving_instance_type, INFERENCE)


def allowed(model: BaseModel, tag: str) -> list[str]:
    """The sizes in one of the model's allow lists; empty when the model has none. Raises BadSnapshot."""
    text = model.tags.get(tag)
    if not text:
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadSnapshot(f"tag {tag} of {model.name}:{model.version} is not a Python list") from error
    if not isinstance(found, list | tuple):
        raise BadSnapshot(f"tag {tag} of {model.name}:{model.version} is not a Python list")
    return [str(size) for size in found]


def _checked(parts: Parts, model: BaseModel, size: str, tag: str) -> Size:
    setting = "TRAINING_INSTANCE_TYPE" if tag == FINETUNE else "SERVING_INSTANCE_TYPE"
    sizes = allowed(model, tag)
    if size.lower() in _OLD:
        raise BadSnapshot(
            f"{setting} = {size}: this size is too old; use one of {', '.join(sizes) or 'the newer ones'}"
        )
    if sizes and size.lower() not in (s.lower() for s in sizes):
        raise BadSnapshot(f"{setting} = {size}: {model.name}:{model.version} allows only {', '.join(sizes)}")
    found = parts.workspace.sizes().get(size.lower())
    if found is None:
        raise BadSnapshot(f"{setting} = {size}: the workspace's region does not offer this size")
    if tag == FINETUNE and found.gpus < 1:
        raise BadSnapshot(f"{setting} = {size}: this size has no GPU")
    return found


def _cluster_size(parts: Parts, name: str, size: str) -> str:
    """The size of the named cluster, which is created if that is allowed."""
    found = parts.workspace.compute(name)
    if found is None:
        if not parts.settings.create_compute:
            raise BadSnapshot(
                f"TRAINING_COMPUTE = {name}: there is no such cluster; create it, set CREATE_COMPUTE, or use serverless"
            )
        tags = {"droptune.installation": parts.installation}
        parts.workspace.start_compute(name, size, parts.settings.training_nodes, tags)
        raise Waiting(f"cluster {name} is being created", parts.settings.look_seconds)
    if found.state == "Failed":
        raise BadSnapshot(f"TRAINING_COMPUTE = {name}: its provisioning failed: {found.errors or 'no reason given'}")
    if found.state in ("Creating", "Updating", "Deleting"):
        raise Waiting(f"cluster {name} is {found.state}", parts.settings.look_seconds)
    return found.size
