"""
Proxying: what has to hold of any bytes that a connection from a balancer begins with.

Knows the decoder of PROXY headers; `tests.support.proxy_headers` makes what is fed to it.
"""

from collections.abc import Callable, Sequence
from random import Random

from reqresp.transport.proxy_protocol import (
    MAX_BINARY_REST,
    MAX_LINE,
    ProxyDecoder,
    ProxyError,
    ProxyHeader,
)
from tests.reliability.decoding import Subject
from tests.support.proxy_headers import mutated_headers

#: Bytes that may be kept while a header is not complete: version 2 begins with 16.
_KEPT = max(MAX_LINE, MAX_BINARY_REST + 16)


class ProxySubject(Subject):
    """PROXY headers of both versions, and what follows them."""

    def inputs(self, random: Random) -> Callable[[], bytes]:
        return lambda: mutated_headers(random)

    def judge(self, stream: bytes, pieces: Sequence[bytes], number: int) -> bool:
        """
        Feed *stream* whole, and in *pieces*.

        :raises Exception: anything but a `ProxyError` was raised, more is kept than may be, or
            whose connection it is, or what is behind its header, depends on how it was cut.
        """
        whole, cut = _outcome([stream]), _outcome(pieces)
        assert cut == whole, f"{cut} in pieces, {whole} whole"
        return whole == "refused"


def _outcome(pieces: Sequence[bytes]) -> tuple[ProxyHeader, bytes] | str:
    decoder = ProxyDecoder()
    for number, piece in enumerate(pieces, 1):
        try:
            found = decoder.feed(piece)
        except ProxyError:
            return "refused"
        if found is not None:
            return found[0], b"".join([found[1], *pieces[number:]])
        assert len(decoder) <= _KEPT, f"{len(decoder)} bytes are kept"
    return "incomplete"
