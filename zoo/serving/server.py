"""Server process: opens the port, loads the models and stops at a signal."""

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
    """Returns the address of the server. Literal IPv6 addresses get brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    artifacts: dict[str, Path], host: str, port: int, ready, limits: Limits | None = None
) -> None:
    """Serves models until SIGTERM or SIGINT, and then answers unfinished requests.

    Args:
        artifacts: {name of a model: folder of its artifact}.
        host: Address to listen on.
        port: Port to listen on. 0 chooses a free port.
        ready: Function that is called with the port when connections are accepted.
        limits: Limits of the server. Defaults to ``Limits()``.

    Raises:
        OSError: If the port is not free or a model cannot be loaded.
        catalog.DamagedFileError: If a file of an artifact differs from its description in the card.
    """
    limits = limits or Limits()
    memory = Memory(limits)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _port_errors(host, port):
            listening.bind((host, port))
        models = [Served(name, folder, limits) for name, folder in artifacts.items()]
        # The loaded objects stay, so that garbage collection during a request can skip them.
        gc.freeze()
        server = uvicorn.Server(
            uvicorn.Config(
                application(models, memory),
                http=partial(Connection, limits=limits),
                ws="none",
                lifespan="off",
                # Otherwise each invalid request, of which a client may send many, writes a line.
                log_level="error",
                timeout_graceful_shutdown=limits.stop_seconds,
            )
        )
        # After a graceful stop Uvicorn raises the signal again. This handler lets the process end
        # with status 0.
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
        raise OSError(
            f"Cannot listen on port {port} of {host} ({reason}). Choose another --port or --host."
        ) from error
