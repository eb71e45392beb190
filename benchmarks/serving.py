"""Throughput and latency of ``zoo serve``, compared with the model's own time for the same batch.

Server and clients share the machine.
"""

import argparse
import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from timing import print_header, print_row

import zoo

HEADER = (
    "answer",
    "batch",
    "model alone, ms",
    "connections",
    "requests/s",
    "images/s",
    "p50, ms",
    "p99, ms",
)


def body(signature: str, batch: int) -> bytes:
    """Returns the body of a request for a batch of images."""
    rows = [{"seed": seed, "label": seed % 10} for seed in range(batch)]
    return json.dumps({"signature_name": signature, "instances": rows}).encode()


def client(port: int, path: str, request: bytes, until: float) -> list[float]:
    """Sends a request repeatedly on one connection and returns the latencies in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    latencies = []
    while (start := time.perf_counter()) < until:
        connection.request("POST", path, request, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        latencies.append(time.perf_counter() - start)
    connection.close()
    return latencies


def own_time(model, signature: str, batch: int, repeat: int) -> float:
    """Returns the median time of the model alone for a batch, in seconds."""
    inputs = {"seed": np.arange(batch), "label": (np.arange(batch) % 10).astype(np.int32)}
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        model.compute(signature, inputs)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))  # The first run is slower.


def measure(port: int, path: str, request: bytes, connections: int, seconds: float) -> np.ndarray:
    """Measures the latencies of all requests of several connections at once, in seconds."""
    client(port, path, request, time.perf_counter() + seconds / 10)  # Warms up the server.
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(connections) as pool:
        clients = [pool.submit(client, port, path, request, until) for _ in range(connections)]
    return np.concatenate([one.result() for one in clients])


def measure_all(model, port: int, path: str, seconds: float) -> None:
    """Prints a row of the table for each answer, batch size and number of connections."""
    for answer, signature in (("JSON", "serving_default"), ("PNG", "sample_png")):
        for batch in (1, 32):
            alone = own_time(model, signature, batch, repeat=50)
            for connections in (1, 8, 64):
                latencies = measure(port, path, body(signature, batch), connections, seconds)
                rate, spread = len(latencies) / seconds, np.percentile(latencies, [50, 99])
                alone_ms, *times = (f"{value * 1000:.1f}" for value in (alone, *spread))
                rates = f"{rate:.0f}", f"{rate * batch:.0f}"
                print_row(answer, batch, alone_ms, connections, *rates, *times)


def main(name: str, seconds: float) -> None:
    """Starts a server of one model and prints the table."""
    model = zoo.load(name, "saved_model")
    command = [sys.executable, "-m", "zoo", "serve", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            print_header(*HEADER)
            measure_all(model, port, f"/v1/models/{name}:predict", seconds)
        finally:
            server.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "name",
        nargs="?",
        default="cvae_mnist",
        help="Model that is conditional on a label.  [cvae_mnist]",
    )
    parser.add_argument(
        "--seconds", type=float, default=5, help="Time of measurement of each line.  [5]"
    )
    given = parser.parse_args()
    main(given.name, given.seconds)
