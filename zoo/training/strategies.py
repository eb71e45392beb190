"""Strategies of ``tf.distribute`` by name, and the configuration of several workers.

The workers of a cluster are described by the environment variable ``TF_CONFIG``, a JSON document:
``{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}``. In an
indexed Job of Kubernetes it is made from ``JOB_COMPLETION_INDEX``, ``ZOO_WORKERS`` (their number)
and ``ZOO_WORKER_ADDRESS`` (the address of each, with {index} in place of its index).
"""

import contextlib
import json
import os
import re

import tensorflow as tf

from zoo.catalog import nearest

STRATEGIES = ("mirrored", "multi-worker")
CONFIG, INDEX = "TF_CONFIG", "JOB_COMPLETION_INDEX"
WORKERS, ADDRESS = "ZOO_WORKERS", "ZOO_WORKER_ADDRESS"
JOBS = ("chief", "worker")
# An address of IPv6 is in brackets.
HOST_AND_PORT = r"(?:[^\s/:]+|\[[\da-fA-F:]+\]):\d+"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
)


def get(identifier) -> tf.distribute.Strategy:
    """Returns the strategy for a name, or the strategy itself.

    "multi-worker" must be created before TensorFlow computes anything. It waits until all workers
    have started.

    Args:
        identifier: "mirrored" for all GPUs of this machine, "multi-worker" for all workers of a
            cluster, None for one device, or a ``tf.distribute.Strategy``.

    Raises:
        ValueError: If there is no such strategy, or the environment does not describe a cluster.
        OSError: If the worker cannot start its server, or another worker has stopped.
    """
    if isinstance(identifier, tf.distribute.Strategy):
        return identifier
    if identifier is None:
        return tf.distribute.get_strategy()
    if identifier == "mirrored":
        return tf.distribute.MirroredStrategy()
    if identifier == "multi-worker":
        os.environ[CONFIG] = json.dumps(cluster(os.environ))
        return _multi_worker()
    raise ValueError(
        f"strategy must be one of {', '.join(STRATEGIES)}; received: {identifier!r}"
        f"{nearest(str(identifier), STRATEGIES)}."
    )


def _multi_worker():
    try:
        with plain_worker_errors():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.UnknownError) as error:
        raise OSError(
            "The worker cannot start its server: its port must be free, and TensorFlow must not "
            f"have computed anything before ({str(error).strip().splitlines()[0]})."
        ) from error


def cluster(environment) -> dict:
    """Returns the content of ``TF_CONFIG``, which is read or made from the index of a Job.

    Args:
        environment: {name: text} of the environment variables.

    Raises:
        ValueError: If the variables are missing or do not describe a cluster and a worker of it.
    """
    if environment.get(CONFIG):
        return _validated(environment[CONFIG])
    if not environment.get(INDEX):
        raise ValueError(
            f"{CONFIG} must describe the workers, or in an indexed Job of Kubernetes {INDEX}, "
            f"{WORKERS} and {ADDRESS}; received: none of them. An example is {CONFIG}='{EXAMPLE}'."
        )
    count = _integer(environment, WORKERS, 1)
    index = _integer(environment, INDEX, 0)
    if index >= count:
        raise ValueError(
            f"{INDEX} must be less than {count}, the value of {WORKERS}; received: {index}."
        )
    address = environment.get(ADDRESS, "")
    hosts = [address.replace("{index}", str(i)) for i in range(count)]
    if len(set(hosts)) < count or not re.fullmatch(HOST_AND_PORT, hosts[0]):
        raise ValueError(
            f"{ADDRESS} must be the host name and the port of a worker, with {{index}} in place of "
            f"its index, such as train-{{index}}.train:2222; received: {address!r}."
        )
    return {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}


def _integer(environment, name, least):
    text = environment.get(name, "")
    if not (text.isdecimal() and int(text) >= least):
        raise ValueError(f"{name} must be an integer of at least {least}; received: {text!r}.")
    return int(text)


def _validated(text):
    """Returns the content of ``TF_CONFIG``.

    Raises:
        ValueError: If it does not describe workers and one of them.
    """
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{CONFIG} must be JSON such as {EXAMPLE} ({error}).") from None
    try:
        jobs, task = config["cluster"], config["task"]
        kind, index = task["type"], task["index"]
        size = len(jobs[kind])
        _validate_jobs(jobs)
    except (KeyError, TypeError):
        raise ValueError(f"{CONFIG} must be such as {EXAMPLE}; received: {text}.") from None
    if type(index) is not int or not 0 <= index < size:
        raise ValueError(
            f"The index of {CONFIG} must be an integer of at least 0 and less than {size}, the "
            f"number of addresses of {kind!r}; received: {index!r}."
        )
    return config


def _validate_jobs(jobs):
    """Validates {job: addresses} of a cluster.

    Raises:
        ValueError: If there are other jobs than those of a training, or an address is wrong.
        TypeError: If the addresses of a job are not a list of texts.
    """
    if not set(jobs) <= set(JOBS) or len(jobs.get("chief", [])) > 1:
        raise ValueError(
            f"The cluster of {CONFIG} must have workers and at most one chief, because there are "
            f"no other jobs in this training; received: {jobs}."
        )
    hosts = addresses(jobs)
    if not all(isinstance(job, list) for job in jobs.values()):
        raise TypeError
    if len(set(hosts)) < len(hosts) or not all(re.fullmatch(HOST_AND_PORT, host) for host in hosts):
        raise ValueError(
            f"The addresses of {CONFIG} must be different, each a host name and a port such as "
            f"host0:2222; received: {', '.join(hosts)}."
        )


def addresses(cluster: dict) -> list[str]:
    """Returns the addresses of all workers of a cluster, of which the chief is the first."""
    return [*cluster.get("chief", []), *cluster.get("worker", [])]


def workers(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the addresses of the workers of a strategy, or an empty list for one process."""
    resolver = strategy.cluster_resolver
    return addresses(resolver.cluster_spec().as_dict()) if resolver else []


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the results: the chief, or the first worker."""
    resolver = strategy.cluster_resolver
    if len(workers(strategy)) < 2 or resolver.task_type == "chief":
        return True
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers of a strategy have called this function."""
    if len(workers(strategy)) > 1:
        strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None)


@contextlib.contextmanager
def plain_worker_errors():
    """Raises the error of a lost connection to other workers without TensorFlow's traceback.

    Raises:
        ConnectionError: If another worker has stopped.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise ConnectionError(
            "Another worker stopped or cannot be reached; its own message says why. Start all "
            "workers again with --resume."
        ) from error
