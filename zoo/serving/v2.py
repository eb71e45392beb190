"""Open Inference Protocol (version 2 of KServe's protocol), without binary tensors."""

import base64
import uuid

import numpy as np
from fastapi import APIRouter, Request, Response
from kserve.protocol.rest import v2_datamodels as answers
from kserve.utils.numpy_codec import from_np_dtype

import zoo
from zoo.serving import reading
from zoo.serving.limits import Refused
from zoo.serving.rest import described


def read(model, body: bytearray) -> reading.Call:
    """Reads an inference request. Its parameter ``signature_name`` selects the signature.

    Raises:
        Refused: If the request is invalid.
    """
    given = reading.document(body, {"id", "inputs", "outputs", "parameters"})
    parameters, name = given.get("parameters") or {}, given.get("id") or uuid.uuid4().hex
    if not isinstance(parameters, dict) or not isinstance(name, str) or len(name) > 1000:
        raise Refused("parameters must be an object, and id a string of at most 1000 characters.")
    signature = reading.signature(model, parameters.get("signature_name", reading.DEFAULT))
    wanted = model.signatures[signature].inputs
    inputs = _by_name("inputs", given.get("inputs"), len(wanted))
    reading.check_names(model, signature, inputs)
    arrays = {key: _tensor(key, inputs[key], wanted[key]) for key in wanted}
    known = model.signatures[signature].outputs
    asked = _by_name("outputs", given.get("outputs") or [], len(known)) or known
    if unknown := asked.keys() - set(known):
        raise Refused(f"{signature} has no output {reading.short(min(unknown))}.")

    def write(outputs):
        tensors = [_written(key, outputs[key]) for key in asked]
        return reading.dumps(
            {
                "model_name": model.name,
                "model_version": model.version,
                "id": name,
                "outputs": tensors,
            }
        )

    return reading.admit(model, signature, arrays, write)


def _by_name(member: str, tensors, most: int) -> dict:
    """Returns the tensors of a request by name."""
    if not isinstance(tensors, list) or len(tensors) > most:
        raise Refused(
            f"{member} must be a list of at most {most} objects; "
            f"received: {reading.short(tensors)}."
        )
    for tensor in tensors:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            received = reading.short(tensor)
            raise Refused(f"Each of {member} must be an object with a name; received: {received}.")
    return {tensor["name"]: tensor for tensor in tensors}


def _tensor(name: str, tensor: dict, info) -> np.ndarray:
    """Converts a tensor to an array, and validates datatype, shape and data."""
    kind, (_, *inner) = reading.specification(info)
    wanted, given = from_np_dtype(kind), tensor.get("datatype")
    if given != wanted:
        raise Refused(f"{name} must be of datatype {wanted}; received: {reading.short(given)}.")
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list):
        raise Refused(f"The data of {name} must be a list; received: {reading.short(data)}.")
    array = reading.flat(name, data, info)
    if shape != [len(array), *inner]:
        given = str(shape) if isinstance(shape, list) and len(shape) < 9 else reading.short(shape)
        raise Refused(
            f"The shape of {name} must be {[len(array), *inner]} for its data; "
            f"received: {given[:60]}."
        )
    return array


def _written(name: str, values) -> dict:
    data = values.ravel()
    if values.dtype == object:
        data = [base64.b64encode(value).decode() for value in values]
    datatype = from_np_dtype(values.dtype)
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": data}


def _described(infos) -> list[dict]:
    tensors = [(name, *reading.specification(info)) for name, info in sorted(infos.items())]
    return [
        {"name": name, "datatype": from_np_dtype(kind), "shape": shape}
        for name, kind, shape in tensors
    ]


def routes(find, answer, names) -> APIRouter:
    """Returns the routes below /v2.

    Args:
        find: As in ``zoo.serving.rest.routes``.
        answer: As in ``zoo.serving.rest.routes``.
        names: Names of all models.
    """
    router = APIRouter(tags=["Open Inference Protocol"])
    _add_server(router, names)
    _add_models(router, find, answer)
    return router


def _add_server(router, names) -> None:
    async def server() -> answers.ServerMetadataResponse:
        """Returns name and version of the server."""
        return {"name": "zoo", "version": zoo.__version__, "extensions": []}

    async def live() -> answers.ServerLiveResponse:
        return {"live": True}

    async def ready() -> answers.ServerReadyResponse:
        return {"ready": True}

    async def models() -> answers.ListModelsResponse:
        return {"models": names}

    router.add_api_route("/v2", server)
    router.add_api_route("/v2/health/live", live)
    router.add_api_route("/v2/health/ready", ready)
    router.add_api_route("/v2/models", models)


def _add_models(router, find, answer) -> None:
    async def metadata(
        name: str, model_version: str | None = None
    ) -> answers.ModelMetadataResponse:
        """Returns inputs and outputs of a model's default signature."""
        model = find(name, model_version)
        default = model.signatures[reading.DEFAULT]
        tensors = {"inputs": _described(default.inputs), "outputs": _described(default.outputs)}
        return {"name": name, "versions": [model.version], "platform": ""} | tensors

    async def model_ready(
        name: str, model_version: str | None = None
    ) -> answers.ModelReadyResponse:
        return {"name": find(name, model_version).name, "ready": True}

    async def infer(request: Request, name: str, model_version: str | None = None) -> Response:
        """Computes a signature, which the parameter ``signature_name`` selects."""
        return await answer(request, find(name, model_version), read)

    extra = described(answers.InferenceRequest.model_json_schema())
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{model_version}"):
        router.add_api_route(path, metadata)
        router.add_api_route(f"{path}/ready", model_ready)
        router.add_api_route(f"{path}/infer", infer, methods=["POST"], openapi_extra=extra)
