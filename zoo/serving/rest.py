"""TF Serving's REST API."""

import base64

from fastapi import APIRouter, Request, Response
from google.protobuf.json_format import MessageToDict

from zoo.serving import reading
from zoo.serving.limits import Refused

EXAMPLE = {"instances": [{"seed": 0, "label": 7}], "signature_name": reading.DEFAULT}


def read(model, body: bytearray) -> reading.Call:
    """Reads a request in TF Serving's row format, ``instances``, or column format, ``inputs``.

    The rows of the input ``images`` may be picture files of any size, {"b64": text}, in addition to
    the arrays that TF Serving takes, and those of the input ``condition`` objects {attribute: name
    of its value} if the model is conditional on attributes.

    Raises:
        Refused: If the request is invalid.
    """
    given = reading.document(body, {"instances", "inputs", "signature_name"})
    if ("instances" in given) == ("inputs" in given):
        raise Refused("The body must have either 'instances' (rows) or 'inputs' (columns).")
    signature = reading.signature(model, given.get("signature_name", reading.DEFAULT))
    wanted = model.signatures[signature].inputs
    if "inputs" in given:
        columns, write = given["inputs"], write_columns
        if len(wanted) == 1 and not isinstance(columns, dict):
            columns = {next(iter(wanted)): columns}
        reading.check_names(model, signature, columns)
    else:
        columns, write = _columns(given["instances"], sorted(wanted)), write_rows
    arrays = {}
    for name, values in sorted(columns.items(), reverse=True):  # The seed before the condition.
        pictures = isinstance(values, list) and values and all(map(reading.is_picture, values))
        if name == "images" and pictures:
            arrays[name] = reading.pictures(model, signature, values)
        elif name == "condition" and model.card.attributes and _are_objects(values):
            arrays[name] = reading.attributes(model, values, arrays.get("seed"))
        else:
            arrays[name] = reading.nested(name, values, wanted[name])
    return reading.admit(model, signature, arrays, write)


def _are_objects(values) -> bool:
    return isinstance(values, list) and bool(values) and {*map(type, values)} == {dict}


def _columns(instances, names: list[str]) -> dict:
    """Converts rows to columns. A row is an object of inputs, or the value of a single input."""
    if not isinstance(instances, list) or not instances:
        raise Refused(f"instances must be a list of rows; received: {reading.short(instances)}.")
    first = instances[0]
    if len(names) == 1 and (not isinstance(first, dict) or reading.is_picture(first)):
        return {names[0]: instances}
    for row in instances:
        if not isinstance(row, dict) or sorted(row) != names:
            wanted = ", ".join(names)
            raise Refused(
                f"Each of instances must be an object of {wanted}; received: {reading.short(row)}."
            )
    return {name: [row[name] for row in instances] for name in names}


def _encoded(name: str, values):
    """Encodes outputs whose name ends in ``_bytes`` as base64, as TF Serving does."""
    if not name.endswith("_bytes"):
        # For an array orjson allocates all innermost lists at once, which needs more memory than
        # the text.
        return list(values) if values.ndim > 1 else values
    return [{"b64": base64.b64encode(value).decode()} for value in values]


def write_columns(outputs: dict) -> bytes:
    """Writes the column format, in which a single output has no name."""
    written = {name: _encoded(name, values) for name, values in outputs.items()}
    return reading.dumps({"outputs": written if len(written) > 1 else next(iter(written.values()))})


def write_rows(outputs: dict) -> bytes:
    """Writes the row format, in which a single output has no name."""
    written = {name: _encoded(name, values) for name, values in outputs.items()}
    if len(written) == 1:
        return reading.dumps({"predictions": next(iter(written.values()))})
    rows = [dict(zip(written, row)) for row in zip(*written.values())]
    return reading.dumps({"predictions": rows})


def described(schema: dict) -> dict:
    """Returns the OpenAPI description of a request's body from its JSON schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def routes(find, answer) -> APIRouter:
    """Returns the routes below /v1.

    Args:
        find: Function that returns the model of a name and a version, or raises ``Refused``.
        answer: Function that answers a request, from the request, the model and a function that
            reads the body.
    """
    router = APIRouter(tags=["TF Serving"])

    async def predict(request: Request, name: str, version: str | None = None) -> Response:
        """Computes a signature of rows, ``instances``, or of columns, ``inputs``."""
        return await answer(request, find(name, version), read)

    async def metadata(name: str, version: str | None = None) -> dict:
        """Returns the signatures of a model."""
        model = find(name, version)
        options = {
            "preserving_proto_field_name": True,
            "always_print_fields_with_no_presence": True,
        }
        signatures = {
            key: MessageToDict(value, **options) for key, value in model.signatures.items()
        }
        return {
            "model_spec": {"name": name, "signature_name": "", "version": model.version},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    async def status(name: str, version: str | None = None) -> dict:
        """Returns the version of a model and its state."""
        ok = {"error_code": "OK", "error_message": ""}
        state = {"version": find(name, version).version, "state": "AVAILABLE", "status": ok}
        return {"model_version_status": [state]}

    extra = described({"type": "object", "example": EXAMPLE})
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        router.add_api_route(f"{path}:predict", predict, methods=["POST"], openapi_extra=extra)
        router.add_api_route(f"{path}/metadata", metadata)
        router.add_api_route(path, status)
    return router
