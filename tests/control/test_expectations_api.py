"""The routes of expectations: what is expected, what has come, and the verdict."""

import json
from typing import Any

from reqresp.control._channel import REQUEST_TIMEOUT
from tests.support.asked import Answer, parse_answer
from tests.support.controlled import SERVICES, Controlled
from tests.support.wire import Wire

SMTP = "/api/services/smtp"
EXPECTATIONS = f"{SMTP}/expectations"
RELAY = """
[[service]]
name = "relay"
listen = "tcp:2527:interface=127.0.0.1"
upstream = "127.0.0.1:6379"
"""


class ExpectationsTests(Controlled):
    """The expectations of a service."""

    services_text = SERVICES + RELAY

    def add(self, **table: Any) -> int:
        """Add an expectation; return its id."""
        found = self.ask("POST", EXPECTATIONS, {"kind": "expect", **table})
        self.assertEqual(found.status, 201, found.data)
        number: int = found.json["id"]
        return number

    def later(self, path: str, body: Any, seconds: int = 2) -> Answer:
        """Send a request that may take *seconds*; return the response."""

        wire = self.begin(
            "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        for _ in range(seconds * 20):
            self.reactor.advance(0.05)
        return parse_answer(wire.received())

    def test_add(self) -> None:
        """An expectation answers open connections, before the script does, and counts."""
        wire = self.converse(b"EHLO x\n")
        wire.received()
        number = self.add(starts_with="EHLO", reply="250 expected", times=2)
        wire.send(b"EHLO x\n")
        self.assertEqual(wire.received(), b"250 expected\r\n")
        [listed] = self.get(EXPECTATIONS)["expectations"]
        self.assertEqual((listed["id"], listed["received"], listed["met"]), (number, 1, False))
        self.assertEqual((listed["kind"], listed["starts_with"]), ("expect", "EHLO"))

    def test_remove_replace_and_clear(self) -> None:
        """Expectations are replaced until they have answered, removed, and cleared."""
        number = self.add(equals="a", reply="A")
        path = f"{EXPECTATIONS}/{number}"
        changed = {"kind": "on", "equals": "a", "reply": "B"}
        self.assertEqual(self.ask("PUT", path, changed).status, 204)
        self.assertEqual(self.converse(b"a\n").received(), b"220 ready\r\nB\r\n")
        self.assertEqual(self.ask("PUT", path, changed).status, 409)
        self.assertEqual(self.ask("DELETE", path).status, 204)
        for method, body in (("DELETE", None), ("PUT", changed)):
            found = self.ask(method, path, body)
            self.assert_refused(found, 404, f"no expectation has the id {number}")
        self.add(equals="a", reply="A")
        self.assertEqual(self.ask("DELETE", EXPECTATIONS).status, 204)
        self.assertEqual(self.get(EXPECTATIONS)["expectations"], [])

    def test_since_when(self) -> None:
        """The list says which entry is the first that counts."""
        self.assertEqual(self.get(EXPECTATIONS)["since"], 1)
        self.converse(b"a\n")
        self.ask("DELETE", EXPECTATIONS)
        since = self.get(EXPECTATIONS)["since"]
        self.assertEqual(since, self.services["smtp"].journal.position)

    def test_problems(self) -> None:
        """An expectation has the keys of a rule, and all of its problems are reported."""
        found = self.ask("POST", EXPECTATIONS, {"kind": "expects", "equals": 3, "repply": "x"})
        self.assertEqual(found.status, 422)
        paths = {it["path"] for it in found.json["problems"]}
        self.assertEqual(paths, {"expectation.kind", "expectation.equals", "expectation.repply"})

    def test_variables(self) -> None:
        """An expectation sets variables, which those that are added later can name."""
        for again in (False, True):
            if again:
                self.assertEqual(self.ask("DELETE", EXPECTATIONS).status, 204)
            unknown = {"kind": "on", "equals": "WHO", "reply": {"template": "<{user}>"}}
            self.assertEqual(self.ask("POST", EXPECTATIONS, unknown).status, 422)
            self.add(
                kind="on",
                matches="USER (?P<name>.*)",
                set={"user": "{name}"},
                cycle=[{"reply": "a", "set": {"count_": "{count}"}}, "b"],
            )
            self.add(kind="on", equals="WHO", reply={"template": "{count_}<{user}>"})
            wire = self.converse(b"WHO\n", b"USER ann\n", b"WHO\n", b"USER bob\n", b"WHO\n")
            self.assertEqual(wire.received(), b"220 ready\r\n<>\r\na\r\n1<ann>\r\nb\r\n1<bob>\r\n")

    def test_faults_that_begin_later(self) -> None:
        """After bytes or seconds of its own replies on a connection; others do not count."""
        self.add(
            kind="on",
            equals="a",
            reply="A",
            faults=[{"kind": "reset_peer", "after_bytes": 6}],
        )
        self.add(
            kind="on",
            cycle=[
                {"reply": "B", "faults": [{"kind": "reset_peer", "after": 2}]},
                {"reply": "C"},
            ],
        )
        wire = self.converse(b"b\n", b"c\n", b"a\n", b"a\n")
        self.assertEqual(wire.received(), b"220 ready\r\nB\r\nC\r\nA\r\nA\r\n")
        wire.send(b"a\n")
        self.assertTrue(wire.got_reset)
        wire = self.converse(b"b\n", b"c\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"220 ready\r\nB\r\nC\r\n")
        wire.send(b"b\n")
        self.assertTrue(wire.got_reset)
        found = self.ask(
            "POST",
            EXPECTATIONS,
            {"kind": "on", "reply": "x", "faults": [{"kind": "reset_peer", "after": -1}]},
        )
        self.assertEqual(found.json["problems"][0]["path"], "expectation.faults[0].after")

    def test_triggers(self) -> None:
        """An expectation can answer what is no request, with the keys of a rule."""
        self.add(kind="on", on="connect", reply="421 busy", times=1, close=True)
        timer = self.add(kind="on", every=2, times=2, reply={"template": "tick {count}"})
        busy, wire = self.connect(), self.connect()
        self.assertEqual((busy.received(), busy.got_eof), (b"421 busy\r\n", True))
        self.assertEqual(wire.received(), b"220 ready\r\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"tick 1\r\n")
        self.add(kind="on", every=1, reply="tock")
        wire.wait(1)
        self.assertEqual(wire.received(), b"tock\r\n")
        self.assertEqual(self.ask("DELETE", f"{EXPECTATIONS}/{timer}").status, 204)
        wire.wait(1)
        self.assertEqual(wire.received(), b"tock\r\n")
        self.assertEqual(self.ask("DELETE", EXPECTATIONS).status, 204)
        wire.wait(3)
        self.assertEqual(wire.received(), b"")

    def test_a_trigger_is_replaced(self) -> None:
        """One that has not answered becomes another, for clients that are connected."""
        number = self.add(kind="on", every=2, silent=True)
        wire = self.connect()
        wire.wait(2)
        changed = {"kind": "on", "every": 1, "reply": "tick"}
        self.assertEqual(self.ask("PUT", f"{EXPECTATIONS}/{number}", changed).status, 204)
        wire.wait(1)
        self.assertEqual(wire.received(), b"220 ready\r\ntick\r\n")

    def test_problems_of_triggers(self) -> None:
        """They are those of a rule; besides, nothing but requests can be expected."""
        for table, path in (
            ({"kind": "expect", "on": "idle", "reply": "x"}, "expectation.kind"),
            ({"kind": "on", "on": "idle", "equals": "a", "reply": "x"}, "expectation.equals"),
            ({"kind": "on", "on": "idle", "forward": True}, "expectation.forward"),
            ({"kind": "on", "on": "idle", "hold": True}, "expectation.hold"),
            ({"kind": "on", "on": "sometimes", "reply": "x"}, "expectation.on"),
            ({"kind": "on", "every": 0, "reply": "x"}, "expectation.every"),
            ({"kind": "on", "every": 1, "jitter": 2, "reply": "x"}, "expectation.jitter"),
        ):
            found = self.ask("POST", EXPECTATIONS, table)
            self.assertEqual(found.status, 422, table)
            self.assertIn(path, {it["path"] for it in found.json["problems"]})

    def test_the_verdict(self) -> None:
        """The verdict is that of the fixture, once clients had their time."""
        self.add(equals="a", reply="A")
        found = self.later(f"{SMTP}/verify", {})
        self.assertFalse(found.json["ok"])
        self.assertEqual(
            found.json["report"],
            "reqresp smtp: 1 unmet expectation\n  no client connected\n"
            'unmet: expect "a" (expectation 1): received 0 of 1',
        )
        self.converse(b"a\n").reset()
        found = self.later(f"{SMTP}/verify", {"timeout": 1, "strict": True})
        verdict = found.json
        conversation = verdict.pop("conversation")
        self.assertEqual(verdict, {"ok": True, "report": None, "unused": []})
        self.assertIn("#1 < b'a'  > b'A\\r\\n'  (expect, expectation 1)", conversation)

    def test_a_long_wait(self) -> None:
        """A client can wait for longer than a request may take otherwise."""
        self.add(equals="a", reply="A")
        seconds = round(REQUEST_TIMEOUT) + 5
        found = self.later(f"{SMTP}/verify", {"timeout": seconds}, seconds + 2)
        self.assertFalse(found.json["ok"])

    def test_requests(self) -> None:
        """Requests are found by predicates, those so far or once there are enough."""
        self.converse(b"EHLO x\n", b"EHLO \xff\n", b"DATA\n")
        found = self.later(f"{SMTP}/requests", {"starts_with": "EHLO"})
        requests = [it["data"] for it in found.json["requests"]]
        self.assertEqual(requests, ["EHLO x", {"base64": "RUhMTyD/"}])
        self.assertEqual(found.json["requests"][0]["connection"], 1)
        found = self.later(f"{SMTP}/requests", {"equals": "x", "times": 1, "timeout": 1})
        self.assertEqual(found.json, {"requests": []})
        for body in ({"reply": "x"}, {"equals": 3}, {"times": -1}, {"timeout": 9999}):
            self.assertEqual(self.ask("POST", f"{SMTP}/requests", body).status, 422, body)

    def test_a_verdict_without_a_body(self) -> None:
        """It is that of the defaults."""
        wire = self.begin("POST", f"{SMTP}/verify")
        for _ in range(10):
            self.reactor.advance(0.2)
        self.assertTrue(parse_answer(wire.received()).json["ok"])
        self.assertEqual(self.begin("POST", f"{SMTP}/requests").received()[:12], b"HTTP/1.1 415")

    def test_a_client_that_leaves(self) -> None:
        """Nothing is waited for any more."""
        self.add(equals="never", reply="x")
        self.reactor.advance(REQUEST_TIMEOUT)
        calls = self.reactor.getDelayedCalls
        for path, body in (
            (f"{SMTP}/requests", b'{"equals": "x", "times": 1, "timeout": 600}'),
            (f"{SMTP}/verify", b'{"timeout": 600}'),
        ):
            for leave in (Wire.reset, Wire.send_eof):
                before = len(calls())
                wire = self.begin("POST", path, body, {"Content-Type": "application/json"})
                self.reactor.advance(1)
                self.assertGreater(len(calls()), before)
                leave(wire)
                self.reactor.advance(1)
                self.assertEqual(len(calls()), before)

    def test_a_service_that_knows_no_requests(self) -> None:
        """A relay has no expectations: it knows no requests."""
        path = "/api/services/relay"
        body = {"kind": "expect", "equals": "a"}
        self.assertEqual(self.ask("POST", f"{path}/expectations", body).status, 409)
        self.assertEqual(self.ask("POST", f"{path}/requests", {"equals": "a"}).status, 409)
        self.assertEqual(self.get(f"{path}/expectations")["expectations"], [])

    def test_a_request_that_waits(self) -> None:
        """It is found while it waits, and answered on its connection with a rule's keys."""
        self.add(starts_with="ASK", hold=True, reply="wait", kind="on")
        self.add(equals="QUIT", hold=True, kind="on")
        one, two = self.converse(b"ASK 1\nASK 2\n"), self.converse(b"QUIT\n")
        self.assertEqual((one.received(), two.received()), (b"220 ready\r\n", b"220 ready\r\n"))

        def held(**body: Any) -> Any:
            found = self.later(f"{SMTP}/requests", {"held": True, **body})
            return [(it["connection"], it["data"]) for it in found.json["requests"]]

        self.assertEqual(held(times=1, timeout=9), [(1, "ASK 1"), (2, "QUIT")])
        self.assertEqual(held(without=[{"connection": 1, "number": 1}]), [(2, "QUIT")])
        self.assertEqual(held(starts_with="ASK"), [(1, "ASK 1")])

        def reply(connection: int, **body: Any) -> Answer:
            return self.ask("POST", f"{SMTP}/connections/{connection}/reply", body)

        self.assertEqual(reply(1, number=1, reply=["a", {"template": "{0}!"}]).status, 204)
        self.assertEqual(one.received(), b"wait\r\na\r\nASK 1!\r\n")
        self.assertEqual(held(), [(2, "QUIT"), (1, "ASK 2")])
        found = reply(1, number=1, reply="late")
        self.assert_refused(found, 409, "connection 1: request 1 no longer waits for a reply")
        self.assertEqual(reply(2, do=[{"send": "bye"}, {"close": True}]).status, 204)
        self.assertEqual((two.received(), two.got_eof), (b"bye\r\n", True))
        one.reset()
        self.assertEqual(held(), [])
        for connection in (1, 9):
            self.assert_refused(
                reply(connection, silent=True),
                409,
                f"connection {connection}: no request waits for a reply",
            )

    def test_waiting_for_a_request_that_waits(self) -> None:
        """The response comes once one is held, besides those that are not wanted."""
        self.add(kind="on", hold=True)
        self.converse(b"a\n")
        without = [{"connection": 1, "number": 1}, {"connection": 2, "number": 2}]
        body = json.dumps({"held": True, "times": 1, "timeout": 9, "without": without}).encode()
        asking = self.begin("POST", f"{SMTP}/requests", body, {"Content-Type": "application/json"})
        self.reactor.advance(0.1)
        self.assertEqual(asking.received(), b"")
        self.converse(b"b\n")
        self.reactor.advance(0.1)
        [found] = parse_answer(asking.received()).json["requests"]
        self.assertEqual((found["data"], found["connection"], found["number"]), ("b", 2, 1))

    def test_requests_that_wait_on_one_connection(self) -> None:
        """Where replies need no order, each of them is answered by its number, or the first."""
        definition = {"name": "new", "listen": "tcp:2600", "script": "ordered = false"}
        self.assertEqual(self.ask("POST", "/api/services", definition).status, 201)
        path = "/api/services/new"
        self.ask("POST", f"{path}/expectations", {"kind": "on", "hold": True})
        wire = self.converse(b"a\nb\nc\n", name="new")
        for body, reply in (
            ({"number": 2, "reply": "B"}, b"B\r\n"),
            ({"reply": "A"}, b"A\r\n"),
            ({"reply": "C"}, b"C\r\n"),
        ):
            found = self.ask("POST", f"{path}/connections/1/reply", body)
            self.assertEqual((found.status, wire.received()), (204, reply), found.data)
        found = self.ask("POST", f"{path}/connections/1/reply", {"reply": "D"})
        self.assert_refused(found, 409, "connection 1: no request waits for a reply")

    def test_a_reply_before_another_framing(self) -> None:
        """It has the framing in which its request came, also if the state is another one now."""
        script = (
            "[state.b]\nframing = 'int8'\nreply_framing = 'int8'\n[[rule]]\ngoto = 'b'\nreply = 'x'"
        )
        definition = {"name": "new", "listen": "tcp:2600", "script": script}
        self.assertEqual(self.ask("POST", "/api/services", definition).status, 201)
        path = "/api/services/new"
        self.ask("POST", f"{path}/expectations", {"kind": "on", "hold": True, "goto": "b"})
        wire = self.converse(b"a\n\1c", name="new")
        body = {"reply": "1\n2"}
        found = self.ask("POST", f"{path}/connections/1/reply", body)
        self.assertEqual((found.status, wire.received()), (422, b""))
        self.ask("POST", f"{path}/connections/1/reply", {"reply": "1"})
        self.assertEqual(self.ask("POST", f"{path}/connections/1/reply", body).status, 204)
        self.assertEqual(wire.received(), b"1\r\n\0031\n2")

    def test_replies_with_problems(self) -> None:
        """All of them are reported, and the request still waits."""
        self.add(kind="on", hold=True)
        wire = self.converse(b"a\n")
        wire.received()
        path = f"{SMTP}/connections/1/reply"
        for body, places in (
            ({"reply": "a\nb"}, {"reply.reply"}),
            ({"replay": "a", "number": "1"}, {"reply.replay", "reply.number"}),
            ({"forward": True}, {"reply"}),
            ({"goto": "data", "reply": "a"}, {"reply.goto"}),
            ({}, {"reply"}),
        ):
            found = self.ask("POST", path, body)
            self.assertEqual(found.status, 422, body)
            self.assertEqual({it["path"] for it in found.json["problems"]}, places)
        self.assertEqual(self.ask("POST", path, {"reply": "b"}).status, 204)
        self.assertEqual(wire.received(), b"b\r\n")
        found = self.ask("POST", "/api/services/relay/connections/1/reply", {"reply": "b"})
        self.assertEqual(found.status, 409)

    def test_a_reset(self) -> None:
        """A reset removes expectations, and a new script keeps them."""
        self.add(equals="a", reply="A")
        self.ask("PUT", f"{SMTP}/script", {"script": "[[rule]]\nequals = 'b'\nreply = 'B'"})
        self.assertEqual(self.converse(b"b\n", b"a\n").received(), b"B\r\nA\r\n")
        self.assertEqual(self.ask("POST", f"{SMTP}/reset").status, 204)
        self.assertEqual(self.get(EXPECTATIONS)["expectations"], [])
