"""Time of a training step on one and two replicas, and an estimate for more workers.

All columns of milliseconds are for the batch of the recipe: one replica computes all of it, two
logical devices in one process or two worker processes compute half of it each. The latency and the
bandwidth are those of an all-reduce between the two processes, over the loopback interface of this
machine. ``--latency`` and ``--bandwidth`` set those of a network.

For the estimate, each worker computes a batch of the size of the recipe, alone on its machine:
t(N) = t(1) + 2 (N − 1) a · latency + 2 (N − 1) / N · s / bandwidth, where a is the number of
updates in a step, with an all-reduce each, and s is the size of all their gradients.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
from timing import print_header, print_row

STEPS = 20
MODELS = ("vae_dense_mnist", "cvae_mnist", "dcgan_mnist")
# Numbers in the small and in the large all-reduce.
SMALL, LARGE = 1, 2**22


def started(case: str):
    """Returns the strategy of a case, in a process that has computed nothing."""
    import tensorflow as tf

    if case == "one":
        return tf.distribute.get_strategy()
    if case == "workers":
        return tf.distribute.MultiWorkerMirroredStrategy()
    cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def step_time(strategy, name: str) -> dict:
    """Returns the median seconds of a step, and the updates and bytes of gradients of a step."""
    from zoo import data, recipes, training

    recipe = recipes.named(name)
    with strategy.scope():
        model = training.build(recipe, STEPS)
    n, rng = recipe.batch_size, np.random.default_rng(0)
    labels = np.arange(n) % model.num_classes if model.num_classes else None
    source = data.MemorySource(rng.random((n, *model.image_shape), dtype="float32"), labels)

    def fit():
        start = time.perf_counter()
        model.fit(source, batch_size=n, steps_per_epoch=STEPS, verbose=0)
        return (time.perf_counter() - start) / STEPS

    fit()
    updates = model.optimizers().values()
    sizes = [[4 * np.prod(v.shape) for v in variables] for _, variables in updates]
    return {
        "seconds": float(np.median([fit() for _ in range(3)])),
        "updates": sum(count for count, _ in updates),
        "bytes": float(sum(count * sum(size) for (count, _), size in zip(updates, sizes))),
    }


def all_reduce_time(strategy, size: int) -> float:
    """Returns the median seconds of an all-reduce of float32 numbers."""
    import tensorflow as tf

    @tf.function
    def reduce():
        def of_replica():
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.ones([size]))[0]

        return strategy.run(of_replica)

    seconds = []
    for _ in range(21):
        start = time.perf_counter()
        reduce()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def measured(case: str, name: str) -> dict:
    """Runs a case in its own process, or in two, and returns its measurements."""
    command = [sys.executable, __file__, "--case", case, "--models", name]
    count = 2 if case == "workers" else 1
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{part.getsockname()[1]}" for part in (one, other)]
    processes = []
    for i in reversed(range(count)):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}
        given = {"TF_CONFIG": json.dumps(task)} if count > 1 else {}
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | given
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
    # A worker waits without end for one that has failed.
    while None in (codes := [process.poll() for process in processes]) and not any(codes):
        time.sleep(0.1)
    if any(codes):
        for process in processes:
            process.kill()
        sys.exit(f"{' '.join(command)} failed.")
    return json.loads(processes[-1].stdout.read())


def report(case: str, name: str) -> None:
    """Prints the measurements of this process in JSON."""
    strategy = started(case)
    found = step_time(strategy, name)
    if case == "workers":
        small, large = (all_reduce_time(strategy, size) for size in (SMALL, LARGE))
        # With two workers an all-reduce takes 2 latency + s / bandwidth.
        found |= {"latency": small / 2, "bandwidth": 4 * (LARGE - SMALL) / (large - small)}
    print(json.dumps(found))


def estimate(one: dict, workers: int, latency: float, bandwidth: float) -> float:
    """Returns the seconds of a step of several workers, see the description of this file."""
    passes = 2 * (workers - 1)
    transferred = passes / workers * one["bytes"] / bandwidth
    return one["seconds"] + one["updates"] * passes * latency + transferred


def given_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="RECIPE")
    parser.add_argument("--latency", type=float, help="Microseconds of a message in the network.")
    parser.add_argument("--bandwidth", type=float, help="Megabytes a second of the network.")
    parser.add_argument("--case", choices=["one", "devices", "workers"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main(given: argparse.Namespace) -> None:
    """Prints a row for each model."""
    print_header(
        "recipe",
        "gradients, MB",
        "one replica, ms",
        "two devices, ms",
        "two workers, ms",
        "latency, µs",
        "bandwidth, MB/s",
        "8 workers, estimated ms",
        "64 workers, estimated ms",
    )
    for name in given.models:
        one, devices, workers = (measured(case, name) for case in ("one", "devices", "workers"))
        latency = workers["latency"] if given.latency is None else given.latency / 1e6
        bandwidth = workers["bandwidth"] if given.bandwidth is None else given.bandwidth * 1e6
        more = [estimate(one, n, latency, bandwidth) for n in (8, 64)]
        print_row(
            name,
            f"{one['bytes'] / 1e6:.2f}",
            *(f"{1e3 * case['seconds']:.1f}" for case in (one, devices, workers)),
            f"{1e6 * latency:.0f}",
            f"{bandwidth / 1e6:.0f}",
            *(f"{1e3 * seconds:.1f}" for seconds in more),
        )


if __name__ == "__main__":
    given = given_arguments()
    if given.case:
        report(given.case, *given.models)
    else:
        main(given)
