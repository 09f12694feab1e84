"""The workspace itself: its document, discovery of its services, datastores."""
