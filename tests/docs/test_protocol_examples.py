"""The scripts in ``examples/protocols``, as the clients of their protocols find them."""

import socket
import ssl
import subprocess
from contextlib import closing
from queue import Queue
from time import monotonic
from typing import Any

import hl7.client  # type: ignore[import-untyped]
import iso8583.specs
import ldap3  # type: ignore[import-untyped]
import paho.mqtt.client as mqtt
import pyvisa
import simplefix  # type: ignore[import-untyped]
import stomp  # type: ignore[import-untyped]
from paho.mqtt.enums import CallbackAPIVersion
from pynmeagps import (  # type: ignore[import-untyped]
    ERR_RAISE,
    VALCKSUM,
    NMEAReader,
)
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

from reqresp.script import Script
from reqresp.testing import Server, serve
from tests.support import live
from tests.support.documents import ROOT
from tests.support.live import PATIENCE

EXAMPLES = ROOT / "examples" / "protocols"


class ProtocolTests(SynchronousTestCase):
    """Each example has a test of its name."""

    def serve(self, name: str, *, start_tls: bool = False) -> Server:
        """Return a server with the example *name*."""
        serving = serve(script=EXAMPLES / f"{name}.toml", start_tls=start_tls)
        server: Server = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)
        return server

    def connect(self, server: Server) -> socket.socket:
        """Return a client of *server*."""
        client = socket.create_connection((server.host, server.port), PATIENCE)
        self.addCleanup(client.close)
        return client

    def test_each_is_tested_and_said_how_to_run(self) -> None:
        """Each has a test, loads without a warning, and begins with a command."""
        for path in EXAMPLES.glob("*.toml"):
            self.assertTrue(hasattr(self, f"test_{path.stem}"), path)
            self.assertEqual(Script.load(path).warnings, (), path)
            lines = path.read_text().splitlines()
            self.assertTrue(lines[0].startswith("# A"), path)
            script = f"examples/protocols/{path.name}"
            run = f"#     twistd -n --pidfile= reqresp --script {script} --port "
            self.assertTrue(lines[2].startswith(run), path)
            self.assertIn(lines[2].removeprefix(run).split()[0], lines[3])

    def test_what_the_commands_send_is_answered(self) -> None:
        """What the command of an example prints gets a reply."""
        commands = {it.stem: it.read_text().splitlines()[3] for it in EXAMPLES.glob("*.toml")}
        printing = {name: it for name, it in commands.items() if it.startswith("#     printf ")}
        self.assertEqual({*printing}, {"fix", "iso8583", "mllp", "scpi", "sip", "telnet"})
        for name, command in printing.items():
            run = ["sh", "-c", command.removeprefix("#").partition(" | ")[0]]
            printed = subprocess.run(run, capture_output=True, check=True, timeout=PATIENCE).stdout
            client = self.connect(self.serve(name))
            client.sendall(printed)
            client.shutdown(socket.SHUT_WR)
            with closing(client.makefile("rb")) as stream:
                self.assertNotEqual(stream.read(), b"", name)

    def test_mllp(self) -> None:
        """The client of hl7 gets an acknowledgment with the id of its message."""
        server = self.serve("mllp")
        message = "MSH|^~\\&|ADT|WARD|LAB|HERE|202611281200||ADT^A01|id-1|P|2.5\rPID|1||42\r"
        with hl7.client.MLLPClient(server.host, server.port) as client:
            for _ in range(2):
                reply = client.send_message(message)
                found = hl7.parse(reply.strip(b"\x0b\x1c\r").decode())
                self.assertEqual([str(it) for it in found.segment("MSA")[1:]], ["AA", "id-1"])
                self.assertEqual(str(found.segment("MSH")[3]), "LAB")

    def test_iso8583(self) -> None:
        """The client of pyiso8583 decodes the reply."""
        client = self.connect(self.serve("iso8583"))
        spec = iso8583.specs.default_ascii
        sent, _ = iso8583.encode({"t": "0800", "11": "123456", "70": "301"}, spec)
        client.sendall(b"%04d%b" % (len(sent), bytes(sent)))
        with closing(client.makefile("rb")) as stream:
            received = stream.read(int(stream.read(4)))
        found, _ = iso8583.decode(received, spec)
        self.assertEqual(
            {key: found[key] for key in ("t", "11", "39", "70")},
            {"t": "0810", "11": "123456", "39": "00", "70": "301"},
        )

    def test_stomp(self) -> None:
        """stomp.py connects, subscribes, and gets back what it sends, with NUL, too."""
        server = self.serve("stomp")
        received: Queue[str] = Queue()

        class Listener(stomp.ConnectionListener):  # type: ignore[misc]  # it has no type
            def on_message(self, frame: Any) -> None:
                received.put(frame.body)

        client = stomp.Connection([(server.host, server.port)], reconnect_attempts_max=1)
        client.set_listener("", Listener())
        client.connect(wait=True)
        client.subscribe("/queue/a", id=1)
        client.send("/queue/a", "hello")
        client.send("/queue/a", "a\0b\nc")
        found = [received.get(timeout=PATIENCE) for _ in range(2)]
        self.assertEqual(found, ["hello", "a\0b\nc"])
        client.disconnect(receipt="end")

    def test_mqtt(self) -> None:
        """paho-mqtt gets the retained value, and its message is acknowledged."""
        server = self.serve("mqtt")
        received: list[bytes] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
        client.on_connect = lambda client, *_rest: client.subscribe("sensors/1")
        end = monotonic() + PATIENCE
        client.connect(server.host, server.port)
        while not received and monotonic() < end:
            client.loop(0.1)
        sent = client.publish("setpoint", bytes(200), qos=1)
        while not sent.is_published() and monotonic() < end:
            client.loop(0.1)
        client.disconnect()
        self.assertEqual(received, [b"21.5"])
        self.assertTrue(sent.is_published())

    def test_ldap(self) -> None:
        """ldap3 binds, and finds the entry."""
        server = self.serve("ldap")
        directory = ldap3.Server(server.host, server.port, get_info=ldap3.NONE)
        client = ldap3.Connection(directory, "cn=admin,dc=test", "x" * 200, auto_bind=True)
        self.addCleanup(client.unbind)  # as a context, it stays open if it was bound before
        self.assertTrue(client.search("dc=test", "(cn=ann)", attributes=["mail"]))
        [entry] = client.response
        self.assertEqual(entry["dn"], "cn=ann,dc=test")
        self.assertEqual(entry["attributes"]["mail"], ["ann@test"])

    def test_ldap_starttls(self) -> None:
        """ldap3 is refused in the clear; over TLS it checks the certificate and finds the entry."""
        server = self.serve("ldap_starttls", start_tls=True)
        assert server.client_context is not None
        trusted = server.client_context.get_ca_certs(binary_form=True)
        checks = ldap3.Tls(
            validate=ssl.CERT_REQUIRED,
            ca_certs_data="".join(map(ssl.DER_cert_to_PEM_cert, trusted)),
        )
        directory = ldap3.Server(server.host, server.port, get_info=ldap3.NONE, tls=checks)
        plain = ldap3.Connection(directory, "cn=admin,dc=test", "secret")
        self.addCleanup(plain.unbind)
        self.assertFalse(plain.bind())
        self.assertEqual(plain.result["description"], "confidentialityRequired")
        client = ldap3.Connection(
            directory, "cn=admin,dc=test", "secret", auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND
        )
        self.addCleanup(client.unbind)
        self.assertTrue(client.tls_started)
        self.flushWarnings()  # ldap3 calls a deprecated function of ssl
        self.assertTrue(client.search("dc=test", "(cn=ann)", attributes=["mail"]))
        self.assertEqual(client.response[0]["attributes"]["mail"], ["ann@test"])

    def test_nmea(self) -> None:
        """pynmeagps reads the sentences, and accepts their checksums."""
        client = self.connect(self.serve("nmea"))
        reader = NMEAReader(client, quitonerror=ERR_RAISE, validate=VALCKSUM)
        (position, fix), (_, moved) = reader.read(), reader.read()
        self.assertRegex(position, rb"^\$GPGGA,120000\.00,.*\*[0-9A-F]{2}\r\n$")
        self.assertEqual((fix.msgID, fix.lat, fix.lon, fix.numSV), ("GGA", 52.5, 13.4, 8))
        self.assertEqual((moved.msgID, moved.spd), ("RMC", 5.4))

    def test_websocket(self) -> None:
        """websockets gets back messages of every size and in fragments; pings and closes, too."""
        server = self.serve("websocket")
        with websocket(f"ws://{server.host}:{server.port}/", compression=None) as client:
            for size in (0, 125, 126, 65535, 65536, 500_000):
                client.send("x" * size)
                self.assertEqual(client.recv(PATIENCE), "x" * size)
            client.send(["a", "b", "é"])
            self.assertEqual(client.recv(PATIENCE), "abé")
            client.send(b"\0\xff")
            self.assertEqual(client.recv(PATIENCE), b"\0\xff")
            self.assertTrue(client.ping().wait(PATIENCE))
        self.assertEqual((client.close_code, client.close_reason), (1000, ""))
        with websocket(f"ws://{server.host}:{server.port}/", compression=None) as client:
            client.send("x" * (1 << 20) + "x")
            with self.assertRaises(ConnectionClosed):
                client.recv(PATIENCE)
            self.assertEqual(client.close_code, 1009)

    def test_websocket_frames_in_any_cut(self) -> None:
        """Frames are found wherever reads end; one without mask, or of no kind, is refused."""
        client = self.connect(self.serve("websocket"))
        head = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        masked = b"\x81\x82\1\2\3\4" + bytes((ord("h") ^ 1, ord("i") ^ 2))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closing(client.makefile("rb")) as stream:
            client.sendall(head)
            while (line := stream.readline()) != b"\r\n":
                self.assertTrue(line.endswith(b"\r\n"))
            for at in range(len(masked)):
                client.sendall(masked[at : at + 1])
            self.assertEqual(stream.read(4), b"\x81\2hi")
            client.sendall(masked * 2 + b"\x81\2hi" + masked)
            self.assertEqual(stream.read(), b"\x81\2hi" * 2 + b"\x88\2\x03\xea")

    def test_scpi(self) -> None:
        """pyvisa-py reads lines and blocks, and writes a block that contains line ends."""
        server = self.serve("scpi")
        manager = pyvisa.ResourceManager("@py")
        self.addCleanup(manager.close)
        scope: Any = manager.open_resource(
            f"TCPIP::{server.host}::{server.port}::SOCKET",
            read_termination="\n",
            write_termination="\n",
        )
        self.assertEqual(scope.query("*IDN?"), "REQRESP,SCOPE 1,0001,1.0")
        scope.write_binary_values("ECHO? ", [10, 13, 10, 0], datatype="B")
        self.assertEqual(scope.read_bytes(7), b"#14\n\r\n\0")
        self.assertEqual(scope.read_bytes(1), b"\n")
        self.assertEqual(scope.query("*OPC?"), "1")
        self.assertEqual(scope.query_binary_values("CURV?", datatype="B"), [10, 13, 0, 255])
        scope.close()

    def test_fix(self) -> None:
        """simplefix parses the replies, whose lengths and checksums are right."""
        client = self.connect(self.serve("fix"))
        parser = simplefix.FixParser()

        def ask(kind: str, number: int, **fields: str) -> Any:
            message = simplefix.FixMessage()
            message.append_pair(8, "FIX.4.4")
            message.append_pair(35, kind)
            message.append_pair(49, "CLIENT")
            message.append_pair(56, "SERVER")
            message.append_pair(34, number)
            for tag, value in fields.items():
                message.append_pair(tag.removeprefix("tag"), value)
            client.sendall(message.encode())
            while (found := parser.get_message()) is None:
                data = client.recv(9999)
                self.assertNotEqual(data, b"")
                parser.append_buffer(data)
            self.assertEqual(found.encode(raw=True), raw(found))
            return found

        def raw(message: Any) -> bytes:
            body = b"".join(b"%b=%b\1" % pair for pair in message.pairs[2:-1])
            start = b"8=FIX.4.4\x019=%d\1%b" % (len(body), body)
            return b"%b10=%03d\1" % (start, sum(start) % 256)

        self.assertEqual(ask("A", 1, tag98="0", tag108="30").get(35), b"A")
        self.assertEqual(ask("1", 2, tag112="it").get(112), b"it")
        self.assertEqual(ask("5", 3).get(34), b"3")
        self.assertEqual(client.recv(1), b"")

    def test_telnet(self) -> None:
        """A console of curl, and clients that end lines in other ways."""
        server = self.serve("telnet")
        shown = "login: Password: \r\n> version 1.0\r\n> bye\r\n"
        live.program("curl")
        done = subprocess.run(
            ["curl", "-s", f"telnet://{server.host}:{server.port}"],
            input=b"admin\r\nsecret\r\nshow version\r\nexit\r\n",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(done.stdout.decode(), shown)
        for end in ("\r\0", "\r", "\n"):
            client = self.connect(server)
            lines = ("admin", "secret", "show version", "exit", "")
            client.sendall(end.join(lines).encode())
            with closing(client.makefile("rb")) as stream:
                self.assertEqual(stream.read().decode(), shown)

    def test_sip(self) -> None:
        """A REGISTER is answered with its headers, whatever their order, and beats are dropped."""
        client = self.connect(self.serve("sip"))
        headers = (
            b"Via: SIP/2.0/TCP a;branch=z9\r\n",
            b"CSeq: 1 REGISTER\r\n",
            b"Call-ID: 1\r\n",
            b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n",
        )
        for order in (headers, headers[::-1]):
            sent = b"".join(order)
            client.sendall(b"\r\n\r\nREGISTER sip:b SIP/2.0\r\n" + sent + b"l: 2\r\n\r\nab")
            expected = b"SIP/2.0 200 OK\r\n" + sent + b"Content-Length: 0\r\n\r\n"
            with closing(client.makefile("rb")) as stream:
                self.assertEqual(stream.read(len(expected)), expected)

    def test_sip_of_sipp(self) -> None:
        """SIPp registers twice over TCP, on one connection."""
        server = self.serve("sip")
        address = f"{server.host}:{server.port}"
        options = ["-t", "t1", "-m", "2", "-r", "50", "-i", server.host, "-nostdin"]
        done = subprocess.run(
            [live.program("sipp"), address, "-sf", EXAMPLES / "sip_register.xml", *options],
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout[-2000:])
        self.assertRegex(done.stdout, rb"Successful call +\| +\d+ +\| +2 ")
        self.assertEqual(len(server.requests()), 2)
