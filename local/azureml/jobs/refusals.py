"""Why a step of a job ends before it does anything: the data its compute may not read, the model or disk it has.

Called by the runner as each step begins. Only reads. As in Azure, none of it is said when the job is submitted.
"""

from __future__ import annotations

from typing import Any

from local.azureml.compute.models import Computes
from local.azureml.compute.sizes import find_size
from local.azureml.registry.models import FineTuningModel, Registry
from local.azureml.settings import CloudSettings
from local.azureml.workspace.models import Datastores

_VALIDATION, _IMPORT = "ft_nlp_common_validation", "chat_completion_model_import"
_PREPROCESS, _FINETUNE = "chat_completion_datapreprocess", "chat_completion_finetune"
# The input that names the compute of a step. Validation runs on that of the import, the converter on that of training.
_COMPUTE = {
    _VALIDATION: "compute_model_import",
    _IMPORT: "compute_model_import",
    _PREPROCESS: "compute_preprocess",
    _FINETUNE: "compute_finetune",
    "ft_nlp_model_converter": "compute_finetune",
}
_FILES = ("train_file_path", "validation_file_path", "test_file_path")


def refusal(
    step: str,
    inputs: dict[str, Any],
    settings: CloudSettings,
    computes: Computes,
    datastores: Datastores,
    registry: Registry,
) -> str:
    """What the step says as it fails; empty when it may go on."""
    compute = str(inputs.get(_COMPUTE.get(step, ""), ""))
    # Each step leaves what it makes in the default datastore.
    mounted = {"its output": next(iter(datastores.containers))}
    if step in (_VALIDATION, _PREPROCESS):
        mounted = {name: datastores.name_of(str(inputs.get(name, ""))) or "" for name in _FILES} | mounted
    for what, datastore in mounted.items():
        if refused := _unreadable(step, compute, what, datastore, settings, computes):
            return refused
    model = registry.model_at(str(inputs.get("mlflow_model_path", "")))
    if model is not None and step == _IMPORT:
        return _not_importable(inputs, model)
    if model is not None and step == _FINETUNE and "chat-completion" not in model.fine_tuning_tasks:
        return f"Model does not support the task ChatCompletion; it supports {', '.join(model.fine_tuning_tasks)}."
    return ""


def _unreadable(step: str, compute: str, what: str, datastore: str, settings: CloudSettings, computes: Computes) -> str:
    """Data is mounted for reading and writing, by the identity of the compute.

    A pipeline made of a registry's component takes no identity of its own. Serverless compute has none.
    """
    readers, cluster = settings.datastore_readers.get(datastore), computes.table.get(compute)
    identities = cluster.identities if cluster else set()
    if readers is None or identities & {reader.lower() for reader in readers}:
        return ""
    who = ", ".join(sorted(identities)) or "no managed identity"
    return (
        f"{step}: {what} could not be mounted from datastore {datastore}, which has no credential: "
        f"compute {compute} has {who}. AuthorizationPermissionMismatch: This request is not authorized to "
        "perform this operation using this permission."
    )


def _not_importable(inputs: dict[str, Any], model: FineTuningModel) -> str:
    if model.kind != "mlflow_model":
        return "MLmodel file is not found in mlflow_model_path; connect the model to pytorch_model_path."
    size = find_size(str(inputs.get("instance_type_model_import", "")))
    if inputs.get("compute_model_import") == "serverless" and size and size.diskGB < 2 * model.gigabytes:
        return "OSError: [Errno 28] No space left on device"
    return ""
