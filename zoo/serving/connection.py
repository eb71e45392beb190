"""One HTTP connection with a time limit for each of its phases, which Uvicorn itself has not."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.serving.limits import Limits

MAX_HEADERS = 100


class Connection(HttpToolsProtocol):
    """Uvicorn's connection, closed where a phase takes too long, or a head or trailer is too large.

    The phases are the head of a request, then the exchange (body, computation and answer, which
    the application limits one by one), then the wait for the next request.
    """

    def __init__(self, *arguments, limits: Limits, **keywords):
        super().__init__(*arguments, **keywords)
        self._limits, self._timer = limits, None
        self._size = self._piece = 0  # Bytes since the last of a body, and of the data at hand.

    def _within(self, seconds: float) -> None:
        """Closes the connection after so many seconds, unless another phase begins before."""
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def connection_made(self, transport):
        super().connection_made(transport)
        self._within(self._limits.head_seconds)

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self._timer.cancel()

    def data_received(self, data):
        self._piece = len(data)
        super().data_received(data)
        self._size += len(data)
        if self._size > self._limits.head_bytes:
            self.send_400_response(f"The head must have at most {self._limits.head_bytes} bytes.")

    def on_message_begin(self):
        super().on_message_begin()
        self._size = -self._piece  # The piece at hand may begin with the end of another request.

    def on_body(self, body):
        super().on_body(body)
        self._size = -self._piece

    def on_header(self, name, value):
        if len(self.headers) == MAX_HEADERS:
            raise ValueError(f"A request has more than {MAX_HEADERS} headers and trailers.")
        super().on_header(name, value)

    def on_headers_complete(self):
        super().on_headers_complete()
        self._within(3 * self._limits.seconds)

    def on_response_complete(self):
        super().on_response_complete()
        waiting = self.cycle.response_complete  # A pipelined request is under way otherwise.
        self._within(self._limits.head_seconds if waiting else 3 * self._limits.seconds)
