"""Tests of a server against the documentation of TF Serving's REST and gRPC APIs.

The environment variables ``TF_SERVING_REST_URL`` (such as http://localhost:8501) and
``TF_SERVING_GRPC_URL`` (such as localhost:8500) name a TF Serving that serves the zoo's models.
Without the first, the tests start ``zoo serve``, which has no gRPC.
"""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from tests.conftest import ROOT

CLIENT = ROOT / "examples" / "tf_serving_client.py"
NAMES = ["cvae_mnist", "vae_mnist", "cdcgan_mnist"]


@pytest.fixture(scope="module")
def rest():
    """Returns the URL of a server's REST API."""
    if "TF_SERVING_REST_URL" in os.environ:
        yield os.environ["TF_SERVING_REST_URL"]
        return
    command = [sys.executable, "-m", "zoo", "serve", *NAMES, "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            line = server.stdout.readline()
            ready = re.search(r"http://\S+", line)
            assert ready, f"zoo serve is not ready, it said {line!r}"
            yield ready[0]
        finally:
            server.terminate()


@pytest.fixture
def ask(rest):
    """Returns a function that sends GET, or POST with a body, and returns (HTTP status, JSON)."""

    def ask(path, body=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{rest}/v1/models/{path}", data), timeout=60
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return ask


@pytest.fixture(scope="module")
def model():
    """Returns a function from a name to that model on the SavedModel runtime."""
    loaded = {name: zoo.load(name, "saved_model") for name in NAMES}
    return loaded.__getitem__


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:3]


def close(answer, expected):
    np.testing.assert_allclose(np.array(answer, np.float32), expected, rtol=1e-5, atol=1e-5)


SEEDS, LABELS = [0, 5, 2**62 + 1], [7, 0, 9]
ROWS = [{"seed": seed, "label": label} for seed, label in zip(SEEDS, LABELS)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_status(ask, name, version):
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert ask(name + version) == (200, {"model_version_status": [available]})


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_metadata(ask, version):
    status, answer = ask(f"cvae_mnist{version}/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "cvae_mnist", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]

    def specs(tensors):
        return {
            name: (t["dtype"], [dim["size"] for dim in t["tensor_shape"]["dim"]])
            for name, t in tensors.items()
        }

    label, drawn = ("DT_INT32", ["-1"]), ("DT_FLOAT", ["-1", "28", "28", "1"])
    for name in ("serving_default", "sample"):
        assert specs(signatures[name]["inputs"]) == {"seed": ("DT_INT64", ["-1"]), "label": label}
        assert specs(signatures[name]["outputs"]) == {"images": drawn}
        assert signatures[name]["method_name"] == "tensorflow/serving/predict"
    assert specs(signatures["sample_png"]["outputs"]) == {"png_bytes": ("DT_STRING", ["-1"])}
    latent = ("DT_FLOAT", ["-1", str(zoo.info("cvae_mnist").latent_dim)])
    assert specs(signatures["encode"]["inputs"]) == {"images": drawn, "label": label}
    assert specs(signatures["encode"]["outputs"]) == {"mean": latent, "log_var": latent}


@pytest.mark.parametrize("name", ["cvae_mnist", "cdcgan_mnist"])
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_predict_in_rows_and_columns(ask, model, name, version):
    drawn = model(name).sample(3, LABELS, seed=SEEDS)
    status, answer = ask(f"{name}{version}:predict", {"instances": ROWS})
    assert (status, list(answer)) == (200, ["predictions"])
    close(answer["predictions"], drawn)  # a single output has no name
    status, answer = ask(f"{name}{version}:predict", {"inputs": {"seed": SEEDS, "label": LABELS}})
    assert (status, list(answer)) == (200, ["outputs"])
    close(answer["outputs"], drawn)


def test_a_single_input_may_go_unnamed(ask, model):
    drawn = model("vae_mnist").sample(3, seed=SEEDS)
    close(ask("vae_mnist:predict", {"instances": SEEDS})[1]["predictions"], drawn)
    close(
        ask("vae_mnist:predict", {"instances": [{"seed": seed} for seed in SEEDS]})[1][
            "predictions"
        ],
        drawn,
    )
    close(ask("vae_mnist:predict", {"inputs": SEEDS})[1]["outputs"], drawn)
    close(ask("vae_mnist:predict", {"inputs": {"seed": SEEDS}})[1]["outputs"], drawn)


def test_several_outputs_are_objects(ask, model, images):
    mean, log_var = model("cvae_mnist").encode(images, LABELS)
    rows = [{"images": image.tolist(), "label": label} for image, label in zip(images, LABELS)]
    predictions = ask("cvae_mnist:predict", {"signature_name": "encode", "instances": rows})[1][
        "predictions"
    ]
    assert all(set(row) == {"mean", "log_var"} for row in predictions)
    close([row["mean"] for row in predictions], mean)
    close([row["log_var"] for row in predictions], log_var)
    inputs = {"images": images.tolist(), "label": LABELS}
    outputs = ask("cvae_mnist:predict", {"signature_name": "encode", "inputs": inputs})[1][
        "outputs"
    ]
    assert set(outputs) == {"mean", "log_var"}
    close(outputs["mean"], mean)
    close(outputs["log_var"], log_var)


def test_every_signature_answers(ask, model, images):
    cvae, inputs = model("cvae_mnist"), {"images": images.tolist(), "label": LABELS}
    z = np.random.default_rng(0).standard_normal((3, cvae.latent_dim), np.float32)
    expected = {
        "sample": ({"seed": SEEDS, "label": LABELS}, cvae.sample(3, LABELS, seed=SEEDS)),
        "decode": ({"z": z.tolist(), "label": LABELS}, cvae.decode(z, LABELS)),
        "reconstruct": (inputs, cvae.reconstruct(images, LABELS)),
        "score": (inputs, cvae.score(images, LABELS)),
    }
    for signature, (given, value) in expected.items():
        status, answer = ask("cvae_mnist:predict", {"signature_name": signature, "inputs": given})
        assert status == 200, answer
        close(answer["outputs"], value)


def test_bytes_come_in_base64(ask, model):
    drawn = np.round(model("cvae_mnist").sample(3, LABELS, seed=SEEDS) * 255)
    for given, key in (
        ({"instances": ROWS}, "predictions"),
        ({"inputs": {"seed": SEEDS, "label": LABELS}}, "outputs"),
    ):
        answer = ask("cvae_mnist:predict", {"signature_name": "sample_png"} | given)[1][key]
        assert all(set(png) == {"b64"} for png in answer)
        pixels = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(png["b64"], validate=True))), int)
            for png in answer
        ]
        # A difference of 1e-5 may change the rounded grey level by one.
        assert np.abs(np.stack(pixels)[..., None] - drawn).max() <= 1


