"""ASGI application: the paths of all protocols, and error answers of one form."""

import asyncio
from http import HTTPStatus

import kserve
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from kserve.protocol.rest.server import metrics_handler
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import zoo
from zoo import catalog
from zoo.serving import pages, rest, v2
from zoo.serving.limits import Limits, Memory, Refused, Share
from zoo.serving.model import Served
from zoo.serving.reading import dumps, short

# Size of the pieces in which an answer is sent, in bytes.
PIECE = 64 * 2**10
# The pages must work without a network, so that they may not load a logo, for example, from another
# host.
POLICY = (b"content-security-policy", b"default-src 'self' 'unsafe-inline' blob: data:")


class Shares:
    """Middleware that gives each request its share of the memory.

    The share is released when the client has received the answer.

    Args:
        app: ASGI application.
        memory: Memory of all requests.
    """

    def __init__(self, app, memory: Memory):
        self.app, self.memory = app, memory

    async def __call__(self, scope, receive, send):
        """Answers one request as an ASGI application."""
        scope["share"] = share = Share(self.memory)
        started = False

        async def send_in_pieces(message):
            nonlocal started
            if not started:
                started, message["headers"] = True, [*message["headers"], POLICY]
            rest = memoryview(message.get("body", b""))
            # In pieces, because Uvicorn waits for the client before each of them.
            while len(rest) > PIECE:
                piece, rest = rest[:PIECE], rest[PIECE:]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send(message | {"body": rest})

        try:
            await self.app(scope, receive, send_in_pieces)
        except asyncio.CancelledError:  # The server stops, and ``stop_seconds`` are over.
            if not started:
                stopping = Refused("The server is stopping.", HTTPStatus.SERVICE_UNAVAILABLE)
                await _error(None, stopping)(scope, receive, send)
        finally:
            share.release()


def application(models: list[Served], memory: Memory) -> FastAPI:
    """Returns the application that serves models.

    Args:
        models: The models to serve.
        memory: Memory of all requests, with the limits.
    """
    repository = kserve.ModelRepository()
    for model in models:
        repository.update(model)
    names = [model.name for model in models]

    def find(name: str, version: str | None) -> Served:
        model = repository.get_model(name)
        if model is None:
            nearest = catalog.nearest(name[:60], names)
            raise Refused(f"There is no model {short(name)}{nearest}.", HTTPStatus.NOT_FOUND)
        if version not in (None, model.version):
            sentence = f"{name} has no version {short(version)}: there is {model.version}."
            raise Refused(sentence, HTTPStatus.NOT_FOUND)
        return model

    async def answer(request: Request, model: Served, read) -> Response:
        share: Share = request.scope["share"]
        body = await share.body(request)
        async with asyncio.timeout(memory.limits.seconds):
            document, _ = await model((read, body, share))
        return Response(document, media_type="application/json")

    description = "TF Serving's REST API and the Open Inference Protocol for generative models."
    # The validator of Swagger is on another host.
    settings = {"swagger_ui_parameters": {"validatorUrl": None}}
    app = FastAPIOffline(title="zoo", version=zoo.__version__, description=description, **settings)
    app.add_middleware(Shares, memory=memory)
    app.include_router(pages.routes(find, models))
    app.include_router(rest.routes(find, answer))
    app.include_router(v2.routes(find, answer, names))
    app.add_api_route("/metrics", metrics_handler, tags=["Prometheus"])
    for kind, handler in _handlers(memory.limits).items():
        app.add_exception_handler(kind, handler)
    return app


def _error(request, error: HTTPException) -> Response:
    """Returns the answer to an error, in the form of TF Serving."""
    body = dumps({"error": str(error.detail)})
    return Response(body, error.status_code, error.headers, "application/json")


def _handlers(limits: Limits) -> dict:
    async def routed(request, error: HTTPException):
        if not isinstance(error, Refused):
            path = short(request.url.path)
            sentence = f"There is no {request.method} {path}; see the paths at /docs."
            error = Refused(sentence, error.status_code)
        return _error(request, error)

    async def invalid(request, error: RequestValidationError):
        first = error.errors()[0]
        return _error(request, Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}."))

    async def late(request, error: TimeoutError):
        sentence = f"The answer took longer than {limits.seconds} seconds. Send fewer rows."
        return _error(request, Refused(sentence, HTTPStatus.GATEWAY_TIMEOUT))

    async def left(request, error: ClientDisconnect):
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # The client has left.

    async def failed(request, error: Exception):
        return _error(request, Refused("The server failed to answer; see its log.", 500))

    return {
        HTTPException: routed,
        RequestValidationError: invalid,
        TimeoutError: late,
        ClientDisconnect: left,
        Exception: failed,
    }
