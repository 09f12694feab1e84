"""The public fine-tuning notebook's own sequence of SDK calls, as a plain script.

It knows nothing of this project: whatever runs it has to look like Azure Machine Learning. Ids, files and sizes come
from the environment; the model's answer to the request file is printed last.
"""

import ast
import json
import os
import sys
import time
from pathlib import Path

from azure.ai.ml import Input, MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import (
    AmlCompute,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
    ProbeSettings,
)
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

# 1. Sign in: the workspace, and the registry.
credential = DefaultAzureCredential()
credential.get_token(os.environ.get("TOKEN_SCOPE", "https://management.azure.com/.default"))
workspace_client = MLClient(
    credential,
    os.environ["SUBSCRIPTION_ID"],
    os.environ["RESOURCE_GROUP"],
    os.environ["WORKSPACE_NAME"],
)
registry_client = MLClient(credential, registry_name="azureml")
stamp = os.environ.get("STAMP") or str(int(time.time()))

# 2. Pick the base model.
model_name = os.environ.get("MODEL_NAME", "Phi-4")
foundation_model = registry_client.models.get(model_name, label="latest")
print(f"Using model {foundation_model.name}:{foundation_model.version}, id {foundation_model.id}")

# 3. The cluster must exist, be sound, and be of a size the model can be trained on.
compute_cluster = os.environ.get("COMPUTE_CLUSTER", "gpu-cluster-big")
compute_size = os.environ.get("COMPUTE_SIZE", "Standard_NC24ads_A100_v4")
if "finetune_compute_allow_list" in foundation_model.tags:
    allowed = ast.literal_eval(foundation_model.tags["finetune_compute_allow_list"])
else:
    allowed = None
try:
    compute = workspace_client.compute.get(compute_cluster)
    print("The compute cluster already exists! Reusing it.")
except ResourceNotFoundError:
    print(f"Creating the cluster {compute_cluster} of {compute_size}")
    compute = workspace_client.compute.begin_create_or_update(
        AmlCompute(
            name=compute_cluster,
            size=compute_size,
            tier="Dedicated",
            min_instances=0,
            max_instances=2,
        )
    ).result()
if compute.provisioning_state.lower() == "failed":
    raise ValueError(f"Provisioning of the cluster failed: {compute.provisioning_errors}")
if allowed is not None and compute.size.lower() not in [size.lower() for size in allowed]:
    raise ValueError(f"{compute.size} is not in the model's list of sizes: {allowed}")
if compute.size.lower() in ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r"):
    raise ValueError(f"{compute.size} is too old to train on")
gpus_per_node = 0
for size in workspace_client.compute.list_sizes():
    if size.name.lower() == compute.size.lower():
        gpus_per_node = size.gpus
if not gpus_per_node:
    raise ValueError(f"No GPUs found in {compute.size}")
print(f"Number of GPUs in {compute.size}: {gpus_per_node}")

# 4. Parameters: the notebook's own, and over them what the model asks for.
training_parameters = {
    "num_train_epochs": 1,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "learning_rate": 5e-6,
    "lr_scheduler_type": "cosine",
}
optimization_parameters = {"apply_lora": "true", "apply_deepspeed": "true", "deepspeed_stage": 2}
if "model_specific_defaults" in foundation_model.tags:
    defaults = ast.literal_eval(foundation_model.tags["model_specific_defaults"])
    optimization_parameters.update(
        {name: defaults[name] for name in ("apply_lora", "apply_deepspeed", "deepspeed_stage") if name in defaults}
    )

# 5. The pipeline around the registry's component.
component = registry_client.components.get(name="chat_completion_pipeline", label="latest")


@pipeline(name=f"chat-completion-{model_name}")
def create_pipeline():
    chat_completion_pipeline = component(
        mlflow_model_path=foundation_model.id,
        compute_model_import=compute_cluster,
        compute_preprocess=compute_cluster,
        compute_finetune=compute_cluster,
        compute_model_evaluation=compute_cluster,
        train_file_path=Input(type="uri_file", path=os.environ["TRAIN_FILE"]),
        validation_file_path=Input(type="uri_file", path=os.environ["VALIDATION_FILE"]),
        test_file_path=Input(type="uri_file", path=os.environ["TEST_FILE"]),
        number_of_gpu_to_use_finetuning=gpus_per_node,
        **training_parameters,
        **optimization_parameters,
    )
    return {"trained_model": chat_completion_pipeline.outputs.mlflow_model_folder}


pipeline_object = create_pipeline()
pipeline_object.settings.force_rerun = True
pipeline_object.settings.continue_on_step_failure = False
pipeline_object.display_name = f"{model_name}-lora-{gpus_per_node}gpu"

# 6. Submit, and wait.
pipeline_job = workspace_client.jobs.create_or_update(pipeline_object, experiment_name=f"chat-completion-{model_name}")
workspace_client.jobs.stream(pipeline_job.name)

# 7. Register the result.
registered_model = workspace_client.models.create_or_update(
    Model(
        path=f"azureml://jobs/{pipeline_job.name}/outputs/trained_model",
        type=AssetTypes.MLFLOW_MODEL,
        name=f"{model_name.replace('/', '-')}-chat",
        version=stamp,
        description=f"{model_name} fine-tuned on chat data",
    )
)
print(f"Registered model: {registered_model.id}")

# 8. An endpoint, one deployment, all traffic.
endpoint_name = os.environ.get("ENDPOINT_NAME", f"chat-{stamp}")
endpoint = ManagedOnlineEndpoint(name=endpoint_name, description="Fine-tuned chat model", auth_mode="key")
workspace_client.begin_create_or_update(endpoint).wait()
demo_deployment = ManagedOnlineDeployment(
    name="demo",
    endpoint_name=endpoint_name,
    model=registered_model.id,
    instance_type=os.environ.get("INFERENCE_SIZE", "Standard_NC24ads_A100_v4"),
    instance_count=1,
    liveness_probe=ProbeSettings(initial_delay=600),
    request_settings=OnlineRequestSettings(request_timeout_ms=90000),
)
workspace_client.online_deployments.begin_create_or_update(demo_deployment).wait()
endpoint.traffic = {"demo": 100}
workspace_client.begin_create_or_update(endpoint).result()

# 9. Ask it.
request_file = Path(os.environ["REQUEST_FILE"])
question = os.environ.get("QUESTION", "How do I reset my password?")
request_file.write_text(
    json.dumps(
        {
            "input_data": {
                "input_string": [[{"role": "user", "content": question}]],
                "parameters": {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200},
            },
            "params": {},
        }
    )
)
answer = workspace_client.online_endpoints.invoke(
    endpoint_name=endpoint_name,
    deployment_name="demo",
    request_file=str(request_file),
)
print("raw response:", answer)

# 10. Stop paying.
workspace_client.online_endpoints.begin_delete(name=endpoint_name).wait()
sys.stdout.flush()
print("ANSWER", json.loads(answer)["output"])
