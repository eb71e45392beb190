"""Tests of the local server in its own process: values, concurrency, and invalid requests.

test_conformance.py checks that it answers as TF Serving does.
"""

import base64
import concurrent.futures
import http.client
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from html import unescape

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import zoo
from tests import harness
from tests.conftest import FIXTURE, ROOT, nightly_except
from zoo import catalog, data, recipes

NAMES = zoo.list_models()


def start(*arguments):
    """Starts a server on a free port and returns (process, port) when it is ready."""
    command = [sys.executable, "-m", "zoo", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    line = process.stdout.readline()
    assert line.startswith("Serving "), process.stderr.read()
    return process, int(line.rpartition(":")[2])


@pytest.fixture(scope="module")
def port():
    process, port = start()
    yield port
    process.terminate()
    errors = process.communicate(timeout=30)[1]
    assert "Traceback" not in errors, errors


def send(port, path, body=None, headers=None):
    """Sends a request and returns (status, document); converts a ``body`` to JSON if not bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def predict(port, name, body):
    return send(port, f"/v1/models/{name}:predict", body)


@pytest.fixture(scope="module")
def given_to(port):
    """Returns a function from a name to the inputs of that model's signatures."""

    def inputs(name):
        recipe = recipes.named(name)
        images, labels = data.tfds(recipe.dataset, "test", FIXTURE).first()
        return harness.signature_inputs(zoo.load(name), images, labels)

    return inputs


@pytest.mark.parametrize(
    "name", nightly_except(("cdcgan_mnist", "cvae_quadrant_mnist", "vae_mnist"), NAMES)
)
def test_the_same_numbers_as_in_python(port, given_to, name):
    served, inputs = zoo.load(name, "saved_model"), given_to(name)
    inputs["sample"]["seed"] = np.arange(100)
    for signature, arrays in inputs.items():
        columns = {key: values.tolist() for key, values in arrays.items()}
        status, answer = predict(port, name, {"signature_name": signature, "inputs": columns})
        assert status == 200, answer
        expected = served.compute(signature, arrays)
        outputs = (
            answer["outputs"] if len(expected) > 1 else {next(iter(expected)): answer["outputs"]}
        )
        assert set(outputs) == set(expected)
        for output, values in expected.items():
            if output.endswith("_bytes"):
                assert [base64.b64decode(value["b64"]) for value in outputs[output]] == list(values)
            else:
                np.testing.assert_allclose(
                    np.array(outputs[output], np.float32), values, rtol=1e-6, atol=1e-6
                )


@pytest.mark.parametrize("version", ["?model_version=1", "/versions/1", ""])
def test_versions_of_the_open_inference_protocol(port, version):
    path, query = ("/v2/models/vae_mnist" + version).partition("?")[::2]
    status, answer = send(port, f"{path}?{query}")
    assert (status, answer["name"], answer["versions"]) == (200, "vae_mnist", ["1"])
    assert send(port, f"{path}/ready?{query}") == (200, {"name": "vae_mnist", "ready": True})
    body = {
        "inputs": [{"name": "seed", "shape": [1], "datatype": "INT64", "data": [3]}],
        "outputs": [{"name": "images"}],
    }
    status, answer = send(port, f"{path}/infer?{query}", body)
    assert (status, answer["outputs"][0]["shape"]) == (200, [1, 28, 28, 1])


def test_tensors_may_be_nested_and_must_fit_their_shape(port, digits):
    images = digits[0][:2]
    tensor = {
        "name": "images",
        "shape": [2, 28, 28, 1],
        "datatype": "FP32",
        "data": images.tolist(),
    }
    body = {"inputs": [tensor], "parameters": {"signature_name": "score"}}
    scores = zoo.load("vae_mnist", "saved_model").score(images)
    for values in (images.tolist(), images.ravel().tolist(), images.reshape(2, -1).tolist()):
        tensor["data"] = values
        status, answer = send(port, "/v2/models/vae_mnist/infer", body)
        assert status == 200, answer
        np.testing.assert_allclose(answer["outputs"][0]["data"], scores, rtol=1e-5)
    for wrong in (
        {"shape": [1, 28, 28, 1]},
        {"shape": [28, 28, 2, 1]},
        {"datatype": "INT32"},
        {"data": images.tolist()[0] * 2 + [0]},
    ):
        status, answer = send(
            port, "/v2/models/vae_mnist/infer", body | {"inputs": [tensor | wrong]}
        )
        assert (status, list(answer)) == (400, ["error"])


def in_base64(images):
    """Returns {"b64": …} of the file of each image, with columns that will be cropped."""
    files = []
    for image in images:
        file = io.BytesIO()
        wide = np.pad(np.uint8(np.round(image[..., 0] * 255)), ((0, 0), (7, 7)), mode="edge")
        Image.fromarray(wide).save(file, "PNG")
        files.append({"b64": base64.b64encode(file.getvalue()).decode()})
    return files


@pytest.mark.parametrize("form", ["instances", "inputs", "objects"])
def test_picture_files_of_any_size_are_taken_in_place_of_images(port, digits, form):
    images = digits[0][:3]
    files = in_base64(images)
    body = {
        "instances": {"instances": files},
        "inputs": {"inputs": {"images": files}},
        "objects": {"instances": [{"images": file} for file in files]},
    }[form]
    status, answer = predict(port, "vae_mnist", body | {"signature_name": "score"})
    assert status == 200, answer
    scores = answer.get("predictions", answer.get("outputs"))
    expected = zoo.load("vae_mnist", "saved_model").score(images)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        ([{"b64": "MQ=="}], "must be an undamaged picture, one of PNG"),
        ([{"b64": "no base64!"}], "must be a text in base64"),
        ([{"b64": 7}], "received: 7"),
        ([{"b64": "MQ=="}] * 9000, "pictures in a request; received: 9000"),
        ([{"b64": "MQ=="}, 3], "images must be numbers"),
    ],
)
def test_wrong_picture_files_get_one_sentence(port, pictures, sentence):
    body = {"instances": pictures, "signature_name": "score"}
    status, answer = predict(port, "vae_mnist", body)
    assert (status, list(answer)) == (400, ["error"])
    assert sentence in answer["error"]


