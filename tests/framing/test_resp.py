"""Resp: the protocol of Redis."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import FrameError, Resp
from tests.support.resp import VALUES, values
from tests.support.streams import PROPERTY, fed, single

LIMIT = 65536


class DecoderTests(SynchronousTestCase):
    """Requests; `tests.framing.test_resp_commands` has more tests of them."""

    def test_requests_are_commands(self) -> None:
        """A request is an array or a line."""
        stream = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"
        self.assertEqual(fed(Resp().decoder(LIMIT), single(stream)), ([b"GET k", b"PING"], False))

    def test_some_request_must_be_within_the_limit(self) -> None:
        """A limit below any request is an error when the decoder is made."""
        self.assertEqual(Resp().decoder(2).feed(b"x\n"), [b"x"])
        with self.assertRaisesRegex(
            ValueError, "a limit of at least 2 bytes for a request, found 1"
        ):
            Resp().decoder(1)

    def test_a_command_is_a_reply_too(self) -> None:
        """A command as a client sends it is a value, too."""
        command = b"*2\r\n$3\r\nGET\r\n$1\r\nk"
        self.assertEqual(Resp().decoder(LIMIT).feed(Resp().encode(command)), [b"GET k"])


class EncodeTests(SynchronousTestCase):
    """How replies are wrapped."""

    def refusal(self, payload: bytes) -> str:
        """Return the error for *payload*."""
        with self.assertRaises(FrameError, msg=payload) as caught:
            Resp().encode(payload)
        return str(caught.exception)

    def test_every_type(self) -> None:
        """A value of any type can be a reply, with or without its last CRLF."""
        for value in VALUES:
            self.assertEqual(Resp().encode(value), value + b"\r\n")
            self.assertEqual(Resp().encode(value + b"\r\n"), value + b"\r\n")

    def test_invalid_values_are_refused(self) -> None:
        """A reply that is not a value is refused: a client could not read it."""
        for payload in (
            *(b"OK", b"\r\n", b" +OK", b"hello world", b"@1", b"?"),
            *(b"+a\nb", b"+a\rb", b"-a\r\r\n", b"+OK\n", b":", b":x", b":1.5", b": 1", b":--1"),
            *(b"$", b"$x\r\n", b"$-2", b"$03\r\nabc", b"$+3\r\nabc", b"$3\nabc", b"$?\r\n"),
            *(b"$3\r\nab", b"$3\r\nabcd", b"$3\r\nabc\n", b"$3abc", b"$99\r\nabc\r\n"),
            *(b"*", b"*x", b"*-2", b"*01\r\n:1", b"*?\r\n", b"~-1", b"%-1", b">-1", b"|-1", b"!-1"),
            *(
                b"_x",
                b"#",
                b"#x",
                b"#true",
                b",",
                b",x",
                b",1.",
                b",.5",
                b",+inf",
                b",-nan",
                b",1e",
            ),
            *(b"(", b"(1.5", b"=3\r\ntxt", b"=4\r\ntext", b"=5\r\nab:cd", b"=-1"),
            b":" + b"1" * 20,
            b"$" + b"9" * 5000,
            b"*" + b"9" * 5000,
        ):
            message = self.refusal(payload)
            self.assertIn("expected a RESP value such as b'+OK' in a reply, found ", message)
            self.assertLess(len(message), 300)

    def test_incomplete_values_are_refused(self) -> None:
        """An incomplete value is refused: a client would wait for the rest."""
        for payload in (
            b"",
            b"*1",
            b"*2\r\n:1",
            b"%1\r\n+a",
            b"%2\r\n+a\r\n+b",
            b"~1\r\n*1",
            b"|0",
        ):
            for ending in (b"", b"\r\n"):
                if payload:
                    self.assertEqual(
                        self.refusal(payload + ending),
                        f"expected another value at the end of a reply, found {payload + ending!r}",
                    )
        self.assertEqual(
            self.refusal(b""), "expected another value at the end of a reply, found b''"
        )
        self.assertIn("expected another value", self.refusal(b"|1\r\n+a\r\n+b"))

    def test_data_after_a_value_is_refused(self) -> None:
        """Bytes after a value are refused: a client would take them for the next reply."""
        for payload in (b"+OK\r\n+OK", b":1\r\n:2\r\n", b"*0\r\n:1", b"$1\r\na\r\nb", b"_\r\n\r\n"):
            self.assertIn("expected nothing after a complete reply", self.refusal(payload))
        self.assertEqual(
            self.refusal(b"+OK\r\n:1"), "expected nothing after a complete reply, found b':1'"
        )

    def test_errors_show_the_place(self) -> None:
        """The error shows the reply from where it is wrong."""
        self.assertEqual(
            self.refusal(b"*3\r\n:1\r\nhello\r\n:3"),
            r"expected a RESP value such as b'+OK' in a reply, found b'hello\r\n:3'",
        )

    @PROPERTY
    @given(values())
    def test_values_are_sent_as_they_are(self, value: bytes) -> None:
        """A value is sent as it is; a part of it, or more than it, is refused."""
        self.assertEqual(Resp().encode(value), value)
        self.assertEqual(Resp().encode(value[:-2]), value)
        for wrong in (value[:-1], value + b"\r\n", value + value):
            self.refusal(wrong)

    @PROPERTY
    @given(
        st.binary(max_size=20),
        st.sampled_from([*single(b"+-:$*_#,(!=%~>|"), b"", b"$2\r\n", b"*1\r\n"]),
    )
    def test_random_bytes_raise_only_frame_errors(self, noise: bytes, kind: bytes) -> None:
        """Any bytes are a value, or raise a FrameError."""
        payload = kind + noise
        with contextlib.suppress(FrameError):
            self.assertIn(Resp().encode(payload), (payload, payload + b"\r\n"))

    def test_a_deep_reply(self) -> None:
        """Deeply nested values do not overflow a stack."""
        payload = b"*1\r\n" * 100_000 + b":1\r\n"
        self.assertEqual(Resp().encode(payload), payload)
