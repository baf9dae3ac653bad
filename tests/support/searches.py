"""Searches: a buffer of a decoder that counts how many bytes are searched."""


class CountingBuffer(bytearray):
    """
    What a decoder keeps, if it is the decoder's ``buffer_type``.

    A subclass of its own for each test has a count of its own.  A decoder that searches with
    another method than ``find`` needs another buffer.
    """

    #: The number of bytes that all buffers of this class have searched.
    searched = 0

    def find(  # type: ignore[override]  # decoders search for bytes only
        self, what: bytes, start: int = 0, stop: int | None = None
    ) -> int:
        end = len(self) if stop is None else min(len(self), stop)
        type(self).searched += end - start
        return super().find(what, start, end)
