"""Publishes the workspace's events to a topic."""
