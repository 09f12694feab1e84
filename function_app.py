"""Droptune: drop a chat dataset into storage, get a fine-tuned model behind an endpoint.

The table of contents. Files in `functions/` are named for what happened, files in `shared/` for what we do about it.
"""

import azure.functions as func

from functions import (
    action_requested,
    chat_requested,
    costs_requested,
    doctor_requested,
    events_requested,
    import_requested,
    page_acted,
    page_imported,
    page_requested,
    page_uploaded,
    route_missed,
    run_changed,
    snapshot_uploaded,
    status_requested,
    step_due,
    sweep_due,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

app.register_functions(snapshot_uploaded.blueprint)  # a blob was written          (Event Grid)
app.register_functions(run_changed.blueprint)  #       a run changed its status    (Event Grid)
app.register_functions(step_due.blueprint)  #          a row may move              (queue)
app.register_functions(sweep_due.blueprint)  #         something may be overdue    (timers)
app.register_functions(action_requested.blueprint)  #  somebody wants something    (HTTP)
app.register_functions(import_requested.blueprint)  #  somebody wants a dataset    (HTTP)
app.register_functions(chat_requested.blueprint)  #    somebody asks a model       (HTTP)
app.register_functions(route_missed.blueprint)  #      nobody answers there      (HTTP)
app.register_functions(status_requested.blueprint)  #  somebody wants to know      (HTTP)
app.register_functions(costs_requested.blueprint)  #   what does it cost?          (HTTP)
app.register_functions(events_requested.blueprint)  #  somebody listens            (HTTP)
app.register_functions(doctor_requested.blueprint)  #  is anything wrong?          (HTTP)
app.register_functions(page_acted.blueprint)  #        somebody acts on the page  (HTTP)
app.register_functions(page_imported.blueprint)  #     somebody imports there     (HTTP)
app.register_functions(page_uploaded.blueprint)  #     somebody drops a file      (HTTP)
app.register_functions(page_requested.blueprint)  #    somebody opens the page     (HTTP)
