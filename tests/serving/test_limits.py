"""Tests of the local server's limits: memory, connections, and shutdown.

The memory is the peak resident set size of the server's process.
"""

import concurrent.futures
import contextlib
import http.client
import json
import random
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.conftest import ROOT
from tests.serving.test_serving import start
from zoo import catalog
from zoo.serving.limits import parsed_bytes

MEGABYTE = 10**6
MOST = 500 * MEGABYTE
TOTAL = 192 * 2**20
V1 = "/v1/models/cvae_mnist:predict"
SINGLE = "/v1/models/vae_mnist:predict"
V2 = "/v2/models/cvae_mnist/infer"

# Starts a server with the limits of argv[1] on the port of argv[2].
WITH_LIMITS = """
    import json, sys
    from zoo import catalog, serving

    def ready(port):
        print(f"Serving :{port}", flush=True)

    limits = serving.Limits(**json.loads(sys.argv[1]))
    names = ("cvae_mnist", "vae_mnist")
    artifacts = {name: catalog.directory(name) for name in names}
    serving.serve(artifacts, "127.0.0.1", int(sys.argv[2]), ready, limits)
"""


def stop(process):
    process.terminate()
    errors = process.communicate(timeout=60)[1]
    assert "Traceback" not in errors, errors
    assert process.returncode == 0


@pytest.fixture(scope="module")
def server():
    process, port = start("cvae_mnist", "vae_mnist", "gan_mnist")
    yield process, port
    stop(process)


def connects(port) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


class Impatient(tuple):
    """(process, port) of a server with time limits of 2 or 3 seconds and little memory.

    Attributes:
        opened: list of bool, whether the port took a connection, every 20 ms until the server was
            ready.
    """


