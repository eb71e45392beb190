"""The process: the port, the models, and the signals that stop it."""

import gc
import signal
import socket
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from zoo.serving.application import application
from zoo.serving.connection import Connection
from zoo.serving.limits import Limits, Memory
from zoo.serving.model import Served


def url(host: str, port: int) -> str:
    """Address of the server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    artifacts: dict[str, Path], host: str, port: int, ready, limits: Limits | None = None
) -> None:
    """Serves models until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        artifacts: the folder of each artifact, by the name of the model.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        ready: called with the port once connections are accepted.
        limits: the server's limits, those of ``Limits()`` unless given.

    Raises:
        OSError: where the port is not free or a model cannot be loaded, before it is opened.
        catalog.DamagedFileError: where a file of an artifact is not the one of its card.
    """
    limits = limits or Limits()
    memory = Memory(limits)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _port_errors(host, port):
            listening.bind((host, port))
        models = [Served(name, folder, limits) for name, folder in artifacts.items()]
        gc.freeze()  # Loaded objects stay; garbage collection during a request need not look at them.
        server = uvicorn.Server(
            uvicorn.Config(
                application(models, memory),
                http=partial(Connection, limits=limits),
                ws="none",
                lifespan="off",
                log_level="error",  # An invalid request is answered, and its client may send many.
                timeout_graceful_shutdown=limits.stop_seconds,
            )
        )
        # Uvicorn raises the signal again after a graceful stop, which then ends with status 0.
        signal.signal(signal.SIGTERM, server.handle_exit)
        with _port_errors(host, port):
            listening.listen(1024)
        ready(listening.getsockname()[1])
        server.run(sockets=[listening])
    memory.pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _port_errors(host: str, port: int):
    try:
        yield
    except OSError as error:
        reason = error.strerror.partition(" (")[0]
        sentence = (
            f"Cannot listen on port {port} of {host} ({reason}): name another --port or --host."
        )
        raise OSError(sentence) from error
