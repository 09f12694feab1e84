"""MLflow tracking: what a run logs while it trains."""