@pytest.fixture(scope="module")
def impatient():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = {
        "head_seconds": 2,
        "seconds": 3,
        "stop_seconds": 2,
        "request_bytes": 128 * 2**20,
        "total_bytes": TOTAL,
    }
    command = [sys.executable, "-c", textwrap.dedent(WITH_LIMITS), json.dumps(limits), str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    server = Impatient((process, port))
    server.opened = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        line = pool.submit(process.stdout.readline)
        while not line.done():
            server.opened.append(connects(port))
            time.sleep(0.02)
    assert line.result() == f"Serving :{port}\n", process.stderr.read()
    yield server
    stop(process)


def memory(pid: int, key: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


class Growth:
    """Measures the growth of a process from its resident set size to its peak, in bytes."""

    def __init__(self, pid: int):
        self.pid = pid

    def __enter__(self):
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self.before = memory(self.pid, "VmRSS")
        return self

    def __exit__(self, *_):
        self.bytes = memory(self.pid, "VmHWM") - self.before


def post(port, path, body, headers=None):
    """Sends one request on a new connection and returns (status, document, headers)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": "application/json"} | (headers or {}))
    answer = connection.getresponse()
    document = orjson.loads(answer.read())
    connection.close()
    return answer.status, document, answer.headers


def raw(port, *pieces, wait=10):
    """Sends bytes and returns the answer, until the server closes or is silent for ``wait`` s."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while part := connection.recv(2**16):
                received += part
        except (TimeoutError, ConnectionError):
            pass
    return received


def filled(head: bytes, unit: bytes, tail: bytes, size: int) -> bytes:
    """Returns a body of about ``size`` bytes that repeats a JSON value."""
    return head + b",".join([unit] * ((size - len(head) - len(tail)) // (len(unit) + 1))) + tail


INSTANCES = (b'{"instances":[', b"]}")
COLUMNS = (b'{"inputs":{"label":[1],"seed":[', b"]}}")
TENSORS = (b'{"inputs":[', b"]}")
LABEL = b'{"inputs":[{"name":"label","shape":[1],"datatype":"INT32","data":[1]},'
DATA = (LABEL + b'{"name":"seed","shape":[1],"datatype":"INT64","data":[', b"]}]}")
UNITS = [b"[]", b"{}", b'{"a":0}', b"0", b"[[[0.5]]]", b'"\\ud83d\\ude00"']


@pytest.mark.parametrize(
    ("path", "around"),
    [(V1, INSTANCES), (SINGLE, INSTANCES), (V1, COLUMNS), (V2, TENSORS), (V2, DATA)],
    ids=["rows", "values", "columns", "tensors", "data"],
)
def test_no_body_of_many_small_values_takes_much_memory(server, path, around):
    process, port = server
    for unit, size in [(b"[]", 2**25), *((unit, 2**21) for unit in UNITS)]:
        with Growth(process.pid) as growth:
            status, document, _ = post(port, path, filled(around[0], unit, around[1], size))
        assert status in (400, 413), (unit, document)
        assert set(document) == {"error"}
        assert growth.bytes < MOST, (unit, growth.bytes)


LONG = b"a" * 2**24
STRINGS = {
    "an unknown signature": b'{"inputs":{},"signature_name":"' + LONG + b'"}',
    "an unknown member": b'{"inputs":{},"' + LONG + b'":1}',
    "an unknown input": b'{"inputs":{"' + LONG + b'":1}}',
    "one long string among short ones": b'{"inputs":{"label":["'
    + LONG
    + b'"'
    + b',"b"' * 10**5
    + b'],"seed":[1]}}',
    "four bytes a character": '{"inputs":{"😀'.encode() + LONG + b'":1}}',
    "a key for each row": b'{"instances":['
    + b",".join(b'{"k%d":1}' % i for i in range(3 * 10**5))
    + b"]}",
    "duplicate keys": b"{" + b",".join([b'"inputs":[]'] * 3 * 10**5) + b"}",
    "many members": b"{" + b",".join(b'"k%d":1' % i for i in range(3 * 10**5)) + b"}",
    "a huge integer": b'{"inputs":{"label":[1],"seed":[' + b"9" * 2**24 + b"]}}",
    "deep nesting": b'{"inputs":' + b"[" * 2**24,
    "an object in an object": b'{"a":' * 3 * 10**5 + b"1" + b"}" * 3 * 10**5,
    "spaces": b'{"inputs":{"label":[1],' + b" " * 2**25 + b'"seed":[1]}}',
    "bad UTF-8": b'{"inputs":{"label":["' + b"\xff" * 2**24 + b'"]}}',
}


@pytest.mark.parametrize("body", STRINGS.values(), ids=STRINGS)
def test_no_body_of_a_large_part_takes_much_memory(server, body):
    process, port = server
    for path in (V1, V2):
        with Growth(process.pid) as growth:
            status, document, _ = post(port, path, body)
        assert status in (400, 413), document
        assert len(document["error"]) < 500
        assert growth.bytes < MOST


MEASURED = """
    import os, sys, orjson

    def memory(key):
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024

    for body in sys.stdin.buffer.read().split(b"\\n"):
        if not (child := os.fork()):
            open("/proc/self/clear_refs", "w").write("5")
            before = memory("VmRSS")
            given = orjson.loads(body)
            print(memory("VmHWM") - before + len(body), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
"""


def test_the_bound_of_a_documents_memory_holds():
    """Measures orjson in CPython, with a new process for each document."""
    units = [*UNITS, b"[1]", b"[1,2]", b'{"a":{}}', b"1000", b'"ab"', b"null", '"éé"'.encode()]
    units += [
        '"aaa😀"'.encode(),
        b'"' + b"a" * 40 + b'"',
        b'{"a":1,"b":1.5,"c":1,"d":1,"e":1,"f":1}',
    ]
    bodies = [filled(b"[", unit, b"]", 2**20) for unit in units]
    bodies.append(b"{" + b",".join(b'"k%d":1.5' % i for i in range(80_000)) + b"}")
    bodies.append(b"[" + b",".join(b'{"k%d":1.5}' % i for i in range(80_000)) + b"]")
    bodies.append(('["' + "a" * 2**20 + '😀"]').encode())
    command = [sys.executable, "-c", textwrap.dedent(MEASURED)]
    done = subprocess.run(command, input=b"\n".join(bodies), capture_output=True, check=True)
    measured = [int(line) for line in done.stdout.split()]
    assert len(measured) == len(bodies)
    for body, taken in zip(bodies, measured):
        assert taken < parsed_bytes(body) + MEGABYTE, body[:40]


def rows_of(port, name) -> int:
    """Returns the largest number of rows in a request, which the error of a larger one states."""
    inputs = {"seed": [0] * 20_000} | ({"label": [1] * 20_000} if name == "cvae_mnist" else {})
    error = post(port, f"/v1/models/{name}:predict", json.dumps({"inputs": inputs}))[1]["error"]
    return int(re.search(r"from 1 to (\d+)", error)[1])


@pytest.mark.parametrize(
    ("name", "signature", "form"),
    [
        ("cvae_mnist", "sample", "instances"),
        ("cvae_mnist", "reconstruct", "inputs"),
        ("gan_mnist", "sample", "inputs"),
    ],
)
def test_a_valid_request_of_as_many_rows_as_allowed_stays_within_the_bound(
    server, rng, name, signature, form
):
    process, port = server
    rows = rows_of(port, name)
    assert rows > 1000
    given = (
        {"seed": np.arange(rows)}
        if signature == "sample"
        else {"images": rng.random((rows, 28, 28, 1))}
    )
    given = {key: values.tolist() for key, values in given.items()} | (
        {"label": [7] * rows} if name == "cvae_mnist" else {}
    )
    if form == "instances":
        given = [dict(zip(given, row)) for row in zip(*given.values())]
    body = orjson.dumps({"signature_name": signature, form: given})
    with Growth(process.pid) as growth:
        status, document, _ = post(port, f"/v1/models/{name}:predict", body)
    assert status == 200, document
    assert len(document["predictions" if form == "instances" else "outputs"]) == rows
    assert growth.bytes < MOST


def test_one_row_more_than_allowed_is_refused(server):
    port = server[1]
    rows = rows_of(port, "cvae_mnist")
    status, document, _ = post(
        port, V1, json.dumps({"inputs": {"seed": [0] * (rows + 1), "label": [1] * (rows + 1)}})
    )
    assert (status, f"from 1 to {rows}" in document["error"]) == (400, True), document


def test_many_at_once_stay_within_the_total_and_the_others_come_again(impatient, rng):
    process, port = impatient
    images = rng.random((380, 28, 28, 1)).astype(np.float32).tolist()
    body = orjson.dumps({"signature_name": "score", "inputs": images})
    with Growth(process.pid) as growth, concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(port, SINGLE, body), range(12)))
    assert growth.bytes < TOTAL
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 503, 504}
    assert 200 in statuses
    assert 503 in statuses
    for status, document, headers in answers:
        if status == 503:
            assert "no memory left" in document["error"]
            assert int(headers["Retry-After"]) >= 1
    assert post(port, SINGLE, body)[0] == 200  # the first requests gave their memory back


def value(draw: random.Random, depth: int) -> bytes:
    """Returns a random JSON value, which may be invalid."""
    scalars = [
        b"0",
        b"-1",
        b"1.5",
        b"1e400",
        b"-0.0",
        b"9" * 30,
        b"null",
        b"true",
        b'""',
        b'"\\ud800"',
        b"NaN",
    ]
    scalars += [
        b'"a"',
        '"é😀"'.encode(),
        b'"\xff"',
        b'{"b64":"AAAA"}',
        b"1" * draw.choice([1, 5000]),
    ]
    if depth == 0 or draw.random() < 0.3:
        return draw.choice(scalars[:10] if draw.random() < 0.9 else scalars)
    inner = [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if draw.random() < 0.5:
        return b"[" + b",".join(inner) + b"]"
    keys = draw.choices(
        [b'"a"', b'"seed"', b'"label"', b'"name"', b'"data"', b'"shape"'], k=len(inner)
    )
    return b"{" + b",".join(b"%b:%b" % pair for pair in zip(keys, inner)) + b"}"


def document(draw: random.Random, most: int) -> bytes:
    """Returns a body that repeats a random value, and that may be cut or damaged."""
    head, tail = draw.choice(
        [INSTANCES, COLUMNS, TENSORS, DATA, (b"[" * draw.randrange(3000), b"]" * 5)]
    )
    if draw.random() < 0.2:
        head = b'{"signature_name":%b,' % value(draw, 1) + head[1:]
    size = int(most ** draw.random())
    body = bytearray(filled(head, value(draw, draw.randrange(6)), tail, max(size, 2 * len(head))))
    if draw.random() < 0.2:
        del body[draw.randrange(len(body)) :]
    if draw.random() < 0.2 and body:
        body[draw.randrange(len(body))] = draw.randrange(256)
    return bytes(body)


def chunked(draw: random.Random, body: bytes) -> bytes:
    """Returns a request with the body in chunked encoding, which may be invalid."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head = head % draw.choice([V1, SINGLE, V2]).encode() + b"Transfer-Encoding: chunked\r\n\r\n"
    size = draw.choice([1, 100, 2**16])
    body = body[: 10_000 * size]
    parts = (body[start : start + size] for start in range(0, len(body), size))
    chunks = bytearray(
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    )
    flaw = draw.choice(["none", "length", "extension", "trailers", "byte"])
    if flaw == "length":
        chunks[:0] = draw.choice([b"zz\r\n", b"-1\r\n", b"f" * 40 + b"\r\n", b"\r\n"])
    elif flaw == "extension":
        chunks[:0] = b"1;" + b"x" * 10**6 + b"\r\n \r\n"
    elif flaw == "trailers":
        chunks[-2:] = b"a: b\r\n" * 10**5 + b"\r\n"
    elif flaw == "byte":
        chunks[draw.randrange(len(chunks))] = draw.randrange(256)
    return head + bytes(chunks)


def fuzz(server, seeds, most):
    process, port = server
    for seed in seeds:
        draw = random.Random(seed)
        body = document(draw, most)
        with Growth(process.pid) as growth:
            if draw.random() < 0.5:
                status, answer, _ = post(port, draw.choice([V1, SINGLE, V2]), body)
                assert status == 200 or set(answer) == {"error"}, seed
            else:
                answer = raw(port, chunked(draw, body) + b"\r\n" * 4, wait=1)
                status = int(answer.split(b" ", 2)[1]) if answer else 400
        assert status in (200, 400, 413), (seed, answer)
        assert growth.bytes < MOST, seed
    assert post(port, SINGLE, b'{"instances":[1]}')[0] == 200


def test_fuzzed_bodies_are_answered_in_little_memory(server):
    fuzz(server, range(80), 4 * MEGABYTE)


@pytest.mark.nightly
def test_thousands_of_fuzzed_bodies_are_answered_in_little_memory(server):
    fuzz(server, range(1000, 4000), 2**25)


REQUEST = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % SINGLE.encode()


# Pairs of the bytes that a client sends before it stops, and the beginning of the answer.
STOPS = [
    (b"", b""),
    (REQUEST, b""),
    (b"\r\n", b""),
    (REQUEST + b"Content-Length: 17\r\n\r\n" + b'{"instances":[1]}' + REQUEST, b"HTTP/1.1 200"),
    (REQUEST + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
    (REQUEST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"HTTP/1.1 408"),
    (b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200"),
]


def seconds_of_a_stop(port, sent, answered):
    begin = time.perf_counter()
    received = raw(port, sent, wait=30)
    assert received.startswith(answered)
    assert bool(received) == bool(answered)
    return time.perf_counter() - begin


def seconds_byte_by_byte(port):
    begin = time.perf_counter()
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        contextlib.suppress(ConnectionError),
    ):
        for byte in REQUEST * 5:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    return time.perf_counter() - begin


def share_that_a_slow_reader_gets(port):
    """Returns the share of a 5 MB answer that a client gets if it reads nothing for 10 s."""
    body = json.dumps({"inputs": list(range(400))}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port))
        connection.sendall(REQUEST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(10)
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(2**20):
                received += part
    return len(received) / int(re.search(rb"content-length: (\d+)", received)[1])


def test_a_client_that_stops_in_any_phase_is_left_in_time(impatient):
    port = impatient[1]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        slow = pool.submit(share_that_a_slow_reader_gets, port)
        drip = pool.submit(seconds_byte_by_byte, port)
        stops = [pool.submit(seconds_of_a_stop, port, *stop) for stop in STOPS]
    assert all(stop.result() < 10 for stop in stops)
    assert drip.result() < 10
    assert slow.result() < 1


def test_heads_that_are_too_large_are_refused(impatient):
    port = impatient[1]
    line = b"GET / HTTP/1.1\r\n"
    for flood in (
        line + b"X: " + b"a" * 10**7,
        line + b"a: b\r\n" * 10**6,
        b"\r\n" * 10**6,
        b"GET /" + b"a" * 10**7,
    ):
        with Growth(impatient[0].pid) as growth:
            answer = raw(port, flood)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert growth.bytes < 20 * MEGABYTE


def test_endless_trailers_and_extensions_are_refused(impatient):
    head = REQUEST + b"Transfer-Encoding: chunked\r\n\r\n"
    for flood in (b"0\r\n" + b"a: b\r\n" * 10**6, b"0\r\na: " + b"b" * 10**7, b"1;" + b"x" * 10**7):
        with Growth(impatient[0].pid) as growth:
            answer = raw(impatient[1], head + flood)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert growth.bytes < 20 * MEGABYTE


def latencies(port, n):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(n):
        begin = time.perf_counter()
        connection.request(
            "POST", SINGLE, b'{"instances":[1]}', {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        yield time.perf_counter() - begin
    connection.close()


def test_five_hundred_clients_that_stop_leave_the_others_at_their_rate(impatient):
    port = impatient[1]
    alone = statistics.median(latencies(port, 200))
    stopped = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
    try:
        begin = time.perf_counter()
        for connection in stopped:
            connection.sendall(REQUEST)
        beside = statistics.median(latencies(port, 200))
        waiting = set(stopped)
        while waiting and time.perf_counter() - begin < 15:
            for connection in select.select(list(waiting), [], [], 1)[0]:
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(1) == b""
                waiting.remove(connection)
        assert not waiting
    finally:
        for connection in stopped:
            connection.close()
    assert beside < 3 * alone + 0.005


def test_the_port_is_closed_while_models_are_loaded(impatient):
    assert len(impatient.opened) > 50
    assert not any(
        impatient.opened[:-5]
    )  # it opens just before the server reports that it is ready


def damaged(folder, honest: bool):
    """Copies an artifact with an invalid saved_model.pb, whose hash an honest card states."""
    shutil.copytree(catalog.directory("vae_mnist"), folder)
    path = folder / "1" / "saved_model.pb"
    path.write_bytes(b"no SavedModel")
    if honest:
        card = json.loads((folder / "card.json").read_text())
        card["files"]["1/saved_model.pb"] = catalog.describe(path)
        (folder / "card.json").write_text(json.dumps(card))


SERVED = """
    import sys
    from zoo import cli

    for folder in sys.argv[1:]:
        try:
            cli.main(["serve", folder, "--port", "0"])
        except SystemExit as done:
            print(done.code)
"""


def test_files_that_cannot_be_served_are_one_sentence_each(tmp_path):
    damaged(tmp_path / "damaged", honest=False)
    damaged(tmp_path / "unreadable", honest=True)
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(SERVED),
        tmp_path / "damaged",
        tmp_path / "unreadable",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    first, second = done.stderr.splitlines()
    assert "saved_model.pb is damaged" in first
    assert "unreadable cannot be loaded" in second
    assert done.stdout == "1\n1\n"


def test_no_request_is_accepted_after_sigterm_and_the_process_ends_in_time(impatient):
    """Stops the shared server, so that this test must stay the last one of the module."""
    process, port = impatient
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(REQUEST + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        assert not connects(port)
        assert process.poll() is None  # the request in progress may still end
        assert b" 503 " in connection.recv(2**16).split(b"\r\n")[0]
    assert process.wait(timeout=10) == 0
