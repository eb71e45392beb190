"""Requests images from TF Serving in each format of its API.

The server may be ``docker run tensorflow/serving``, KServe or ``zoo serve``, which have the same
REST API. This script requests the state of the model. It then requests images in the row format, in
the shorter column format, and as PNG files, which it writes. With ``--grpc`` it also requests them
by gRPC, which sends numbers as bytes instead of text and needs
``pip install tensorflow-serving-api``.

    python examples/tf_serving_client.py cvae_mnist --label 7 -n 4
"""

import argparse
import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np


def ask(url, question=None):
    """Returns the server's answer to GET, or to POST if there is a question.

    An error ends the script with one sentence.
    """
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} refuses with {error.code}: {refusal(error)}")
    except (OSError, ValueError) as error:
        sys.exit(
            f"There is no TF Serving that answers at {url} ({error}). "
            "Start it, or give another address by --url."
        )
    except http.client.HTTPException:
        sys.exit(
            f"The server at {url} does not speak HTTP. "
            "Give the port of the REST API by --url, and the port of gRPC by --grpc."
        )


def refusal(error):
    """Returns TF Serving's message, {"error": …}, or the text of another error answer."""
    body = error.read().decode(errors="replace")
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return body.strip() or error.reason


def ask_grpc(server, model, inputs):
    """Requests images of the signature ``sample`` by gRPC.

    Args:
        server: "host:port".
        model: Name of the model.
        inputs: {input: (values, name of the dtype)}.

    Returns:
        float32 ``(n, height, width, channels)`` in [0, 1].
    """
    try:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ModuleNotFoundError as error:
        sys.exit(f"--grpc needs the package {error.name}: pip install tensorflow-serving-api.")

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "sample"
    for name, (values, dtype) in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
    try:
        with grpc.insecure_channel(server) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            answer = stub.Predict(request, timeout=30)
    except grpc.RpcError as error:
        sys.exit(f"{server} refuses with {error.code().name}: {error.details()}")
    return tf.make_ndarray(answer.outputs["images"])


def parse():
    """Parses and validates the command line."""
    parser = argparse.ArgumentParser(description="Request images from TF Serving.")
    parser.add_argument("model", help="name under which the model is served")
    parser.add_argument("--url", default="http://localhost:8501", help="address of the REST API")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="address of the gRPC API")
    parser.add_argument("--label", type=int, help="label, for a model that is conditional on it")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first image")
    parser.add_argument("-n", type=int, default=4, help="number of images")
    parser.add_argument("--output", default=".", help="folder of the PNG files")
    arguments = parser.parse_args()
    if not Path(arguments.output).is_dir():
        parser.error(f"There is no folder {arguments.output} to write to.")
    return arguments


def main():
    """Requests images in each format and compares them."""
    arguments = parse()
    url = f"{arguments.url}/v1/models/{arguments.model}"
    for version in ask(url)["model_version_status"]:
        print(f"{arguments.model}, version {version['version']}: {version['state']}")

    columns = {"seed": list(range(arguments.seed, arguments.seed + arguments.n))}
    if arguments.label is not None:
        columns["label"] = [arguments.label] * arguments.n
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]

    # The answer to rows is "predictions", the answer to columns "outputs". A single output has no
    # name.
    by_rows = np.array(ask(f"{url}:predict", {"instances": rows})["predictions"], np.float32)
    print(f"rows: {by_rows.shape}")
    by_columns = np.array(ask(f"{url}:predict", {"inputs": columns})["outputs"], np.float32)
    print(
        f"columns: {by_columns.shape}, at most {abs(by_columns - by_rows).max():.0e} from the rows"
    )

    # Bytes are sent as base64, because JSON cannot represent them.
    answer = ask(f"{url}:predict", {"signature_name": "sample_png", "instances": rows})
    for seed, png in zip(columns["seed"], answer["predictions"]):
        path = Path(arguments.output) / f"{arguments.model}-{seed}.png"
        path.write_bytes(base64.b64decode(png["b64"]))
        print(f"Written: {path}")

    if arguments.grpc:
        dtypes = {"seed": "int64", "label": "int32"}
        inputs = {name: (values, dtypes[name]) for name, values in columns.items()}
        images = ask_grpc(arguments.grpc, arguments.model, inputs)
        print(f"gRPC: {images.shape}, at most {abs(images - by_rows).max():.0e} from the rows")


if __name__ == "__main__":
    main()
