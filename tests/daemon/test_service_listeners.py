"""Where services listen: at their endpoints, or at sockets that a parent has opened."""

from typing import Any

from reqresp._errors import ProblemsError
from reqresp.daemon.service_listeners import InheritedListeners, OwnListeners, named_sockets
from reqresp.services.endpoints import EndpointSpec
from reqresp.services.ports import Listener
from tests.support.listening import FakeEndpoint, FakePort
from tests.support.served import Served

TWO = '[[service]]\nname = "a"\nlisten = [1, 2]\n[[service]]\nname = "b"\nlisten = 3\n'


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
        own.check([])

    def test_problems(self) -> None:
        """At the start all are reported; later an error does not end the process."""
        text = TWO.replace("[1, 2]", '"bogus:1"').replace("3", '"bogus:2"')
        with self.assertRaises(ProblemsError) as caught:
            self.own(text)
        self.assertEqual([it.line for it in caught.exception.problems], [1, 4])
        own = self.own(TWO)
        [unix] = self.definitions('[[service]]\nname = "c"\nlisten = "unix:/x"')
        with self.assertRaisesRegex(ValueError, "^no socket$"):
            own(unix)


class InheritedTests(Served):
    """The sockets of a worker."""

    def inherited(self, *, has_file: bool = True) -> InheritedListeners:
        places = [[it.name, spec.description] for it in self.definitions(TWO) for spec in it.listen]
        listeners = [Listener(str(at), FakeEndpoint(FakePort())) for at in range(3)]
        return InheritedListeners(named_sockets(places, listeners), has_file=has_file)

    def test_sockets(self) -> None:
        """Each service gets its own, in their order."""
        inherited = self.inherited()
        a, b = self.definitions(TWO)
        self.assertEqual([it.name for it in inherited(b)], ["2"])
        self.assertEqual([it.name for it in inherited(a)], ["0", "1"])
        inherited.check([a, b])

    def test_what_takes_a_restart(self) -> None:
        """Another place to listen, a new service, one that changes otherwise, and one that goes."""
        inherited = self.inherited()
        a, b = self.definitions(TWO)
        moved, new = self.definitions(TWO.replace("[1, 2]", "1").replace('"b"', '"c"'))
        inherited(b)
        for other in (moved, new, b):
            with self.assertRaisesRegex(
                ValueError,
                f"^service '{other.name}' is new, or changes in more than what it answers: with"
                " --workers, this takes a restart$",
            ):
                inherited(other)
        with self.assertRaisesRegex(ValueError, "^service 'b' goes: with --workers, this takes"):
            inherited.check([a])

    def test_options(self) -> None:
        """The options of a worker do not say where its one service listens."""
        inherited = self.inherited(has_file=False)
        [moved, _] = self.definitions(TWO.replace("[1, 2]", "9"))
        self.assertEqual([it.name for it in inherited(moved)], ["0", "1"])
