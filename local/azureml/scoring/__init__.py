"""The data path: keys, traffic weights, limits, and the way to a deployment's process."""
