"""
The scripts in ``examples``, as the clients of real services find them.

A test whose program is not installed is skipped, which CI does not allow.
"""

import ftplib
import http.client
import json
import poplib
import re
import smtplib
import socket
import struct
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import redis
from pymemcache.client.base import (  # type: ignore[import-untyped]  # it has no annotations
    Client as Memcache,
)
from pymemcache.exceptions import (  # type: ignore[import-untyped]  # nor has this
    MemcacheUnknownCommandError,
)
from pymodbus.client import ModbusTcpClient

from reqresp.faults.faults import KINDS
from reqresp.script import Script
from tests.support import live
from tests.support.live import PATIENCE, Client, Server
from tests.support.live_case import LiveTestCase

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
#: What the first lines of each call its port, and what the client that they suggest shows.
PORTS = {
    "chat": "6000",
    "flaky": "7777",
    "ftp": "2121",
    "http": "8080",
    "jsonrpc": "4000",
    "memcached": "11212",
    "modbus": "5020",
    "pop3": "1110",
    "postgresql": "5433",
    "redis": "6380",
    "smtp": "2525",
}
ANSWERS = {
    "chat": r"\Awho are you\? JOIN NAME\nwelcome, ann\nsaid\nbye\n\Z",
    "flaky": r"\Ahello\na reply as it should be\nsliced\na reply th\Z",
    "ftp": r"\Ahello\n\Z",
    "http": r"\Ahello\nan echo\Z",
    "jsonrpc": r'"id":2,"result":"pong".*\n.*"id":1,"result":\["a","long","report"\]',
    "memcached": r"\ASTORED\nVALUE greeting 0 12\nhello\nworld\nEND\n\Z",
    "modbus": " 00 07 01 03 04 00 d7 01 f4",
    "pop3": r"\AFrom: ",
    "postgresql": r"\A1\|Ann\n2\|Bob\n\Z",
    "redis": r"\Ahello\n\Z",
    "smtp": r"<-  250 2\.0\.0 queued as 1\n",
}
NAMES = tuple(PORTS)
HOST = "127.0.0.1"
#: Names and types of the columns of the table in ``postgresql.toml``: int4 and text.
COLUMNS = [("id", 23), ("name", 25)]


def head(name: str) -> list[str]:
    """Give the lines of the comment that an example begins with."""
    return EXAMPLES.joinpath(f"{name}.toml").read_text().partition("\n\n")[0].splitlines()


class ScriptsTests(LiveTestCase):
    """The files themselves."""

    def test_each_is_tested(self) -> None:
        """There are the scripts that have tests below, and no others."""
        self.assertEqual(tuple(sorted(path.stem for path in EXAMPLES.glob("*.toml"))), NAMES)

    def test_load(self) -> None:
        """Each loads, and nothing about it is worth a warning."""
        for name in NAMES:
            self.assertEqual(Script.load(EXAMPLES / f"{name}.toml").warnings, (), name)

    def test_say_how_to_run_them(self) -> None:
        """The first lines say what each is, the command that runs it, and one that talks to it."""
        for name in NAMES:
            lines = head(name)
            self.assertTrue(lines[0].startswith("# A "), name)
            options = f"--script examples/{name}.toml --port {PORTS[name]}"
            self.assertEqual(lines[2], f"#     twistd -n --pidfile= reqresp {options}")
            self.assertIn(PORTS[name], lines[3])

    def test_what_they_say(self) -> None:
        """The commands that talk to them, as they stand there, get an answer."""
        servers = {name: self.serve(f"--script={EXAMPLES / name}.toml") for name in NAMES}
        for name, server in servers.items():
            command = head(name)[3].lstrip("# ").replace(PORTS[name], str(server.port))
            for program in re.findall(r"(?:^|\| )([a-z-]+)", command):
                live.program(program)
            ended = self.run_until_answered("bash", "-c", command)
            self.assertEqual(ended.status, 0, name)
            self.assertRegex(ended.output.replace("\r\n", "\n"), ANSWERS[name], name)

    def run_until_answered(self, *command: str) -> live.Ended:
        """Run *command* until it prints something: the flaky server resets some clients at once."""
        tries = (live.run_all(self.directory, {"it": command})["it"] for _ in range(20))
        return next(ended for ended in tries if ended.output)


