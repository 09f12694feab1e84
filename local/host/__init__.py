"""A local Azure Functions host: runs an unmodified Python v2 app (`function_app.py`) on one machine.

Started as `python -m local.host --app FOLDER --port P --folder F`. Indexing, type checks, conversion and
calling are Microsoft's `azure-functions-runtime`, in this process (see `runtime`); what its .NET host would
do around it (HTTP routes and keys, queue polling, timers, the Event Grid webhook) is imitated here.
`docs/local-host.md` says how far.

Assumptions: `host-runtime`, `host-streaming`, `host-queues`, `host-keys`, `host-scaling`, `host-root`, `host-methods`,
`host-accounts` (it signs nobody in, and passes that header on).
"""
