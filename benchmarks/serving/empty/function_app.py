"""What any function costs: it reads its body and answers. Streams, as this project's app does."""

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response  # type: ignore[import-untyped]

app = func.FunctionApp()


@app.route(route="ask", methods=["POST"])
async def ask(req: Request) -> Response:
    """The question, unanswered."""
    return Response(await req.body(), media_type="application/json")
