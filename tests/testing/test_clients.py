"""
Real clients, tested with the fixture, and with ``serve`` where trial runs the tests.

What a client sends beyond its protocol depends on its version, so each test has only the requests
that the client cannot do without.
"""

import poplib
import smtplib
import ssl
from contextlib import closing
from typing import Any

import psycopg
import pytest
import redis
from pymemcache.client.base import (  # type: ignore[import-untyped]  # it has no annotations
    Client as Memcache,
)
from pymemcache.exceptions import (  # type: ignore[import-untyped]  # nor has this
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
)
from redis.backoff import NoBackoff
from redis.retry import Retry
from twisted.trial.unittest import SynchronousTestCase

from reqresp import HeaderBody, Line
from reqresp.testing import Server, StartServer, serve
from tests.support.live import PATIENCE

#: The framing of memcached.
MEMCACHED = HeaderBody(Line(), body=rb"^set \S+ \d+ -?\d+ (\d+)", body_end=b"\r\n")
#: The first bytes of PostgreSQL's clients: the version of the protocol, and a request for TLS.
VERSION_3 = {"hex": "00030000"}
TLS_PLEASE = {"hex": "04d2162f"}


# SMTP


def speak_smtp(server: Server) -> None:
    """Accept mails for every recipient."""
    server.on(starts_with="EHLO ").reply("250-mail.test", "250 SIZE 1000")
    server.on(starts_with=["MAIL FROM:", "RCPT TO:"], when="start").reply("250 ok")
    server.on("DATA", when="start").reply("354 go on").goto("data")
    server.on(".", when="data").reply("250 queued").goto("start")
    server.on(when="data")  # the lines of a mail: silence
    server.on("QUIT").reply("221 bye").close()


