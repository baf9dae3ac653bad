"""Where services listen, unless the process says otherwise."""

from reqresp.services.environment import Environment
from tests.support.served import Served


class ListenersTests(Served):
    """Listeners of a definition."""

    def test_endpoints_of_the_definition(self) -> None:
        """TLS makes them private; a socket of systemd is shared with another process."""
        text = '[[service]]\nname = "it"\nlisten = [1, "tcp:2"]\n'
        [definition] = self.definitions(text)
        listeners = Environment(reactor=self.reactor).listeners_of(definition)
        self.assertEqual([it.name for it in listeners], ["127.0.0.1:1", "tcp:2"])
        self.assertEqual([it.is_private for it in listeners], [False, False])
        [definition] = self.definitions(text + 'tls = { cert = "it.pem" }')
        listeners = Environment(reactor=self.reactor).listeners_of(definition)
        self.assertEqual([it.is_private for it in listeners], [True, True])

    def test_an_endpoint_that_cannot_be_made(self) -> None:
        """The error shows it."""
        [definition] = self.definitions('[[service]]\nname = "it"\nlisten = "bogus:1"\n')
        with self.assertRaisesRegex(ValueError, "invalid endpoint 'bogus:1': Unknown endpoint"):
            Environment(reactor=self.reactor).listeners_of(definition)
