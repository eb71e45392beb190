"""The local server: TF Serving's REST API over the SavedModels, with KServe's protocol 2 and metrics beside it.

KServe's parts are used and not its ``ModelServer``, which binds every interface of the machine, reads the arguments of the
process that imports it, and answers ``GET /v1/models/NAME`` with a document of its own.
"""

import asyncio
import base64
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import kserve
import numpy as np
import orjson
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from google.protobuf.json_format import MessageToDict
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import metrics_handler
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from kserve.utils.numpy_codec import from_np_dtype
from starlette.exceptions import HTTPException as RoutingError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from zoo import catalog, checks
from zoo.loading import Artifact

MAX_BYTES = 32 * 2**20
MAX_ROWS = 1024
MAX_SECONDS = 60
# What clients send JSON as: curl and many others name a form when they are not told otherwise.
JSON_TYPES = ("", "application/json", "application/x-www-form-urlencoded", "application/octet-stream", "text/plain")
DEFAULT = "serving_default"


class Refused(HTTPException):
    """A request that is answered with one sentence and a status of 400, or another of the client's."""

    def __init__(self, sentence: str, status: int = HTTPStatus.BAD_REQUEST):
        super().__init__(status, sentence)


@dataclass(frozen=True)
class Call:
    """A request that was admitted: arrays by name for one signature, and how the answer is to be written."""

    signature: str
    inputs: dict
    write: object