def test_pictures_with_too_many_pixels_are_refused(port):
    file = io.BytesIO()
    Image.new("1", (5000, 5000)).save(file, "PNG")
    body = {"instances": [{"b64": base64.b64encode(file.getvalue()).decode()}]}
    status, answer = predict(port, "vae_mnist", body | {"signature_name": "encode"})
    assert status == 400
    assert "at most 4194304 pixels together" in answer["error"]


def page(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.headers.get_content_type(), answer.read()


def test_the_start_page_lists_every_model_with_its_samples(port):
    kind, html = page(port, "/")
    html = html.decode()
    assert kind == "text/html"
    rows = {}
    for name in NAMES:
        section = html.partition(f"<h2>{name}</h2>")[2].partition("<h2>")[0]
        assert f'<img src="samples/{name}.png"' in section
        samples = (catalog.directory(name) / "samples.png").read_bytes()
        assert page(port, f"/samples/{name}.png") == ("image/png", samples)
        assert all(f"<td>{signature}</td>" in section for signature in zoo.load(name).signatures())
        rows[name] = int(re.search(r"at most (\d+) rows", section)[1])
        command = unescape(re.search(r"<pre>(.*?)</pre>", section)[1])
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        shape = np.shape(json.loads(done.stdout)["predictions"])
        assert shape == (1, *zoo.info(name).image_shape), done
    # The memory of a row decides: an image to encode, and its condition.
    assert rows["gan_mnist"] > rows["cvae_mnist"] > rows["cvae_quadrant_mnist"]
    assert send(port, "/samples/nothing.png")[0] == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
def test_a_page_asks_no_other_host(port, path):
    kind, html = page(port, path)
    assert kind == "text/html"
    assets = re.findall(r'(?:src|href)="([^"]+)"', html.decode())
    assert len(assets) >= 2
    for asset in assets:
        assert not re.match(r"\w*:?//", asset), asset
        assert page(port, f"/{asset.lstrip('/')}")[1]


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not BROWSER, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(
    ("path", "words"), [("/docs", "Predict"), ("/redoc", "Predict"), ("/", "cvae_mnist")]
)
def test_a_page_is_whole_in_a_browser_without_a_network(port, path, words, tmp_path):
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=20000",
    ]
    command += [
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--log-net-log={tmp_path / 'net.json'}",
    ]
    command += ["--disable-background-networking", "--dump-dom", f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert words in re.sub(r"(?s)<script.*?</script>", "", done.stdout)
    asked = re.findall(
        r'"initiator":"http://127.*?"url":"(\w+://[^"]*)"', (tmp_path / "net.json").read_text()
    )
    assert asked or path == "/"
    assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in asked)


