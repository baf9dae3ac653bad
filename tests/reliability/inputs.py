"""
Inputs: random streams for decoders, made by mutating valid ones.

Knows bytes and random numbers.  It must be fast: it makes a million inputs for each framing.
"""

from collections.abc import Sequence
from random import Random

from attrs import frozen

from tests.support.streams import cut

#: Byte strings with a meaning in some framing.
_TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b":", b",", b"*", b"$", b"-1", b"0", b"00", b"\0", b" "),
    *(b"END", b"EN", b"*3\r\n", b"$3\r\n", b"99999999999999999999", b"65536", b"\xff\xff\xff\xff"),
    *(b'"', b"\\x", b"Content-Length: ", b"set k 0 0 5", b"\x80", b"'"),
)
#: One input in so many consists of random bytes only.
_RANDOM = 8
#: The most random bytes, and the most cuts of an input.
_LONGEST = 48
_CUTS = 4


@frozen
class Mutations:
    """
    Makes inputs by mutating *valid* streams.

    :param random: the only source of random numbers.
    """

    valid: Sequence[bytes]
    random: Random

    def stream(self) -> bytes:
        """Return an input."""
        random = self.random
        if not random.getrandbits(16) % _RANDOM:
            return random.randbytes(random.getrandbits(16) % _LONGEST)
        stream = self._any_valid()
        for _ in range(random.getrandbits(2)):
            stream = self._mutated(stream)
        return stream

    def _any_valid(self) -> bytes:
        return self.valid[self.random.getrandbits(16) % len(self.valid)]

    def _mutated(self, stream: bytes) -> bytes:
        bits = self.random.getrandbits
        at = bits(16) % (len(stream) + 1)
        kind = bits(3)
        if kind == 0:  # change a byte
            return stream[:at] + bytes((bits(8),)) + stream[at + 1 :]
        if kind == 1:  # flip a bit
            return (
                stream[:at]
                + bytes(b ^ 1 << bits(3) for b in stream[at : at + 1])
                + stream[at + 1 :]
            )
        if kind == 2:  # remove bytes
            return stream[:at] + stream[at + bits(4) :]
        if kind == 3:  # repeat bytes
            return stream[: at + bits(4)] + stream[at:]
        if kind == 4:  # cut the end off
            return stream[:at]
        if kind == 5:  # append another stream
            return stream[:at] + self._any_valid()
        # Insert a token.
        return stream[:at] + _TOKENS[bits(16) % len(_TOKENS)] + stream[at:]


def pieces(stream: bytes, random: Random) -> list[bytes]:
    """Return *stream* cut in random places."""
    bits, size = random.getrandbits, len(stream) + 1
    return cut(stream, [bits(16) % size for _ in range(1 + bits(16) % _CUTS)])
