"""What a service is, with each default: what its definition has not said is there, too."""

from typing import Any

from reqresp import Limits
from tests.support.controlled import SERVICES, Controlled
from tests.support.json_schemas import validator

MORE = """
[[service]]
name = "relay"
listen = "tcp:2527:interface=127.0.0.1"
enabled = false
accept = "late"
allow = "10.0.0.0/8"
deny = ["10.1.0.0/16", "10.2.0.1"]
proxy_protocol = true
upstream = { address = "127.0.0.1:6379", tls = { insecure = true }, timeout = 3 }
limits = { max_per_peer = 2 }

[[service]]
name = "forwarding"
listen = "tcp:2528:interface=127.0.0.1"
framing = "line"
upstream = "unix:/run/it.sock"
journal = "/dev/null"
record = "/dev/null"
limits = { idle_timeout = 5 }
rule = [{ forward = true }]
"""


class EffectiveTests(Controlled):
    """The key ``effective`` of a service."""

    services_text = SERVICES + MORE

    def effective(self, name: str) -> Any:
        """Return what a service is now, which fits the schema of the document."""
        shown = self.get(f"/api/services/{name}")["effective"]
        document = self.get("/api/openapi.json")
        content = document["paths"]["/api/services/{service}"]["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]["properties"]["effective"]
        self.assertEqual([*validator(schema).iter_errors(shown)], [])
        return shown

    def test_a_service_that_answers(self) -> None:
        """Its framing, all limits, and what it does not have."""
        limits = Limits()
        self.assertEqual(
            self.effective("fixed"),
            {
                "listen": ["tcp:2526:interface=127.0.0.1"],
                "accept": "now",
                "framing": "chunk",
                "reply_framing": "chunk",
                "ordered": True,
                "seed": None,
                "limits": {
                    "max_request": limits.max_request,
                    "max_connections": limits.max_connections,
                    "max_per_peer": None,
                    "max_waiting": limits.max_waiting,
                    "idle_timeout": None,
                    "request_timeout": None,
                },
                **dict.fromkeys(("upstream", "tls", "journal", "journal_max_entry", "record")),
                "allow": None,
                "deny": [],
                "proxy_protocol": False,
                "trust": None,
            },
        )
        self.assertEqual(self.effective("smtp")["framing"], "line")

    def test_a_relay(self) -> None:
        """It has the limits of connections alone, and its upstream with each default."""
        shown = self.effective("relay")
        self.assertIsNone(shown["ordered"])
        self.assertEqual(
            shown["limits"],
            {
                "max_connections": Limits().max_connections,
                "max_per_peer": 2,
                "idle_timeout": None,
            },
        )
        self.assertEqual(
            shown["upstream"],
            {
                "address": "127.0.0.1:6379",
                "timeout": 3,
                "unreachable": "reset",
                "send_proxy": None,
                "tls": {"name": None, "ca": None, "cert": None, "key": None, "insecure": True},
            },
        )
        self.assertIsNone(shown["framing"])
        self.assertIsNone(shown["reply_framing"])

    def test_who_may_connect_and_how(self) -> None:
        """It has the networks, those of load balancers with their default, and the accept mode."""
        shown = self.effective("relay")
        self.assertEqual(shown["allow"], ["10.0.0.0/8"])
        self.assertEqual(shown["deny"], ["10.1.0.0/16", "10.2.0.1/32"])
        self.assertEqual(shown["trust"], ["127.0.0.0/8", "::1/128"])
        self.assertEqual(shown["accept"], "late")
        self.assertEqual(self.get("/api/services/relay")["accept"], "late")
        self.assertEqual(
            self.get("/api/services/relay")["summary"], "forwards to 127.0.0.1:6379, accept late"
        )

    def test_replies_that_are_framed_otherwise(self) -> None:
        """It has the framing of replies, the seed, and the seconds that clients wait."""
        script = (
            'reply_framing = "netstring"\nseed = 7\naccept = { after = 2 }\n'
            'rule = [{ reply = "x" }]'
        )
        self.ask("PUT", "/api/services/fixed/script", {"script": script})
        shown = self.effective("fixed")
        self.assertEqual((shown["framing"], shown["reply_framing"]), ("line", "netstring"))
        self.assertEqual((shown["seed"], shown["accept"]), (7, {"after": 2}))

    def test_a_seed_that_was_chosen(self) -> None:
        """The seed that the first fault has got is shown: with it the same happens again."""
        self.services["fixed"].faults.add("latency", parameters={"delay": 1})
        self.assertIsInstance(self.effective("fixed")["seed"], int)

    def test_a_service_that_answers_and_forwards(self) -> None:
        """It has both, and the files that it writes."""
        shown = self.effective("forwarding")
        self.assertEqual((shown["framing"], shown["upstream"]["timeout"]), ("line", 10))
        self.assertEqual(shown["upstream"]["address"], "unix:/run/it.sock")
        self.assertEqual(shown["limits"]["idle_timeout"], 5)
        self.assertEqual(shown["limits"]["max_request"], Limits().max_request)
        self.assertEqual((shown["journal"], shown["record"]), ("/dev/null", "/dev/null"))
        self.assertEqual(shown["journal_max_entry"], 65536)

    def test_a_script_that_changes(self) -> None:
        """It is what is so now."""
        script = 'framing = "netstring"\nlimits = { max_request = 9 }\nrule = [{ reply = "x" }]'
        self.assertEqual(
            self.ask("PUT", "/api/services/fixed/script", {"script": script}).status, 200
        )
        shown = self.effective("fixed")
        self.assertEqual((shown["framing"], shown["limits"]["max_request"]), ("netstring", 9))
