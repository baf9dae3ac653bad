"""
Silence: requests that end after seconds without a byte.

It measures the silence for decoders that ask for that, and costs other decoders nothing.
"""

from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from reqresp.framing import Decoder, SilenceDecoder


class Listening(Protocol):
    """What a watch needs of a connection."""

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""

    def end_request(self) -> None:
        """Take up the request that silence has completed."""


def watch(connection: Listening, decoder: Decoder) -> None:
    """Have *connection* end a request when *decoder* has not been fed for as long as it says."""
    if isinstance(decoder, SilenceDecoder) and decoder.silence != inf:
        decoder.watch = _Watch(connection, decoder.silence)


def stop_watching(decoder: Decoder) -> None:
    """Measure the silence of *decoder* no more: it is dropped."""
    if isinstance(decoder, SilenceDecoder) and decoder.watch is not None:
        decoder.watch.stop()


class _Watch:
    """The silence of *seconds* that completes a request of *connection*."""

    def __init__(self, connection: Listening, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._call: IDelayedCall | None = None

    def restart(self) -> None:
        if self._call is None:
            self._call = self._connection.clock.callLater(self._seconds, self._passed)
        else:
            self._call.reset(self._seconds)

    def stop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _passed(self) -> None:
        self._call = None
        self._connection.end_request()
