"""Reads whose requests are all forwarded are taken up together, which nobody can tell."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reqresp import Line
from tests.support.forwarded import ForwardedCase

SCRIPT = """
    framing = "{framing}"
    unmatched = {{ forward = true }}
    [[rule]]
    equals = "LOCAL"
    reply = "+local"
"""
#: A rule that no request matches, but that has to be tried for each.
TRIED = """
    [[rule]]
    ends_with = "never"
    reply = "+never"
"""
PIECES = (
    b"GET\r\n",
    b"GET 1\r\n",
    b"SET\n",
    b"LOCAL\r\n",
    b"\r\n",
    b"*1\r\n$1\r\na\r\n",
    b"*x\r\n",
)

Seen = tuple[Any, ...]


class RunTests(ForwardedCase):
    """The same reads, taken up together and one by one."""

    def play(self, script: str, reads: list[bytes], replied: int, **arguments: Any) -> Seen:
        """Send *reads*, with *replied* replies after each; return what the others see."""
        self.setUp()
        self.start(script, **arguments)
        client, service = self.connect_both()
        for read in reads:
            client.send(read)
            service.transport.write(b":1\r\n" * replied)
            self.advance(0)
        client.half_close()
        self.advance(0)
        heard = self.heard
        exchanges = [(it.request.number, it.request.data, it.steps) for it in heard.exchanges]
        requests = [it for read in heard.requests for it in read]
        ends = heard.events[-1:], len(heard.failures), heard.unfinished
        return service.got, client.received(), client.got_eof, requests, exchanges, ends

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.sampled_from(("resp", "line")),
        st.lists(st.sampled_from(PIECES), max_size=60),
        st.lists(st.integers(1, 80), max_size=8),
        st.integers(0, 12),
    )
    def test_as_one_by_one(
        self, framing: str, pieces: list[bytes], sizes: list[int], replied: int
    ) -> None:
        """The service, the client and the observers get the same, however reads are cut."""
        stream, reads = b"".join(pieces), list[bytes]()
        for size in sizes:
            reads.append(stream[:size])
            stream = stream[size:]
        reads = [read for read in (*reads, stream) if read]
        script = SCRIPT.format(framing=framing)
        seen = self.play(script, reads, replied)
        self.assertEqual(seen, self.play(script + TRIED, reads, replied))
        unobserved = self.play(script, reads, replied, observers=[])
        self.assertEqual(seen[:3], unobserved[:3])

    def test_one_write_for_a_read(self) -> None:
        """The responder is asked for all requests of a read at once, after a local answer, too."""
        self.start(SCRIPT.format(framing="line"), framing=Line())
        asked: list[int] = []
        responder = self.factory.config.responder
        answer_alike = responder.answer_alike

        def count(requests: list[bytes], connection: Any) -> Any:
            asked.append(len(requests))
            return answer_alike(requests, connection)

        responder.answer_alike = count
        client, service = self.connect_both()
        client.send(b"GET 1\r\n" * 16, b"LOCAL\r\n", b"GET 2\r\n" * 4)
        self.assertEqual([it for it in asked if it > 1], [16, 4])
        self.assertEqual(service.got, b"GET 1\r\n" * 16 + b"GET 2\r\n" * 4)
