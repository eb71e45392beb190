"""How fast ``zoo serve`` answers: requests and images a second and latencies, beside the model's own time for the same batch.

python benchmarks/serving.py prints a Markdown table. Server and clients share the machine.
"""

import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np

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


@click.command()
@click.argument("name", default="cvae_mnist")
@click.option("--seconds", default=5.0, help="How long each line is measured.")
def main(name, seconds):
    """Measure the server on a label-conditional model."""
    model = zoo.load(name, "saved_model")
    command = [sys.executable, "-m", "zoo", "serve", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            print("| answer | batch | model alone, ms | connections | requests/s | images/s | p50, ms | p99, ms |")
            print("|---|---|---|---|---|---|---|---|")
            for answer, signature in (("JSON", "serving_default"), ("PNG", "sample_png")):
                for batch in (1, 32):
                    alone = own_time(model, signature, batch, repeat=50)
                    for connections in (1, 8, 64):
                        request, path = body(signature, batch), f"/v1/models/{name}:predict"
                        client(port, path, request, time.perf_counter() + seconds / 10)
                        with ThreadPoolExecutor(connections) as pool:
                            until = time.perf_counter() + seconds
                            clients = [pool.submit(client, port, path, request, until) for _ in range(connections)]
                            latencies = np.concatenate([one.result() for one in clients])
                        rate = len(latencies) / seconds
                        p50, p99 = np.percentile(latencies, [50, 99]) * 1000
                        print(
                            f"| {answer} | {batch} | {alone * 1000:.1f} | {connections} | {rate:.0f} | {rate * batch:.0f} "
                            f"| {p50:.1f} | {p99:.1f} |",
                            flush=True,
                        )
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
