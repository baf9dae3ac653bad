"""Where services listen: at their endpoints, or at sockets that a parent has opened."""

from typing import Any

from twisted.internet.protocol import Factory

from reqresp._errors import ProblemsError
from reqresp.daemon.service_listeners import InheritedListeners, OwnListeners
from reqresp.services.endpoints import EndpointSpec
from reqresp.services.ports import Listener
from tests.support.listening import FakeEndpoint, FakePort
from tests.support.served import Served

TWO = '[[service]]\nname = "a"\nlisten = [1, 2]\n[[service]]\nname = "b"\nlisten = 3\n'


class Closable(FakeEndpoint):
    """An inherited socket, which is closed unless something listens with it."""

    is_closed = has_listened = False

    def listen(self, protocolFactory: Any) -> Any:  # noqa: N803, the interface names it
        self.has_listened = True
        return super().listen(protocolFactory)

    def close(self) -> None:
        self.is_closed = not self.has_listened


class OwnTests(Served):
    """The endpoints of definitions."""

    def own(self, text: str) -> OwnListeners:
        def make(spec: EndpointSpec) -> Any:
            if spec.description.startswith("bogus"):
                raise ValueError(f"invalid endpoint {spec.description!r}")
            if spec.description.startswith("unix"):
                raise SystemExit("reqresp: no socket")
            return spec.description

        return OwnListeners(self.definitions(text), make)

    def test_places(self) -> None:
        """Each endpoint is known with its service, in the order of the file."""
        places = [place for place, _ in self.own(TWO).all]
        self.assertEqual([name for name, _ in places], ["a", "a", "b"])

    def test_made_once(self) -> None:
        """Those of the start are used first; a service that comes again gets new ones."""
        own = self.own(TWO)
        a, _ = self.definitions(TWO)
        first = own(a)
        self.assertIs(first[0], own.all[0][1])
        self.assertIsNot(own(a)[0], first[0])

    def test_disabled(self) -> None:
        """A service that does not listen needs no socket of a parent."""
        text = TWO + "enabled = false\n"
        self.assertEqual([place[0] for place, _ in self.own(text).all], ["a", "a"])

    def test_again(self) -> None:
        """Those of other services are made likewise, and an error does not end the process."""
        own = self.own(TWO)
        found = own.again(self.definitions(TWO.replace('"b"', '"c"')))
        self.assertEqual([place[0] for place, _ in found.all], ["a", "a", "c"])
        unix = self.definitions('[[service]]\nname = "c"\nlisten = "unix:/x"')
        with self.assertRaisesRegex(ValueError, "^no socket$"):
            own.again(unix)

    def test_problems(self) -> None:
        """At the start all are reported; later an error does not end the process."""
        text = TWO.replace("[1, 2]", '"bogus:1"').replace("3", '"bogus:2"')
        with self.assertRaises(ProblemsError) as caught:
            self.own(text)
        self.assertEqual([it.line for it in caught.exception.problems], [3, 6])
        own = self.own(TWO)
        [unix] = self.definitions('[[service]]\nname = "c"\nlisten = "unix:/x"')
        with self.assertRaisesRegex(ValueError, "^no socket$"):
            own(unix)


class InheritedTests(Served):
    """The sockets of a worker."""

    def inherited(self, *, has_file: bool = True) -> InheritedListeners:
        return InheritedListeners(self.sockets(TWO), has_file=has_file)

    def sockets(self, text: str) -> list[tuple[tuple[str, str], Listener]]:
        """Return the sockets of the services of *text*, as a parent hands them over."""
        places = [
            (it.name, spec.description) for it in self.definitions(text) for spec in it.listen
        ]
        self.made = [Closable(FakePort()) for _ in places]
        return [(it, Listener(str(at), self.made[at])) for at, it in enumerate(places)]

    def test_sockets(self) -> None:
        """Each service gets its own, in their order."""
        inherited = self.inherited()
        a, b = self.definitions(TWO)
        self.assertEqual([it.name for it in inherited(b)], ["2"])
        self.assertEqual([it.name for it in inherited(a)], ["0", "1"])

    def test_what_needs_other_sockets(self) -> None:
        """Another place to listen, a new service, and one that has taken its own."""
        inherited = self.inherited()
        _, b = self.definitions(TWO)
        moved, new = self.definitions(TWO.replace("[1, 2]", "1").replace('"b"', '"c"'))
        inherited(b)
        for other in (moved, new, b):
            with self.assertRaisesRegex(
                ValueError,
                f"^service '{other.name}' needs other sockets: with --workers, send SIGHUP to the"
                " parent$",
            ):
                inherited(other)

    def test_a_reload(self) -> None:
        """Services get the sockets that came last; those that nobody takes are closed."""
        inherited = self.inherited()
        for definition in self.definitions(TWO):
            inherited(definition)
        inherited.begin_set()
        for it in self.sockets(TWO):
            inherited.add(*it)
        older = self.made
        inherited.begin_set()
        self.assertEqual([it.is_closed for it in older], [True] * 3)
        text = TWO.replace('"b"', '"c"')
        for it in self.sockets(text):
            inherited.add(*it)
        inherited.begin_reload()
        _, new = self.definitions(text)
        [taken] = inherited(new)
        taken.endpoint.listen(Factory())
        inherited.end_reload()
        self.assertEqual([it.is_closed for it in self.made], [True, True, False])

    def test_disabled(self) -> None:
        """A service that does not listen gets none."""
        _, b = self.definitions(TWO + "enabled = false\n")
        self.assertEqual(self.inherited()(b), [])

    def test_options(self) -> None:
        """The options of a worker do not say where its one service listens."""
        inherited = self.inherited(has_file=False)
        [moved, _] = self.definitions(TWO.replace("[1, 2]", "9"))
        self.assertEqual([it.name for it in inherited(moved)], ["0", "1"])
