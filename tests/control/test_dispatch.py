"""Dispatch: what any client gets, whatever it sends."""

import json
from typing import Any

from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.web.resource import Resource

from reqresp._errors import FieldError, Problem, ProblemsError, expect
from reqresp.control._guard import Guard
from reqresp.control._hosts import AllowedHosts
from reqresp.control._limited_site import LimitedSite
from reqresp.control.dispatch import Dispatcher
from reqresp.control.errors import MAX_ERROR, ApiError
from reqresp.control.routes import Call, Content, Route
from tests.support.asked import Answer, Asked, parse_answer

#: The bytes of a body that the site of these tests accepts.
MAX_BODY = 1000

JSON = {"Content-Type": "application/json"}


@frozen(kw_only=True)
class Number:
    """A body with a number up to 9."""

    number: int = field(validator=expect("a number up to 9", lambda it: it < 10))
    note: str | None = None


@frozen(kw_only=True)
class Filter:
    """A query."""

    after: int = 0
    miss: bool = False
    share: float = 0.0
    text: str = ""


class Page(Resource):
    """A resource of Twisted."""

    def render_GET(self, _request: Any) -> bytes:  # noqa: N802, Twisted's name
        return b"<p>"


class Dispatched(Asked):
    """A site with a few routes."""

    token: str | None = None

    def make_site(self) -> LimitedSite:
        self.calls: list[Call] = []
        self.later: Deferred[Any] = Deferred()
        routes = [
            Route(
                method="GET", path="/things", answer=self.list, summary="", query=Filter, reply={}
            ),
            Route(
                method="POST",
                path="/things",
                answer=self.add,
                summary="",
                status=201,
                body=Number,
                reply={},
            ),
            Route(
                method="GET", path="/things/{name}/{id:int}", answer=self.list, summary="", reply={}
            ),
            Route(method="DELETE", path="/things", answer=self.nothing, summary="", status=204),
            Route(method="GET", path="/later", answer=lambda _: self.later, summary="", reply={}),
            Route(method="GET", path="/closed", answer=self.page, summary="", reply={}),
            Route(method="POST", path="/fail", answer=self.fail_with, summary="", reply={}),
        ]
        guard = Guard(AllowedHosts(), self.token)
        children = {b"page": Page()}
        dispatcher = Dispatcher(routes, guard, MAX_BODY, children, [b"page"])
        return LimitedSite(dispatcher, self.reactor, MAX_BODY, guard.allows)

    def list(self, call: Call) -> Any:
        self.calls.append(call)
        return {"name": call.path.get("name"), "id": call.path.get("id")}

    def add(self, call: Call) -> Any:
        self.calls.append(call)
        return {"number": call.body.number}

    def nothing(self, call: Call) -> None:
        self.calls.append(call)

    def page(self, _call: Call) -> Any:
        return Content(503, b"closed\n", "text/plain")

    def fail_with(self, _call: Call) -> Any:
        raise self.error

    error: Exception = ZeroDivisionError("secret")


