"""Ask a TF Serving for images, in each way that it understands.

The server is one that ``docker run tensorflow/serving`` started, KServe's, or ``zoo serve``: all speak the same REST API. This
script asks whether the model is there, asks for images row by row, then column by column, which is shorter, then for the same
images as PNG files, and writes those. With ``--grpc`` it asks a last time through gRPC, which sends numbers as bytes and not as
text, and wants ``pip install tensorflow-serving-api``.

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
    """The server's answer to GET, or to POST where there is a question; its error ends the script in one sentence."""
    body = None if question is None else json.dumps(question).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, {"Content-Type": "application/json"})
        ) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} refuses with {error.code}: {refusal(error)}")
    except (OSError, ValueError) as error:
        sys.exit(
            f"There is no TF Serving that answers at {url} ({error}): start it, or name another with --url."
        )
    except http.client.HTTPException:
        sys.exit(
            f"What answers at {url} does not speak HTTP: --url takes the REST API, the port of gRPC goes to --grpc."
        )


def refusal(error):
    """What TF Serving says of an error, {"error": …}, or what else stands in its place."""
    body = error.read().decode(errors="replace")
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return body.strip() or error.reason


def ask_grpc(server, model, inputs):
    """The images of the signature ``sample`` through gRPC, float32 (n, height, width, channels)."""
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
            answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(
                request, timeout=30
            )
    except grpc.RpcError as error:
        sys.exit(f"{server} refuses with {error.code().name}: {error.details()}")
    return tf.make_ndarray(answer.outputs["images"])


def main():
    parser = argparse.ArgumentParser(description="Ask a TF Serving for images.")
    parser.add_argument("model", help="name that the model is served by")
    parser.add_argument("--url", default="http://localhost:8501", help="where its REST API is")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="where its gRPC API is")
    parser.add_argument("--label", type=int, help="for a model that is conditional on a label")
    parser.add_argument("--seed", type=int, default=0, help="of the first image; counted upwards")
    parser.add_argument("-n", type=int, default=4, help="number of images")
    parser.add_argument("--output", default=".", help="folder of the PNG files")
    arguments = parser.parse_args()
    if not Path(arguments.output).is_dir():
        parser.error(f"There is no folder {arguments.output} to write to.")

    url = f"{arguments.url}/v1/models/{arguments.model}"
    for version in ask(url)["model_version_status"]:
        print(f"{arguments.model}, version {version['version']}: {version['state']}")

    columns = {"seed": list(range(arguments.seed, arguments.seed + arguments.n))}
    if arguments.label is not None:
        columns["label"] = [arguments.label] * arguments.n
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]

    # An answer has the form of its question: rows are "predictions", columns are "outputs". A single output goes unnamed.
    by_rows = np.array(ask(f"{url}:predict", {"instances": rows})["predictions"], np.float32)
    print(f"rows: {by_rows.shape}")
    by_columns = np.array(ask(f"{url}:predict", {"inputs": columns})["outputs"], np.float32)
    print(
        f"columns: {by_columns.shape}, at most {abs(by_columns - by_rows).max():.0e} from the rows"
    )

    # Bytes come in base64, because JSON has none.
    answer = ask(f"{url}:predict", {"signature_name": "sample_png", "instances": rows})
    for seed, png in zip(columns["seed"], answer["predictions"]):
        path = Path(arguments.output) / f"{arguments.model}-{seed}.png"
        path.write_bytes(base64.b64decode(png["b64"]))
        print(f"Written: {path}")

    if arguments.grpc:
        dtypes = {"seed": "int64", "label": "int32"}
        images = ask_grpc(
            arguments.grpc,
            arguments.model,
            {name: (values, dtypes[name]) for name, values in columns.items()},
        )
        print(f"gRPC: {images.shape}, at most {abs(images - by_rows).max():.0e} from the rows")


if __name__ == "__main__":
    main()
