"""From frozen rows to a registered model: checks beforehand, compute, the training job, registration."""
