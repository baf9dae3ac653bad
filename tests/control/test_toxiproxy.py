"""The paths of toxiproxy over HTTP: what is the same for all of them."""

from typing import Any

from twisted.logger import capturedLogs

from reqresp.services.registry import Services
from tests.support.proxied_services import ProxiedCase


class HttpTests(ProxiedCase):
    """What is the same for every path."""

    def test_the_version(self) -> None:
        """Clients read it as it stands."""
        answer = self.ask("GET", "/version")
        self.assertEqual((answer.status, answer.data), (200, b'{"version": "2.12.0"}\n'))
        self.assertEqual(answer.headers["Content-Type"], "application/json;charset=utf-8")

    def test_each_response_has_an_identifier(self) -> None:
        """Each has another one."""
        ids = [self.ask("GET", "/version").headers["X-Toxiproxy-Request-Id"] for _ in "ab"]
        self.assertEqual([len(it) for it in ids], [20, 20])
        self.assertNotEqual(*ids)

    def test_a_browser_is_refused(self) -> None:
        """By its name, as in toxiproxy, and by the origin of its request."""
        answer = self.ask("GET", "/proxies", User_Agent="Mozilla/5.0 (X11)")
        self.assertEqual((answer.status, answer.data), (403, b"User agent not allowed\n"))
        self.assertEqual(self.ask("GET", "/proxies", User_Agent="Wget/2.1").status, 200)
        self.assertEqual(self.ask("POST", "/reset", Origin="http://evil.example").status, 403)
        self.assertEqual(self.ask("POST", "/reset", Host="evil.example").status, 403)

    def test_no_content_type_is_needed(self) -> None:
        """curl -d sends that of a form."""
        for content_type in ("application/x-www-form-urlencoded", "text/plain"):
            answer = self.ask(*("POST", "/populate"), body=b"[]", Content_Type=content_type)
            self.assert_answers(answer, 201, {"proxies": []})

    def test_other_paths_and_methods(self) -> None:
        """They are 404 and 405."""
        self.create()
        for path in (
            "/proxies/",
            "/proxies/redis/",
            "/proxies/redis/toxic",
            "/proxies/redis/toxics/a/b",
            "/version/x",
            "/reset/",
        ):
            answer = self.ask("GET", path)
            self.assertEqual((answer.status, answer.data), (404, b"404 page not found\n"), path)
        for method, path, allowed in (
            ("DELETE", "/proxies", "GET, POST"),
            ("GET", "/reset", "POST"),
            ("HEAD", "/version", "GET"),
            ("PUT", "/proxies/redis", "DELETE, GET, PATCH, POST"),
            ("PATCH", "/proxies/redis/toxics", "GET, POST"),
        ):
            answer = self.ask(method, path)
            self.assertEqual((answer.status, answer.data), (405, b""), path)
            self.assertEqual(answer.headers["Allow"], allowed)

    def test_bodies_that_are_not_usable(self) -> None:
        """They are 400 wherever a body is read."""
        self.create()
        self.add("latency")
        for method, path in (
            ("POST", "/proxies"),
            ("POST", "/populate"),
            ("POST", "/proxies/redis"),
            ("PATCH", "/proxies/redis"),
            ("POST", "/proxies/redis/toxics"),
            ("POST", "/proxies/redis/toxics/latency_downstream"),
            ("PATCH", "/proxies/redis/toxics/latency_downstream"),
        ):
            self.assert_refused(self.ask(method, path), 400, "bad request body: EOF")
            answer = self.ask(method, path, body=b"{")
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.error.startswith("bad request body: invalid JSON: "), answer)
            for value in ("x", 5, True):
                answer = self.ask(method, path, value)
                self.assertEqual(answer.status, 400)
                self.assertIn("bad request body: expected an ", answer.error)

    def test_what_does_not_exist(self) -> None:
        """It is 404, whatever the body is."""
        for path in ("/proxies/no", "/proxies/no/toxics", "/proxies/no/toxics/a"):
            for body in (b"", b"{", b"5"):
                answer = self.ask("POST", path, body=body)
                self.assert_refused(answer, 404, "proxy not found")
        self.create()
        for method in ("POST", "PATCH"):
            answer = self.ask(method, "/proxies/redis/toxics/no", body=b"{")
            self.assert_refused(answer, 404, "toxic not found")

    def test_a_number_that_is_too_large(self) -> None:
        """It is a problem of the body, for no float can have it."""
        self.create()
        body = b'{"type": "latency", "attributes": {"latency": 1e999}}'
        answer = self.ask("POST", "/proxies/redis/toxics", body=body)
        error = "bad request body: invalid JSON: expected a number of 64 bits, found '1e999'"
        self.assert_refused(answer, 400, error)

    def test_an_error_of_ours(self) -> None:
        """It is logged, and the client gets one line without it."""

        class Broken(Services):
            def __iter__(self) -> Any:
                raise RuntimeError("it is broken")

        self.services.__class__ = Broken
        with capturedLogs() as logged:
            answer = self.ask("GET", "/proxies")
        self.assert_refused(answer, 500, "internal error; see the log of the server")
        self.assertEqual(len(logged), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_client_that_has_gone(self) -> None:
        """Nothing is written to it, and the change is made."""
        self.create()
        wire = self.begin("DELETE", "/proxies/redis")
        wire.reset()
        self.reactor.advance(0)
        self.assert_answers(self.ask("GET", "/proxies"), 200, {})
