"""STARTTLS and bad certificates: real clients of servers that encrypt a connection under way."""

import imaplib
import smtplib
import socket
import ssl

import psycopg
import pytest

from reqresp.framing import LengthField
from reqresp.testing import Server, StartServer
from tests.support.live import PATIENCE


def speak_smtp(server: Server) -> None:
    """Offer STARTTLS, and accept a mail after it."""
    server.on(starts_with="EHLO ", when="start").reply("250-mail.test", "250 STARTTLS")
    server.on("STARTTLS").reply("220 go").start_tls().goto("encrypted")
    server.on(starts_with="EHLO ", when="encrypted").reply("250 mail.test")
    server.on("QUIT").reply("221 bye").close()


def test_smtplib(reqresp_server: StartServer) -> None:
    """The reply to STARTTLS is sent in the clear, all that follows is encrypted."""
    server = reqresp_server(start_tls=True, greeting="220 mail.test", ignore_case=True)
    speak_smtp(server)
    with smtplib.SMTP(server.host, server.port, "me.test", PATIENCE) as client:
        assert client.starttls(context=server.client_context) == (220, b"go")
        assert client.ehlo() == (250, b"mail.test")
        assert not client.has_extn("starttls")
        assert isinstance(client.sock, ssl.SSLSocket)


def test_imaplib(reqresp_server: StartServer) -> None:
    """A tagged reply is followed by the handshake; the state after it is another."""
    server = reqresp_server(start_tls=True, greeting="* OK ready")
    for state, capability in (("start", "STARTTLS"), ("encrypted", "IDLE")):
        server.on(matches=r"(?P<tag>\w+) CAPABILITY", when=state).reply(
            f"* CAPABILITY IMAP4REV1 {capability}", {"template": "{tag} OK done"}
        )
    server.on(matches=r"(?P<tag>\w+) STARTTLS").reply(template="{tag} OK go").start_tls().goto(
        "encrypted"
    )
    server.on(matches=r"(?P<tag>\w+) LOGOUT").reply("* BYE", {"template": "{tag} OK bye"}).close()
    with imaplib.IMAP4(server.host, server.port, PATIENCE) as client:
        assert client.starttls(server.client_context)[0] == "OK"
        assert client.capabilities == ("IMAP4REV1", "IDLE")


def test_psycopg_requires_tls(reqresp_server: StartServer) -> None:
    """PostgreSQL's request for TLS is answered by one byte, and then by the handshake."""
    server = reqresp_server(start_tls=True, framing=LengthField(4, adjust=-4))
    server.on({"hex": "04d2162f"}).reply("S", raw=True).start_tls()
    fields = b"SFATAL\0C08P01\0Mencrypted\0\0"
    refusal = b"E" + (4 + len(fields)).to_bytes(4, "big") + fields
    server.on(starts_with={"hex": "00030000"}).reply(refusal, raw=True).close()
    with pytest.raises(psycopg.OperationalError, match="FATAL:  encrypted"):
        psycopg.connect(
            host=server.host,
            port=server.port,
            user="me",
            sslmode="require",
            gssencmode="disable",
            connect_timeout=int(PATIENCE),
        )


def test_what_is_sent_in_the_clear_after_the_request_is_dropped(
    reqresp_server: StartServer,
) -> None:
    """Nobody can put a command before those of the client: RFC 3207, 4.2."""
    server = reqresp_server(start_tls=True)
    server.on("STARTTLS").reply("220 go").start_tls()
    server.on("HELLO").reply("hello")
    server.on("INJECTED").reply("dangerous")
    assert server.client_context is not None
    with socket.create_connection((server.host, server.port), PATIENCE) as plain:
        plain.sendall(b"STARTTLS\r\nINJECTED\r\nINJ")
        received = b""
        while not received.endswith(b"\n"):
            received += plain.recv(100)
        assert received == b"220 go\r\n"
        with server.client_context.wrap_socket(plain, server_hostname=server.host) as client:
            client.sendall(b"HELLO\r\n")
            assert client.recv(100) == b"hello\r\n"
    server.assert_received("INJECTED", times=0)


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        ("expired", "certificate has expired"),
        ("wrong_name", "IP address mismatch"),
        ("unknown_ca", "unable to get local issuer certificate"),
    ],
)
def test_bad_certificates(reqresp_server: StartServer, tls: str, reason: str) -> None:
    """A client that checks certificates refuses each, from the first byte or after STARTTLS."""
    server = reqresp_server(tls=tls)  # type: ignore[arg-type]  # one of its values
    other = reqresp_server(start_tls=tls, greeting="220 mail.test", ignore_case=True)  # type: ignore[arg-type]
    speak_smtp(other)
    assert server.client_context is not None
    with (
        socket.create_connection((server.host, server.port), PATIENCE) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=reason),
    ):
        server.client_context.wrap_socket(plain, server_hostname=server.host)
    client = smtplib.SMTP(other.host, other.port, "me.test", PATIENCE)
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        client.starttls(context=other.client_context)


def test_a_wrong_argument(reqresp_server: StartServer) -> None:
    """The errors say what is expected."""
    with pytest.raises(TypeError, match="or one of expired, wrong_name, unknown_ca; found 'bad'"):
        reqresp_server(tls="bad")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected one of tls, start_tls; found both"):
        reqresp_server(tls=True, start_tls=True)
