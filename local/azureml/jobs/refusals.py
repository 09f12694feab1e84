"""Why a step of a job ends before it does anything: the data its compute may not read, the model or disk it has.

Called by the runner as each step begins. Only reads. As in Azure, none of it is said when the job is submitted.
"""

from __future__ import annotations

from typing import Any

from local.azureml.compute.models import AmlCompute, Computes
from local.azureml.compute.sizes import find_size
from local.azureml.registry.models import FineTuningModel, Registry
from local.azureml.settings import CloudSettings
from local.azureml.workspace.models import Datastores

# The steps that mount the job's data, and the input that names their compute. Validation runs on that of the import.
_READS_DATA = {
    "ft_nlp_common_validation": "compute_model_import",
    "chat_completion_datapreprocess": "compute_preprocess",
}
_IMPORT = "chat_completion_model_import"
_FINETUNE = "chat_completion_finetune"


def refusal(
    step: str,
    inputs: dict[str, Any],
    settings: CloudSettings,
    computes: Computes,
    datastores: Datastores,
    registry: Registry,
) -> str:
    """What the step says as it fails; empty when it may go on."""
    if step in _READS_DATA:
        cluster = computes.table.get(str(inputs.get(_READS_DATA[step], "")))
        return _unreadable(step, str(inputs.get(_READS_DATA[step], "")), cluster, inputs, settings, datastores)
    model = registry.model_at(str(inputs.get("mlflow_model_path", "")))
    if model is None:
        return ""
    if step == _IMPORT:
        return _not_importable(inputs, model)
    if step == _FINETUNE and "chat-completion" not in model.fine_tuning_tasks:
        return f"Model does not support the task ChatCompletion; it supports {', '.join(model.fine_tuning_tasks)}."
    return ""


def _unreadable(
    step: str,
    compute: str,
    cluster: AmlCompute | None,
    inputs: dict[str, Any],
    settings: CloudSettings,
    datastores: Datastores,
) -> str:
    """The data is mounted for reading and writing, by the identity of the compute.

    A pipeline made of a registry's component takes no identity of its own. Serverless compute has none.
    """
    identities = cluster.identities if cluster else set()
    for name in ("train_file_path", "validation_file_path", "test_file_path"):
        datastore = datastores.name_of(str(inputs.get(name, "")))
        readers = settings.datastore_readers.get(datastore or "")
        if readers is not None and not identities & {reader.lower() for reader in readers}:
            who = ", ".join(sorted(identities)) or "no managed identity"
            return (
                f"{step}: {name} could not be mounted from datastore {datastore}, which has no credential: "
                f"compute {compute} has {who}. AuthorizationPermissionMismatch: This request is not authorized to "
                "perform this operation using this permission."
            )
    return ""


def _not_importable(inputs: dict[str, Any], model: FineTuningModel) -> str:
    if model.kind != "mlflow_model":
        return "MLmodel file is not found in mlflow_model_path; connect the model to pytorch_model_path."
    size = find_size(str(inputs.get("instance_type_model_import", "")))
    if inputs.get("compute_model_import") == "serverless" and size and size.diskGB < 2 * model.gigabytes:
        return "OSError: [Errno 28] No space left on device"
    return ""
