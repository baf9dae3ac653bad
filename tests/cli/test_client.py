"""The client of ``reqresp ask``, with a server in a thread of the test."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.client import (
    MAX_REPLY,
    Address,
    AskError,
    ask,
    connect,
    parse_address,
    suggest_framing,
)
from reqresp.framing import (
    AnyLine,
    BaseFraming,
    Chunk,
    Delimiter,
    Enclosed,
    Fixed,
    FrameError,
    HeaderBody,
    LengthField,
    LengthPrefix,
    Line,
    Netstring,
    Resp,
    Scpi,
)
from tests.support.live import PATIENCE, temporary
from tests.support.peer import Peer

LINE = Line()


@frozen
class Talk:
    """One exchange in a framing: a request and its frame, a reply and its frame."""

    framing: BaseFraming
    request: bytes
    sent: bytes
    reply: bytes
    received: bytes


HTTP = HeaderBody(Delimiter(b"\r\n\r\n"), body=rb"(?im)^Content-Length:[ \t]*(\d+)")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
MEMCACHED = HeaderBody(Line(), body=rb"^(?:set|VALUE) \S+ \d+ (?:\d+ )?(\d+)", body_end=b"\r\n")

TALKS = {
    "chunk": Talk(Chunk(), b"a\n", b"a\n", b"b\n", b"b\n"),
    "line": Talk(Line(), b"a", b"a\r\n", b"b", b"b\r\n"),
    "line, replies that end in LF": Talk(Line(b"\n"), b"a", b"a\n", b"b", b"b\n"),
    "delimiter": Talk(Delimiter(b"END"), b"a", b"aEND", b"b\r\n", b"b\r\nEND"),
    "anyline": Talk(AnyLine(b"\r"), b"a", b"a\r", b"b", b"b\r"),
    "between": Talk(Enclosed(b"\2", b"\3"), b"a", b"\2a\3", b"\2", b"\2\2\3"),
    "scpi": Talk(Scpi(), b"*IDN?", b"*IDN?\n", b"#13\r\n\n", b"#13\r\n\n\n"),
    "netstring": Talk(Netstring(), b"a,", b"2:a,,", b"", b"0:,"),
    "int16:little": Talk(LengthPrefix(2, "little"), b"a", b"\1\0a", b"bc", b"\2\0bc"),
    "int32": Talk(LengthPrefix(4), b"a", b"\0\0\0\1a", b"bc", b"\0\0\0\2bc"),
    "ascii": Talk(LengthField(4, encoding="ascii"), b"a", b"0001a", b"bc", b"0002bc"),
    "varint": Talk(
        LengthField(offset=1, encoding="varint"), b"0\1a", b"0\1a", b"2\x80\0", b"2\x80\0"
    ),
    "ber, a trailer": Talk(
        LengthField(encoding="ber", trailer=b"\r"), b"a", b"\1a\r", b"bc", b"\2bc\r"
    ),
    "fixed": Talk(Fixed(3), b"abc", b"abc", b"d\r\n", b"d\r\n"),
    "length": Talk(LengthField(2, offset=2), b"12\0\3abc", b"12\0\3abc", b"12\0\1a", b"12\0\1a"),
    "resp": Talk(
        Resp(),
        b"SET k 'a b'",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\n",
        b"*2\r\n$2\r\n\r\n\r\n|1\r\n+a\r\n:1\r\n=5\r\ntxt:b",
        b"*2\r\n$2\r\n\r\n\r\n|1\r\n+a\r\n:1\r\n=5\r\ntxt:b\r\n",
    ),
    "http": Talk(HTTP, b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", OK, OK),
    "memcached": Talk(
        MEMCACHED,
        b"set k 0 0 4\r\na\r\nb",
        b"set k 0 0 4\r\na\r\nb\r\n",
        b"VALUE k 0 4\r\na\r\nb",
        b"VALUE k 0 4\r\na\r\nb\r\n",
    ),
}


class ShortReads:
    """A socket that receives one byte at a time, and records its timeouts."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.timeouts: list[float | None] = []

    def __enter__(self) -> "ShortReads":
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def settimeout(self, seconds: float | None) -> None:
        self.timeouts.append(seconds)
        self._socket.settimeout(PATIENCE)

    def sendall(self, data: bytes) -> None:
        self._socket.sendall(data)

    def recv(self, _size: int) -> bytes:
        return self._socket.recv(1)


