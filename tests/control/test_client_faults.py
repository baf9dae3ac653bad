"""A fault of a server in another process, as a test sees it."""

import sys
from typing import Any

from reqresp import Latency, LimitData
from reqresp.control import ControlClient, ControlError
from reqresp.faults import Direction
from reqresp.script import ScriptError
from tests.support.steered import Steered


class FaultTests(Steered):
    """What a client says of faults."""

    def setUp(self) -> None:
        super().setUp()
        self.client = ControlClient(self.url)

    def test_faults(self) -> None:
        """A fault holds within its block, and can be changed there."""
        with self.client.fault("limit_data", bytes=1) as fault:
            self.assertEqual(self.ask(b"NOOP"), b"+")
            self.assertEqual((fault.name, fault.stream), ("limit_data", "downstream"))
            fault.change(bytes=2)
            self.assertEqual(self.ask(b"NOOP"), b"+O")
            [same] = self.client.faults
            self.assertEqual((same.name, same.fault), (fault.name, LimitData(bytes=2)))
        self.assertEqual(self.ask(b"NOOP"), b"+OK\r\n")
        fault.remove()  # does nothing
        with self.assertRaisesRegex(ControlError, "^fault 'limit_data' was removed$"):
            _ = fault.fault

    def test_latency_from_arrival(self) -> None:
        """Of the service, and of an expectation."""
        self.client.on("late").reply("!").fault("latency", delay=0.01, since="arrival")
        with self.client.fault("latency", delay=0.01, since="arrival"):
            self.assertEqual(self.ask(b"late", b"late", b"NOOP"), b"!\r\n!\r\n+OK\r\n")
            [fault] = self.client.faults
            self.assertEqual(fault.fault, Latency(delay=0.01, since="arrival"))
        with self.assertRaisesRegex(ScriptError, r'since: expected "turn" or "arrival", found'):
            self.client.fault("latency", delay=1, since="now")

    def test_where_a_fault_applies(self) -> None:
        """It is given as for the fixture: a value, a direction, or when it is drawn."""
        for arguments, stream in (
            ({}, "downstream"),
            ({"on": "reply"}, "downstream"),
            ({"on": "connect"}, "connection"),
            ({"stream": Direction.UPSTREAM}, "upstream"),
        ):
            given: Any = arguments
            with self.client.fault(Latency(delay=0.01), jitter=0.01, **given) as fault:
                self.assertEqual(fault.stream, stream)
                self.assertEqual(fault.fault, Latency(delay=0.01, jitter=0.01))
        for given in ({"on": "replies"}, {"on": "reply", "stream": "downstream"}):
            with self.assertRaisesRegex(ScriptError, r"py:\d+: fault\.on: expected reply or con"):
                self.client.fault("latency", delay=1, **given)

    def test_wrong_arguments(self) -> None:
        """The error names the line of the test, the method and the argument."""
        for kind, parameters, problem in (
            ("latncy", {}, "fault.kind: unknown kind of fault 'latncy'; did you mean latency?"),
            ("limit_data", {"bytes": -1}, "fault.bytes: expected"),
            ("limit_data", {"byte": 1}, "fault.byte: unknown parameter 'byte'"),
            ("latency", {}, "fault.delay: the key is missing"),
            ("latency", {"delay": 1, "stream": "up"}, "fault.stream: expected upstream"),
        ):
            with self.assertRaises(ScriptError) as raised:
                self.client.fault(kind, **parameters)
            line = sys._getframe().f_lineno - 1
            self.assertIn(f"test_client_faults.py:{line}: {problem}", str(raised.exception))
        fault = self.client.fault("latency", delay=1)
        with self.assertRaisesRegex(ScriptError, r"faults\.py:\d+: change\.dealy: unknown"):
            fault.change(dealy=2)