class ExampleTestCase(LiveTestCase):
    """A server that runs one of them."""

    #: Its name.
    name: str

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve_example()
        self.port = self.server.port

    def serve_example(self) -> Server:
        """Start a server that runs it."""
        return self.serve(f"--script={EXAMPLES / self.name}.toml")

    def run_program(self, *command: str) -> str:
        """Run a program that has to succeed; give what it said.  Without it, skip the test."""
        live.program(command[0])
        ended = live.run_all(self.directory, {"it": command})["it"]
        self.assertEqual((ended.status, ended.errors), (0, ""), ended.output)
        return ended.output


class SMTPTests(ExampleTestCase):
    """``smtp.toml``."""

    name = "smtp"

    def test_smtplib(self) -> None:
        """Two mails in a session: a greylisted client is refused once, and the rest is accepted."""
        with smtplib.SMTP(HOST, self.port, "client.test", PATIENCE) as client:
            self.assertEqual(client.ehlo(), (250, b"mail.test greets client.test"))
            recipients = ["you@mail.test", "grey@mail.test"]
            # A dot alone, which is doubled on its way; and what would be a command elsewhere.
            message = "Subject: dots\r\n\r\n.\r\nQUIT\r\n..\r\n"
            refused = client.sendmail("me@mail.test", recipients, message)
            self.assertEqual(
                refused, {"grey@mail.test": (450, b"4.2.0 greylisted, try again later")}
            )
            self.assertEqual(client.noop(), (250, b"2.0.0 ok"))
            self.assertEqual(client.rset(), (250, b"2.0.0 ok"))
            self.assertEqual(client.sendmail("me@mail.test", recipients, message), {})
            self.assertEqual(client.docmd("VRFY", "me")[0], 502)
            self.assertEqual(client.quit(), (221, b"2.0.0 bye"))

    def test_old_greeting(self) -> None:
        """A client that says HELO is served, too."""
        with smtplib.SMTP(HOST, self.port, "client.test", PATIENCE) as client:
            self.assertEqual(client.helo(), (250, b"mail.test greets client.test"))

    def test_greylisting_is_the_servers(self) -> None:
        """A greylisted client can return on another connection."""
        for expected in (450, 250):
            with smtplib.SMTP(HOST, self.port, "client.test", PATIENCE) as client:
                client.ehlo()
                client.mail("me@mail.test")
                self.assertEqual(client.rcpt("grey@mail.test")[0], expected)

    def test_swaks(self) -> None:
        """A whole mail, headers and an attachment included, is taken."""
        self.directory.joinpath("attached").write_bytes(bytes(range(256)) * 100)
        output = self.run_program(
            *("swaks", "--server", f"{HOST}:{self.port}", "--helo", "client.test"),
            *("--from", "me@mail.test", "--to", "you@mail.test,them@mail.test"),
            *("--header", "Subject: a mail", "--body", "one\\n.\\ntwo", "--attach", "@attached"),
        )
        self.assertIn("<-  250 2.0.0 queued as 1\n -> QUIT\n<-  221 2.0.0 bye\n", output)
        self.assertNotIn("<**", output)  # how it marks what it did not expect


