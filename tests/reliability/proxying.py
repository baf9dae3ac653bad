"""
Proxying: what must hold for any bytes at the start of a connection from a balancer.

Knows the decoder of PROXY headers.  `tests.support.proxy_headers` makes its inputs.
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

#: The most bytes of an incomplete header; version 2 starts with 16.
_KEPT = max(MAX_LINE, MAX_BINARY_REST + 16)


class ProxySubject(Subject):
    """PROXY headers of both versions, with following bytes."""

    def inputs(self, random: Random) -> Callable[[], bytes]:
        return lambda: mutated_headers(random)

    def judge(self, stream: bytes, pieces: Sequence[bytes], number: int) -> bool:
        """
        Feed *stream* whole, and in *pieces*.

        :raises Exception: an error other than `ProxyError` was raised, too many bytes are kept, or
            the header or the rest depends on the cut.
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