def test_the_openapi_document_has_the_version_of_the_package(port):
    assert send(port, "/openapi.json")[1]["info"]["version"] == zoo.__version__


def test_each_of_many_at_once_gets_its_own(port):
    def ask(seed):
        return predict(port, "cvae_mnist", {"instances": [{"seed": seed, "label": seed % 10}]})[1][
            "predictions"
        ][0]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = np.array(list(pool.map(ask, range(100))))
    np.testing.assert_allclose(
        answers, zoo.load("cvae_mnist", "saved_model").sample(100), rtol=0, atol=1e-5
    )


def test_the_open_inference_protocol(port):
    assert send(port, "/v2/health/ready") == (200, {"ready": True})
    assert send(port, "/v2/models") == (200, {"models": NAMES})
    tensors = send(port, "/v2/models/cvae_mnist")[1]
    assert tensors["inputs"][1] == {"name": "seed", "datatype": "INT64", "shape": [-1]}
    inputs = [
        {"name": "seed", "shape": [2], "datatype": "INT64", "data": [0, 1]},
        {"name": "label", "shape": [2], "datatype": "INT32", "data": [7, 8]},
    ]
    path, headers = "/v2/models/cvae_mnist/infer", {"Content-Type": "application/json"}
    status, answer = send(port, path, {"id": "one", "inputs": inputs}, headers)
    assert (status, answer["id"], answer["outputs"][0]["shape"]) == (200, "one", [2, 28, 28, 1])
    drawn = zoo.load("cvae_mnist", "saved_model").sample(2, [7, 8])
    np.testing.assert_allclose(answer["outputs"][0]["data"], drawn.ravel(), rtol=0, atol=1e-6)
    body = {"inputs": inputs, "parameters": {"signature_name": "sample_png"}}
    png = base64.b64decode(send(port, path, body, headers)[1]["outputs"][0]["data"][1])
    assert (
        png
        == zoo.load("cvae_mnist", "saved_model").compute(
            "sample_png", {"seed": np.array([1]), "label": np.array([8], np.int32)}
        )["png_bytes"][0]
    )
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as metrics:
        assert 'request_predict_seconds_count{model_name="cvae_mnist"}' in metrics.read().decode()
    assert "/v1/models/{name}:predict" in send(port, "/openapi.json")[1]["paths"]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (
            "/v1/models/cvae_mnits:predict",
            {},
            404,
            "no model 'cvae_mnits'; the nearest is 'cvae_mnist'",
        ),
        ("/v1/models/cvae_mnist/versions/2:predict", {}, 404, "no version '2': there is 1"),
        ("/v1/models/cvae_mnist/versions/2", None, 404, "no version '2'"),
        ("/v1/nothing", None, 404, "There is no GET '/v1/nothing'"),
        (":predict", b"{", 400, "must be a JSON document"),
        (":predict", b'{"instances": [NaN]}', 400, "must be a JSON document"),
        (":predict", b"[" * 100_000, 400, "must be a JSON document"),
        (":predict", [], 400, "must be a JSON object; received: a list of length 0"),
        (
            ":predict",
            {"instances": [], "inputs": {}},
            400,
            "either 'instances' (rows) or 'inputs' (columns)",
        ),
        (":predict", {"instances": []}, 400, "a list of rows; received: a list of length 0"),
        (
            ":predict",
            {"instances": [{"seed": 1}]},
            400,
            "an object of label, seed; received: an object of 'seed'",
        ),
        (
            ":predict",
            {"inputs": {"seed": 1, "label": [1]}},
            400,
            "seed must be whole numbers in an array of shape (n)",
        ),
        (
            ":predict",
            {"inputs": {"seed": [1]}},
            400,
            "takes the inputs label, seed; received: an object of 'seed'",
        ),
        (":predict", {"instances": [{"seed": 1.5, "label": 1}]}, 400, "seed must be whole numbers"),
        (":predict", {"instances": [{"seed": "1", "label": 1}]}, 400, "seed must be whole numbers"),
        (
            ":predict",
            {"instances": [{"seed": {"b64": "MQ=="}, "label": 1}]},
            400,
            "seed must be whole numbers",
        ),
        (":predict", {"instances": [{"seed": 2**63, "label": 1}]}, 400, "less than 2**63"),
        (":predict", {"instances": [{"seed": -1, "label": 1}]}, 400, "seed must be at least 0"),
        (
            ":predict",
            {"instances": [{"seed": 1, "label": 10}]},
            400,
            "labels must be integers from 0 to 9; received: 10",
        ),
        (
            ":predict",
            {"inputs": {"seed": [1, 2], "label": [1]}},
            400,
            "one number of rows, from 1 to ",
        ),
        (
            ":predict",
            {"inputs": {"seed": [1] * 9000, "label": [1] * 9000}},
            400,
            "one number of rows, from 1 to ",
        ),
        (
            ":predict",
            {"inputs": {}, "signature_name": "smaple"},
            400,
            "no signature 'smaple'; the nearest is 'sample'",
        ),
        (":predict", {"inputs": {}, "signature_name": 7}, 400, "no signature 7"),
        (":predict", {"inputs": {}, "signature": "decode"}, 400, "unknown member 'signature'"),
        (
            ":predict",
            {"inputs": {"z": [[1e39] * 40], "label": [1]}, "signature_name": "decode"},
            400,
            "z must be finite",
        ),
        (
            ":predict",
            {"inputs": {"z": [[1e38] * 40], "label": [1]}, "signature_name": "decode"},
            400,
            "no finite answer",
        ),
        (
            ":predict",
            {"inputs": {"z": [[0.0]], "label": [1]}, "signature_name": "decode"},
            400,
            "in an array of shape (n, 40)",
        ),
        (
            ":predict",
            {"inputs": {"z": [[0.0], []], "label": [1]}, "signature_name": "decode"},
            400,
            "z must be numbers",
        ),
        ("/v2/models/nothing", None, 404, "There is no model 'nothing'"),
        ("/v2/models/cvae_mnist?model_version=9", None, 404, "no version '9': there is 1"),
        ("/v2/models/cvae_mnist/ready?model_version=9", None, 404, "no version '9': there is 1"),
        ("/v2/models/cvae_mnist/versions/9", None, 404, "no version '9': there is 1"),
        (
            "/v2/models/cvae_mnist/infer?model_version=9",
            {"inputs": []},
            404,
            "no version '9': there is 1",
        ),
        (
            "/v2/models/cvae_mnist/infer",
            {"inputs": 3},
            400,
            "inputs must be a list of at most 2 objects; received: 3",
        ),
        (
            "/v2/models/cvae_mnist/infer",
            {"inputs": []},
            400,
            "takes the inputs label, seed; received: an object of no members",
        ),
    ],
)
def test_bad_requests_get_one_sentence(port, path, body, status, sentence):
    path = f"/v1/models/cvae_mnist{path}" if path.startswith(":") else path
    headers = {"Content-Type": "application/json"} if body is not None else {}
    answered, document = send(port, path, body, headers)
    assert answered == status, document
    assert set(document) == {"error"}
    assert sentence in document["error"]


