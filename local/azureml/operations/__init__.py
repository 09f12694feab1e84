"""Long-running operations: one at a time per resource, followed by pollers, awaited by tests."""