class AnswerTests(Dispatched):
    """What a route answers."""

    def test_json(self) -> None:
        """A value is JSON in ASCII, with its length, and is not to be stored or guessed at."""
        found = self.ask("GET", "/things/%C3%A9%2Fx/7?")
        self.assertEqual((found.status, found.json), (200, {"name": "é/x", "id": 7}))
        self.assertEqual(found.data, b'{"name":"\\u00e9/x","id":7}')
        headers = {name: found.headers[name] for name in ("Content-Type", "Cache-Control")}
        self.assertEqual(headers, {"Content-Type": "application/json", "Cache-Control": "no-store"})
        self.assertEqual(found.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(int(found.headers["Content-Length"]), len(found.data))

    def test_a_created_thing(self) -> None:
        """A route has its own status of success."""
        found = self.ask("POST", "/things", {"number": 3})
        self.assertEqual((found.status, found.json), (201, {"number": 3}))

    def test_no_content(self) -> None:
        """A route without content is 204, and has neither a length nor a type."""
        found = self.ask("DELETE", "/things")
        self.assertEqual((found.status, found.data), (204, b""))
        self.assertNotIn("Content-Type", found.headers)
        self.assertNotIn("Content-Length", found.headers)

    def test_other_content(self) -> None:
        """A route can answer with text, and another status."""
        found = self.ask("GET", "/closed")
        self.assertEqual((found.status, found.data), (503, b"closed\n"))
        self.assertEqual(found.headers["Content-Type"], "text/plain")

    def test_head(self) -> None:
        """HEAD has the status and the headers of GET, and no body."""
        for path in ("/things", "/closed", "/no", "/things?no=1"):
            get, head = self.ask("GET", path), self.ask("HEAD", path)
            self.assertEqual((head.status, head.data), (get.status, b""))
            self.assertEqual(head.headers["Content-Length"], get.headers["Content-Length"])

    def test_an_answer_that_takes_time(self) -> None:
        """A Deferred is answered when it has its value."""
        wire = self.begin("GET", "/later")
        self.assertEqual(wire.received(), b"")
        self.later.callback({"done": True})
        wire.turn()
        self.assertEqual(parse_answer(wire.received()).json, {"done": True})
        self.assertTrue(wire.got_eof)

    def test_an_answer_that_takes_time_and_fails(self) -> None:
        """A Deferred that fails is an error as any other."""
        wire = self.begin("GET", "/later")
        self.later.errback(FieldError("timeout", "expected seconds"))
        wire.turn()
        found = parse_answer(wire.received())
        self.assertEqual((found.status, found.error), (422, "timeout: expected seconds"))

    def test_a_client_that_leaves_before_its_answer(self) -> None:
        """A client that has gone gets nothing, and nothing is logged about it."""
        for result in ({"done": True}, FieldError("timeout", "expected seconds")):
            self.later = Deferred()
            wire = self.begin("GET", "/later")
            wire.reset()
            wire.turn()
            self.later.callback(result) if isinstance(result, dict) else self.later.errback(result)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_resource_of_twisted(self) -> None:
        """Other paths are found among resources, by their first segment."""
        self.assertEqual(self.ask("GET", "/page").data, b"<p>")
        self.assertEqual(self.ask("HEAD", "/page").data, b"")
        found = self.ask("POST", "/page")
        self.assertEqual((found.status, found.headers["Allow"]), (405, "GET, HEAD"))


class QueryTests(Dispatched):
    """The query of a request."""

    def test_values(self) -> None:
        """Each value has the type of its parameter."""
        self.ask("GET", "/things?after=12&miss=true&share=0.5&text=a%20b")
        self.assertEqual(self.calls[0].query, Filter(after=12, miss=True, share=0.5, text="a b"))

    def test_wrong_values(self) -> None:
        """All problems are reported at once, each with the parameter's name."""
        found = self.ask("GET", "/things?after=x&miss=1&share=inf&aftr=3&text=a&text=b")
        self.assertEqual(found.status, 422)
        problems = {it["path"]: it["problem"] for it in found.json["problems"]}
        self.assertEqual(
            problems,
            {
                "aftr": "unknown parameter 'aftr'; did you mean after?",
                "text": "expected one value, found 2",
                "after": "expected a 64-bit integer, found 'x'",
                "miss": "expected true or false, found '1'",
                "share": "expected a number up to 1000000000, found 'inf'",
            },
        )
        self.assertEqual(found.error, f"aftr: {problems['aftr']} (and 4 more)")

    def test_very_many_problems(self) -> None:
        """The number of problems is bounded."""
        found = self.ask("GET", "/things?" + "&".join(f"x{i}" for i in range(500)) + "=")
        self.assertEqual(found.status, 422)
        self.assertLessEqual(len(found.json["problems"]), 101)


class BodyTests(Dispatched):
    """The body of a request."""

    def post(self, body: bytes, **headers: str) -> Answer:
        return self.ask("POST", "/things", body=body, **{**JSON, **headers})

    def test_a_charset(self) -> None:
        """A content type may have parameters."""
        found = self.post(b'{"number": 1}', Content_Type="Application/JSON; charset=utf-8")
        self.assertEqual(found.status, 201)

    def test_other_content_types(self) -> None:
        """Another type, or none, is 415: a form on a web site can send three other types."""
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": 'application/json"'},
            {},
        ):
            found = parse_answer(self.begin("POST", "/things", b"{}", headers).received())
            self.assertEqual(found.status, 415)
            self.assertIn("expected the header Content-Type: application/json", found.error)
        self.assertEqual(self.ask("DELETE", "/things", Content_Type="text/plain").status, 415)
        self.assertEqual(self.calls, [])

    def test_no_json(self) -> None:
        """What is not JSON is 400, and one line says where."""
        for body, error in {
            b"": "invalid JSON: Expecting value, at line 1, column 1",
            b"{": "invalid JSON: Expecting property name enclosed in double quotes, at line 1,"
            " column 2",
            b"\xff": "expected JSON in UTF-8",
            b"[NaN]": "invalid JSON: expected a number, found 'NaN'",
            b"[-1e999]": "invalid JSON: expected a number of 64 bits, found '-1e999'",
            b'"\\ud800"': "expected JSON without surrogates that stand alone",
            b"[" * 900: "JSON",
            b'{"number": 1, "note": {"a": 1, "a": 1}}': "expected each key once in an object,"
            " found 'a' twice",
            b"[" * 60 + b"]" * 60: "expected JSON, found too many levels",
        }.items():
            found = self.post(body)
            self.assertEqual(found.status, 400, body)
            self.assertIn(error, found.error)

    def test_values_of_other_types(self) -> None:
        """Wrong types, huge numbers, unknown and missing keys are 422, all at once."""
        for body, problems in {
            b"[]": {"": "expected an object, found an array"},
            b"null": {"": "expected an object, found null"},
            b'{"number": "1"}': {"number": "expected a 64-bit integer, found '1'"},
            b'{"number": 1e300}': {
                "number": "expected a 64-bit integer, found a number of more than 64 bits"
            },
            b'{"number": true}': {"number": "expected a 64-bit integer, found true"},
            b'{"number": 10}': {"number": "expected a number up to 9, found 10"},
            b'{"nunber": 1}': {
                "nunber": "unknown key 'nunber'; did you mean number?",
                "number": "the key is missing",
            },
        }.items():
            found = self.post(body)
            self.assertEqual(found.status, 422, body)
            self.assertEqual({it["path"]: it["problem"] for it in found.json["problems"]}, problems)

    def test_numbers(self) -> None:
        """A whole number is an integer, however it is written."""
        self.assertEqual(self.post(b'{"number": 2.0}').json, {"number": 2})

    def test_a_body_that_is_too_large(self) -> None:
        """A larger body is 413, whether its size is announced or found; nothing is kept of it."""
        self.assertEqual(self.post(b" " * (MAX_BODY - 13) + b'{"number": 1}').status, 201)
        self.assertEqual(self.post(b" " * MAX_BODY + b'{"number": 1}').status, 413)
        wire = self.begin("POST", "/things", headers=JSON | {"Transfer-Encoding": "chunked"})
        for _ in range(100):
            wire.send(b"40\r\n" + b" " * 64 + b"\r\n")
        self.assertEqual(parse_answer(wire.received()).status, 413)
        self.assertTrue(wire.got_eof)
        self.assertFalse(wire.got_reset)

    def test_a_body_of_a_refused_request(self) -> None:
        """A request that its headers refuse is answered before its body, of any size."""
        for length in ("13", "5000"):
            headers = JSON | {"Host": "evil.example", "Content-Length": length}
            wire = self.begin("POST", "/things", headers=headers)
            self.assertEqual(parse_answer(wire.received()).status, 403)
            self.assertTrue(wire.got_eof)
        headers = JSON | {"Origin": "http://evil.example", "Transfer-Encoding": "chunked"}
        wire = self.begin("POST", "/things", headers=headers)
        self.assertEqual(parse_answer(wire.received()).status, 403)

    def test_a_body_in_chunks(self) -> None:
        """A body may come in chunks."""
        wire = self.begin("POST", "/things", headers=JSON | {"Transfer-Encoding": "chunked"})
        wire.send(b"d\r\n", b'{"number": 1}', b"\r\n0\r\n\r\n")
        self.assertEqual(parse_answer(wire.received()).status, 201)

    def test_a_body_in_pieces(self) -> None:
        """A request is answered when its body is complete, and what follows is dropped."""
        wire = self.begin("POST", "/things", headers=JSON | {"Content-Length": "13"})
        wire.send(b'{"number"')
        self.assertEqual(wire.received(), b"")
        wire.send(b": 1}DELETE /things HTTP/1.1\r\n\r\n", b"x" * 5000)
        self.assertEqual(wire.received().count(b"HTTP/1.1"), 1)
        self.assertEqual(len(self.calls), 1)

    def test_a_client_that_awaits_permission(self) -> None:
        """A client that expects 100 gets it, unless its body is too large."""
        headers = JSON | {"Content-Length": "13", "Expect": "100-continue"}
        wire = self.begin("POST", "/things", headers=headers)
        self.assertEqual(wire.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(b'{"number": 1}')
        self.assertEqual(parse_answer(wire.received()).status, 201)
        headers["Content-Length"] = "5000"
        self.assertEqual(
            parse_answer(self.begin("POST", "/things", headers=headers).received()).status, 413
        )

    def test_a_body_where_none_is_expected(self) -> None:
        """A body that a route does not expect is 400 unless it is {}; one of GET is dropped."""
        found = self.ask("DELETE", "/things", {"a": 1})
        self.assertEqual((found.status, found.error), (400, "expected no body, or {}"))
        self.assertEqual(self.ask("DELETE", "/things", {}).status, 204)
        self.assertEqual(self.ask("GET", "/things", body=b"{").status, 200)

    def test_malformed_lengths(self) -> None:
        """A length that is no number, or has thousands of digits, is 400; nothing is logged."""
        for line in ("Content-Length: x", f"Content-Length: {'9' * 5000}", "Transfer-Encoding: x"):
            with capturedLogs() as logs:
                wire = self.visit()
                wire.send(f"POST /things HTTP/1.1\r\n{line}\r\nHost: it\r\n\r\n{{}}".encode())
            self.assertTrue(wire.received().startswith(b"HTTP/1.1 400 "), line[:30])
            self.assertTrue(wire.got_eof)
            self.assertEqual(list(logs), [])

    @given(
        st.binary(max_size=200)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(lambda it: json.dumps(it).encode())
    )
    @settings(max_examples=25, deadline=None)
    def test_any_body(self, body: bytes) -> None:
        """Whatever the body is, the answer is JSON, with a status below 500."""
        found = self.post(body)
        self.assertIn(found.status, (201, 400, 413, 422))
        self.assertIsInstance(found.json, dict)


class PathTests(Dispatched):
    """Paths and methods."""

    def test_no_path(self) -> None:
        """An unknown path is 404, in JSON, which names it with escapes, and a similar one."""
        for path in (
            *("/", "/thing", "/things/", "//things", "/things/a/x", "/things/a/-1", "/things//1"),
            *("/things/%ff/1", "things", "page", "http://it/things", "/no/../things"),
            f"/things/a/{'9' * 19}",
        ):
            found = self.ask("GET", path)
            self.assertEqual((found.status, found.json["problems"]), (404, []), path)
            self.assertTrue(found.error.startswith(f"unknown path {path[:40]!r}"[:-1]), found.error)
        found = self.ask("GET", "/thigns")
        self.assertEqual(found.error, "unknown path '/thigns'; did you mean /things?")

    def test_other_methods(self) -> None:
        """A known path with another method is 405, and ``Allow`` has those that it knows."""
        for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get"):
            found = self.ask(method, "/things")
            self.assertEqual(found.status, 405, method)
            self.assertEqual(found.headers["Allow"], "DELETE, GET, HEAD, POST")
        self.assertEqual(self.ask("POST", "/later").headers["Allow"], "GET, HEAD")


class OriginTests(Dispatched):
    """Requests that a browser sends for another site."""

    def test_another_host(self) -> None:
        """A name in ``Host`` that may be another site's is 403, on every path."""
        for path in ("/things", "/closed", "/page", "/no"):
            found = self.ask("GET", path, Host="evil.example:8474")
            self.assertEqual(found.status, 403, path)
            self.assertEqual(
                found.error,
                "host 'evil.example' not allowed: it could be another site's name; if it is this"
                " server's, pass --http-host evil.example",
            )

    def test_another_origin(self) -> None:
        """A page of another origin is 403, one of this site is not."""
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "", "127.0.0.1:8474"):
            found = self.ask("POST", "/things", {"number": 1}, Origin=origin)
            self.assertEqual(found.status, 403, origin)
        self.assertEqual(self.calls, [])
        own = "http://127.0.0.1:8474"
        self.assertEqual(self.ask("POST", "/things", {"number": 1}, Origin=own).status, 201)

    def test_what_a_browser_says_of_a_request(self) -> None:
        """Pictures and scripts on another site are 403; a link to the page may be there."""
        for site in ("cross-site", "same-site"):
            self.assertEqual(self.ask("GET", "/things", Sec_Fetch_Site=site).status, 403)
            link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
            self.assertEqual(
                parse_answer(self.begin("GET", "/page", None, link).received()).status, 200
            )
            self.assertEqual(
                parse_answer(self.begin("POST", "/things", b"", link).received()).status, 403
            )
        for site in ("same-origin", "none"):
            self.assertEqual(self.ask("GET", "/things", Sec_Fetch_Site=site).status, 200)


