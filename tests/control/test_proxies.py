"""Proxies and toxics: what clients of toxiproxy send, and what they get."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, eventAsText

from reqresp.control.proxies import Proxies
from reqresp.control.toxics import RefusedError
from reqresp.services.definition import Definition
from reqresp.services.ports import Listener
from reqresp.services.reading import parse_services, read_definition
from tests.support.asked import parse_answer
from tests.support.proxied_services import LATENCY, REDIS, ProxiedCase

IN_USE = "listen tcp 127.0.0.1:26379: bind: address already in use"


class _NeverOpen:
    """An endpoint that has not begun to listen yet, whenever that is asked for."""

    def listen(self, _factory: Any) -> Deferred[Any]:
        """Return what never fires by itself."""
        return Deferred()


def _never_open(definition: Definition) -> list[Listener]:
    """Return where a service listens that never opens."""
    endpoint: Any = _NeverOpen()
    return [Listener(it.name, endpoint) for it in definition.listen]


class ProxyTests(ProxiedCase):
    """Proxies come, change and go."""

    def test_create_show_and_delete(self) -> None:
        """A proxy forwards from its creation until it is deleted."""
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})
        self.assertEqual(self.create(), REDIS)
        self.assert_answers(self.ask("GET", "/proxies/redis"), 200, REDIS)
        self.assert_answers(self.ask("GET", "/proxies"), 200, {"redis": REDIS})
        client, service = self.connect()
        client.send(b"PING")
        self.reactor.advance(0)
        self.assertEqual(service.got, b"PING")
        answer = self.ask("DELETE", "/proxies/redis")
        self.assertEqual((answer.status, answer.data), (204, b""))
        self.assertFalse(self.is_up(26379))
        self.assertIsNotNone(service.lost)
        self.assert_refused(self.ask("DELETE", "/proxies/redis"), 404, "proxy not found")
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})

    def test_deleted_by_another_while_it_changes(self) -> None:
        """It is not found, whatever was to change, and nothing listens."""
        for change in ({"upstream": "127.0.0.1:1"}, {"listen": "127.0.0.1:26380"}):
            self.create()
            self.connect()
            changed = Deferred.fromCoroutine(Proxies(self.services).update("redis", change))
            self.assertNoResult(changed)
            deleted = self.services.delete("redis")
            for _ in range(2):
                self.reactor.advance(0)
            self.successResultOf(deleted)
            refusal = self.failureResultOf(changed, RefusedError).value
            self.assertEqual((refusal.status, refusal.error), (404, "proxy not found"))
            self.assertEqual([self.is_up(it) for it in (26379, 26380)], [False, False])

    def test_a_name_that_another_takes_meanwhile(self) -> None:
        """The proxy exists already, as if it had existed before."""
        reads: list[Deferred[None]] = []

        def run(function: Any, *args: Any) -> Deferred[Any]:
            reads.append(Deferred())
            return reads[-1].addCallback(lambda _: function(*args))

        self.services.environment = evolve(self.services.environment, run=run)
        table = {"name": "redis", "listen": "tcp:26380:interface=127.0.0.1"}
        other = self.services.create(read_definition(table, Path()))
        created = Deferred.fromCoroutine(Proxies(self.services).create(REDIS))
        for _ in range(2):
            reads.pop().callback(None)
        self.successResultOf(other)
        refusal = self.failureResultOf(created, RefusedError).value
        self.assertEqual((refusal.status, refusal.error), (409, "proxy already exists"))

    def test_closed_while_it_opens(self) -> None:
        """It is not found, as in toxiproxy once its process ends; it is no error of ours."""
        self.services.environment = evolve(self.services.environment, listeners=_never_open)
        for method, path, body in (
            ("POST", "/proxies", REDIS),
            ("POST", "/populate", [REDIS]),
            ("PATCH", "/proxies/redis", {"enabled": True}),
            ("POST", "/reset", {}),
        ):
            if body is not REDIS and body != [REDIS]:
                self.create(enabled=False)
            opening = self.begin(method, path, json.dumps(body).encode())
            self.assertEqual(opening.received(), b"")
            for service in self.services:
                service.close(0)
            for _ in range(5):
                self.reactor.advance(0)
            refused = parse_answer(opening.received())
            self.assertEqual((refused.status, refused.json["error"]), (404, "proxy not found"))
            self.ask("DELETE", "/proxies/redis")

    def test_a_file_that_is_gone(self) -> None:
        """A service whose script cannot be read any more says so, and is what it was."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        script = Path(directory.name, "script.toml")
        script.write_text('[upstream]\naddress = "127.0.0.1:6379"')
        text = f'[[service]]\nname = "redis"\nlisten = "127.0.0.1:26379"\nscript = "{script}"'
        [definition] = parse_services(text, "services.toml", Path())
        self.successResultOf(self.services.create(definition))
        script.unlink()
        answer = self.ask("POST", "/proxies/redis", {"listen": "127.0.0.1:26380"})
        self.assertEqual(answer.status, 500)
        self.assertRegex(answer.json["error"], "No such file or directory$")
        self.assertEqual([self.is_up(it) for it in (26379, 26380)], [True, False])

    def test_missing_fields(self) -> None:
        """The first one is named."""
        for body, field in (
            ({}, "name"),
            (None, "name"),
            ({"name": "", "upstream": "a:1"}, "name"),
            ({"name": "x"}, "upstream"),
            ({"name": "x", "upstream": ""}, "upstream"),
        ):
            answer = self.ask("POST", "/proxies", body=json.dumps(body).encode())
            self.assert_refused(answer, 400, f"missing required field: {field}")

    def test_conflicts(self) -> None:
        """A name and a port are for one proxy."""
        self.create()
        again = {**REDIS, "listen": "127.0.0.1:26380"}
        for wanted in (again, {**again, "listen": "nowhere"}):
            answer = self.ask("POST", "/proxies", wanted)
            self.assert_refused(answer, 409, "proxy already exists")
        answer = self.ask("POST", "/proxies", {**REDIS, "name": "other"})
        self.assert_refused(answer, 500, IN_USE)
        self.reactor.listenTCP(7000, self.behind)
        answer = self.ask("POST", "/proxies", {**again, "name": "other", "listen": "[::1]:7000"})
        self.assert_refused(answer, 500, "listen tcp [::1]:7000: bind: address already in use")
        self.assert_answers(self.ask("GET", "/proxies"), 200, {"redis": REDIS})

    def test_one_port_for_two(self) -> None:
        """Two proxies can have one port while one is disabled; toxiproxy binds when it enables."""
        self.create()
        other = {**REDIS, "name": "other", "enabled": False}
        self.assertEqual(self.ask("POST", "/proxies", other).status, 201)
        enabled = {"enabled": True}
        self.assert_refused(self.ask("POST", "/proxies/other", enabled), 500, IN_USE)
        self.assertEqual(self.ask("POST", "/proxies/redis", {"enabled": False}).status, 200)
        self.assertEqual(self.ask("POST", "/proxies/other", enabled).json["enabled"], True)
        self.assertTrue(self.is_up(26379))

    def test_where_it_listens(self) -> None:
        """Without ``listen``, on a free port of loopback; the port stays when it is disabled."""
        for listen in (None, "", "localhost:0", "127.0.0.1:0"):
            shown = self.create(listen=listen)["listen"]
            host, _, port = shown.rpartition(":")
            self.assertEqual(host, "127.0.0.1")
            self.assertTrue(self.is_up(int(port)))
            for enabled in (False, True):
                answer = self.ask("POST", "/proxies/redis", {"enabled": enabled})
                self.assertEqual((answer.json["listen"], answer.json["enabled"]), (shown, enabled))
                self.assertEqual(self.is_up(int(port)), enabled)
            self.ask("DELETE", "/proxies/redis")
        for listen, shown in ((":7001", "0.0.0.0:7001"), ("[::1]:7001", "[::1]:7001")):
            self.assertEqual(self.create(listen=listen)["listen"], shown)
            self.ask("DELETE", "/proxies/redis")

    def test_where_none_can_listen(self) -> None:
        """The texts are toxiproxy's; nothing is created."""
        for listen, error in (
            ("local373", "address local373: missing port in address"),
            ("localhost:x", "lookup tcp/x: unknown port"),
            ("localhost:99999", "address 99999: invalid port"),
            ("no.such.host.invalid:80", "lookup no.such.host.invalid: no such host"),
            ("a b:80", "lookup a b: no such host"),
        ):
            answer = self.ask("POST", "/proxies", {**REDIS, "listen": listen})
            self.assert_refused(answer, 500, f"listen tcp: {error}")
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})

    def test_where_none_can_move(self) -> None:
        """As in toxiproxy, the text does not say that it was about to listen."""
        self.create()
        for listen, error in (
            ("local373", "address local373: missing port in address"),
            ("localhost:x", "lookup tcp/x: unknown port"),
            ("no.such.host.invalid:80", "lookup no.such.host.invalid: no such host"),
        ):
            answer = self.ask("PATCH", "/proxies/redis", {"listen": listen})
            self.assert_refused(answer, 500, error)
            answer = self.ask("POST", "/populate", [{**REDIS, "listen": listen}])
            self.assert_answers(answer, 500, {"error": error, "status": 500, "proxies": []})
        self.assert_answers(self.ask("GET", "/proxies/redis"), 200, REDIS)

    def test_a_name_in_listen_is_looked_up(self) -> None:
        """``localhost`` alone stays, as long as the proxy is disabled."""
        shown = self.create(listen="localhost:26379", enabled=False)
        self.assertEqual((shown["listen"], shown["enabled"]), ("localhost:26379", False))
        self.assertFalse(self.is_up(26379))
        answer = self.ask("PATCH", "/proxies/redis", {"enabled": True})
        self.assert_answers(answer, 200, REDIS)

    def test_a_name_that_is_an_address(self) -> None:
        """Libraries that run containers name a proxy after its upstream."""
        self.create("redis:6379")
        for path in ("/proxies/redis:6379", "/proxies/redis%3A6379"):
            self.assert_answers(self.ask("GET", path), 200, {**REDIS, "name": "redis:6379"})

    def test_values_that_are_not_usable(self) -> None:
        """One line says what is expected."""
        for changes, problem in (
            ({"name": 5}, "name: expected a string, found 5"),
            ({"enabled": 1}, "enabled: expected true or false, found 1"),
            (
                {"upstream": "x"},
                "upstream: expected HOST:PORT such as db.example:5432 or [::1]:5432, or"
                " unix:PATH, found 'x'",
            ),
        ):
            answer = self.ask("POST", "/proxies", {**REDIS, **changes})
            self.assert_refused(answer, 400, f"bad request body: {problem}")
        answer = self.ask("POST", "/proxies", {**REDIS, "name": "a/b"})
        self.assertEqual(answer.status, 400)
        self.assertIn("bad request body: name: expected ", answer.error)

    def test_changes(self) -> None:
        """Where it listens and forwards changes; connections end; toxics stay."""
        self.create()
        self.add("latency", latency=1000)
        for change in (
            {"upstream": "localhost:6379"},
            {"listen": "localhost:7000"},
            {"listen": "127.0.0.1:7001", "upstream": "127.0.0.1:6379"},
        ):
            port = int(self.ask("GET", "/proxies/redis").json["listen"].rpartition(":")[2])
            _, service = self.connect(port)
            answer = self.ask("PATCH", "/proxies/redis", change)
            listen = change.get("listen", "127.0.0.1:26379").replace("localhost", "127.0.0.1")
            self.assertEqual(answer.json["listen"], listen)
            self.assertEqual(answer.json["upstream"], change.get("upstream", "localhost:6379"))
            self.assertEqual(answer.json["toxics"], [LATENCY])
            self.assertIsNotNone(service.lost)
            self.assertTrue(self.is_up(int(answer.json["listen"].rpartition(":")[2])))
        self.assertFalse(self.is_up(26379))

    def test_a_change_that_changes_nothing(self) -> None:
        """Connections go on, also if the address is written in another way."""
        self.create()
        _, service = self.connect()
        for body in ({}, REDIS, {"listen": "localhost:26379"}, {"name": "x", "enabled": True}):
            self.assert_answers(self.ask("POST", "/proxies/redis", body), 200, REDIS)
        self.assertIsNone(service.lost)

    def test_a_change_that_cannot_be(self) -> None:
        """The proxy is what it was before."""
        self.create()
        self.create("other", listen="localhost:7000")
        self.reactor.listenTCP(7001, self.behind)
        for port in (7000, 7001):
            answer = self.ask("PATCH", "/proxies/redis", {"listen": f"localhost:{port}"})
            self.assert_refused(
                answer, 500, f"listen tcp 127.0.0.1:{port}: bind: address already in use"
            )
            self.assert_answers(self.ask("GET", "/proxies/redis"), 200, REDIS)
            self.assertTrue(self.is_up(26379))
        for change in ({"upstream": "x"}, {"upstream": "x", "listen": "localhost:7002"}):
            answer = self.ask("PATCH", "/proxies/redis", change)
            self.assertEqual(answer.status, 400)
            self.assertIn("upstream: expected HOST:PORT", answer.error)
        answer = self.ask("PATCH", "/proxies/no", {"enabled": True})
        self.assert_refused(answer, 404, "proxy not found")

    def test_down(self) -> None:
        """A disabled proxy refuses clients; its connections have ended."""
        self.create()
        _, service = self.connect()
        answer = self.ask("POST", "/proxies/redis", {"enabled": False})
        self.assert_answers(answer, 200, {**REDIS, "enabled": False})
        self.assertIsNotNone(service.lost)
        self.assertFalse(self.is_up(26379))
        self.reactor.listenTCP(26379, self.behind)
        answer = self.ask("POST", "/proxies/redis", {"enabled": True})
        self.assert_refused(answer, 500, IN_USE)
        self.assertFalse(self.ask("GET", "/proxies/redis").json["enabled"])

    def test_a_disabled_proxy_is_changed(self) -> None:
        """It stays disabled, unless it is enabled, too."""
        self.create(enabled=False)
        change: dict[str, Any] = {"listen": "127.0.0.1:7000"}
        answer = self.ask("PATCH", "/proxies/redis", change)
        self.assert_answers(answer, 200, {**REDIS, **change, "enabled": False})
        self.assertFalse(self.is_up(7000))
        change = {"listen": "127.0.0.1:7001", "enabled": True}
        self.assert_answers(self.ask("PATCH", "/proxies/redis", change), 200, {**REDIS, **change})
        self.assertTrue(self.is_up(7001))

    def test_a_service_that_cannot_be_reached(self) -> None:
        """The client's connection is closed, not reset."""
        self.create(upstream="127.0.0.1:9")
        client = self.reactor.connect_peer(26379)
        self.reactor.advance(0)
        self.assertTrue(client.got_eof)

    def test_other_services_are_no_proxies(self) -> None:
        """Those without an upstream are not shown, and keep their names."""
        fixed = {"name": "fixed", "listen": 7000, "response": "yes"}
        self.assertEqual(self.ask("POST", "/api/services", fixed).status, 201)
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})
        self.assert_refused(self.ask("GET", "/proxies/fixed"), 404, "proxy not found")
        named = {**REDIS, "name": "fixed"}
        self.assert_refused(self.ask("POST", "/proxies", named), 409, "proxy already exists")
        answer = self.ask("POST", "/populate", [named])
        self.assertEqual((answer.status, answer.error), (409, "proxy already exists"))

    def test_services_that_forward_are_proxies(self) -> None:
        """Wherever they come from."""
        relay = {"name": "redis", "listen": "tcp:26379:interface=127.0.0.1"}
        relay["upstream"] = "127.0.0.1:6379"
        self.assertEqual(self.ask("POST", "/api/services", relay).status, 201)
        self.assert_answers(self.ask("GET", "/proxies/redis"), 200, REDIS)
        change = {"upstream": "localhost:6379"}
        self.assert_answers(self.ask("PATCH", "/proxies/redis", change), 200, {**REDIS, **change})
        definition = self.ask("GET", "/api/services/redis").json["definition"]
        self.assertEqual(definition["upstream"], {"address": "localhost:6379"})