class POP3Tests(ExampleTestCase):
    """``pop3.toml``."""

    name = "pop3"

    def connect_pop3(self) -> poplib.POP3:
        """A client that has not logged in."""
        client = poplib.POP3(HOST, self.port, PATIENCE)
        self.addCleanup(client.close)
        return client

    def test_poplib(self) -> None:
        """A session: log in, look, read, delete, leave; what is said of the mail's size is true."""
        client = self.connect_pop3()
        self.assertEqual(client.getwelcome(), b"+OK mail.test ready")
        self.assertEqual(client.user("ann"), b"+OK ann, and your password?")
        self.assertEqual(client.pass_("Secret"), b"+OK one mail")
        count, size = client.stat()
        self.assertEqual(count, 1)
        self.assertEqual(client.list()[1], [b"1 %d" % size])
        self.assertEqual(client.list(1), b"+OK 1 %d" % size)
        self.assertEqual(client.uidl()[1], [b"1 mail-1"])
        _response, lines, octets = client.retr(1)
        self.assertEqual(lines[0], b"From: bob@mail.test")
        self.assertIn(b".and so on", lines)
        self.assertEqual(octets, size)
        self.assertEqual(client.noop(), b"+OK")
        client.dele(1)
        self.assertEqual(client.stat(), (0, 0))
        self.assertEqual(client.list()[1], [])
        with self.assertRaisesRegex(poplib.error_proto, "-ERR not now"):
            client.retr(1)
        client.rset()
        self.assertEqual(client.stat(), (1, size))
        self.assertEqual(client.quit(), b"+OK bye")

    def test_wrong_password(self) -> None:
        """A wrong password, if only in its case, is refused; the right one is taken after it."""
        client = self.connect_pop3()
        for password in ("wrong", "secret"):
            client.user("ann")
            with self.assertRaisesRegex(poplib.error_proto, "-ERR wrong password"):
                client.pass_(password)
            with self.assertRaisesRegex(poplib.error_proto, "-ERR not now"):
                client.stat()
        client.user("ann")
        client.pass_("Secret")
        self.assertEqual(client.stat()[0], 1)

    def test_typed(self) -> None:
        """A person may type in lower case, and is left when they have said so."""
        client = self.connect(self.server)
        client.send(b"user ann\r\npass Secret\r\nstat\r\nquit\r\n")
        self.assertTrue(client.rest().endswith(b"\r\n+OK 1 70\r\n+OK bye\r\n"))

    def test_curl(self) -> None:
        """The mail is what curl says it is."""
        output = self.run_program("curl", "-sS", f"pop3://ann:Secret@{HOST}:{self.port}/1")
        self.assertRegex(output, r"\AFrom: bob@mail\.test(.*\n)+\.and so on\r?\nBob\r?\n\Z")


