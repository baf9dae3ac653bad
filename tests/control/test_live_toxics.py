"""Toxics of a proxy: they come, change and go."""

from tests.support.proxied_services import LATENCY, REDIS, ProxiedCase


class ToxicTests(ProxiedCase):
    """Toxics come, change and go, on open connections as well."""

    TOXICS = "/proxies/redis/toxics"
    TOXIC = f"{TOXICS}/latency_downstream"

    def setUp(self) -> None:
        super().setUp()
        self.create()

    def test_add_show_change_and_remove(self) -> None:
        """Each has a name, a type, a stream, a toxicity and attributes."""
        body = {"type": "latency", "attributes": {"latency": 1000}}
        self.assert_answers(self.ask("GET", self.TOXICS), 200, [])
        self.assert_answers(self.ask("POST", self.TOXICS, body), 200, LATENCY)
        self.assert_answers(self.ask("GET", self.TOXIC), 200, LATENCY)
        self.assert_answers(self.ask("GET", self.TOXICS), 200, [LATENCY])
        for method, change, attributes, toxicity in (
            ("POST", {"attributes": {"jitter": 10}}, {"latency": 1000, "jitter": 10}, 1),
            ("PATCH", {"toxicity": 0.5}, {"latency": 1000, "jitter": 10}, 0.5),
            ("PATCH", {"attributes": {"latency": 7}}, {"latency": 7, "jitter": 10}, 0.5),
        ):
            shown = {**LATENCY, "attributes": attributes, "toxicity": toxicity}
            self.assert_answers(self.ask(method, self.TOXIC, change), 200, shown)
        answer = self.ask("DELETE", self.TOXIC)
        self.assertEqual((answer.status, answer.data), (204, b""))
        self.assert_answers(self.ask("GET", self.TOXICS), 200, [])

    def test_those_of_upstream_come_first(self) -> None:
        """In each direction, they are in the order in which they apply."""
        for stream, kind in (
            ("downstream", "slow_close"),
            ("upstream", "timeout"),
            ("downstream", "bandwidth"),
            ("upstream", "latency"),
        ):
            self.add(kind, stream)
        names = [it["name"] for it in self.ask("GET", "/proxies/redis").json["toxics"]]
        upstream = ["timeout_upstream", "latency_upstream"]
        self.assertEqual(names, [*upstream, "slow_close_downstream", "bandwidth_downstream"])

    def test_what_is_not_there(self) -> None:
        """A proxy and a toxic are 404."""
        for method in ("GET", "POST"):
            answer = self.ask(method, "/proxies/no/toxics", {"type": "latency"})
            self.assert_refused(answer, 404, "proxy not found")
        for method in ("GET", "POST", "PATCH", "DELETE"):
            for path, error in (
                ("/proxies/no/toxics/x", "proxy not found"),
                (f"{self.TOXICS}/x", "toxic not found"),
            ):
                self.assert_refused(self.ask(method, path, {}), 404, error)

    def test_a_name_that_is_taken(self) -> None:
        """Also in the other direction."""
        self.ask("POST", self.TOXICS, {"type": "latency", "name": "it"})
        for stream in ("upstream", "downstream"):
            body = {"type": "timeout", "name": "it", "stream": stream}
            self.assert_refused(self.ask("POST", self.TOXICS, body), 409, "toxic already exists")

    def test_a_change_that_is_wrong(self) -> None:
        """It changes nothing."""
        self.add("latency", latency=1000)
        answer = self.ask("POST", self.TOXIC, {"attributes": {"latency": -1}, "toxicity": 0.5})
        self.assertEqual(answer.status, 400)
        self.assert_answers(self.ask("GET", self.TOXIC), 200, LATENCY)

    def test_an_open_connection(self) -> None:
        """What was added, changed and removed holds at once, also for bytes on their way."""
        client, service = self.connect()
        self.add("latency", latency=1000)
        service.transport.write(b"a")
        self.reactor.advance(0.9)
        self.assertEqual(client.received(), b"")
        self.reactor.advance(0.1)
        self.assertEqual(client.received(), b"a")
        service.transport.write(b"b")
        self.ask("PATCH", self.TOXIC, {"attributes": {"latency": 5000}})
        self.reactor.advance(4.9)
        self.assertEqual(client.received(), b"")
        self.ask("DELETE", self.TOXIC)
        self.reactor.advance(0)
        self.assertEqual(client.received(), b"b")

    def test_a_cut_that_heals(self) -> None:
        """A rate of 0 holds everything; what was held arrives once the toxic is removed."""
        client, service = self.connect()
        for stream in ("upstream", "downstream"):
            self.add("bandwidth", stream, rate=0)
        client.send(b"ask")
        service.transport.write(b"answer")
        self.reactor.advance(100)
        self.assertEqual((service.got, client.received()), (b"", b""))
        for stream in ("upstream", "downstream"):
            self.ask("DELETE", f"{self.TOXICS}/bandwidth_{stream}")
        self.reactor.advance(0)
        self.assertEqual((service.got, client.received()), (b"ask", b"answer"))

    def test_the_end_of_a_timeout(self) -> None:
        """What it has held never arrives: the connections close when it is removed."""
        _, before = self.connect()
        self.add("timeout", "upstream", timeout=0)
        client, service = self.connect()
        client.send(b"lost")
        self.reactor.advance(100)
        self.assertEqual((service.got, client.got_eof), (b"", False))
        self.ask("DELETE", f"{self.TOXICS}/timeout_upstream")
        self.reactor.advance(1)
        self.assertEqual((service.got, client.got_eof, service.eof), (b"", True, True))
        self.assertTrue(before.eof)
        client, service = self.connect()
        client.send(b"later")
        self.reactor.advance(0)
        self.assertEqual(service.got, b"later")

    def test_the_end_of_a_timeout_that_did_not_apply(self) -> None:
        """Connections that it has not held up go on."""
        body = {"type": "timeout", "toxicity": 0}
        self.ask("POST", self.TOXICS, body)
        client, service = self.connect()
        self.ask("DELETE", f"{self.TOXICS}/timeout_downstream")
        service.transport.write(b"here")
        self.reactor.advance(1)
        self.assertEqual((client.received(), client.got_eof), (b"here", False))

    def test_a_reset(self) -> None:
        """Both sides are reset after the timeout, also without traffic."""
        client, service = self.connect()
        self.add("reset_peer", timeout=500)
        self.reactor.advance(0.4)
        self.assertIsNone(service.lost)
        self.reactor.advance(0.1)
        self.assertTrue(service.was_reset)
        self.assertTrue(client.got_reset)


