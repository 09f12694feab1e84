"""Managed identity: hands out the tokens that the control plane checks."""
