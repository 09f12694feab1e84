"""Data assets: names for places in a datastore."""
