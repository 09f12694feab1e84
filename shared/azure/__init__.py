"""The edge: the only room that imports an Azure SDK or an HTTP client. Blobs, jobs, models, endpoints, metrics,
events."""
