"""Limits of time and memory, and the share of the memory that each request holds."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

# Content types under which clients send JSON. curl names a form by default.
JSON_TYPES = {
    "",
    "application/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
}
# Upper bounds of the bytes that orjson and CPython need for each value, list, object, member and
# string of a JSON document, by the character of which each of these needs one.
# tests/test_serving.py measures them.
VALUE_BYTES = {b",": 64, b"[": 96, b"{": 128, b":": 128, b'"': 32}


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        head_seconds: Time for the head of a request, and for the wait for a next request.
        seconds: Time for the body to arrive, and time to compute the answer. Three times as long is
            the limit of both together with the time in which the client reads the answer.
        stop_seconds: Time for unfinished requests when the server stops.
        head_bytes: Size of a request's head, and of its trailers.
        body_bytes: Size of a request's body.
        picture_pixels: Number of pixels of all pictures in a request. Each needs up to 16 bytes
            while it is decoded. A large JPEG file is decoded at a fraction of its size.
        request_bytes: Estimated memory of one request.
        total_bytes: Estimated memory of all unfinished requests together.
    """

    head_seconds: float = 10
    seconds: float = 60
    stop_seconds: float = 30
    head_bytes: int = 64 * 2**10
    body_bytes: int = 32 * 2**20
    picture_pixels: int = 4 * 2**20
    request_bytes: int = 384 * 2**20
    total_bytes: int = 1024 * 2**20


class Refused(HTTPException):
    """Error that is answered with one sentence and an HTTP status.

    Args:
        sentence: Message for the client.
        status: HTTP status. Defaults to 400.
        headers: HTTP headers of the answer, or None.
    """

    def __init__(self, sentence: str, status: int = HTTPStatus.BAD_REQUEST, headers=None):
        super().__init__(status, sentence, headers)


def parsed_bytes(body) -> int:
    """Returns an upper bound of the memory for a JSON document and its Python objects, in bytes.

    The scan is linear. It also counts the characters inside strings, which makes the bound higher.
    """
    # The body, orjson's copy, and strings, in which a character may need four bytes.
    copies = 3 if body.isascii() and b"\\u" not in body else 6
    return len(body) * copies + sum(body.count(mark) * size for mark, size in VALUE_BYTES.items())


class Memory:
    """Memory and threads for the requests.

    Args:
        limits: Limits of the server.

    Attributes:
        limits: Limits of the server.
        pool: Threads that read, compute and write.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.pool = ThreadPoolExecutor()
        self._free = limits.total_bytes
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Takes ``size`` bytes, or gives them back if the number is negative.

        Raises:
            Refused: If less than this is free, with status 503.
        """
        with self._lock:
            if size > self._free:
                sentence = "The server has no memory left for this request. Send it again later."
                raise Refused(sentence, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})
            self._free -= size


class Share:
    """Share of the memory that one request holds.

    Args:
        memory: Memory of all requests.

    Attributes:
        memory: Memory of all requests.
        limits: Limits of the server.
        abandoned: Whether no client waits for the answer any more. Long computations then stop.
    """

    def __init__(self, memory: Memory):
        self.memory, self.limits, self.abandoned = memory, memory.limits, False
        self._held, self._work = 0, Future()
        self._work.set_result(None)

    def hold(self, size: int) -> None:
        """Holds ``size`` bytes instead of the bytes that were held before.

        Raises:
            Refused: If this is more than the limit of one request or than the free memory.
        """
        if size > self.limits.request_bytes:
            sentence = (
                "The body must have fewer values; received: more than the server has memory for."
            )
            raise Refused(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self.memory.take(size - self._held)
        self._held = size

    def release(self) -> None:
        """Gives all bytes back as soon as no thread works on the request."""
        self.abandoned = True
        self._work.add_done_callback(lambda _: self.memory.take(-self._held))

    async def work(self, function, *arguments):
        """Runs a function on a thread, so that other requests are answered meanwhile."""
        self._work = self.memory.pool.submit(function, *arguments)
        return await asyncio.wrap_future(self._work)

    async def body(self, request: Request) -> bytearray:
        """Reads the body of a request.

        Raises:
            Refused: If it is not JSON by its headers, too large, or late.
        """
        _check_headers(request.headers, self.limits.body_bytes)
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    body += part
                    size += parsed_bytes(part)
                    _check_size(len(body), self.limits.body_bytes)
                    self.hold(size)
        except TimeoutError as error:
            sentence = f"The body must arrive within {self.limits.seconds} seconds."
            raise Refused(sentence, HTTPStatus.REQUEST_TIMEOUT) from error
        return body


def _check_headers(headers, body_bytes: int) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES:
        sentence = f"The body must be application/json; received: {kind[:60]!r}."
        raise Refused(sentence, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if (coding := headers.get("content-encoding", "identity")) != "identity":
        sentence = f"The body must not be encoded; received: the encoding {coding[:60]!r}."
        raise Refused(sentence, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    length = headers.get("content-length", "")
    _check_size(int(length) if length.isdecimal() else 0, body_bytes)


def _check_size(size: int, body_bytes: int) -> None:
    if size > body_bytes:
        sentence = f"The body must have at most {body_bytes} bytes; received: more."
        raise Refused(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
