"""Names: the time, and what is random."""

from datetime import UTC, datetime
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script
from reqresp.script.names import RANDOM
from tests.support.templates import fill

SAMPLE = "{random:1:6} {uuid} {random:-5:5} {random_bytes:3|hex}"


class ValueTests(SynchronousTestCase):
    """The time, and what is random."""

    def test_the_time(self) -> None:
        """The time is in UTC, in ISO 8601 or in a format of strftime."""
        moment = datetime(2026, 1, 31, 12, 5, 9, tzinfo=UTC).timestamp()
        for text, expected in (
            ("{now}", b"2026-01-31T12:05:09Z"),
            ("{now:%H:%M:%S}", b"12:05:09"),
            ("{now:%a, %d %b %Y|upper}", b"SAT, 31 JAN 2026"),
            ("{now:%s %%s}", b"1769861109 %s"),
        ):
            self.assertEqual(fill(text, time=lambda: moment), expected)

    def test_random_values(self) -> None:
        """Numbers are within their bounds; a UUID is of version 4; bytes are as many as asked."""
        for count in range(50):
            number, uuid, other, data = fill(SAMPLE, count=count).decode().split()
            self.assertIn(int(number), range(1, 7))
            self.assertIn(int(other), range(-5, 6))
            self.assertEqual(UUID(uuid).version, 4)
            self.assertEqual(len(data), 6)
        seen = {fill("{random:1:6}", count=count) for count in range(60)}
        self.assertEqual(seen, {b"%d" % number for number in range(1, 7)})

    def test_the_seed_determines_them(self) -> None:
        """The same seed makes the same values; another seed, reply or rule makes others."""
        self.assertEqual(fill(SAMPLE), fill(SAMPLE))
        others = [fill(SAMPLE, seed=2), fill(SAMPLE, count=2), fill(SAMPLE, place="rule[1]")]
        self.assertEqual(len({fill(SAMPLE), *others}), 4)
        first, second = fill("{uuid} {uuid}").split()
        self.assertNotEqual(first, second)

    def test_a_seed_is_chosen(self) -> None:
        """Rules with random values need a seed, as those with faults do."""
        for name in RANDOM:
            text = "{" + name + {"random": ":1:2", "random_bytes": ":2"}.get(name, "") + "}"
            for let in ("", f', let = {{ a = "{text}" }}'):
                found = text if not let else "{a}"
                script = Script.parse(f'[[rule]]\nreply = {{ template = "{found}"{let} }}')
                self.assertTrue(script.rules.faulty, text)
        self.assertFalse(Script.parse('[[rule]]\nreply = { template = "{now}" }').rules.faulty)
