"""Where to listen, from port numbers and endpoint descriptions; nothing is bound here."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import quoteStringArgument
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.services.endpoints import (
    EndpointSpec,
    client_endpoints,
    make_endpoint,
    metrics_endpoints,
    port_endpoint,
)
from tests.support import live

described = EndpointSpec.described


class EndpointSpecTests(SynchronousTestCase):
    """One endpoint."""

    def test_port_number(self) -> None:
        """A port number is a port of the eager transport, on loopback."""
        self.assertEqual(
            port_endpoint(7),
            EndpointSpec("127.0.0.1:7", "eager:7:interface=127.0.0.1:backlog=1024"),
        )

    def test_ipv6(self) -> None:
        """An IPv6 address has brackets in the name, and quoted colons in the description."""
        spec = port_endpoint(7, "::1", 5)
        self.assertEqual(spec, EndpointSpec("[::1]:7", r"eager:7:interface=\:\:1:backlog=5"))

    @given(st.text())
    def test_any_interface(self, interface: str) -> None:
        """A port's endpoint is what Twisted finds in its description, whatever the address is."""
        spec = port_endpoint(7, interface, 5)
        parsed = described(spec.description)
        self.assertEqual(spec.with_port_number(8), parsed.with_port_number(8))
        for each in (spec, parsed):
            self.assertTrue(each.is_plain)
            self.assertFalse(each.is_encrypted or each.is_shared)

    def test_plain(self) -> None:
        """A plain endpoint is a socket without another layer; plugins' kinds ignore case."""
        for description in (
            *("tcp:1", "tcp6:1", "unix:/a", "systemd:domain=INET:index=0", "eager:1", "Eager:1"),
        ):
            self.assertTrue(described(description).is_plain, description)
        for description in ("ssl:1", "tls:a:tcp:1", "haproxy:tcp:1", "onion:1"):
            self.assertFalse(described(description).is_plain, description)

    def test_encrypted(self) -> None:
        """An endpoint with TLS of its own is encrypted, also after ``haproxy:``."""
        for description in ("ssl:1", "tls:a:tcp:1", "haproxy:ssl:1", "haproxy:tls:a:tcp:1"):
            self.assertTrue(described(description).is_encrypted, description)
        for description in ("tcp:1", "haproxy:tcp:1", "unix:/ssl:", "haproxy:port=1"):
            self.assertFalse(described(description).is_encrypted, description)

    def test_shared(self) -> None:
        """Sockets from systemd stay open when this process closes them."""
        self.assertTrue(described("systemd:domain=INET:index=0").is_shared)
        self.assertFalse(described("tcp:1").is_shared)

    def test_malformed(self) -> None:
        """A description that cannot be parsed is an error with what is expected."""
        with self.assertRaisesRegex(ValueError, "expected a character after the last backslash"):
            described("unix:\\")
        with self.assertRaisesRegex(ValueError, "expected a kind first"):
            described("port=1")

    def test_socket_path(self) -> None:
        """Only a ``unix:`` endpoint has a socket, with a lock beside it unless it has none."""
        for description, has_lock in (
            ("unix:/a", True),
            ("UNIX:address=/a:mode=600", True),
            ("haproxy:unix:/a", True),
            ("unix:/a:666:50:1", True),
            ("unix:/a:666:50:0", False),
            ("unix:/a:lockfile=0", False),
        ):
            spec = described(description)
            self.assertEqual(spec.socket_path, Path("/a"), description)
            self.assertEqual(spec.has_socket_lock, has_lock, description)
        for description in ("tcp:1", "unix", "systemd:domain=UNIX:index=0"):
            self.assertIsNone(described(description).socket_path, description)
            self.assertFalse(described(description).has_socket_lock, description)

    def test_certificate_directory(self) -> None:
        """The directory of ``tls:`` can be the first value, or have a name."""
        for description in ("tls:/a:1", "tls:port=1:/a", "tls:port=1:path=/a", "haproxy:tls:/a"):
            self.assertEqual(described(description).certificate_directory, Path("/a"), description)
        for description in ("tls:port=1", "ssl:1", "tcp:path=/a"):
            self.assertIsNone(described(description).certificate_directory, description)

    @given(st.text(min_size=1).filter(lambda text: "=" not in text))
    def test_any_directory(self, path: str) -> None:
        """A quoted path comes out as it was, whatever characters it has."""
        spec = described(f"tls:{quoteStringArgument(path)}:port=1")
        self.assertEqual(spec.certificate_directory, Path(path))

    def test_another_port_number(self) -> None:
        """With another port number, everything else stays, quoted as needed."""
        spec = described(r"tcp6:1:interface=\:\:1").with_port_number(2)
        self.assertEqual(spec, described(r"tcp6:2:interface=\:\:1"))
        self.assertEqual((spec.port_number, described("unix:1").port_number), (2, None))


class ClientEndpointsTests(SynchronousTestCase):
    """The endpoints for clients."""

    def test_default(self) -> None:
        """Without options it is the default port, on loopback."""
        self.assertEqual(client_endpoints(None, None, None, []), [port_endpoint(9999)])

    def test_all(self) -> None:
        """The port comes first, then the descriptions in their order."""
        specs = client_endpoints("80", "10.0.0.1", 9, ["unix:/b", "unix:/a"])
        expected = [port_endpoint(80, "10.0.0.1", 9), described("unix:/b"), described("unix:/a")]
        self.assertEqual(specs, expected)

    def test_descriptions_alone(self) -> None:
        """Descriptions replace the default port."""
        self.assertEqual(client_endpoints(None, None, None, ["tcp:1"]), [described("tcp:1")])
        self.assertEqual(client_endpoints("tcp:1", None, None, []), [described("tcp:1")])

    def test_interface_without_a_port_number(self) -> None:
        """An interface or a backlog without a port number is an error."""
        for interface, backlog in (("127.0.0.1", None), (None, 3)):
            with self.assertRaisesRegex(FieldError, "requires a port number") as caught:
                client_endpoints("tcp:1", interface, backlog, [])
            self.assertEqual(
                caught.exception.field, "backlog" if interface is None else "interface"
            )


