"""Child processes: how they are started, spoken to, and never outlive the server."""
