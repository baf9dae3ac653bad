"""What a service is, with each default: what its definition has not said is there, too."""

from typing import Any

from reqresp import Limits
from tests.support.controlled import SERVICES, Controlled
from tests.support.json_schemas import validator

MORE = """
[[service]]
name = "relay"
listen = "tcp:2527:interface=127.0.0.1"
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
                "framing": "chunk",
                "limits": {
                    "max_request": limits.max_request,
                    "max_connections": limits.max_connections,
                    "max_per_peer": None,
                    "max_waiting": limits.max_waiting,
                    "idle_timeout": None,
                    "request_timeout": None,
                },
                **dict.fromkeys(("upstream", "tls", "journal", "journal_max_entry", "record")),
                "proxy_protocol": False,
            },
        )
        self.assertEqual(self.effective("smtp")["framing"], "line")

    def test_a_relay(self) -> None:
        """It has the limits of connections alone, and its upstream with each default."""
        shown = self.effective("relay")
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
