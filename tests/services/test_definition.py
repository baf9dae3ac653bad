"""What a definition is called in messages, and when a service can become another."""

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line
from reqresp._errors import FieldError, Problem, ProblemsError
from reqresp.services.definition import (
    Appended,
    Definition,
    Origin,
    ScriptFile,
    ServerTLS,
    problems_of,
)
from reqresp.services.endpoints import port_endpoint


class DefinitionTests(SynchronousTestCase):
    """One definition."""

    def test_what_is_answered_can_change(self) -> None:
        """Anything else makes another service."""
        definition = Definition(listen=(port_endpoint(1),))
        for alike in (
            evolve(definition, answering=ScriptFile(Path("it"))),
            evolve(definition, framing=Line()),
            evolve(definition, limits={"max_request": 1}),
            evolve(definition, upstream={"timeout": 1}, adds_tls=True),
        ):
            self.assertTrue(definition.serves_alike(alike))
            self.assertNotEqual(definition, alike)
        for other in (
            evolve(definition, name="other"),
            evolve(definition, listen=(port_endpoint(2),)),
            evolve(definition, tls=ServerTLS(cert=Path("it"))),
            evolve(definition, files=Appended(journal=Path("it"))),
            evolve(definition, has_proxy_header=True),
        ):
            self.assertFalse(definition.serves_alike(other))

    def test_where_it_is_written_makes_no_difference(self) -> None:
        """It may move to another line."""
        definition = Definition(origin=Origin("a", "service[0]"))
        self.assertEqual(definition, evolve(definition, origin=Origin("a", "service[1]")))

    def test_problems(self) -> None:
        """An error is shown where the key is written."""
        origin = Origin("it.toml", "service[1]", locate=lambda _: 7)
        options = Origin(names={"framing": "--framing"})
        for place, error, text in (
            (origin, FieldError("framing", "why"), "it.toml:7: service[1].framing: why"),
            (origin, ValueError("why"), "it.toml:7: service[1]: why"),
            (options, FieldError("framing", "why"), "--framing: why"),
            (options, ValueError("why"), "why"),
            (origin, ProblemsError(Problem("other", 1, "", "why")), "other:1: why"),
        ):
            with (
                self.assertRaises(ProblemsError) as caught,
                problems_of(Definition(origin=place)),
            ):
                raise error
            self.assertEqual(str(caught.exception), text)