class TokenTests(Dispatched):
    """A site that demands a token."""

    token = "s3cret"  # noqa: S105 (not a real one)

    def test_the_token(self) -> None:
        """A request with the token is answered, any other is 401."""
        for value in ("Bearer s3cret", "bearer  s3cret"):
            self.assertEqual(self.ask("GET", "/things", Authorization=value).status, 200)
        for value in (
            "Bearer s3cre",
            "Bearer s3crett",
            "s3cret",
            "Basic s3cret",
            "Bearer",
            "Bearer é",
        ):
            found = self.ask("GET", "/things", Authorization=value)
            self.assertEqual(found.status, 401, value)
            self.assertEqual(found.headers["WWW-Authenticate"], "Bearer")
        self.assertEqual(self.ask("GET", "/things").status, 401)

    def test_a_body_without_the_token(self) -> None:
        """A request without the token is answered before its body."""
        wire = self.begin("POST", "/things", headers=JSON | {"Content-Length": "13"})
        self.assertEqual(parse_answer(wire.received()).status, 401)

    def test_what_is_public(self) -> None:
        """Public paths need no token, and nothing tells which others exist."""
        self.assertEqual(self.ask("GET", "/page").status, 200)
        self.assertEqual(self.ask("GET", "/no").status, 401)
        self.assertEqual(self.ask("PUT", "/things").status, 401)