def send_mail(client: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
    """Send a mail of two lines; return the recipients that were refused."""
    return client.sendmail("me@a.test", ["you@a.test", "he@a.test"], "Subject: hi\r\n\r\nHello\r\n")


def test_smtplib_sends_a_mail(reqresp_server: StartServer) -> None:
    """smtplib sends a mail line by line, and reports a refused recipient."""
    server = reqresp_server(greeting="220 mail.test", ignore_case=True)
    server.expect("RCPT TO:<he@a.test>").reply("550 no such user")
    speak_smtp(server)
    with smtplib.SMTP(server.host, server.port, "me.test", PATIENCE) as client:
        assert send_mail(client) == {"he@a.test": (550, b"no such user")}
    server.assert_received(starts_with="MAIL FROM:<me@a.test>", times=1)
    server.assert_received("Hello")


def test_smtplib_is_disconnected(reqresp_server: StartServer) -> None:
    """smtplib reports a connection that is reset during a mail."""
    server = reqresp_server(greeting="220 mail.test", ignore_case=True)
    server.expect("DATA").abort()
    speak_smtp(server)
    client = smtplib.SMTP(server.host, server.port, "me.test", PATIENCE)
    with closing(client), pytest.raises(smtplib.SMTPServerDisconnected):
        send_mail(client)


# POP3


def test_poplib_reads_a_mail(reqresp_server: StartServer) -> None:
    """poplib logs in and reads a mail, in the order that the test expects."""
    server = reqresp_server(greeting="+OK ready")
    server.expect_next("USER ann").reply("+OK")
    server.expect_next("PASS secret").wait(0.01).reply("+OK")
    server.expect_next("RETR 1").reply("+OK", "Subject: hi", "", "..", ".").fault("slicer", size=1)
    server.expect_next("QUIT").reply("+OK bye").close()
    client = poplib.POP3(server.host, server.port, PATIENCE)
    client.user("ann")
    client.pass_("secret")
    assert client.retr(1)[1] == [b"Subject: hi", b"", b"."]
    assert client.quit() == b"+OK bye"


def test_poplib_over_tls(reqresp_server: StartServer) -> None:
    """poplib trusts the server with the client context."""
    server = reqresp_server(tls=True, greeting="+OK ready")
    server.expect("NOOP").reply("+OK")
    context = server.client_context
    client = poplib.POP3_SSL("127.0.0.1", server.port, timeout=PATIENCE, context=context)
    with closing(client):
        assert client.noop() == b"+OK"


def test_poplib_without_the_context(reqresp_server: StartServer) -> None:
    """Without the client context there is no request, and nothing unexpected."""
    server = reqresp_server(tls=True)
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        poplib.POP3_SSL(server.host, server.port, timeout=PATIENCE, context=stranger)
    assert server.requests() == []


# Redis


def connect_redis(server: Server, **options: Any) -> redis.Redis:
    """Return a client, whose first requests the server answers."""
    server.on("HELLO 3").reply("%1\r\n+proto\r\n:3")
    server.on(starts_with=["CLIENT SETINFO ", "CLIENT MAINT_NOTIFICATIONS "]).reply("+OK")
    return redis.Redis(host=server.host, port=server.port, socket_timeout=PATIENCE, **options)


def test_redis_gets_and_sets(reqresp_server: StartServer) -> None:
    """Commands with any bytes are separated."""
    server = reqresp_server(framing="resp")
    server.expect(b"SET a \xff\r\n").reply("+OK")
    server.on("GET a").cycle("$1\r\n1", "$1\r\n2")
    with connect_redis(server) as client:
        assert client.set("a", b"\xff\r\n")
        assert [client.get("a") for _ in range(3)] == [b"1", b"2", b"1"]


def test_redis_retries(reqresp_server: StartServer) -> None:
    """redis connects again after a reset, and sends the same request."""
    server = reqresp_server(framing="resp")
    server.expect_next("GET a").abort()
    server.expect_next("GET a").reply("$1\r\n1")
    with connect_redis(server, retry=Retry(NoBackoff(), 1)) as client:
        assert client.get("a") == b"1"
    assert [it.connection for it in server.requests("GET a")] == [1, 2]


def test_redis_pipelines(reqresp_server: StartServer) -> None:
    """Each request of a pipeline has its reply."""
    server = reqresp_server(framing="resp")
    server.on(matches=r"GET (\w+)").reply(template="+{1}")
    with connect_redis(server) as client:
        pipeline = client.pipeline(transaction=False)
        assert pipeline.get("a").get("b").get("c").execute() == [b"a", b"b", b"c"]


# memcached


def test_pymemcache_stores_and_finds(reqresp_server: StartServer) -> None:
    """A value can contain line ends."""
    server = reqresp_server(framing=MEMCACHED)
    server.expect(starts_with="set a 0 0 4", ends_with=b"1\r\n2").reply("STORED")
    server.on("get a").reply("VALUE a 0 1", "x", "END")
    with closing(Memcache((server.host, server.port), timeout=PATIENCE)) as client:
        assert client.set("a", b"1\r\n2", noreply=False)
        assert client.get("a") == b"x"


def test_pymemcache_over_tls(reqresp_server: StartServer) -> None:
    """A client that sends first can use TLS."""
    server = reqresp_server(framing=MEMCACHED, tls=True)
    server.expect("get a").reply("VALUE a 0 1", "x", "END")
    where = "localhost", server.port
    context = server.client_context
    with closing(Memcache(where, timeout=PATIENCE, tls_context=context)) as client:
        assert client.get("a") == b"x"


def test_pymemcache_reports_errors(reqresp_server: StartServer) -> None:
    """pymemcache reports an error reply, and a connection that ends during a reply."""
    server = reqresp_server(framing=MEMCACHED)
    server.expect_next("get a").reply("SERVER_ERROR out of memory")
    server.expect_next("get a").reply("VALUE a 0 1", "x").fault("limit_data", bytes=9)
    with closing(Memcache((server.host, server.port), timeout=PATIENCE)) as client:
        with pytest.raises(MemcacheServerError):
            client.get("a")
        with pytest.raises(MemcacheUnexpectedCloseError):
            client.get("a")


# PostgreSQL


def refusal(code: str, message: str) -> bytes:
    """Return the error that PostgreSQL sends to a client that it refuses."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


def connect_postgres(server: Server, **options: Any) -> None:
    """Try to connect, which always fails."""
    psycopg.connect(
        host=server.host,
        port=server.port,
        user="ann",
        dbname="books",
        gssencmode="disable",
        connect_timeout=int(PATIENCE),
        **options,
    )


def test_psycopg_is_refused(reqresp_server: StartServer) -> None:
    """psycopg asks for TLS, is refused without TLS, and reports the server's message."""
    server = reqresp_server(framing="int32:inclusive")
    server.expect_next(TLS_PLEASE).reply("N", raw=True)
    server.expect_next(starts_with=VERSION_3, contains="user\0ann\0").reply(
        refusal("28000", "no books for ann"), raw=True
    ).close()
    with pytest.raises(psycopg.OperationalError, match="no books for ann"):
        connect_postgres(server, sslmode="prefer")


def test_psycopg_gets_no_answer(reqresp_server: StartServer) -> None:
    """psycopg reports a connection that is closed or reset."""
    server = reqresp_server(framing="int32:inclusive")
    server.expect_next(starts_with=VERSION_3).close()
    server.expect_next(starts_with=VERSION_3).abort()
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            connect_postgres(server, sslmode="disable")


def test_psycopg_gets_garbage(reqresp_server: StartServer) -> None:
    """psycopg reports a reply that is not PostgreSQL's."""
    server = reqresp_server(framing="int32:inclusive")
    server.expect(starts_with=VERSION_3).reply(b"HTTP/1.1 400\r\n\r\n", raw=True).close()
    with pytest.raises(psycopg.OperationalError):
        connect_postgres(server, sslmode="disable")


class ServeTests(SynchronousTestCase):
    """Tests of the same clients with ``serve``."""

    def test_smtplib(self) -> None:
        """smtplib sends a mail."""
        with serve(greeting="220 mail.test", ignore_case=True) as server:
            speak_smtp(server)
            with smtplib.SMTP(server.host, server.port, "me.test", PATIENCE) as client:
                self.assertEqual(send_mail(client), {})

    def test_poplib(self) -> None:
        """poplib reports an error reply, and continues."""
        with serve(greeting="+OK ready") as server:
            server.on("STAT").reply("-ERR later")
            server.expect("NOOP").reply("+OK")
            with closing(poplib.POP3(server.host, server.port, PATIENCE)) as client:
                self.assertRaises(poplib.error_proto, client.stat)
                self.assertEqual(client.noop(), b"+OK")

    def test_redis(self) -> None:
        """redis reports an error reply."""
        with serve(framing="resp") as server:
            server.expect("LPOP a").reply("-WRONGTYPE no list")
            with connect_redis(server) as client:
                self.assertRaises(redis.ResponseError, client.lpop, "a")

    def test_pymemcache(self) -> None:
        """pymemcache finds no value."""
        with (
            serve(framing=MEMCACHED) as server,
            closing(Memcache((server.host, server.port), timeout=PATIENCE)) as client,
        ):
            server.expect("get a").reply("END")
            self.assertIsNone(client.get("a"))

    def test_psycopg(self) -> None:
        """psycopg reports why it is refused."""
        with serve(framing="int32:inclusive") as server:
            answer = refusal("53300", "too many clients")
            server.expect(starts_with=VERSION_3).reply(answer, raw=True).close()
            with self.assertRaises(psycopg.OperationalError) as raised:
                connect_postgres(server, sslmode="disable")
            self.assertIn("too many clients", str(raised.exception))

    def test_an_unexpected_request(self) -> None:
        """An unexpected request of a real client is in the error, with its bytes."""
        with (
            self.assertRaises(AssertionError) as raised,
            serve(greeting="+OK ready") as server,
            closing(poplib.POP3(server.host, server.port, PATIENCE)) as client,
        ):
            self.assertRaises(poplib.error_proto, client.stat)
        self.assertIn("#1 < b'STAT'  unexpected; connection closed", str(raised.exception))
