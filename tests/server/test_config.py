"""The config of a server: resolving it, greetings, faults, and changing it at run time."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Chunk,
    Fixed,
    Latency,
    Limits,
    Line,
    Netstring,
    ReqRespFactory,
    Script,
    Table,
)
from reqresp._errors import FieldError
from reqresp.server.config import ServerConfig, resolve
from reqresp.server.functions import Function
from reqresp.server.responders import fixed


class ResolveTests(SynchronousTestCase):
    """Each part of a config is the one given, else the source's, else the default."""

    SCRIPT = """
        framing = "netstring"
        seed = 3
        limits.max_request = 10
        limits.idle_timeout = 60
        rule = [{ reply = "a" }]
        [[fault]]
        kind = "latency"
        delay = 1
    """

    def test_defaults(self) -> None:
        """Without a source and without arguments, the defaults of each part are used."""
        config = resolve()
        self.assertEqual(config, ServerConfig(fixed(), Chunk(), Limits()))
        self.assertEqual((config.faults, config.seed), ((), None))

    def test_source_wins_over_defaults(self) -> None:
        """A part that was not given is the script's."""
        script = Script.parse(self.SCRIPT)
        config = resolve(script)
        self.assertEqual((config.framing, config.seed), (Netstring(), 3))
        self.assertEqual(config.limits, Limits(max_request=10, idle_timeout=60))
        self.assertEqual([placed.fault for placed in config.faults], [Latency(delay=1)])

    def test_given_wins_over_source(self) -> None:
        """A part that was given replaces the script's, also a seed of 0 and an empty list."""
        script = Script.parse(self.SCRIPT)
        limits = Limits(max_request=20)
        config = resolve(script, framing=Line(), limits=limits, faults=[], seed=0)
        self.assertEqual((config.framing, config.limits, config.faults), (Line(), limits, ()))
        self.assertEqual(config.seed, 0)

    def test_single_limits(self) -> None:
        """A mapping of limits replaces only those that it names."""
        config = resolve(Script.parse(self.SCRIPT), limits={"max_request": 20})
        self.assertEqual(config.limits, Limits(max_request=20, idle_timeout=60))
        self.assertEqual(resolve(limits={}).limits, Limits())

    def test_sources(self) -> None:
        """A config, a responder and a function can be the source, too."""
        config = ServerConfig(Table({}), Line())
        self.assertIs(resolve(config), config)
        table = Table({b"a": b"b"})
        self.assertIs(resolve(table).responder, table)
        self.assertIsInstance(resolve(lambda request: request.data).responder, Function)

    def test_framing_outside_the_limits(self) -> None:
        """A framing whose requests are all too large is an error with the field's name."""
        with self.assertRaises(FieldError) as caught:
            resolve(framing=Fixed(8), limits={"max_request": 7})
        self.assertEqual(caught.exception.field, "framing")
        with self.assertRaises(FieldError) as caught:
            resolve(limits={"max_request": 0})
        self.assertEqual(caught.exception.field, "max_request")

    def test_a_default_fills_what_a_function_leaves_open(self) -> None:
        """A function has the rest of the default; a script has only its seed, if it states none."""
        default = ServerConfig(fixed(), framing=Line(), seed=3)
        self.assertIs(resolve(default=default), default)
        config = resolve(lambda _request: None, default=default)
        self.assertEqual((config.framing, config.seed), (Line(), 3))
        for text, seed in (('framing = "netstring"', 3), ('framing = "netstring"\nseed = 7', 7)):
            script = Script.parse(text + "\n[unmatched]\nclose = true")
            config = resolve(script, default=default)
            self.assertEqual((config.framing, config.seed), (Netstring(), seed))
        self.assertEqual(resolve(default=default, seed=5).seed, 5)

    def test_wrong_types(self) -> None:
        """An argument of a wrong type is an error that names it, as is a limit that is unknown."""
        for name, wrong, expected in (
            ("respond", 5, "a function, a Responder, or a ConfigSource"),
            ("respond", Table, "a function, a Responder, or a ConfigSource"),
            ("framing", "line", "a Framing"),
            ("framing", Line, "a Framing"),
            ("limits", 5, "Limits, or a dictionary of them"),
            ("faults", Latency(delay=1), "a list of faults"),
            ("faults", ["latency"], "a list of faults"),
            ("seed", "x", "an integer"),
            ("seed", True, "an integer"),
            ("ordered", 1, "True or False"),
        ):
            arguments: Any = {name: wrong}
            with self.assertRaisesRegex(TypeError, f"^{name}: expected {expected}.*, found "):
                ReqRespFactory(**arguments)
        with self.assertRaisesRegex(
            TypeError, r"^limits: unknown limit 'max_reqest'; did you mean max_request\?$"
        ):
            resolve(limits={"max_reqest": 1})
