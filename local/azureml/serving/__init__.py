"""What runs inside a deployment: the registered MLflow folder behind an HTTP server.

Assumptions: `container-score`, `container-openai`, `container-checks`, `container-workers`, `container-generic`,
`container-start`, `container-log`.
"""