class PopulateTests(ProxiedCase):
    """Many proxies at once."""

    def test_proxies_are_created_once(self) -> None:
        """Those that are there stay as they are, with their toxics and connections."""
        one = {"name": "one", "listen": "localhost:7000", "upstream": "localhost:6379"}
        two = {**one, "name": "two", "listen": "localhost:7001", "enabled": False}
        shown = [
            {**REDIS, **one, "listen": "127.0.0.1:7000"},
            {**REDIS, **two, "listen": "localhost:7001"},
        ]
        answer = self.ask("POST", "/populate", [one, two])
        self.assert_answers(answer, 201, {"proxies": shown})
        self.assertEqual((self.is_up(7000), self.is_up(7001)), (True, False))
        self.ask(
            "POST", "/proxies/one/toxics", {"type": "latency", "attributes": {"latency": 1000}}
        )
        _, service = self.connect(7000)
        answer = self.ask("POST", "/populate", [one, {**two, "upstream": "localhost:1"}])
        shown[0]["toxics"] = [LATENCY]
        shown[1]["upstream"] = "localhost:1"
        self.assert_answers(answer, 201, {"proxies": shown})
        self.assertIsNone(service.lost)

    def test_one_that_is_different_is_replaced(self) -> None:
        """It has no toxics then."""
        self.create()
        self.add("latency", latency=1000)
        changed = {**REDIS, "listen": "127.0.0.1:7000"}
        answer = self.ask("POST", "/populate", [changed])
        self.assert_answers(answer, 201, {"proxies": [changed]})
        self.assertEqual((self.is_up(26379), self.is_up(7000)), (False, True))

    def test_one_that_cannot_be_replaced(self) -> None:
        """It stays as it is, with its toxics."""
        self.create()
        self.add("latency", latency=1000)
        self.reactor.listenTCP(7000, self.behind)
        answer = self.ask("POST", "/populate", [{**REDIS, "listen": "127.0.0.1:7000"}])
        error = "listen tcp 127.0.0.1:7000: bind: address already in use"
        self.assert_answers(answer, 500, {"error": error, "status": 500, "proxies": []})
        self.assert_answers(self.ask("GET", "/proxies/redis"), 200, {**REDIS, "toxics": [LATENCY]})
        self.assertTrue(self.is_up(26379))

    def test_one_that_forwards_elsewhere_ends_its_connections(self) -> None:
        """Its toxics are gone, too."""
        self.create()
        self.add("latency", latency=1000)
        _, service = self.connect()
        changed = {**REDIS, "upstream": "localhost:6379"}
        answer = self.ask("POST", "/populate", [changed])
        self.assert_answers(answer, 201, {"proxies": [changed]})
        self.assertIsNotNone(service.lost)

    def test_fields_are_checked_before(self) -> None:
        """Nothing is created then."""
        for bad, error in (
            ({**REDIS, "name": ""}, "missing required field: name at proxy 2"),
            ({"name": "x"}, "missing required field: upstream at proxy 2"),
            ({"name": []}, "bad request body: name: expected a string, found an array"),
        ):
            refusal = {"error": error, "status": 400, "proxies": []}
            self.assert_answers(self.ask("POST", "/populate", [REDIS, bad]), 400, refusal)
        answer = self.ask("POST", "/populate", {})
        self.assertEqual(
            (answer.status, answer.error), (400, "bad request body: expected an array")
        )
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})
        self.assert_answers(self.ask("POST", "/populate", body=b"null"), 201, {"proxies": []})

    def test_one_that_cannot_be(self) -> None:
        """Those before it were made, and are shown; those after it were not."""
        two, three = ({**REDIS, "name": name} for name in ("two", "three"))
        answer = self.ask("POST", "/populate", [REDIS, {**two, "listen": "local373"}, three])
        error = "listen tcp: address local373: missing port in address"
        self.assert_answers(answer, 500, {"error": error, "status": 500, "proxies": [REDIS]})
        self.assert_answers(self.ask("GET", "/proxies"), 200, {"redis": REDIS})


class ResetTests(ProxiedCase):
    """``/reset``."""

    def test_all_is_enabled_and_no_toxic_is_left(self) -> None:
        """Other services are not touched; journals and connections stay."""
        self.create()
        self.create("other", listen="localhost:7000", enabled=False)
        self.add("latency", latency=1000)
        _, service = self.connect()
        position = self.services["redis"].journal.position
        with capturedLogs() as logs:
            answer = self.ask("POST", "/reset")
        self.assertEqual((answer.status, answer.data), (204, b""))
        texts = [eventAsText(it, includeTimestamp=False, includeSystem=False) for it in logs]
        for name in ("redis", "other"):
            self.assertEqual(texts.count(f"{name}: proxy reset"), 1)
        self.assert_answers(self.ask("GET", "/proxies/redis"), 200, REDIS)
        self.assertTrue(self.is_up(7000))
        self.assertIsNone(service.lost)
        self.assertGreaterEqual(self.services["redis"].journal.position, position)

    def test_one_that_cannot_listen(self) -> None:
        """The error says why."""
        self.create(enabled=False)
        self.reactor.listenTCP(26379, self.behind)
        self.assert_refused(self.ask("POST", "/reset"), 500, IN_USE)