class MetricsEndpointsTests(SynchronousTestCase):
    """The endpoints for metrics."""

    def test_one_process(self) -> None:
        """A number is a port on loopback; a description is used unchanged."""
        self.assertEqual(
            metrics_endpoints("9100", None),
            [EndpointSpec("127.0.0.1:9100", "tcp:9100:interface=127.0.0.1:backlog=1024")],
        )
        self.assertEqual(metrics_endpoints("tcp:9100", None), [described("tcp:9100")])

    def test_workers(self) -> None:
        """Workers have consecutive port numbers; 0 stays 0, any free port."""
        names = [spec.name for spec in metrics_endpoints("9100", 3)]
        self.assertEqual(names, ["127.0.0.1:9100", "127.0.0.1:9101", "127.0.0.1:9102"])
        self.assertEqual([spec.name for spec in metrics_endpoints("0", 2)], ["127.0.0.1:0"] * 2)

    def test_too_many_workers(self) -> None:
        """Workers that would need port numbers above 65535 are an error."""
        self.assertEqual(len(metrics_endpoints("65534", 2)), 2)
        with self.assertRaisesRegex(ValueError, "3 workers need the ports 65534 to 65536"):
            metrics_endpoints("65534", 3)

    def test_one_endpoint_for_all_workers(self) -> None:
        """A description without a port number, which workers would share, is an error."""
        for description in ("unix:/a", "tcp:port=1", "systemd:domain=INET:index=0", "tcp:1x"):
            with self.assertRaisesRegex(ValueError, "each worker needs its own port"):
                metrics_endpoints(description, 2)

    def test_workers_elsewhere(self) -> None:
        """On another interface the port numbers are consecutive, too."""
        specs = metrics_endpoints("tcp:9:interface=192.0.2.1", 2)
        self.assertEqual(
            [spec.description for spec in specs],
            ["tcp:9:interface=192.0.2.1", "tcp:10:interface=192.0.2.1"],
        )
        self.assertEqual([spec.name for spec in metrics_endpoints("tcp6:9", 1)], ["tcp6:9"])


class MakeEndpointTests(SynchronousTestCase):
    """Errors of endpoints that cannot be made."""

    def refusal(self, description: str, error: Exception | None = None) -> str:
        """Return why *description* is refused, or why if its parser raises *error*."""

        def fail(_reactor: Any, _description: str) -> Any:
            assert error is not None
            raise error

        with self.assertRaises(ValueError) as caught:
            if error is None:
                make_endpoint(None, described(description))
            else:
                make_endpoint(None, described(description), fail)
        prefix = f"invalid endpoint {description!r}: "
        text = str(caught.exception)
        self.assertTrue(text.startswith(prefix), text)
        self.assertNotIn("\n", text)
        return text.removeprefix(prefix)

    def test_invalid_descriptions(self) -> None:
        """An invalid description is named, with what is wrong."""
        cases = {
            "bogus:1": "Unknown endpoint type: 'bogus'",
            "tcp:port": "expected a number, found 'port'",
            "tcp:0:bogus=1": "got an unexpected keyword argument 'bogus'",
            "ssl:0:privateKey=/no/such.pem": "[Errno 2] No such file or directory: '/no/such.pem'",
            "systemd:domain=INET:index=0": "systemd passed no such socket to this process",
            "systemd:domain=INET:name=none": "systemd passed no such socket to this process",
        }
        for description, reason in cases.items():
            self.assertEqual(self.refusal(description), reason)

    def test_bad_pem(self) -> None:
        """An ``ssl:`` endpoint whose file has no key is refused."""
        path = live.temporary(self) / "bad.pem"
        path.write_text("no PEM")
        self.assertTrue(self.refusal(f"ssl:0:privateKey={path}"))

    def test_missing_directory(self) -> None:
        """A ``tls:`` endpoint whose directory is missing is refused."""
        self.assertIn("/no/such", self.refusal("tls:/no/such:port=0"))

    def test_empty_directory(self) -> None:
        """A ``tls:`` endpoint whose directory has no certificates is refused."""
        directory = live.temporary(self) / "a:b"
        directory.mkdir()
        text = self.refusal(f"tls:{quoteStringArgument(str(directory))}")
        self.assertEqual(text, f"expected a .pem file in {str(directory)!r}, found none")

    def test_index_error(self) -> None:
        """Only for systemd an IndexError means a missing socket."""
        self.assertEqual(
            self.refusal("other:0", IndexError("list index out of range")),
            "list index out of range",
        )

    def test_missing_package(self) -> None:
        """If pyOpenSSL is missing, the line says how to install it."""
        self.assertEqual(
            self.refusal("ssl:0", ImportError("No module named 'OpenSSL'")),
            "No module named 'OpenSSL' (pip install 'reqresp[tls]')",
        )

    def test_error_without_text(self) -> None:
        """An error without a text is named by its type."""
        self.assertEqual(self.refusal("tcp:0", RuntimeError()), "RuntimeError")

    def test_error_about_arguments(self) -> None:
        """The name of the parser's function is left out."""
        error = TypeError("_parseTCP() missing 1 required positional argument: 'port'")
        self.assertEqual(
            self.refusal("tcp", error), "missing 1 required positional argument: 'port'"
        )
