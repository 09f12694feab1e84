"""Publishes the workspace's events to a topic.

Assumptions: `run-events`.
"""
