"""Clusters, virtual machine sizes and quota usage."""
