"""Azure Monitor's view of what was really scored."""