def test_rows_are_independent_of_the_batch(ask):
    together = ask("cvae_mnist:predict", {"instances": ROWS})[1]["predictions"]
    for row, image in zip(ROWS, together):
        close(ask("cvae_mnist:predict", {"instances": [row]})[1]["predictions"], [image])


@pytest.mark.parametrize(
    "path",
    ["nothing", "cvae_mnist/versions/9", "nothing/metadata", "cvae_mnist/versions/9/metadata"],
)
def test_what_is_not_served_is_404(ask, path):
    status, answer = ask(path)
    assert (status, list(answer)) == (404, ["error"])
    assert answer["error"]


@pytest.mark.parametrize("path", ["nothing:predict", "cvae_mnist/versions/9:predict"])
def test_predict_on_what_is_not_served_is_404(ask, path):
    status, answer = ask(path, {"instances": ROWS})
    assert (status, list(answer)) == (404, ["error"])
    assert answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        {},
        {"instances": []},
        {"instances": ROWS, "inputs": {"seed": SEEDS, "label": LABELS}},
        {"signature_name": "nothing", "instances": ROWS},
        {"signature_name": 1, "instances": ROWS},
        {"instances": SEEDS},
        {"instances": [{"seed": 0}]},
        {"instances": [{"seed": 0, "label": 1, "more": 2}]},
        {"instances": [{"seed": 0, "label": 1}, {"seed": 0}]},
        {"instances": [{"seed": "0", "label": 1}]},
        {"instances": [{"seed": 0.5, "label": 1}]},
        {"instances": [{"seed": 2**63, "label": 1}]},
        {"instances": [{"seed": 0, "label": 2**31}]},
        {"instances": [{"seed": {"b64": "AAAA"}, "label": 1}]},
        {"inputs": {"seed": SEEDS}},
        {"inputs": {"seed": SEEDS, "label": LABELS[:2]}},
        {"inputs": {"seed": [[0], [1, 2]], "label": [0, 1]}},
        {"signature_name": "decode", "inputs": {"z": [[0.0]], "label": [1]}},
    ],
    ids=lambda body: body.decode() or "empty" if isinstance(body, bytes) else json.dumps(body)[:60],
)
def test_a_wrong_request_is_400(ask, body):
    status, answer = ask("cvae_mnist:predict", body)
    assert (status, list(answer)) == (400, ["error"])
    assert answer["error"]


@pytest.fixture(scope="module")
def grpc_server():
    """Returns the address of a server's gRPC API."""
    if "TF_SERVING_GRPC_URL" not in os.environ:
        pytest.skip("TF_SERVING_GRPC_URL names no TF Serving, and zoo serve has no gRPC")
    return os.environ["TF_SERVING_GRPC_URL"]


@pytest.fixture(scope="module")
def channel(grpc_server):
    import grpc

    with grpc.insecure_channel(grpc_server) as channel:
        yield channel