class Served(kserve.Model):
    """One model behind the server: what is asked of it is checked, computed and written here, whatever the protocol."""

    def __init__(self, name: str, folder: Path, pool: ThreadPoolExecutor):
        super().__init__(name)
        artifact = Artifact(name, folder)
        self.model, self.card, self.pool = artifact.load("saved_model"), artifact.card, pool
        version = catalog.version(folder, self.card)
        self.version = version.name
        saved = SavedModel.FromString((version / "saved_model.pb").read_bytes())
        self.signatures = {
            signature: definition
            for signature, definition in saved.meta_graphs[0].signature_def.items()
            if definition.method_name == "tensorflow/serving/predict"
        }
        self.ready = True

    async def preprocess(self, payload, headers=None):
        read = self._read_v2 if isinstance(payload, kserve.InferRequest) else self._read_json
        return await self._work(read, payload)

    async def predict(self, call, headers=None):
        return call, await self._work(self._compute, call)

    async def postprocess(self, answered, headers=None):
        call, outputs = answered
        return await self._work(call.write, outputs)

    async def _work(self, function, *arguments):
        """Runs what takes time on a thread, so that the others are heard meanwhile; TimeoutError where it takes too long."""
        async with asyncio.timeout(MAX_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    def _compute(self, call):
        outputs = self.model.compute(call.signature, call.inputs)
        if not all(np.isfinite(values).all() for values in outputs.values() if values.dtype.kind == "f"):
            raise Refused(f"{self.name} has no finite answer to these inputs: they are too large.")
        return outputs

    def _read_json(self, body: bytes) -> Call:
        """TF Serving's row format, ``instances``, or its column format, ``inputs``."""
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Refused(f"The body must be a JSON document, but it is none: {error}.") from error
        if not isinstance(given, dict) or ("instances" in given) == ("inputs" in given):
            raise Refused("The body must be a JSON object with either 'instances' (rows) or 'inputs' (columns).")
        unknown = set(given) - {"instances", "inputs", "signature_name"}
        if unknown:
            raise Refused(f"The body has an unknown member {min(unknown)!r}: there are instances, inputs and signature_name.")
        signature = self._signature(given.get("signature_name", DEFAULT))
        names = sorted(self.signatures[signature].inputs)
        if "inputs" in given:
            columns = given["inputs"]
            columns = columns if isinstance(columns, dict) or len(names) > 1 else {names[0]: columns}
            return self._admit(signature, columns, _write_columns)
        return self._admit(signature, _columns(given["instances"], names), _write_rows)

    def _read_v2(self, request: kserve.InferRequest) -> Call:
        """The Open Inference Protocol; the parameter ``signature_name`` chooses the signature."""
        signature = self._signature((request.parameters or {}).get("signature_name", DEFAULT))
        known = {tensor["name"]: tensor["datatype"] for tensor in _v2_tensors(self.signatures[signature].inputs)}
        columns = {}
        for tensor in request.inputs:
            if tensor.datatype != known.get(tensor.name, tensor.datatype):
                raise Refused(
                    f"{tensor.name} must be of datatype {known[tensor.name]}, but it is of {checks.short(tensor.datatype)}."
                )
            try:
                columns[tensor.name] = np.asarray(tensor.data).reshape(tensor.shape)
            except (ValueError, OverflowError) as error:
                raise Refused(
                    f"The data of {checks.short(tensor.name)} must fit its shape {checks.short(tensor.shape)}."
                ) from error

        def write(values):
            tensors = []
            for name, value in values.items():
                if value.dtype == object:
                    value = np.array([base64.b64encode(row) for row in value])
                tensor = kserve.InferOutput(name, list(value.shape), from_np_dtype(value.dtype))
                tensor.set_data_from_numpy(value, binary_data=False)
                tensors.append(tensor)
            name = request.id or uuid.uuid4().hex
            return kserve.InferResponse(name, self.name, tensors, self.version, requested_outputs=request.request_outputs)

        return self._admit(signature, columns, write)

    def _signature(self, name) -> str:
        if not isinstance(name, str) or name not in self.signatures:
            raise Refused(f"{self.name} has no signature {checks.short(name)}{catalog.nearest(name, self.signatures)}.")
        return name

    def _admit(self, signature, columns, write) -> Call:
        """Makes arrays of the signature's inputs, or refuses them in one sentence."""
        wanted = self.signatures[signature].inputs
        if not isinstance(columns, dict) or set(columns) != set(wanted):
            given = ", ".join(sorted(columns)) or "none" if isinstance(columns, dict) else checks.short(columns)
            raise Refused(f"{signature} of {self.name} takes the inputs {', '.join(sorted(wanted))}, but it was given {given}.")
        try:
            arrays = {name: _array(name, columns[name], wanted[name]) for name in sorted(wanted)}
            rows = {name: len(array) for name, array in arrays.items()}
            n = max(rows.values())
            if min(rows.values()) != n or not 1 <= n <= MAX_ROWS:
                raise ValueError(f"The inputs must have one number of rows, from 1 to {MAX_ROWS}, but they have {rows}.")
            return Call(signature, {name: self._checked(name, array) for name, array in arrays.items()}, write)
        except ValueError as error:
            raise Refused(str(error)) from error

    def _checked(self, name, array):
        """An array whose values lie where the contract has the input of that name."""
        card = self.card
        if name == "seed":
            return checks.seeds(array, len(array))
        if name == "label":
            return checks.labels(array, len(array), card.num_classes)
        if name == "z":
            return checks.rows(array, (card.latent_dim,), name)
        if name == "condition":
            return (checks.images if self.model.condition_at else checks.rows)(array, card.condition_shape, name)
        return checks.images(array, card.image_shape)

    def get_input_types(self):
        return _v2_tensors(self.signatures[DEFAULT].inputs)

    def get_output_types(self):
        return _v2_tensors(self.signatures[DEFAULT].outputs)


def _array(name, value, info) -> np.ndarray:
    """What JSON holds as an array of the kind and rank that a signature has; ValueError where it is none."""
    kind = np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
    shape = [dimension.size for dimension in info.tensor_shape.dim]
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.empty(0, object)
    if array.dtype.kind not in ("iu" if kind.kind == "i" else "iuf") or array.ndim != len(shape):
        inner = ", ".join(["n", *map(str, shape[1:])])
        what = "whole numbers" if kind.kind == "i" else "numbers"
        raise ValueError(f"{name} must be {what} in an array of shape ({inner}), but it is {checks.short(value)}.")
    return array.astype(np.float64) if kind.kind == "f" else array


def _columns(instances, names) -> dict:
    """Rows as columns: each an object of the inputs, or the value itself where there is but one input."""
    if not isinstance(instances, list) or not instances:
        raise Refused(f"instances must be a list of at least one row, but it is {checks.short(instances)}.")
    if len(names) == 1 and not isinstance(instances[0], dict):
        return {names[0]: instances}
    for row in instances:
        if not isinstance(row, dict) or sorted(row) != names:
            raise Refused(f"Each of instances must be an object of {', '.join(names)}, but one is {checks.short(row)}.")
    return {name: [row[name] for row in instances] for name in names}


def _written(name, values):
    return [{"b64": base64.b64encode(value).decode()} for value in values] if name.endswith("_bytes") else values


def _write_columns(outputs) -> bytes:
    written = {name: _written(name, values) for name, values in outputs.items()}
    return _json({"outputs": written if len(written) > 1 else next(iter(written.values()))})


def _write_rows(outputs) -> bytes:
    written = {name: _written(name, values) for name, values in outputs.items()}
    if len(written) == 1:
        return _json({"predictions": next(iter(written.values()))})
    return _json({"predictions": [dict(zip(written, row)) for row in zip(*written.values())]})


def _json(value) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _v2_tensors(infos) -> list[dict]:
    return [
        {
            "name": name,
            "datatype": from_np_dtype(np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)),
            "shape": [dimension.size for dimension in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    ]


class Plane(DataPlane):
    """KServe's data plane without cloud events and without binary tensors, which it reads as they come."""

    def decode(self, body, headers, *arguments, **keywords):
        if isinstance(body, bytes):
            raise Refused("The body must be an inference request of the Open Inference Protocol, sent as application/json.")
        return super().decode(body, {}, *arguments, **keywords)

    def encode(self, model_name, response, headers, req_attributes):
        return super().encode(model_name, response, {}, req_attributes)


class Limits:
    """Takes requests in whole, within limits of size and time, before anything looks at them."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            body = await self._body(scope, receive)
        except Refused as refused:
            return await _error(None, refused)(scope, receive, send)
        except TimeoutError:
            sentence = f"The body must arrive within {MAX_SECONDS} seconds, but it did not."
            return await _error(None, Refused(sentence, HTTPStatus.REQUEST_TIMEOUT))(scope, receive, send)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again():
            return messages.pop() if messages else await receive()

        return await self.app(scope, again, send)

    async def _body(self, scope, receive) -> bytes:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["method"] == "POST":
            kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
            if kind not in JSON_TYPES:
                sentence = f"The body must be application/json, but it is {checks.short(kind)}."
                raise Refused(sentence, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            coding = headers.get(b"content-encoding", "identity")
            if coding != "identity":
                sentence = f"The body must not be encoded, but its encoding is {checks.short(coding)}."
                raise Refused(sentence, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        parts, size = [], 0
        async with asyncio.timeout(MAX_SECONDS):
            while True:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BYTES:
                    sentence = f"The body must have at most {MAX_BYTES} bytes, but it has more."
                    raise Refused(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                if not message.get("more_body"):
                    return b"".join(parts)


def _error(request, error) -> Response:
    """TF Serving's form of an error."""
    return Response(_json({"error": str(error.detail)}), error.status_code, media_type="application/json")


def application(artifacts: dict[str, Path]) -> FastAPI:
    """The server's application for artifacts by name."""
    pool = ThreadPoolExecutor()
    repository = kserve.ModelRepository()
    for name, folder in artifacts.items():
        repository.update(Served(name, folder, pool))
    app = FastAPI(title="zoo", description="TF Serving's REST API and the Open Inference Protocol over trained models.")
    app.add_middleware(Limits)

    def find(name, version) -> Served:
        model = repository.get_model(name)
        if model is None:
            raise Refused(f"There is no model {name!r}{catalog.nearest(name, repository.get_models())}.", HTTPStatus.NOT_FOUND)
        if version not in (None, model.version):
            raise Refused(f"{name} has no version {version!r}: there is {model.version}.", HTTPStatus.NOT_FOUND)
        return model

    async def predict(request: Request, name: str, version: str | None = None) -> Response:
        """TF Serving's predict: rows as ``instances``, columns as ``inputs``, and the name of a signature."""
        model = find(name, version)
        answer, _ = await model(await request.body())
        return Response(answer, media_type="application/json")

    async def metadata(name: str, version: str | None = None) -> dict:
        """The model's signatures."""
        model = find(name, version)
        signatures = {
            signature: MessageToDict(definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for signature, definition in model.signatures.items()
        }
        return {
            "model_spec": {"name": name, "signature_name": "", "version": model.version},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    async def status(name: str, version: str | None = None) -> dict:
        """Which versions of a model there are."""
        model = find(name, version)
        state = {"version": model.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return {"model_version_status": [state]}

    body = {"schema": {"type": "object", "example": {"instances": [{"seed": 0, "label": 7}], "signature_name": DEFAULT}}}
    described = {"requestBody": {"required": True, "content": {"application/json": body}}}
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        app.add_api_route(f"{path}:predict", predict, methods=["POST"], openapi_extra=described, tags=["TF Serving"])
        app.add_api_route(f"{path}/metadata", metadata, tags=["TF Serving"])
        app.add_api_route(path, status, tags=["TF Serving"])
    v2 = V2Endpoints(Plane(repository))
    app.add_api_route("/v2", v2.metadata, tags=["Open Inference Protocol"])
    app.add_api_route("/v2/health/live", v2.live, tags=["Open Inference Protocol"])
    app.add_api_route("/v2/health/ready", v2.ready, tags=["Open Inference Protocol"])
    app.add_api_route("/v2/models", v2.models, tags=["Open Inference Protocol"])
    app.add_api_route("/v2/models/{model_name}", v2.model_metadata, tags=["Open Inference Protocol"])
    app.add_api_route("/v2/models/{model_name}/ready", v2.model_ready, tags=["Open Inference Protocol"])
    infer = {"methods": ["POST"], "response_model": None, "tags": ["Open Inference Protocol"]}
    app.add_api_route("/v2/models/{model_name}/infer", v2.infer, **infer)
    app.add_api_route("/metrics", metrics_handler, tags=["Prometheus"])

    async def invalid(request, error: RequestValidationError):
        first = error.errors()[0]
        return _error(request, Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}."))

    async def routed(request, error: RoutingError):
        sentence = f"There is no {request.method} {request.url.path}; the paths are at /docs."
        return _error(request, error if isinstance(error, Refused) else Refused(sentence, error.status_code))

    async def refused(request, error):
        return _error(request, Refused(str(error)))

    async def failed(request, error):
        return _error(request, Refused("The server failed at this request: its log says where.", 500))

    async def missing(request, error):
        return _error(request, Refused(str(error), HTTPStatus.NOT_FOUND))

    async def late(request, error):
        return _error(request, Refused(f"There was no answer within {MAX_SECONDS} seconds.", HTTPStatus.GATEWAY_TIMEOUT))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(RoutingError, routed)
    app.add_exception_handler(kserve.errors.InvalidInput, refused)
    app.add_exception_handler(kserve.errors.ModelNotFound, missing)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(TimeoutError, late)
    return app


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(artifacts: dict[str, Path], host: str, port: int, ready) -> None:
    """Serves models until a signal stops it, when the requests in flight are answered first.

    Args:
        artifacts: the folders of artifacts by the names that they are served under.
        host, port: where to listen; port 0 takes a free one.
        ready: called with the port when requests are answered.

    Raises:
        OSError: where that port cannot be had.
    """
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)
    except OSError as error:
        why = error.strerror.partition(" (")[0]  # Python adds the address.
        raise OSError(f"Cannot listen on port {port} of {host} ({why}): name another --port or --host.") from error
    with listening:
        config = uvicorn.Config(application(artifacts), log_level="warning", timeout_graceful_shutdown=MAX_SECONDS)
        ready(listening.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listening])
