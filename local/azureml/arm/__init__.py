"""What surrounds the workspace in Azure's control plane: the app, and system topics with their subscriptions."""
