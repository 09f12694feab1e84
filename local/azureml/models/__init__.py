"""Models registered in the workspace."""
