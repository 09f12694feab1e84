"""The shared registry `azureml`: base models and the fine-tuning component."""
