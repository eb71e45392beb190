"""HTTP connection with a time limit for each of its phases, which Uvicorn does not have."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.serving.limits import Limits

MAX_HEADERS = 100


class Connection(HttpToolsProtocol):
    """Connection that is closed if a phase takes too long, or if a head or trailer is too large.

    The phases are the head of a request; then its body, computation and answer, each of which the
    application limits too; then the wait for the next request.

    Args:
        *arguments: As of Uvicorn's protocol.
        limits: Limits of time and size.
        **keywords: As of Uvicorn's protocol.
    """

    def __init__(self, *arguments, limits: Limits, **keywords):
        super().__init__(*arguments, **keywords)
        self._limits, self._timer = limits, None
        # Number of bytes since the end of the last body, and of the data that are being parsed.
        self._size = self._piece = 0

    def _within(self, seconds: float) -> None:
        """Closes the connection after a time, unless another phase begins before."""
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def connection_made(self, transport):
        """Starts the time for the first head."""
        super().connection_made(transport)
        self._within(self._limits.head_seconds)

    def connection_lost(self, exc):
        """Stops the timer."""
        super().connection_lost(exc)
        self._timer.cancel()

    def data_received(self, data):
        """Parses data and limits the size of a head or of trailers."""
        self._piece = len(data)
        super().data_received(data)
        self._size += len(data)
        if self._size > self._limits.head_bytes:
            self.send_400_response(f"The head must have at most {self._limits.head_bytes} bytes.")

    def on_message_begin(self):
        """Starts to count the bytes of a head."""
        super().on_message_begin()
        # The data may begin with the end of another request, which must not count.
        self._size = -self._piece

    def on_body(self, body):
        """Starts to count the bytes of trailers, which may follow."""
        super().on_body(body)
        self._size = -self._piece

    def on_header(self, name, value):
        """Limits the number of headers and trailers.

        Raises:
            ValueError: If there are more than ``MAX_HEADERS``.
        """
        if len(self.headers) == MAX_HEADERS:
            raise ValueError(
                f"A request must have at most {MAX_HEADERS} headers and trailers; received: more."
            )
        super().on_header(name, value)

    def on_headers_complete(self):
        """Starts the time for body, computation and answer."""
        super().on_headers_complete()
        self._within(3 * self._limits.seconds)

    def on_response_complete(self):
        """Starts the time for the next request, or for the answer to one that was pipelined."""
        super().on_response_complete()
        waiting = self.cycle.response_complete  # False if a pipelined request is being answered.
        self._within(self._limits.head_seconds if waiting else 3 * self._limits.seconds)
