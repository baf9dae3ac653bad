"""Servers that can have expectations, while they have none."""

from attrs import evolve

from reqresp import Line, Script, ServerConfig, Table
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.expecting import ExpectingResponder
from reqresp.expectations.results import Results
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule
from reqresp.steps import Send
from tests.support.calls import CallCase
from tests.support.forwarded import ForwardedCase

EXPECTATION = BaseExpectation(
    "on",
    '"a"',
    "expectation 1",
    Rule(name="it", replies=[(Send(b"1"),)], predicates=Predicates(equals=(b"a",))),
    None,
)


def around(config: ServerConfig, results: Results) -> ServerConfig:
    return evolve(config, responder=ExpectingResponder(results, config))


class CostTests(CallCase):
    """What a read costs more than without the means to have expectations."""

    def test_constants_cost_nothing(self) -> None:
        """Constants of the responder are answered by reads, with the same calls."""
        plain = ServerConfig(Table({b"a": b"A"}), Line())
        for data in (b"a\n", b"a\n" * 200):
            costs = [
                self.calls(self.factory(config, observers=[]), data)
                for config in (plain, around(plain, Results()))
            ]
            self.assertEqual(costs[0], costs[1])
        self.assertEqual(costs[0].count("ExpectingResponder.respond"), 0)

    def test_rules_cost_one_call(self) -> None:
        """A request that is no constant costs one call."""
        script = "[[rule]]\nmatches = 'a+'\nreply = { template = '{0}' }\n"
        plain = Script.parse(script).config()
        costs = [
            self.calls(self.factory(config, observers=[], now=lambda: 0.0), b"a\n" * 100)
            for config in (plain, around(plain, Results()))
        ]
        self.assertEqual(len(costs[1]) - len(costs[0]), 100)

    def test_an_expectation_is_asked_first(self) -> None:
        """There are no constants while there is one."""
        results = Results()
        config = around(ServerConfig(Table({b"a": b"A"}), Line()), results)
        factory = self.factory(config)
        client = self.join(factory)
        client.send(b"a\n")
        results.expectations.append(EXPECTATION)
        factory.adapt()
        client.send(b"a\nb\n")
        self.assertEqual(client.received(), b"A\r\n1\r\n")
        self.assertIsNone(factory.config.batch)


class ForwardingTests(ForwardedCase):
    """A service that is forwarded to, with some answers of its own."""

    respond = ""

    def test_what_is_only_forwarded(self) -> None:
        """Without expectations all requests of a read are forwarded together, with them not."""
        results = Results()
        script = Script.parse("framing = 'resp'\n[unmatched]\nforward = true\n")
        self.start(around(script.config(), results))
        client, service = self.connect_both()
        client.send(b"GET a\r\n" * 2)
        self.assertEqual(service.got, b"GET a\r\n" * 2)
        results.expectations.append(
            BaseExpectation(
                "on",
                '"GET a"',
                "expectation 1",
                Rule(name="it", replies=[(Send(b"+1"),)], predicates=EXPECTATION.rule.predicates),
                None,
            )
        )
        self.factory.adapt()
        client.send(b"a\r\nGET b\r\n")
        self.assertEqual(service.got, b"GET a\r\n" * 2 + b"GET b\r\n")
        service.transport.write(b"+0\r\n" * 3)
        self.advance(0)
        self.assertEqual(client.received(), b"+0\r\n+0\r\n+1\r\n+0\r\n")
        self.assertTrue(self.factory.config.responder.forwards)
