"""Limits of time and memory, and the part of the memory that each request holds."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

# Clients send JSON under these types: curl names a form when it is not told otherwise.
JSON_TYPES = {
    "",
    "application/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
}
# Bytes that orjson and CPython take at most for each value, list, object, member and string of a
# JSON document, by the character that it cannot do without. tests/test_serving.py measures them.
VALUE_BYTES = {b",": 64, b"[": 96, b"{": 128, b":": 128, b'"': 32}


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        head_seconds: time for the head of a request, and after an answer for the next one.
        seconds: time for the body to arrive, and time to compute the answer. All of it, and for
            the client to read the answer, takes three times as long at most.
        stop_seconds: time for the requests under way when the server is told to stop.
        head_bytes: size of all that is not the body: a request's head, or its trailers.
        body_bytes: size of a request's body.
        request_bytes: memory that one request may take, by estimate.
        total_bytes: memory that all requests under way may take together, by estimate.
    """

    head_seconds: float = 10
    seconds: float = 60
    stop_seconds: float = 30
    head_bytes: int = 64 * 2**10
    body_bytes: int = 32 * 2**20
    request_bytes: int = 384 * 2**20
    total_bytes: int = 1024 * 2**20


class Refused(HTTPException):
    """A request that is answered with one sentence and an HTTP status, 400 unless said."""

    def __init__(self, sentence: str, status: int = HTTPStatus.BAD_REQUEST, headers=None):
        super().__init__(status, sentence, headers)


def parsed_bytes(body) -> int:
    """Upper bound of the memory for a JSON document and all its Python objects, in bytes.

    A linear scan: counting a character inside a string as well makes the bound higher only.
    """
    # The body, orjson's copy, and strings, whose characters may take four bytes each.
    copies = 3 if body.isascii() and b"\\u" not in body else 6
    return len(body) * copies + sum(body.count(mark) * size for mark, size in VALUE_BYTES.items())


class Memory:
    """Memory for the requests under way, and the threads that work on them."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.pool = ThreadPoolExecutor()
        self._free = limits.total_bytes
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Takes ``size`` more bytes; a negative number gives them back.

        Raises:
            Refused: 503 where so much is not free.
        """
        with self._lock:
            if size > self._free:
                sentence = "The server has no memory left for this request: send it again later."
                raise Refused(sentence, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})
            self._free -= size


class Share:
    """The part of the memory that one request holds.

    Attributes:
        abandoned: whether nobody waits for the answer any more; long work looks at it.
    """

    def __init__(self, memory: Memory):
        self.memory, self.limits, self.abandoned = memory, memory.limits, False
        self._held, self._work = 0, Future()
        self._work.set_result(None)

    def hold(self, size: int) -> None:
        """Holds ``size`` bytes in place of what was held before.

        Raises:
            Refused: where one request may not have so much, or so much is not free.
        """
        if size > self.limits.request_bytes:
            sentence = (
                "The body must hold fewer values; received: more than the server has memory for."
            )
            raise Refused(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self.memory.take(size - self._held)
        self._held = size

    def release(self) -> None:
        """Gives everything back, as soon as no thread works on it."""
        self.abandoned = True
        self._work.add_done_callback(lambda _: self.memory.take(-self._held))

    async def work(self, function, *arguments):
        """Runs a function on a thread, so that other requests are heard meanwhile."""
        self._work = self.memory.pool.submit(function, *arguments)
        return await asyncio.wrap_future(self._work)

    async def body(self, request: Request) -> bytearray:
        """Reads the body of a request.

        Raises:
            Refused: where it is no JSON by its headers, too large, or late.
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
