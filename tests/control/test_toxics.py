"""Toxics: what toxiproxy's API says of a fault, read and shown."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.control.toxics import (
    RefusedError,
    fields_of,
    read_change,
    read_toxic,
    show_toxic,
)
from reqresp.faults import (
    STREAM_KINDS,
    Bandwidth,
    Blackhole,
    Corrupt,
    DirectedFault,
    Direction,
    Fault,
    Latency,
    LimitData,
    Noop,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)

#: A type, its attributes in toxiproxy's units, and the fault.
TOXICS: tuple[tuple[str, dict[str, Any], Fault], ...] = (
    ("latency", {"latency": 1500, "jitter": 100}, Latency(delay=1.5, jitter=0.1)),
    ("bandwidth", {"rate": 12}, Bandwidth(rate=12_000)),
    ("bandwidth", {"rate": 0}, Bandwidth(rate=0)),
    ("slow_close", {"delay": 1}, SlowClose(delay=0.001)),
    ("timeout", {"timeout": 0}, Timeout(seconds=0)),
    ("timeout", {"timeout": 250}, Timeout(seconds=0.25)),
    ("reset_peer", {"timeout": 2000}, ResetPeer(delay=2)),
    (
        "slicer",
        {"average_size": 64, "size_variation": 32, "delay": 10},
        Slicer(size=64, variation=32, delay=0.00001),
    ),
    ("limit_data", {"bytes": 1000}, LimitData(bytes=1000)),
    ("noop", {}, Noop()),
    ("blackhole", {}, Blackhole()),
    ("corrupt", {"bytes": 3}, Corrupt(bytes=3)),
)


def toxic(kind: str, attributes: Any = None, **other: Any) -> dict[str, Any]:
    """Return a toxic of *kind*, as a client sends it."""
    return {"type": kind, **({} if attributes is None else {"attributes": attributes}), **other}


class ReadingTests(SynchronousTestCase):
    """What a client sends."""

    def refusal(self, body: Any) -> tuple[int, str]:
        """Return the status and the text with which *body* is refused as a toxic."""
        with self.assertRaises(RefusedError) as caught:
            read_toxic(body)
        return caught.exception.status, caught.exception.error

    def test_each_type_is_a_fault(self) -> None:
        """Its attributes are in milliseconds, microseconds for slices, and KB a second."""
        for kind, attributes, fault in TOXICS:
            read = read_toxic(toxic(kind, attributes))
            self.assertEqual(
                read,
                DirectedFault(fault=fault, stream=Direction.DOWNSTREAM, name=f"{kind}_downstream"),
            )
        self.assertEqual({kind for kind, _, _ in TOXICS}, {*STREAM_KINDS})

    def test_what_is_not_given(self) -> None:
        """Attributes are 0, the stream is downstream, the toxicity 1, the name of both words."""
        for attributes in (None, {}, {"latency": None, "other": 7}):
            read = read_toxic(toxic("latency", attributes, toxicity=None))
            self.assertEqual(read.fault, Latency(delay=0, jitter=0))
        self.assertEqual(read_toxic(toxic("bandwidth")).fault, Bandwidth(rate=0))
        self.assertEqual(read_toxic(toxic("timeout", stream="upstream")).name, "timeout_upstream")
        self.assertEqual(read_toxic(toxic("timeout", name="")).name, "timeout_downstream")

    def test_what_is_given(self) -> None:
        """Stream, name and toxicity; case does not matter but in values."""
        read = read_toxic(
            {
                "Name": "It",
                "TYPE": "latency",
                "stream": "Upstream",
                "toxicity": 0.5,
                "Attributes": {"Latency": 7, "jitter": 0.5},
            }
        )
        self.assertEqual((read.name, read.stream), ("It", Direction.UPSTREAM))
        self.assertEqual(read.fault, Latency(delay=0.007, jitter=0.0005, probability=0.5))

    def test_texts_of_toxiproxy(self) -> None:
        """Clients compare these."""
        stream = "stream was invalid, can be either upstream or downstream"
        self.assertEqual(self.refusal(toxic("latency", stream="lolstream")), (400, stream))
        self.assertEqual(self.refusal(toxic("latency", stream="")), (400, stream))
        for kind in ("down", "nope", "", "Latency"):
            self.assertEqual(self.refusal(toxic(kind)), (400, "invalid toxic type"))
        self.assertEqual(self.refusal({}), (400, "invalid toxic type"))
        self.assertEqual(self.refusal(None), (400, "invalid toxic type"))

    def test_values_that_are_not_usable(self) -> None:
        """One line names the value as the client has written it."""
        for body, problem in (
            ([], "expected an object, found an array"),
            ("x", "expected an object, found 'x'"),
            (toxic("latency", name=5), "name: expected a string, found 5"),
            (toxic("latency", []), "attributes: expected an object, found an array"),
            ({"type": {}}, "type: expected a string, found an object"),
            ({"type": False}, "type: expected a string, found false"),
            (
                toxic("latency", {"latency": "1"}),
                "attributes.latency: expected milliseconds >= 0, found '1'",
            ),
            (
                toxic("latency", {"jitter": -1}),
                "attributes.jitter: expected milliseconds >= 0, found -1",
            ),
            (
                toxic("latency", {"latency": True}),
                "attributes.latency: expected milliseconds >= 0, found true",
            ),
            (
                toxic("latency", {"latency": 10**400}),
                f"attributes.latency: expected milliseconds >= 0, found {'1':0<40}",
            ),
            (
                toxic("timeout", {"timeout": 10**13}),
                "attributes.timeout: expected seconds from 0 to 1000000000, found 10000000000.0",
            ),
            (
                toxic("bandwidth", {"rate": 0.0001}),
                "attributes.rate: expected kilobytes a second >= 0, found 0.0001",
            ),
            (
                toxic("limit_data", {"bytes": 1.5}),
                "attributes.bytes: expected an integer >= 0, found 1.5",
            ),
            (toxic("slicer"), "attributes.average_size: expected an integer >= 1, found 0"),
            (
                toxic("slicer", {"average_size": 5, "size_variation": 6}),
                "attributes.size_variation: expected at most size (5), found 6",
            ),
            (toxic("timeout", toxicity=2), "toxicity: expected a number from 0 to 1, found 2"),
            (toxic("timeout", toxicity="x"), "toxicity: expected a number from 0 to 1, found 'x'"),
            (
                toxic("timeout", toxicity=True),
                "toxicity: expected a number from 0 to 1, found true",
            ),
            (
                toxic("timeout", name="a\n"),
                "name: expected a name of 1 to 60 printable characters, found 'a\\n'",
            ),
        ):
            self.assertEqual(self.refusal(body), (400, f"bad request body: {problem}"))

    def test_a_long_text(self) -> None:
        """An error has a bounded length."""
        _, error = self.refusal(toxic("timeout", name="x" * 10_000))
        self.assertLessEqual(len(error), 2000)


class ChangeTests(SynchronousTestCase):
    """A partial update."""

    def test_only_what_is_given_changes(self) -> None:
        """Name, type and stream are ignored, as are null and unknown attributes."""
        fault = Latency(delay=1, jitter=0.5)
        body = {"name": "x", "type": 5, "stream": "x", "attributes": {"latency": 70, "x": 1}}
        self.assertEqual(read_change(fault, body), {"delay": 0.07})
        self.assertEqual(read_change(fault, {"toxicity": 0.25}), {"probability": 0.25})
        nothings: tuple[Any, ...] = (
            *({}, None, {"attributes": None, "toxicity": None}, {"attributes": {}}),
        )
        for nothing in nothings:
            self.assertEqual(read_change(fault, nothing), {})

    def test_values_that_are_not_usable(self) -> None:
        """The other parameters of the fault count, too."""
        for fault, body, problem in (
            (Latency(delay=1), [], "expected an object, found an array"),
            (
                Slicer(size=5, variation=3),
                {"attributes": {"average_size": 2}},
                "attributes.size_variation: expected at most size (2), found 3",
            ),
            (
                Latency(delay=1),
                {"toxicity": -1},
                "toxicity: expected a number from 0 to 1, found -1",
            ),
        ):
            with self.assertRaises(RefusedError) as caught:
                read_change(fault, body)
            self.assertEqual(caught.exception.error, f"bad request body: {problem}")


class ShowingTests(SynchronousTestCase):
    """What a client gets."""

    def test_a_toxic_as_json(self) -> None:
        """All of its fields; whole numbers are integers."""
        self.assertEqual(
            show_toxic("it", "upstream", Latency(delay=1, jitter=0.1, probability=0.2)),
            {
                "attributes": {"latency": 1000, "jitter": 100},
                "name": "it",
                "type": "latency",
                "stream": "upstream",
                "toxicity": 0.2,
            },
        )
        self.assertIs(type(show_toxic("it", "upstream", Timeout(seconds=0))["toxicity"]), int)

    def test_each_type(self) -> None:
        """The attributes are what a client has sent."""
        for kind, attributes, fault in TOXICS:
            shown = show_toxic("it", "upstream", fault)
            self.assertEqual((shown["type"], shown["attributes"]), (kind, attributes))

    def test_faults_from_elsewhere(self) -> None:
        """Their values need not be whole in toxiproxy's units; a kind of one's own has none."""

        class Own(Fault):
            def _change(self, steps: Any, seed: int, passed: int) -> Any:
                return steps

        self.assertEqual(
            show_toxic("it", "upstream", Latency(delay=0.0005))["attributes"]["latency"], 0.5
        )
        self.assertEqual(
            show_toxic("it", "upstream", Bandwidth(rate=10_500))["attributes"], {"rate": 10.5}
        )
        self.assertEqual(show_toxic("it", "upstream", Own())["attributes"], {})

    @example(8_309_310_127, 8_309_310_127, "slicer", 0.0)
    @given(
        st.integers(0, 10**12),
        st.integers(0, 10**12),
        st.sampled_from(("latency", "slicer", "bandwidth", "limit_data")),
        st.integers(0, 1000).map(lambda it: it / 1000),
    )
    def test_what_is_read_is_shown(
        self, first: int, second: int, kind: str, toxicity: float
    ) -> None:
        """Every whole number comes back; what is shown can be sent again."""
        first, second = max(first, second), min(first, second)
        attributes = {
            "latency": {"latency": first, "jitter": second},
            "slicer": {"average_size": first + 1, "size_variation": second, "delay": second},
            "bandwidth": {"rate": first},
            "limit_data": {"bytes": first},
        }[kind]
        read = read_toxic(toxic(kind, attributes, toxicity=toxicity))
        shown = show_toxic(read.name, read.stream.value, read.fault)
        self.assertEqual((shown["attributes"], shown["toxicity"]), (attributes, toxicity))
        self.assertEqual(read_toxic(shown), read)
        change = read_change(read.fault, shown)
        self.assertEqual(STREAM_KINDS[kind](**change), read.fault)


class FieldsTests(SynchronousTestCase):
    """The fields of a proxy."""

    def test_null_and_unknown_fields(self) -> None:
        """They are as if they were not there."""
        known = {"name": str, "enabled": bool}
        body: dict[str, Any] = {"NAME": "x", "enabled": None, "Logger": {}, "toxics": []}
        self.assertEqual(fields_of(body, known), {"name": "x"})
        with self.assertRaises(RefusedError) as caught:
            fields_of({"enabled": "yes"}, known)
        self.assertEqual(
            caught.exception.error, "bad request body: enabled: expected true or false, found 'yes'"
        )