@pytest.fixture
def predict(channel):
    """Returns a function that calls a signature by gRPC and returns its outputs by name."""
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    def predict(name, signature, **inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = name, signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(
            request, timeout=60
        )
        assert (answer.model_spec.name, answer.model_spec.version.value) == (name, 1)
        return {key: tf.make_ndarray(value) for key, value in answer.outputs.items()}

    return predict


SEED, LABEL = np.array(SEEDS), np.array(LABELS, np.int32)


def test_grpc_predict(predict, model, images):
    cvae = model("cvae_mnist")
    drawn = cvae.sample(3, LABELS, seed=SEEDS)
    for signature in ("", "serving_default", "sample"):
        answer = predict("cvae_mnist", signature, seed=SEED, label=LABEL)
        assert set(answer) == {"images"}
        close(answer["images"], drawn)
    for png, image in zip(
        predict("cvae_mnist", "sample_png", seed=SEED, label=LABEL)["png_bytes"], drawn
    ):
        assert (
            np.abs(
                np.asarray(Image.open(io.BytesIO(png)), int)[..., None] - np.round(image * 255)
            ).max()
            <= 1
        )
    answer = predict("cvae_mnist", "encode", images=images, label=LABEL)
    mean, log_var = cvae.encode(images, LABELS)
    close(answer["mean"], mean)
    close(answer["log_var"], log_var)
    close(
        predict("vae_mnist", "sample", seed=SEED)["images"],
        model("vae_mnist").sample(3, seed=SEEDS),
    )


def test_grpc_status_and_metadata(channel):
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2_grpc,
    )

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "cvae_mnist"
    (version,) = (
        model_service_pb2_grpc.ModelServiceStub(channel)
        .GetModelStatus(request, timeout=60)
        .model_version_status
    )
    assert (version.version, version.state) == (
        1,
        get_model_status_pb2.ModelVersionStatus.AVAILABLE,
    )
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "cvae_mnist"
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(
        request, timeout=60
    )
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert set(zoo.load("cvae_mnist").signatures()) | {"serving_default"} <= set(
        signatures.signature_def
    )


@pytest.mark.parametrize(
    ("name", "signature", "inputs", "code"),
    [
        ("nothing", "sample", {"seed": SEED}, "NOT_FOUND"),
        ("cvae_mnist", "sample", {"seed": SEED}, "INVALID_ARGUMENT"),
        (
            "cvae_mnist",
            "sample",
            {"seed": SEED.astype(np.int32), "label": LABEL},
            "INVALID_ARGUMENT",
        ),
    ],
)
def test_grpc_errors(predict, name, signature, inputs, code):
    import grpc

    with pytest.raises(grpc.RpcError) as error:
        predict(name, signature, **inputs)
    assert error.value.code().name == code


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, CLIENT, *arguments], capture_output=True, text=True, cwd=cwd
    )


def sheet(folder, name, seeds):
    return np.stack([np.asarray(Image.open(folder / f"{name}-{seed}.png"), int) for seed in seeds])[
        ..., None
    ]


@pytest.mark.parametrize(("name", "label"), [("cvae_mnist", ["--label", "7"]), ("vae_mnist", [])])
def test_the_example_client_writes_pictures(rest, model, name, label, tmp_path):
    done = run(name, *label, "--url", rest, "-n", "3", "--seed", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{name}, version 1: AVAILABLE\nrows: (3, 28, 28, 1)\n" in done.stdout
    assert (
        float(re.search(r"columns: \(3, 28, 28, 1\), at most (\S+) from the rows", done.stdout)[1])
        <= 1e-5
    )
    drawn = model(name).sample(3, 7 if label else None, seed=5)
    assert np.abs(sheet(tmp_path, name, [5, 6, 7]) - np.round(drawn * 255)).max() <= 1


def test_the_example_client_speaks_grpc(grpc_server, rest, tmp_path):
    done = run("cvae_mnist", "--label", "7", "--url", rest, "--grpc", grpc_server, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        float(re.search(r"gRPC: \(4, 28, 28, 1\), at most (\S+) from the rows", done.stdout)[1])
        <= 1e-5
    )


def test_the_example_client_says_what_the_server_refuses(rest, tmp_path):
    for arguments, sentence in (
        (["nothing"], "/v1/models/nothing refuses with 404: "),
        (["cvae_mnist"], "/v1/models/cvae_mnist:predict refuses with 400: "),
    ):
        done = run(*arguments, "--url", rest, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert sentence in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "localhost:8501", "ftp://localhost"])
def test_the_example_client_says_where_there_is_no_server(url, tmp_path):
    done = run("cvae_mnist", "--url", url, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert done.stderr.startswith(
        f"There is no TF Serving that answers at {url}/v1/models/cvae_mnist ("
    )


def test_the_example_client_tells_the_port_of_grpc_from_that_of_rest(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def answer():
            with listener.accept()[0] as connection:
                connection.recv(1000)
                # gRPC begins with the frame SETTINGS of HTTP/2.
                connection.sendall(bytes.fromhex("000000040000000000"))

        thread.submit(answer)
        done = run(
            "cvae_mnist", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}", cwd=tmp_path
        )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "does not speak HTTP" in done.stderr