def test_limits_of_the_body(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for headers, body, status, sentence in (
        (
            {"Content-Type": "image/png"},
            b"{}",
            415,
            "must be application/json; received: 'image/png'",
        ),
        ({"Content-Encoding": "gzip"}, b"{}", 415, "must not be encoded"),
        ({}, b" " * (32 * 2**20 + 1), 413, "at most 33554432 bytes"),
    ):
        connection.request("POST", "/v1/models/cvae_mnist:predict", body, headers)
        answer = connection.getresponse()
        assert answer.status == status
        assert sentence in json.load(answer)["error"]
        connection.close()


def test_a_client_that_goes_away_leaves_the_server_as_it_was(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.putrequest("POST", "/v1/models/cvae_mnist:predict")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"instances": [')
    connection.close()
    assert send(port, "/v1/models/cvae_mnist")[0] == 200


def test_what_is_in_flight_is_answered_before_the_server_stops():
    process, port = start("cvae_mnist")
    body = {"inputs": {"seed": list(range(1024)), "label": [1] * 1024}}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(predict, port, "cvae_mnist", body)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert answer.result()[0] == 200
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    process.stderr.close()


def test_a_port_that_is_taken_is_said_in_one_line(port):
    command = [sys.executable, "-m", "zoo", "serve", "cvae_mnist", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert f"zoo: Cannot listen on port {port} of 127.0.0.1 (Address already in use)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.just({"b64": "AAAA"}),
)
JUNK = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
SIGNATURES = ("serving_default", "sample_png", "decode", "encode", "reconstruct", "score")
VALID = {"seed": 1, "label": 1, "z": [0.0] * 40, "images": [[[0.5]] * 28] * 28}


@st.composite
def bodies(draw):
    """Draws bodies that are valid except for a part that is random, missing or cut."""
    row = {
        key: draw(st.just(value) | JUNK) for key, value in VALID.items() if draw(st.integers(0, 4))
    }
    values = draw(
        st.sampled_from([[row], row, [row, row], {key: [value] for key, value in row.items()}])
        | JUNK
    )
    body = {draw(st.sampled_from(["instances", "inputs"])): values}
    if draw(st.booleans()):
        body["signature_name"] = draw(st.sampled_from(SIGNATURES) | JUNK)
    if draw(st.integers(0, 3)) == 0:
        tensor = {
            "name": draw(st.sampled_from(list(VALID)) | JUNK),
            "shape": [1],
            "datatype": "INT64",
            "data": [1],
        }
        tensor[draw(st.sampled_from(list(tensor)))] = draw(JUNK)
        body["inputs"] = [tensor] * draw(st.integers(1, 2))
    text = json.dumps(draw(st.just(body) | JUNK)).encode()
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 4)) == 0 else text


PATHS = st.sampled_from(
    ["/v1/models/cvae_mnist:predict"] * 3
    + ["/v2/models/cvae_mnist/infer", "/v1/models/vae_mnist:predict"]
)
TYPES = st.sampled_from(
    ["application/json"] * 5 + ["text/plain", "image/png", "multipart/form-data", "?"]
)


def bombard(port, examples):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(PATHS, bodies() | st.binary(max_size=50), TYPES)
    def fire(path, body, kind):
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        document = json.load(answer)
        assert answer.status == 200 or 400 <= answer.status < 500, document
        if answer.status != 200:
            assert list(document) == ["error"]
            assert "\n" not in document["error"]
            assert "Traceback" not in document["error"]

    fire()
    connection.close()


def test_no_request_brings_it_down(port):
    bombard(port, 500)


@pytest.mark.nightly
def test_no_request_of_ten_thousand_brings_it_down(port):
    bombard(port, 10_000)
