"""How fast ``zoo serve`` answers: requests and images a second and latencies, beside the model's own time for the same batch.

python benchmarks/serving.py prints a Markdown table. Server and clients share the machine.
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


def body(signature: str, batch: int) -> bytes:
    rows = [{"seed": seed, "label": seed % 10} for seed in range(batch)]
    return json.dumps({"signature_name": signature, "instances": rows}).encode()


def client(port: int, path: str, request: bytes, until: float) -> list[float]:
    """The latencies of one connection that asks again and again, in seconds."""
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
    """The median of what the model itself takes for a batch, in seconds."""
    inputs = {"seed": np.arange(batch), "label": (np.arange(batch) % 10).astype(np.int32)}
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        model.compute(signature, inputs)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))  # The first one is slower.


def main(name: str, seconds: float) -> None:
    model = zoo.load(name, "saved_model")
    command = [sys.executable, "-m", "zoo", "serve", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port, path = (
                int(server.stdout.readline().rpartition(":")[2]),
                f"/v1/models/{name}:predict",
            )
            print_header(
                "answer",
                "batch",
                "model alone, ms",
                "connections",
                "requests/s",
                "images/s",
                "p50, ms",
                "p99, ms",
            )
            for answer, signature in (("JSON", "serving_default"), ("PNG", "sample_png")):
                for batch in (1, 32):
                    alone, request = (
                        own_time(model, signature, batch, repeat=50),
                        body(signature, batch),
                    )
                    for connections in (1, 8, 64):
                        client(port, path, request, time.perf_counter() + seconds / 10)
                        until = time.perf_counter() + seconds
                        with ThreadPoolExecutor(connections) as pool:
                            clients = [
                                pool.submit(client, port, path, request, until)
                                for _ in range(connections)
                            ]
                        latencies = np.concatenate([one.result() for one in clients])
                        rate, spread = len(latencies) / seconds, np.percentile(latencies, [50, 99])
                        times = [f"{value * 1000:.1f}" for value in (alone, *spread)]
                        print_row(
                            answer,
                            batch,
                            times[0],
                            connections,
                            f"{rate:.0f}",
                            f"{rate * batch:.0f}",
                            *times[1:],
                        )
        finally:
            server.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "name", nargs="?", default="cvae_mnist", help="A label-conditional model.  [cvae_mnist]"
    )
    parser.add_argument(
        "--seconds", type=float, default=5, help="How long each line is measured.  [5]"
    )
    given = parser.parse_args()
    main(given.name, given.seconds)