class ErrorTests(Dispatched):
    """Errors of routes."""

    def fails(self, error: Exception) -> Answer:
        self.error = error
        return self.ask("POST", "/fail")

    def test_problems(self) -> None:
        """Problems have their lines and paths; the error is the first of them."""
        problems = (
            Problem("it.toml", 3, "rule[0].reply", "wrong"),
            Problem("it.toml", None, "", "x"),
        )
        found = self.fails(ProblemsError(*problems))
        self.assertEqual(found.status, 422)
        self.assertEqual(
            found.json,
            {
                "error": "line 3: rule[0].reply: wrong (and 1 more)",
                "problems": [
                    {"line": 3, "path": "rule[0].reply", "problem": "wrong"},
                    {"line": None, "path": "", "problem": "x"},
                ],
            },
        )

    def test_the_text_is_printable_and_bounded(self) -> None:
        """An error is one printable line of a bounded length."""
        found = self.fails(ApiError(409, "a\nb\x1b[2J\u202e" + "x" * 5000))
        self.assertEqual(found.status, 409)
        self.assertTrue(found.error.startswith(r"a\nb\x1b[2J\u202exxx"))
        self.assertTrue(found.error.isprintable())
        self.assertLess(len(found.error), MAX_ERROR + 20)

    def test_an_error_of_ours(self) -> None:
        """An error in our code is logged, and not shown."""
        found = self.fails(ZeroDivisionError("secret"))
        self.assertEqual(found.status, 500)
        self.assertNotIn(b"secret", found.data)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nothing_of_a_client_is_logged(self) -> None:
        """Refused requests are not logged."""
        with capturedLogs() as logs:
            self.ask("GET", "/no\x1b[2J")
            self.ask("PUT", "/things", {"evil": "\x1b"})
            self.ask("POST", "/things", body=b"evil", Content_Type="application/json")
            self.ask("GET", "/things?evil=1", Host="evil.example")
        self.assertEqual(list(logs), [])
