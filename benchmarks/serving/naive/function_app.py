"""Scoring as samples do it: the SDK at the top of the file, one client, `invoke` in the handler."""

import os
import tempfile

import azure.functions as func
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

app = func.FunctionApp()
ml = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE"],
)


@app.route(route="ask", methods=["POST"])
def ask(req: func.HttpRequest) -> func.HttpResponse:
    """The model's answer as it is."""
    with tempfile.NamedTemporaryFile("wb", suffix=".json") as file:
        file.write(req.get_body())
        file.flush()
        answer = ml.online_endpoints.invoke(endpoint_name=os.environ["ENDPOINT"], request_file=file.name)
    return func.HttpResponse(answer, mimetype="application/json")
