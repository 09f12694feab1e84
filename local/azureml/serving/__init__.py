"""What runs inside a deployment: the registered MLflow folder behind an HTTP server."""