class Connecting:
    """Connects with `ShortReads`, and keeps the socket."""

    def __init__(self) -> None:
        self.made: Any = None

    def __call__(self, address: Address, timeout: float) -> Any:
        self.made = ShortReads(connect(address, timeout))
        return self.made


def connected_to(end: socket.socket) -> Callable[[Address, float], socket.socket]:
    """Return what connects every address by this *end*."""
    return lambda _address, _timeout: end


class AskTests(SynchronousTestCase):
    """Requests and replies over a socket."""

    def ask(
        self,
        peer: "Peer | Address",
        *requests: bytes,
        framing: BaseFraming = LINE,
        **options: Any,
    ) -> list[bytes]:
        """Return all replies to *requests*."""
        address = peer if isinstance(peer, Address) else peer.address
        frames = [framing.encode_request(request) for request in requests]
        options = {"timeout": PATIENCE, **options}
        return [*ask(address, frames, framing.reply_decoder(MAX_REPLY), **options)]

    def failure(
        self, address: Address, *requests: bytes, framing: BaseFraming = LINE, **options: Any
    ) -> tuple[list[bytes], str]:
        """Return the replies that arrived, and the error without the address."""
        frames = [framing.encode_request(request) for request in requests or (b"a",)]
        options = {"timeout": PATIENCE, **options}
        replies: list[bytes] = []
        with self.assertRaises(AskError) as caught:
            for reply in ask(address, frames, framing.reply_decoder(MAX_REPLY), **options):
                replies.append(reply)  # noqa: PERF402 (those before the error are kept)
        start, message = str(caught.exception).split(": ", 1)
        self.assertEqual(start, str(address))
        return replies, message

    def test_every_framing(self) -> None:
        """In every framing, a request is framed, and the reply is found in its frame."""
        for name, talk in TALKS.items():
            peer = Peer(self, len(talk.sent), talk.received)
            replies = self.ask(peer, talk.request, framing=talk.framing)
            self.assertEqual([peer.end(), *replies], [talk.sent, talk.reply], msg=name)

    def test_replies_in_single_bytes(self) -> None:
        """Replies are found in single bytes."""
        for name, talk in TALKS.items():
            if talk.framing == Chunk():
                continue
            peer = Peer(self, len(talk.sent), talk.received * 3)
            replies = self.ask(
                peer, talk.request, framing=talk.framing, replies=3, connect=Connecting()
            )
            self.assertEqual(replies, [talk.reply] * 3, msg=name)

    def test_a_request_follows_the_reply_to_the_one_before(self) -> None:
        """A request is sent after the reply to the one before it has arrived."""
        peer = Peer(self, 3, b"A\r\n", 3, b"B\r\n", 3, b"C\r\n")
        self.assertEqual(self.ask(peer, b"a", b"b", b"c"), [b"A", b"B", b"C"])
        self.assertEqual(peer.received, [b"a\r\n", b"b\r\n", b"c\r\n"])

    def test_several_replies_to_each(self) -> None:
        """The given number of replies is waited for, in one piece or in several."""
        peer = Peer(self, 3, b"A\r\nAA\r\n", 3, b"B\r\n", b"BB\r\n")
        replies = self.ask(peer, b"a", b"b", replies=2)
        self.assertEqual(replies, [b"A", b"AA", b"B", b"BB"])

    def test_a_reply_too_many_counts_for_the_next_request(self) -> None:
        """A further reply counts for the next request."""
        peer = Peer(self, 3, b"A\r\nAA\r\n", 3, stays=True)
        self.assertEqual(self.ask(peer, b"a", b"b"), [b"A", b"AA"])
        self.assertEqual(peer.end(), b"a\r\nb\r\n")

    def test_no_replies(self) -> None:
        """With 0 replies, all requests are sent without waiting."""
        peer = Peer(self, 6, stays=True)
        self.assertEqual(self.ask(peer, b"a", b"b", replies=0), [])
        self.assertEqual(peer.end(), b"a\r\nb\r\n")

    def test_a_greeting(self) -> None:
        """A greeting is waited for before the first request, and is one more reply."""
        peer = Peer(self, b"220 hi\r\n", 3, b"A\r\n")
        self.assertEqual(self.ask(peer, b"a", greeting=True), [b"220 hi", b"A"])

    def test_a_chunk_is_what_is_received_at_once(self) -> None:
        """A reply of chunks can be larger than a request."""
        left, right = socket.socketpair()
        self.addCleanup(right.close)
        right.sendall(b"a" * 3000)
        host = Address("host", 1)
        replies = self.ask(host, b"?", framing=Chunk(), connect=connected_to(left))
        self.assertEqual(replies, [b"a" * 3000])

    def test_a_unix_socket(self) -> None:
        """The path of a UNIX socket is an address."""
        peer = Peer(self, 3, b"A\r\n", path=str(temporary(self) / "it.sock"))
        self.assertEqual(self.ask(peer, b"a"), [b"A"])

    def test_no_server(self) -> None:
        """A closed port, a missing path and an invalid host name are errors."""
        mute = socket.socket()  # it keeps a port, on which it does not listen
        self.addCleanup(mute.close)
        mute.bind(("127.0.0.1", 0))
        path = str(temporary(self) / "it.sock")
        for address, message in (
            (Address(*mute.getsockname()), "no connection: Connection refused"),
            (Address(path), "no connection: No such file or directory"),
            (Address(f"/{'a' * 200}"), "no connection: AF_UNIX path too long"),
        ):
            self.assertEqual(self.failure(address), ([], message))
        self.assertIn("label empty", self.failure(Address("a..b", 1))[1])

    def test_a_unix_socket_with_a_full_backlog(self) -> None:
        """A UNIX socket with a full backlog is an error, without waiting."""
        path = str(temporary(self) / "it.sock")
        with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as others:
            busy.bind(path)
            busy.listen(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other = others.enter_context(socket.socket(socket.AF_UNIX))
                    other.setblocking(False)
                    other.connect(path)
            message = self.failure(Address(path))[1]
        self.assertEqual(message, "no connection: Resource temporarily unavailable")

    def test_a_connection_that_takes_too_long(self) -> None:
        """The connection has the timeout of the caller."""
        asked: list[float] = []

        def give_up(_address: Address, timeout: float) -> socket.socket:
            asked.append(timeout)
            raise TimeoutError("timed out")

        message = self.failure(Address("127.0.0.1", 1), timeout=3, connect=give_up)[1]
        self.assertEqual((message, asked), ("no connection: timed out", [3]))

    def test_a_silent_server_is_an_error(self) -> None:
        """The error has what was waited for, and how long."""
        peer = Peer(self, 3, stays=True)
        self.assertEqual(
            self.failure(peer.address, timeout=0.01),
            ([], "no reply to request 1: nothing arrived within 0.01 s"),
        )

    def test_no_greeting(self) -> None:
        """Without a greeting, no request is sent."""
        peer = Peer(self, stays=True)
        self.assertEqual(
            self.failure(peer.address, timeout=0.01, greeting=True),
            ([], "no greeting: nothing arrived within 0.01 s"),
        )

    def test_slow_bytes_do_not_extend_the_timeout(self) -> None:
        """The timeout is for a whole reply, and starts again for each."""
        peer = Peer(self, 3, b"A\r\nabcdef", stays=True)
        times = iter([0, 1, 2, 4.9, 100, 101, 104.9, 105])
        found = self.failure(
            peer.address, replies=2, timeout=5, connect=Connecting(), seconds=lambda: next(times)
        )
        message = "no reply 2 of 2 to request 1: only b'ab' arrived within 5 s: no line end"
        self.assertEqual(found, ([b"A"], message))

    def test_each_wait_has_the_rest_of_the_time(self) -> None:
        """The socket gets the rest of the time only."""
        peer = Peer(self, 3, b"a\nb\n")
        times = iter([0, 1, 2, 10, 11, 12])
        connecting = Connecting()
        self.ask(peer, b"?", replies=2, timeout=5, connect=connecting, seconds=lambda: next(times))
        # To send, and for each byte of two replies.
        self.assertEqual(connecting.made.timeouts, [5, 4, 3, 4, 3])

    def test_an_early_end_is_an_error(self) -> None:
        """The end before or within a reply is an error, after the replies before it."""
        nothing = "nothing arrived before the server closed the connection"
        part = r"only b'b\r' arrived before the server closed the connection: no line end"
        for sent, replies, problem in (
            (b"", [], nothing),
            (b"A\r\n", [b"A"], nothing),
            (b"A\r\nb\r", [b"A"], part),
        ):
            which = f"no reply {len(replies) + 1} of 2 to request 1"
            self.assertEqual(
                self.failure(Peer(self, 3, sent).address, replies=2),
                (replies, f"{which}: {problem}"),
            )

    def test_the_server_ends_between_requests(self) -> None:
        """The error has the number of the request without a reply."""
        peer = Peer(self, 3, b"A\r\n")
        replies, message = self.failure(peer.address, b"a", b"b", b"c")
        self.assertEqual(replies, [b"A"])
        self.assertRegex(message, "^(no reply to request 2|request 2 not sent): ")

    def test_a_request_that_cannot_be_sent(self) -> None:
        """The error has the number of the request, and the reason."""
        left, right = socket.socketpair()
        right.close()
        found = self.failure(Address("host", 1), connect=connected_to(left))
        self.assertEqual(found, ([], "request 1 not sent: Broken pipe"))

    def test_a_malformed_reply(self) -> None:
        """Replies before a malformed one are returned; the error says *reply*, not *request*."""
        for framing, sent, message in (
            (Netstring(), b"1:A,x", "expected the length of a netstring, found b'x'"),
            (Netstring(), b"1:A,1:Bx", "expected b',' after a reply, found b'x'"),
            (Resp(), b"A\r\n", r"expected a RESP value such as b'+OK', found b'A\r\n'"),
        ):
            request = framing.encode_request(b"a")
            peer = Peer(self, len(request), sent)
            replies, found = self.failure(peer.address, framing=framing, replies=2)
            self.assertEqual(replies, [b"A"] * (framing == Netstring()))
            self.assertEqual(found.split(": ", 1)[1], message)

    def test_a_reply_too_large(self) -> None:
        """A reply over the limit is refused before its bytes arrive."""
        peer = Peer(self, 5, b"HTTP/1.1 400 Bad Request\r\n", stays=True)
        _replies, message = self.failure(peer.address, framing=LengthPrefix(4))
        self.assertIn(
            "expected a reply of at most 67108864 bytes, found 1213486160 or more", message
        )

    def test_the_socket_is_closed(self) -> None:
        """The socket is closed after an error, and when the caller stops early."""
        peer = Peer(self, 3, b"A\r\nA\r\n", stays=True)
        decoder = Line().reply_decoder(MAX_REPLY)
        replies = ask(peer.address, [b"a\r\n"], decoder, replies=9, timeout=PATIENCE)
        self.assertEqual(next(replies), b"A")
        replies.close()  # type: ignore[attr-defined]  # an Iterator is a generator here
        peer.end()


class EncodeTests(SynchronousTestCase):
    """How a client frames requests."""

    def test_words_are_an_array(self) -> None:
        """In resp, words are sent as an array; quotes keep blanks and can be empty."""
        for request, frame in (
            (b"PING", b"*1\r\n$4\r\nPING\r\n"),
            (b" a  '' ", b"*2\r\n$1\r\na\r\n$0\r\n\r\n"),
            (b'"a\r\nb"', b"*1\r\n$4\r\na\r\nb\r\n"),
            (b"+OK", b"*1\r\n$3\r\n+OK\r\n"),
        ):
            self.assertEqual(Resp().encode_request(request), frame)

    def test_invalid_words_and_lines_are_refused(self) -> None:
        """No words, an open quote and a line with a line end are refused."""
        for framing, request, message in (
            (Resp(), b" ", "expected a command, found no words"),
            (Resp(), b"'a", "expected balanced quotes"),
            (Line(), b"a\nb", "expected a payload without the delimiter"),
        ):
            with self.assertRaisesRegex(FrameError, message):
                framing.encode_request(request)

    def test_a_framing_without_possible_replies_is_refused(self) -> None:
        """A framing without replies in the limit is an error before anything is sent."""
        with self.assertRaisesRegex(ValueError, "at least 67108865 bytes"):
            Fixed(2**26 + 1).reply_decoder(MAX_REPLY)


class AddressTests(SynchronousTestCase):
    """Addresses of servers."""

    def test_addresses(self) -> None:
        """An address is written as it is read."""
        for text, address in (
            ("127.0.0.1:9999", Address("127.0.0.1", 9999)),
            ("localhost:1", Address("localhost", 1)),
            ("[::1]:65535", Address("::1", 65535)),
            ("/run/it.sock", Address("/run/it.sock")),
            ("./it:80", Address("./it:80")),
        ):
            self.assertEqual(parse_address(text), address)
            self.assertEqual(str(address), text)

    def test_invalid_addresses_are_refused(self) -> None:
        """The error has the forms of an address."""
        for text in (
            *("", "localhost", "localhost:", ":80", "::1:80", "::1", "[::1]", "[]:80", "a:b"),
            *("a:0", "a:65536", "a:-1", "a:1.5", "a:80 ", "a:\u0661", "it.sock", "[a]b:80"),
        ):
            with self.assertRaises(ValueError, msg=text) as caught:
                parse_address(text)
            self.assertEqual(
                str(caught.exception),
                "expected HOST:PORT, [IPV6]:PORT, or the path of a UNIX socket, with a slash in it;"
                f" found {text!r}",
            )

    def test_ipv6(self) -> None:
        """A socket gets an IPv6 host without brackets."""
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
            listener.listen()
            where = parse_address(f"[::1]:{listener.getsockname()[1]}")
            with connect(where, PATIENCE) as connection:
                self.assertEqual(connection.getpeername()[:2], ("::1", where.port))


class SuggestTests(SynchronousTestCase):
    """`suggest_framing`, and what an error has for it."""

    def test_what_arrived(self) -> None:
        """The bytes show which framing it is; otherwise they are shown as they arrive."""
        for received, name in (
            (b"+OK 2 320\r\n", "line"),
            (b"one\ntwo\n", "line"),
            (b"\n", "line"),
            (b"5:hello,", "netstring"),
            (b"$5\r\nhello\r\n", "resp"),
            (b"*2\r\n", "resp"),
            (b":1\r\n", "resp"),
            (b"+PON", "chunk"),
            (b"\0\5hello", "chunk"),
        ):
            self.assertEqual(suggest_framing(b"?", received), name, msg=received)

    def test_nothing_arrived(self) -> None:
        """The server may wait for the end of a line, unless it was sent."""
        self.assertEqual(suggest_framing(b"PING", b""), "line")
        self.assertIsNone(suggest_framing(b"PING\r\n", b""))

    def test_long_replies_are_shortened(self) -> None:
        """An error shows the start of what arrived, and its size."""
        peer = Peer(self, 3, b"x" * 1000)
        with self.assertRaises(AskError) as caught:
            [*ask(peer.address, [b"a\r\n"], Line().decoder(9999))]
        self.assertEqual(caught.exception.received, b"x" * 1000)
        self.assertIn(f"only b'{'x' * 60}'... (1000 bytes) arrived before", str(caught.exception))