class RedisTests(ExampleTestCase):
    """``redis.toml``."""

    name = "redis"

    def connect_redis(self, **options: Any) -> "redis.Redis":
        """A client, closed when the test is over."""
        client = redis.Redis(HOST, self.port, socket_timeout=PATIENCE, **options)
        self.addCleanup(client.close)
        return client

    def test_redis_cli(self) -> None:
        """What is typed is answered, and an error is one."""
        expected = {
            "PING": "PONG",
            "ping": "PONG",
            "SET greeting hello": "OK",
            "GET greeting": "hello",
            "GET nothing": "",
            "INCR visits": "1",
            "LPOP jobs": "first",
            "LPOP greeting": (
                "WRONGTYPE Operation against a key holding the wrong kind of value\n"
            ),
            "FLUSHALL": "ERR unknown command\n",
        }
        cli = ("redis-cli", "-h", HOST, "-p", str(self.port))
        commands = {typed: (*cli, *typed.split()) for typed in expected}
        for typed, ended in live.run_all(self.directory, commands).items():
            self.assertEqual((ended.status, ended.errors), (0, ""), typed)
            self.assertEqual(ended.output, expected[typed] + "\n", typed)

    def test_redis_cli_resp3(self) -> None:
        """So it is in RESP3."""
        cli = ("redis-cli", "-h", HOST, "-p", str(self.port), "-3", "--no-raw")
        self.assertEqual(self.run_program(*cli, "GET", "greeting"), '"hello"\n')
        self.assertEqual(self.run_program(*cli, "GET", "nothing"), "(nil)\n")

    def check(self, client: "redis.Redis") -> None:
        """Do what applications do."""
        self.assertIs(client.ping(), True)
        self.assertIs(client.set("greeting", "hello"), True)
        self.assertIs(client.set("any", b"bytes\r\n\x00\xff"), True)
        self.assertEqual(client.get("greeting"), b"hello")
        self.assertIsNone(client.get("nothing"))
        self.assertEqual([client.incr("visits") for _ in range(3)], [1, 2, 3])
        self.assertEqual([client.lpop("jobs") for _ in range(3)], [b"first", b"second", b"first"])
        with self.assertRaisesRegex(redis.ResponseError, "WRONGTYPE"):
            client.lpop("greeting")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            client.flushall()
        pipeline = client.pipeline(transaction=False)
        pipeline.set("greeting", "hello")
        pipeline.get("greeting")
        pipeline.get("nothing")
        pipeline.incr("visits")
        self.assertEqual(pipeline.execute(), [True, b"hello", None, 4])

    def test_redis_py(self) -> None:
        """Its handshake, commands and a pipeline, as it comes."""
        self.check(self.connect_redis())

    def test_redis_py_resp2(self) -> None:
        """The same where it speaks as of old."""
        self.check(self.connect_redis(protocol=2))

    def test_redis_py_options(self) -> None:
        """A client's name and number of a database are taken, and text comes as text."""
        client = self.connect_redis(client_name="it", db=1, decode_responses=True)
        self.assertEqual(client.get("greeting"), "hello")


class MemcachedTests(ExampleTestCase):
    """``memcached.toml``."""

    name = "memcached"

    def connect_memcache(self, **options: Any) -> Any:
        """A client, closed when the test is over."""
        client = Memcache((HOST, self.port), connect_timeout=PATIENCE, timeout=PATIENCE, **options)
        self.addCleanup(client.close)
        return client

    def check(self, client: Any) -> None:
        """Miss, store, hit, delete, miss; and see the replies that noreply would have hidden."""
        value = b"hello\r\nworld"
        self.assertIsNone(client.get("greeting"))
        self.assertIs(client.set("greeting", value, expire=60), True)
        self.assertEqual(client.get("greeting"), value)
        self.assertIsNone(client.get("nothing"))
        # Would do harm if it were taken for commands.
        self.assertIs(client.set("greeting", b"\r\nversion\r\nquit\r\n" * 100), True)
        self.assertEqual(client.get("greeting"), value)
        self.assertIs(client.set("greeting", b""), True)
        self.assertIs(client.delete("greeting"), True)
        self.assertIsNone(client.get("greeting"))
        self.assertEqual(client.version(), b"1.6.21")
        client.quit()

    def test_pymemcache(self) -> None:
        """It finds what it stored, until it deletes it; values hold what ends lines."""
        self.check(self.connect_memcache(default_noreply=False))

    def test_pymemcache_noreply(self) -> None:
        """As it comes it wants no replies to what it stores and deletes, and gets none."""
        self.check(self.connect_memcache())

    def test_typed(self) -> None:
        """All commands work when something is stored, and ``quit`` closes."""
        client = self.connect(self.server)
        client.send(
            b"set greeting 0 60 5\r\nhello\r\nget nothing\r\ndelete nothing\r\nversion\r\nquit\r\n"
        )
        self.assertEqual(client.rest(), b"STORED\r\nEND\r\nNOT_FOUND\r\nVERSION 1.6.21\r\n")

    def test_not_found(self) -> None:
        """What is not there cannot be deleted, and other keys cannot be stored."""
        client = self.connect_memcache(default_noreply=False)
        self.assertIs(client.delete("greeting"), False)
        with self.assertRaises(MemcacheUnknownCommandError):
            client.set("other", b"value")


