"""A local Azure Machine Learning: the control plane, the jobs and the endpoints that the unmodified SDK
talks to.

Every folder is one resource of the service and reads alike: `urls` (addresses), `responses` (wire format in
and out), `models` (state and rules), `exceptions` (the service's refusals). `python -m local.azureml`
starts it.
"""
