"""Faults of a script that apply to a direction of its relay."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import Bandwidth, Corrupt, DirectedFault, Latency, PlacedFault
from reqresp.script import Script, ScriptError

RELAY = '[upstream]\naddress = "a:1"\n'


class StreamFaultTests(SynchronousTestCase):
    """What the tables mean."""

    def problems(self, text: str) -> list[str]:
        """Return the problems of a script, without the file's name."""
        with self.assertRaises(ScriptError) as caught:
            Script.parse(text)
        return [str(it).removeprefix("script:") for it in caught.exception.problems]

    def fault_problems(self, *keys: str) -> list[str]:
        """Return the problems of a relay's fault, without its line and its place."""
        found = self.problems(RELAY + "[[fault]]\n" + "\n".join(keys))
        return [it.partition(": fault[0]")[2] for it in found]

    def test_all_keys(self) -> None:
        """They are those of the value; a name that is missing is the kind."""
        script = Script.parse(f"""{RELAY}
            [[fault]]
            stream = "upstream"
            kind = "bandwidth"
            rate = 9
            shared = true
            name = "thin line"
            after = 1
            for = 2.5

            [[fault]]
            stream = "downstream"
            kind = "latency"
            delay = 1
            after_bytes = 100
            probability = 0.5

            [[fault]]
            stream = "downstream"
            kind = "latency"
            delay = 2
        """)
        slow = Latency(delay=1, probability=0.5)
        self.assertEqual(
            script.stream_faults,
            (
                DirectedFault(
                    fault=Bandwidth(rate=9),
                    stream="upstream",
                    name="thin line",
                    after=1,
                    for_=2.5,
                    shared=True,
                ),
                DirectedFault(fault=slow, stream="downstream", name="latency", after_bytes=100),
                DirectedFault(fault=Latency(delay=2), stream="downstream", name="latency-2"),
            ),
        )
        self.assertEqual((script.faults, script.warnings), ((), ()))

    def test_a_script_without_a_relay(self) -> None:
        """It has faults of what clients send; the line says so for others."""
        text = 'rule = [{ reply = "a" }]\n[[fault]]\nstream = "upstream"\nkind = "corrupt"'
        script = Script.parse(text)
        corrupt = DirectedFault(fault=Corrupt(), stream="upstream", name="corrupt")
        self.assertEqual((script.faults, script.stream_faults), ((), (corrupt,)))
        self.assertEqual(script.config().stream_faults, (corrupt,))
        self.assertFalse(script.is_empty)
        self.assertEqual(
            self.problems(text.replace("upstream", "downstream")),
            [
                "3: fault[0].stream: expected upstream, what clients send: only a relay has both"
                " directions; leave out stream to inject the fault into replies"
            ],
        )

    def test_only_faults(self) -> None:
        """A script with nothing else says something."""
        self.assertFalse(Script.parse('[[fault]]\nstream = "upstream"\nkind = "corrupt"').is_empty)

    def test_a_framed_fault_in_a_relay(self) -> None:
        """There is nothing that it could be injected into."""
        expected = (
            ".stream: the key is missing: a relay has no replies; expected upstream or downstream"
        )
        self.assertEqual(self.fault_problems('kind = "corrupt"'), [expected])
        self.assertEqual(self.fault_problems('kind = "corrupt"', 'on = "connect"'), [expected])

    def test_replies_keep_theirs(self) -> None:
        """A fault without a direction is what it was."""
        script = Script.parse('rule = [{ reply = "a" }]\n[[fault]]\nkind = "latency"\ndelay = 1')
        self.assertEqual(script.faults, (PlacedFault("fault[0]", Latency(delay=1)),))
        self.assertEqual(script.stream_faults, ())

    def test_wrong_keys(self) -> None:
        """Each is located, with what is expected."""
        stream, kind = 'stream = "upstream"', 'kind = "latency"\ndelay = 1'
        for keys, problem in (
            (('stream = "up"', kind), '.stream: expected "upstream" or "downstream", found \'up\''),
            ((stream, 'kind = "latncy"'), ".kind: unknown kind 'latncy'; did you mean latency?"),
            ((stream, kind, "dely = 1"), ".dely: unknown key 'dely'; did you mean delay?"),
            (
                (stream, kind, "shared = true"),
                ".shared: expected the kind bandwidth, found latency",
            ),
            (
                (stream, kind, 'name = ""'),
                ".name: expected a name of 1 to 60 printable characters,",
            ),
            (
                (stream, kind, "after = -1"),
                ".after: expected seconds from 0 to 1000000000, found -1",
            ),
            ((stream, kind, "for = -1"), ".for: expected seconds from 0 to 1000000000, found -1"),
            (
                (stream, kind, "after_bytes = -1"),
                ".after_bytes: expected an integer >= 0, found -1",
            ),
            (
                (stream, kind, "after = 1", "after_bytes = 1"),
                ".after_bytes: expected one of after and after_bytes, found both",
            ),
        ):
            [found] = self.fault_problems(*keys)
            self.assertIn(problem, found)
        [found] = self.fault_problems(stream, 'kind = "stop_reading"')
        self.assertTrue(
            found.startswith(".kind: unknown kind 'stop_reading'; expected one of: lat")
        )

    def test_names_are_unique(self) -> None:
        """Two faults with one name could not be told apart."""
        table = '[[fault]]\nstream = "upstream"\nkind = "corrupt"\nname = "it"\n'
        [found] = self.problems(RELAY + 2 * table)
        self.assertEqual(found, "10: fault[1].name: expected another name: a fault is named 'it'")