class SpyTests(ProxiedCase):
    """A service that answers some requests, and forwards the others."""

    def setUp(self) -> None:
        super().setUp()
        spy = {
            "name": "redis",
            "listen": "tcp:26379:interface=127.0.0.1",
            "upstream": "127.0.0.1:6379",
            "framing": "line",
            "unmatched": {"forward": True},
            "rule": [{"equals": "mine", "reply": "yes"}],
            "fault": [{"kind": "corrupt", "bytes": 3, "probability": 0}],
        }
        self.assertEqual(self.ask("POST", "/api/services", spy).status, 201)

    def test_it_is_a_proxy_with_toxics_of_whole_replies(self) -> None:
        """They apply to a connection or not, and to all replies."""
        corrupt = {
            "attributes": {"bytes": 3},
            "name": "corrupt",
            "type": "corrupt",
            "stream": "downstream",
            "toxicity": 0,
        }
        self.assert_answers(
            self.ask("GET", "/proxies"), 200, {"redis": {**REDIS, "toxics": [corrupt]}}
        )
        self.ask("DELETE", "/proxies/redis/toxics/corrupt")
        self.add("latency", latency=1000)
        client = self.reactor.connect_peer(26379)
        client.send(b"mine\n")
        self.reactor.advance(0.9)
        self.assertEqual(client.received(), b"")
        self.reactor.advance(0.1)
        self.assertEqual(client.received(), b"yes\r\n")
        self.assert_answers(self.ask("GET", "/proxies/redis/toxics"), 200, [LATENCY])

    def test_a_toxic_of_what_clients_send(self) -> None:
        """It applies to requests; a timeout that is removed closes those that it has held up."""
        self.add("latency", "upstream", latency=2000)
        client = self.reactor.connect_peer(26379)
        client.send(b"mine\n")
        self.reactor.advance(1.9)
        self.assertEqual(client.received(), b"")
        self.reactor.advance(0.1)
        self.assertEqual(client.received(), b"yes\r\n")
        self.ask("DELETE", "/proxies/redis/toxics/latency_upstream")
        self.add("timeout", "upstream", timeout=0)
        client.send(b"mine\n")
        self.reactor.advance(5)
        self.assertFalse(client.got_eof)
        self.ask("DELETE", "/proxies/redis/toxics/timeout_upstream")
        self.reactor.advance(0)
        self.assertEqual(client.received(), b"")
        self.assertTrue(client.got_eof)

    def test_it_moves_with_its_toxics(self) -> None:
        """Those that a script has, and those that were added."""
        self.add("timeout", timeout=0)
        self.add("bandwidth", "upstream", rate=1)
        answer = self.ask("PATCH", "/proxies/redis", {"listen": "127.0.0.1:7000"})
        self.assertEqual(
            [(it["name"], it["toxicity"]) for it in answer.json["toxics"]],
            [("bandwidth_upstream", 1), ("corrupt", 0), ("timeout_downstream", 1)],
        )
        self.ask("POST", "/reset")
        self.assert_answers(self.ask("GET", "/proxies/redis/toxics"), 200, [])