class HTTPTests(ExampleTestCase):
    """``http.toml``."""

    name = "http"

    def curl(self, *arguments: str) -> str:
        """What curl says; ``URL`` in its arguments is the server's."""
        url = f"http://{HOST}:{self.port}"
        return self.run_program(
            "curl", "-sS", *(argument.replace("URL", url) for argument in arguments)
        )

    def test_curl(self) -> None:
        """It gets the page, a body comes back, what is not there is 404: on one connection."""
        told = ("-w", "%{http_code} %{num_connects}\n")
        output = self.curl(
            *(*told, "URL/", "--next"),
            *("-sS", *told, "--data-binary", "a body\n", "URL/echo", "--next"),
            *("-sS", *told, "URL/missing"),
        )
        self.assertEqual(output, "hello\n200 1\na body\n200 0\nnot found\n404 0\n")

    def test_curl_with_a_large_body(self) -> None:
        """Before it sends a large body, with a size or in chunks, curl gets ``100 Continue``."""
        body = b"0123456789abcde\n" * 2**17
        self.directory.joinpath("body").write_bytes(body)
        sent = ("--expect100-timeout", "20", "--data-binary", "@body", "-o", "back", "-D", "-")
        for options in ((), ("-H", "Transfer-Encoding: chunked")):
            heads = self.curl(*options, *sent, "URL/echo")
            self.assertEqual(re.findall(r"(?m)^HTTP/1.1 (\d+)", heads), ["100", "200"], options)
            self.assertEqual(self.directory.joinpath("back").read_bytes(), body, options)

    def test_curl_with_chunks(self) -> None:
        """A body in chunks comes back with its size, and the connection goes on."""
        told = ("-w", "%{http_code} %{num_connects}\n")
        chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Expect:")
        blank = "Content-Length: 99\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        output = self.curl(
            *(*told, *chunked, "--data-binary", "a body\n", "URL/echo", "--next"),
            *("-sS", *told, *chunked, "--data-binary", blank, "URL/echo", "--next"),
            *("-sS", *told, *chunked, "--data-binary", "a body\n", "URL/missing", "--next"),
            *("-sS", *told, "URL/"),
        )
        echoed = blank.replace("\r\n", "\n")
        self.assertEqual(
            output.replace("\r\n", "\n"),
            f"a body\n200 1\n{echoed}200 0\nnot found\n404 0\nhello\n200 0\n",
        )

    def test_http_client(self) -> None:
        """Python's client keeps its connection through all of it, too."""
        with closing(http.client.HTTPConnection(HOST, self.port, PATIENCE)) as client:
            client.connect()
            kept = client.sock
            bodies = (b"", b"a body", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", bytes(range(256)))
            for number, body in enumerate(bodies):
                client.request("GET", "/")
                response = client.getresponse()
                self.assertEqual((response.status, response.read()), (200, b"hello\n"), number)
                client.request("POST", "/echo", body, {"X-Content-Length": "7"})
                response = client.getresponse()
                self.assertEqual((response.status, response.read()), (200, body), number)
                client.request("POST", "/missing", body)
                response = client.getresponse()
                self.assertEqual((response.status, response.read()), (404, b"not found\n"), number)
            self.assertIs(client.sock, kept)


class ModbusTests(ExampleTestCase):
    """``modbus.toml``."""

    name = "modbus"

    def test_pymodbus(self) -> None:
        """It reads registers, writes one, and receives errors for addresses that do not exist."""
        client = ModbusTcpClient(HOST, port=self.port, timeout=PATIENCE)
        self.addCleanup(client.close)
        self.assertTrue(client.connect())
        readings = [client.read_holding_registers(0, count=2).registers for _ in range(3)]
        self.assertEqual(readings, [[215, 500], [216, 498], [215, 500]])
        written = client.write_register(16, 0xFFFE, device_id=7)
        self.assertEqual((written.address, written.registers), (16, [0xFFFE]))
        for refused in (
            client.read_holding_registers(100, count=2),
            client.read_holding_registers(0, count=3),
            client.write_register(17, 1),
        ):
            self.assertTrue(refused.isError())
            self.assertEqual(refused.exception_code, 2)
        # Past 255 transactions, to numbers of two bytes, some of which are not text.
        for _ in range(300):
            self.assertFalse(client.read_holding_registers(0, count=2).isError())


class ChatTests(ExampleTestCase):
    """``chat.toml``."""

    name = "chat"

    def join(self, name: str) -> Client:
        """Return a client that has joined as *name*."""
        client = self.connect(self.server)
        client.send(f"JOIN {name}\n".encode())
        expected = f"who are you? JOIN NAME\r\nwelcome, {name}\r\n".encode()
        self.assertEqual(client.receive(len(expected)), expected)
        return client

    def test_two_clients(self) -> None:
        """What one client says reaches the other, and itself hears only that it was said."""
        ann = self.join("ann")
        bob = self.join("bob")
        self.assertEqual(ann.receive(16), b"bob has joined\r\n")
        self.assertEqual(ann.ask(b"SAY hello\n", 6), b"said\r\n")
        self.assertEqual(bob.receive(12), b"ann: hello\r\n")
        self.assertEqual(bob.ask(b"QUIT\n", 5), b"bye\r\n")
        self.assertEqual(bob.rest(), b"")
        self.assertEqual(ann.ask(b"QUIT\n", 5), b"bye\r\n")


class FTPTests(ExampleTestCase):
    """``ftp.toml``, with ``ftp_data.py``."""

    name = "ftp"

    def test_ftplib(self) -> None:
        """Both modes list and send files; a file that is missing is refused."""
        numbers = b"".join(b"%d\r\n" % number for number in range(100_000))
        for passive in (True, False):
            with ftplib.FTP(timeout=PATIENCE) as client:  # noqa: S321 (to a server of the test)
                client.connect(HOST, self.port)
                client.login("ann", "secret")
                client.set_pasv(passive)
                with self.assertRaisesRegex(ftplib.error_temp, "425 use PASV or PORT first"):
                    client.sendcmd("LIST")
                lines: list[str] = []
                client.dir(lines.append)
                self.assertEqual([line.split()[-1] for line in lines], ["hello.txt", "numbers.txt"])
                received: list[bytes] = []
                client.retrbinary("RETR numbers.txt", received.append)
                self.assertEqual(b"".join(received), numbers)
                with self.assertRaisesRegex(ftplib.error_perm, "550 no such file"):
                    client.retrbinary("RETR missing.txt", received.append)
                self.assertEqual(client.quit(), "221 bye")


class FlakyTests(ExampleTestCase):
    """``flaky.toml``, and a client that sees what its bytes come in and what ends them."""

    name = "flaky"

    def greeted(self, server: Server) -> Client | None:
        """Connect; give a client that was greeted, None if it was reset instead."""
        try:
            client = self.connect(server)
            greeting = client.receive(len(b"hello\r\n"))
        except ConnectionResetError:
            return None
        self.assertEqual(greeting, b"hello\r\n")
        return client

    def ask(self, request: bytes) -> Client:
        """Send *request* on a connection, after as many as it takes to be greeted."""
        tries = (self.greeted(self.server) for _ in range(100))
        client = next(filter(None, tries))
        client.send(request + b"\n")
        return client

    def segments(self, client: Client) -> int:
        """How many segments with data have reached *client*, those sent once more included."""
        place = 152  # of tcpi_data_segs_in in Linux's struct tcp_info
        info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return int(struct.unpack_from("=I", info, place)[0])

    def timed(self, action: Callable[[], Any]) -> tuple[Any, float]:
        """Give what *action* gives, and the seconds that it took."""
        start = time.monotonic()
        result = action()
        return result, time.monotonic() - start

    def test_every_kind_is_there(self) -> None:
        """There is a request for each kind of fault, and it bears its name."""
        script = tomllib.loads(EXAMPLES.joinpath("flaky.toml").read_text())
        found = {
            rule["equals"]
            for rule in script["rule"]
            if [fault["kind"] for fault in rule.get("faults", [])] == [rule["equals"]]
        }
        self.assertEqual(found, set(KINDS))
        self.assertEqual({f"test_{kind}" for kind in KINDS} - {*dir(self)}, set())

    def test_plain(self) -> None:
        """Nothing happens to other replies; they come in one piece."""
        client = self.ask(b"plain")
        self.assertEqual(client.receive(25), b"a reply as it should be\r\n")
        self.assertLess(self.segments(client), 1 + 6)
        client.half_close()
        self.assertEqual(client.rest(), b"")

    def test_connections_are_reset(self) -> None:
        """Some connections are reset before the greeting: the same ones in each run."""
        runs = [
            [self.greeted(server) is not None for _ in range(40)]
            for server in (self.server, self.serve_example())
        ]
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(set(runs[0]), {True, False})
        self.assertGreater(runs[0].count(True), runs[0].count(False))

    def test_latency(self) -> None:
        """It comes whole, and not at once."""
        reply, seconds = self.timed(lambda: self.ask(b"latency").receive(14))
        self.assertEqual(reply, b"a late reply\r\n")
        self.assertGreater(seconds, 0.09)

    def test_bandwidth(self) -> None:
        """It comes bit by bit."""
        client = self.ask(b"bandwidth")
        self.assertEqual(client.receive(26), b"a reply over a thin wire\r\n")
        self.assertGreaterEqual(self.segments(client), 1 + 6)

    def test_slicer(self) -> None:
        """Each byte comes in a segment of its own."""
        client = self.ask(b"slicer")
        self.assertEqual(client.receive(8), b"sliced\r\n")
        self.assertGreaterEqual(self.segments(client), 1 + 8)

    def test_limit_data(self) -> None:
        """After ten bytes comes an orderly end."""
        self.assertEqual(self.ask(b"limit_data").rest(), b"a reply th")

    def test_reset_peer(self) -> None:
        """After ten bytes comes a reset."""
        client = self.ask(b"reset_peer")
        self.assertEqual(client.receive(10), b"a reply th")
        with self.assertRaises(ConnectionResetError):
            client.rest()

    def test_timeout(self) -> None:
        """Nothing comes, and then, not at once, the end."""
        reply, seconds = self.timed(lambda: self.ask(b"timeout").rest())
        self.assertEqual(reply, b"")
        self.assertGreater(seconds, 0.19)

    def test_blackhole(self) -> None:
        """The reply is dropped, and the next one comes."""
        self.assertEqual(self.ask(b"blackhole\nplain").receive(25), b"a reply as it should be\r\n")

    def test_slow_close(self) -> None:
        """It comes, and its end later."""
        reply, seconds = self.timed(lambda: self.ask(b"slow_close").rest())
        self.assertEqual(reply, b"bye\r\n")
        self.assertGreater(seconds, 0.19)

    def test_corrupt(self) -> None:
        """One of its bytes is another."""
        right = b"a reply with a mistake in it\r\n"
        reply = self.ask(b"corrupt").receive(len(right))
        differing = [at for at in range(len(right)) if reply[at] != right[at]]
        self.assertEqual(len(differing), 1)

    def test_stop_reading(self) -> None:
        """It comes, and then so much can be sent as buffers take, of 64 MiB."""
        client = self.ask(b"stop_reading")
        self.assertEqual(client.receive(25), b"the last that was heard\r\n")
        other = self.ask(b"plain")
        other.receive(25)

        def turn() -> None:
            other.send(b"plain\n")
            other.receive(25)

        most = 64 * 2**20
        self.assertLess(client.fill(b"plain\n" * 1000, most, turn), most)

    def test_unlucky(self) -> None:
        """With any of these faults, the whole reply is the same."""
        expected = b"a reply that may be late, and may be in pieces\r\n"
        client = self.ask(b"unlucky\nunlucky\nunlucky\nunlucky")
        self.assertEqual(client.receive(4 * len(expected)), 4 * expected)


class JSONRPCTests(ExampleTestCase):
    """``jsonrpc.toml``."""

    name = "jsonrpc"

    def test_out_of_order(self) -> None:
        """A client that asks for a report has the answers to its other requests first."""
        with (
            socket.create_connection((HOST, self.port), PATIENCE) as client,
            client.makefile("rw", encoding="utf-8") as stream,
        ):
            for number, method in enumerate(("report", "ping", "other", "ping"), 1):
                request = {"jsonrpc": "2.0", "id": number, "method": method}
                stream.write(json.dumps(request) + "\n")
            stream.write("no JSON\n")
            stream.flush()
            replies = [json.loads(stream.readline()) for _ in range(5)]
        self.assertEqual([it["id"] for it in replies], [2, 3, 4, None, 1])
        self.assertEqual(replies[0], {"jsonrpc": "2.0", "id": 2, "result": "pong"})
        self.assertEqual(replies[1]["error"]["code"], -32601)
        self.assertEqual(replies[4]["result"], ["a", "long", "report"])


class PostgreSQLTests(ExampleTestCase):
    """``postgresql.toml``."""

    name = "postgresql"

    def connect_with(self, sslmode: str, **options: Any) -> psycopg.Connection[Any]:
        """Return a connection of psycopg that is closed after the test."""
        connection = psycopg.connect(
            host=HOST,
            port=self.port,
            user="me",
            sslmode=sslmode,
            connect_timeout=int(PATIENCE),
            prepare_threshold=None,
            **options,
        )
        self.addCleanup(connection.close)
        return connection

    def test_psycopg(self) -> None:
        """Values, rows with types, an error after which the connection goes on, a transaction."""
        connection = self.connect_with("disable", cursor_factory=psycopg.ClientCursor)
        self.assertEqual(connection.info.server_version, 150000)
        self.assertEqual(connection.info.encoding, "utf-8")
        with connection.transaction():
            status = connection.info.transaction_status
            self.assertEqual(status, psycopg.pq.TransactionStatus.INTRANS)
            cursor = connection.execute("SELECT %s", (42,))
            self.assertEqual(cursor.fetchall(), [(42,)])
        status = connection.info.transaction_status
        self.assertEqual(status, psycopg.pq.TransactionStatus.IDLE)
        connection.autocommit = True
        with self.assertRaisesRegex(psycopg.errors.SyntaxError, "query not known: DROP"):
            connection.execute("DROP TABLE people")
        cursor = connection.execute("SELECT id, name FROM people")
        self.assertEqual(cursor.fetchall(), [(1, "Ann"), (2, "Bob")])
        assert cursor.description is not None
        self.assertEqual([(it.name, it.type_code) for it in cursor.description], COLUMNS)

    def test_without_encryption(self) -> None:
        """A client that would rather have TLS goes on without; one that insists on it does not."""
        connection = self.connect_with("prefer", cursor_factory=psycopg.ClientCursor)
        self.assertEqual(connection.execute("SELECT 1").fetchone(), (1,))
        with self.assertRaisesRegex(psycopg.OperationalError, "does not support SSL"):
            self.connect_with("require")

    def test_prepared_statements_are_refused(self) -> None:
        """The error says so, and the connection goes on."""
        connection = self.connect_with("disable", autocommit=True)
        for _ in range(2):
            with self.assertRaisesRegex(psycopg.errors.FeatureNotSupported, "not supported"):
                connection.execute("SELECT %s", (1,))
