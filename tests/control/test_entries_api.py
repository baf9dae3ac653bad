"""The routes of a journal: what is found, what is shown, and what streams send."""

import json
from typing import Any

from reqresp.control.entries_api import MAX_BYTES, MAX_LIMIT
from reqresp.control.feeds import MAX_EVENT_ENTRIES
from tests.support.asked import parse_answer, unchunked
from tests.support.controlled import Controlled
from tests.support.wire import Wire

ENTRIES = "/api/services/smtp/entries"


class FindTests(Controlled):
    """Which entries are found."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = self.converse(b"EHLO x\n", b"VRFY \xff\x00\n", b"DATA\n", b".\n")
        self.converse(b"EHLO y\n").reset()
        self.reactor.advance(0)

    def found(self, query: str = "") -> list[Any]:
        """Return the requests, or else the events, of the entries that *query* finds."""
        entries = self.get(f"{ENTRIES}?{query}")["entries"]
        return [it.get("request", it["event"]) for it in entries]

    def test_all(self) -> None:
        """The last entries are shown in their order, each with its number."""
        found = self.get(ENTRIES)
        numbers = [it["id"] for it in found["entries"]]
        self.assertEqual(numbers, [*range(1, len(numbers) + 1)])
        self.assertEqual((found["position"], found["dropped"]), (len(numbers) + 1, 0))
        answered = next(it for it in found["entries"] if it["event"] == "answered")
        self.assertEqual((answered["request"], answered["by"]), ("EHLO x", "hello"))
        self.assertEqual(answered["steps"], [{"send": "250 hello"}])

    def test_conditions(self) -> None:
        """Entries are found by connection, kind, rule, miss, error and bytes; all have to hold."""
        miss = {"base64": "VlJGWSD/AA=="}
        self.assertEqual(self.found("event=answered&connection=2"), ["EHLO y"])
        self.assertEqual(self.found("event=connected"), ["connected", "connected"])
        self.assertEqual(self.found("by=hello"), ["EHLO x", "EHLO y"])
        self.assertEqual(self.found("miss=true"), [miss])
        self.assertEqual(self.found("text=ehlo"), ["EHLO x", "EHLO y"])
        self.assertEqual(self.found("text=354%20G"), ["DATA"])
        self.assertEqual(self.found("hex=FF%2000"), [miss])
        self.assertEqual(self.found("regex=^EHLO%20[y-z]$"), ["EHLO y"])
        self.assertEqual(self.found("text=ehlo&connection=1"), ["EHLO x"])
        for pairs in ("ff00", "FF%20%2000%20"):
            self.assertEqual(self.found(f"hex={pairs}"), [miss], pairs)
        self.assertEqual(self.found("fault=true"), [])
        self.assertEqual(self.found("error=true"), [])
        self.assertEqual(self.found("until=1"), [])
        at = self.get(ENTRIES)["entries"][-1]["at"]
        self.assertEqual(self.found(f"since={at:.7f}&until={at + 1:.7f}")[-1:], ["disconnected"])
        self.assertEqual(self.found(f"since={at + 1:.7f}"), [])
        self.assertEqual(self.found("since=1&event=answered&limit=1"), ["EHLO y"])

    def test_what_a_regex_has_found(self) -> None:
        """Each text that it finds in request and reply is shown once; an empty one is not."""
        entries = self.get(f"{ENTRIES}?regex=(?s)[a-z]%2B|\\xff.|$&event=answered")["entries"]
        self.assertEqual(
            [it["matches"] for it in entries],
            [["x", "hello"], [{"base64": "/wA="}, "what"], ["go"], ["queued"], ["y", "hello"]],
        )
        self.assertNotIn("matches", self.get(f"{ENTRIES}?text=ehlo")["entries"][0])

    def test_waiting(self) -> None:
        """Entries are waited for until there are so many, for a time at most."""

        def wait(query: str) -> Wire:
            wire = self.begin("GET", f"{ENTRIES}?{query}")
            self.reactor.advance(0.1)
            return wire

        def found(wire: Wire) -> list[str]:
            self.reactor.advance(0.1)
            return [it["request"] for it in parse_answer(wire.received()).json["entries"]]

        self.assertEqual(found(wait("text=ehlo&times=2&timeout=9")), ["EHLO x", "EHLO y"])
        last = wait("by=hello&times=3&limit=3&timeout=30")
        newest = wait("by=hello&times=1&limit=1&after=5&timeout=30")
        late = wait("by=hello&times=9&timeout=1")
        self.assertEqual(last.received(), b"")
        self.converse(b"EHLO z\n")
        self.assertEqual(found(last), ["EHLO x", "EHLO y", "EHLO z"])
        self.assertEqual(len(found(newest)), 1)
        self.assertEqual(late.received(), b"")
        self.reactor.advance(1)
        self.assertEqual(found(late), ["EHLO x", "EHLO y", "EHLO z"])
        answer = self.ask("GET", f"{ENTRIES}?times=3&limit=2")
        self.assert_refused(answer, 422, "times: expected at most limit, 2, found 3")

    def test_pages(self) -> None:
        """Pages go forward after a number, and backward before one."""
        every = self.found()
        self.assertEqual(self.found("limit=2"), every[-2:])
        self.assertEqual(self.found("after=0&limit=2"), every[:2])
        self.assertEqual(self.found("after=2&limit=2"), every[2:4])
        self.assertEqual(self.found("before=3"), every[:2])
        self.assertEqual(self.found("after=1&before=4"), every[1:3])
        self.assertEqual(self.found("after=9999"), [])

    def test_wrong_conditions(self) -> None:
        """A wrong condition is 422, with its name."""
        for query in (
            *(
                "limit=0",
                f"limit={MAX_LIMIT + 1}",
                "max_bytes=-1",
                "hex=f",
                "hex=",
                "hex=f%200",
                "hex=%20ff",
                "regex=(",
            ),
            *("after=x", "connection=1.5", "miss=yes", "since=now", "sort=id"),
            *("event=answerd", "by=helo"),
        ):
            found = self.ask("GET", f"{ENTRIES}?{query}")
            self.assertEqual(found.status, 422, query)
            self.assertEqual(found.json["problems"][0]["path"], query.partition("=")[0])

    def test_what_is_not_known(self) -> None:
        """A kind or a rule that there is not is refused, with a similar one, by streams as well."""
        for path in (ENTRIES, "/api/services/smtp/stream"):
            error = self.ask("GET", f"{path}?event=answerd").error
            self.assertEqual(
                error, "event: unknown kind of entry 'answerd'; did you mean answered?"
            )
            error = self.ask("GET", f"{path}?by=helo").error
            self.assertEqual(error, "by: unknown rule 'helo'; did you mean hello?")

    def test_a_rule_that_has_answered_nothing(self) -> None:
        """A rule, an expectation, and a rule of an earlier script can be asked for."""
        expectation = {"kind": "on", "equals": "x", "name": "it", "reply": "y"}
        self.ask("POST", "/api/services/smtp/expectations", expectation)
        self.assertEqual(self.found("by=on,%20it"), [])
        self.assertEqual(self.found("by=greeting"), [])
        self.ask("PUT", "/api/services/smtp/script", {"script": "rule = [{ reply = 'x' }]"})
        self.assertEqual(self.found("by=hello"), ["EHLO x", "EHLO y"])
        self.assertEqual(self.ask("GET", f"{ENTRIES}?by=greeting").status, 422)

    def test_long_payloads(self) -> None:
        """A list cuts payloads, with their whole size, and leaves room for the reply."""
        reply = "500 what?"
        self.wire.send(b"x" * 3000 + b"\n")
        entry = self.get(f"{ENTRIES}?limit=1")["entries"][0]
        self.assertEqual(
            (entry["request"], entry["steps"]),
            (
                {"text": "x" * (MAX_BYTES - len(reply)), "size": 3000, "truncated": True},
                [{"send": reply}],
            ),
        )
        self.assertEqual(self.get(f"{ENTRIES}/{entry['id']}")["request"], "x" * 3000)
        entry = self.get(f"{ENTRIES}?limit=1&max_bytes=9000")["entries"][0]
        self.assertEqual(entry["request"], "x" * 3000)

    def test_clear(self) -> None:
        """Entries are forgotten, and their numbers are not used again."""
        following = self.get(ENTRIES)["position"]
        self.assertEqual(self.ask("DELETE", ENTRIES).status, 204)
        self.assertEqual(self.found(), [])
        self.assertEqual(self.ask("GET", f"{ENTRIES}/1").status, 404)
        self.wire.send(b"EHLO z\n")
        [entry] = self.get(ENTRIES)["entries"]
        self.assertEqual((entry["id"], entry["request"]), (following, "EHLO z"))


class SeenTests(Controlled):
    """A request is shown as rules see it, whatever the framing."""

    services_text = "".join(
        f"""
[[service]]
name = "{name}"
listen = "tcp:{port}:interface=127.0.0.1"
framing = "{name}"
unmatched = "+what"

[[service.rule]]
equals = "nothing"
reply = "+OK"
"""
        for port, name in enumerate(("chunk", "line", "resp"), 2525)
    )

    def answered(self, name: str, query: str = "") -> list[Any]:
        """Return the entries of requests that *query* finds."""
        path = f"/api/services/{name}/entries?event=answered{query}"
        found: list[Any] = self.get(path)["entries"]
        return found

    def test_a_command_of_redis(self) -> None:
        """It is its words where rules see these, and its bytes where they see bytes."""
        command = "*1\r\n$4\r\nPING\r\n"
        for name, seen in {
            "chunk": [command],
            "line": ["*1", "$4", "PING"],
            "resp": ["PING"],
        }.items():
            self.converse(command.encode(), name=name)
            self.assertEqual([it["request"] for it in self.answered(name)], seen)
        [entry] = self.answered("resp")
        self.assertEqual(entry["received"], command)

    def test_a_command_that_is_a_line(self) -> None:
        """It has no line end, as for rules."""
        self.converse(b"PING  a\r\n", name="resp")
        [entry] = self.answered("resp")
        self.assertEqual((entry["request"], entry["received"]), ("PING a", "PING  a\r\n"))

    def test_a_long_command(self) -> None:
        """The beginning that is shown is that of its words."""
        self.converse(b"*2\r\n$3\r\nGET\r\n$3000\r\n" + b"x" * 3000 + b"\r\n", name="resp")
        [entry] = self.answered("resp")
        shown = entry["request"]
        self.assertEqual((shown["text"][:5], shown["size"]), ("GET x", 3004))

    def test_what_rules_see_is_searched(self) -> None:
        """Text, hex and patterns find the words of a command, and not the bytes between them."""
        self.converse(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", name="resp")
        for query in ("text=get%20A", "hex=47%2045%2054%2020%2061", "regex=^GET%20a$"):
            [entry] = self.answered("resp", f"&{query}")
            self.assertEqual(entry["request"], "GET a")
        for query in ("text=$3", "hex=0d0a", "regex=[$]3"):
            self.assertEqual(self.answered("resp", f"&{query}"), [])
        [entry] = self.answered("resp", "&regex=GET.*")
        self.assertEqual(entry["matches"], ["GET a"])

    def test_the_words_of_other_entries_are_not_searched(self) -> None:
        """Bytes alone are found: why a connection has ended is not among them."""
        self.converse(b"x\n", name="line").reset()
        self.reactor.advance(0)
        entries = self.get("/api/services/line/entries")["entries"]
        self.assertIn("onnection", entries[-1]["reason"])
        for query in ("text=onnection", "regex=."):
            found = self.get(f"/api/services/line/entries?{query}")["entries"]
            self.assertNotIn("disconnected", [it["event"] for it in found])


class DetailTests(Controlled):
    """One entry, with what explains it."""

    def shown(self, request: str) -> dict[str, Any]:
        """Return the details of the last entry with *request*."""
        entries = self.get(f"{ENTRIES}?text={request}&event=answered")["entries"]
        shown: dict[str, Any] = self.get(f"{ENTRIES}/{entries[-1]['id']}")
        return shown

    def test_a_rule(self) -> None:
        """An entry that a rule answered shows the rule, the state and the bytes as sent."""
        self.converse(b"EHLO x\n", b"DATA\n", b".\n")
        shown = self.shown("250%20queued")
        self.assertEqual(
            shown["rule"],
            {
                "name": "rule[2]",
                "path": "rule[2]",
                "line": 15,
                "kind": "equals",
                "when": ["data"],
                "goto": "start",
            },
        )
        self.assertEqual(shown["state"], "data")
        self.assertEqual(shown["wire"], {"request": ".\r\n", "reply": "250 queued\r\n"})
        self.assertEqual(shown["near"], [])
        self.assertIn("data: b'.'\n    rule[2]", shown["explain"])

    def test_a_reply_that_faults_altered(self) -> None:
        """The wire has the bytes that were sent; the steps have those of the rule."""
        self.services["smtp"].faults.add("limit_data", parameters={"bytes": 14})
        self.converse(b"EHLO a\n")
        shown = self.shown("EHLO%20a")
        self.assertEqual(shown["steps"], [{"send": "250 hello"}])
        self.assertEqual((shown["wire"]["reply"], shown["altered"]), ("250", "250"))

    def test_a_miss(self) -> None:
        """A miss shows the nearest rules, and what ``reqresp explain`` says."""
        self.converse(b"EHLP x\n")
        shown = self.shown("EHLP")
        self.assertEqual(
            shown["near"],
            [
                {
                    "rule": "hello",
                    "path": "rule[0]",
                    "line": 5,
                    "kind": "starts_with",
                    "at": 3,
                    "wanted": "EHLO ",
                    "difference": None,
                }
            ],
        )
        lines = [
            "nearest: hello (rule[0], line 5) starts_with, differs at byte 3",
            "    want 45 48 4c 4f 20    |EHLO |",
            "    got  45 48 4c 50 20 78 |EHLP x|",
        ]
        self.assertEqual(shown["why"], lines)
        self.assertIn("\n".join(f"    {it}" for it in lines), shown["explain"])

    def test_lines_are_those_of_the_script_that_is_shown(self) -> None:
        """Rules among the services have other lines in their file than in the script's text."""
        self.converse(b"EHLO x\n")
        script = self.get("/api/services/smtp/script")
        [rule] = [it for it in script["rules"] if it["name"] == "hello"]
        self.assertEqual(script["script"].splitlines()[rule["line"] - 1], "[[rule]]")
        shown = self.shown("EHLO%20x")
        self.assertEqual(shown["rule"]["line"], rule["line"])
        self.assertIn(f"hello (rule[0], line {rule['line']})", shown["explain"])

    def test_a_miss_without_unmatched(self) -> None:
        """No rule has answered it."""
        self.use_script('framing = "line"\n\n[[rule]]\nequals = "a"\nreply = "1"\n')
        self.converse(b"b\n")
        shown = self.shown("b")
        self.assertEqual((shown["miss"], shown["rule"]), (True, None))
        self.assertIn("no rule matches (the script has no unmatched)", shown["explain"])

    def use_script(self, text: str) -> None:
        """Have the service use another script."""
        found = self.ask("PUT", "/api/services/smtp/script", {"script": text})
        self.assertEqual(found.status, 200, found.data)

    def test_an_entry_without_a_request(self) -> None:
        """Other entries have neither a rule nor an explanation."""
        self.connect()
        shown = self.get(f"{ENTRIES}/1")
        self.assertEqual((shown["event"], shown["rule"], shown["near"]), ("connected", None, []))
        self.assertEqual((shown["explain"], shown["wire"]["request"]), ("", None))

    def test_no_entry(self) -> None:
        """An entry that is not there is 404."""
        for number in ("0", "1", "999999999999999999", "x", "-1"):
            self.assertEqual(self.ask("GET", f"{ENTRIES}/{number}").status, 404)


class StreamTests(Controlled):
    """What is new, as it happens."""

    def listen(self, query: str = "", **headers: str) -> Wire:
        """Return a client of the stream of a service, which has received its head."""
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        wire = self.begin("GET", f"/api/services/smtp/stream{query}", None, names)
        self.assertEqual(parse_answer(wire.received()).status, 200)
        return wire

    def events(self, wire: Wire) -> list[tuple[str, str, Any]]:
        """Let a second pass; return the names, the ids and the values of the events received."""
        found = []
        for _ in range(20):
            self.reactor.advance(0.05)
        for block in unchunked(wire.received()).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
        return found

    def requests(self, wire: Wire) -> list[Any]:
        """Return the requests of the entries received."""
        entries = [it for _, _, value in self.events(wire) for it in value.get("entries", ())]
        return [it["request"] for it in entries if "request" in it]

    def test_entries(self) -> None:
        """Entries are sent with their numbers, and the last one resumes the stream."""
        self.converse(b"EHLO before\n")
        wire = self.listen()
        self.converse(b"EHLO x\n")
        [(name, number, value)] = self.events(wire)
        self.assertEqual((name, value["skipped"]), ("entries", 0))
        self.assertEqual(number, str(value["entries"][-1]["id"]))
        self.assertEqual(value["entries"][-1]["request"], "EHLO x")
        self.converse(b"EHLO y\n")
        self.assertEqual(self.requests(self.listen(Last_Event_ID=number)), ["EHLO y"])
        self.assertEqual(self.requests(self.listen(f"?after={number}")), ["EHLO y"])
        everything = ["EHLO before", "EHLO x", "EHLO y"]
        self.assertEqual(self.requests(self.listen("?after=0")), everything)
        self.assertEqual(self.requests(self.listen(Last_Event_ID="999999")), everything)
        self.assertEqual(self.requests(self.listen(Last_Event_ID="x")), [])

    def test_most(self) -> None:
        """With a bound the newest are sent, and what was skipped is counted."""
        wire = self.listen("?most=2")
        self.converse(*[b"EHLO %d\n" % number for number in range(9)])
        [(_, _, value)] = self.events(wire)
        self.assertEqual([it["request"] for it in value["entries"]], ["EHLO 7", "EHLO 8"])
        self.assertEqual(value["skipped"], self.services["smtp"].journal.position - 3)

    def test_filters(self) -> None:
        """A stream sends only the entries that its query wants, and resumes after the last one."""
        queries = ("miss=true", "by=hello", "connection=2", "text=ehlo%20B", "hex=7a%207a")
        wires = [
            self.listen(f"?{it}") for it in (*queries, "event=answered&regex=^EHLO&fault=true")
        ]
        first = self.converse(b"EHLO a\n")
        self.converse(b"EHLO b\n", b"zz\n")
        first.send(b"what\n")
        events = [self.events(wire) for wire in wires]
        found = [
            [it["request"] for _, _, value in each for it in value["entries"] if "request" in it]
            for each in events
        ]
        misses = ["zz", "what"]
        hello = ["EHLO a", "EHLO b"]
        self.assertEqual(found, [misses, hello, ["EHLO b", "zz"], ["EHLO b"], ["zz"], []])
        self.assertEqual(events[-1], [])
        self.assertEqual({value["skipped"] for each in events for _, _, value in each}, {0})
        self.converse(b"EHLO x\n", b"third\n")
        for wire, each, wanted in zip(wires, events, (["third"], ["EHLO x"]), strict=False):
            self.assertEqual(self.requests(wire), wanted)
            number = each[-1][1]
            query = queries[wires.index(wire)]
            self.assertEqual(self.requests(self.listen(f"?{query}", Last_Event_ID=number)), wanted)
        everything = self.listen("?by=hello&after=0")
        self.assertEqual(self.requests(everything), [*hello, "EHLO x"])

    def test_filters_with_most(self) -> None:
        """What is skipped are entries that are wanted."""
        wire = self.listen("?miss=true&most=2")
        self.converse(b"EHLO x\n" * 9)
        self.converse(*[b"miss %d\n" % number for number in range(5)], b"EHLO x\n" * 9)
        [(_, _, value)] = self.events(wire)
        self.assertEqual([it["request"] for it in value["entries"]], ["miss 3", "miss 4"])
        self.assertEqual(value["skipped"], 3)

    def test_filters_of_more_than_one_event(self) -> None:
        """All entries are looked at, also those that do not fit into one event."""
        wire = self.listen("?miss=true")
        self.converse(b"EHLO x\n" * MAX_EVENT_ENTRIES, b"one\n", b"EHLO x\n" * 100, b"two\n")
        self.assertEqual(self.requests(wire), ["one", "two"])

    def test_a_flood(self) -> None:
        """Events have fewer entries while entries are skipped, and more again afterwards."""
        wire = self.listen("?most=200")
        sizes = []
        for count in (300, 300, 300, 100, 100, 300):
            self.converse(b"EHLO x\n" * count)
            values = [value["entries"] for _, _, value in self.events(wire)]
            sizes.append(sum(map(len, values)))
        self.assertEqual(sizes, [200, 16, 16, 16, 102, 200])

    def test_how_often_in_a_flood(self) -> None:
        """While entries are skipped, there is an event a second, and otherwise two."""
        wire = self.listen("?most=200")
        counts = []
        for each in (30, 10):
            self.events(wire)
            sent = []
            for _ in range(200):
                self.converse(b"EHLO x\n" * each)
                self.reactor.advance(0.05)
                sent.append(wire.received().count(b"event: entries"))
            counts.append(sum(sent))
        flood, rest = counts
        self.assertIn(flood, (10, 11))
        self.assertIn(rest, (19, 20, 21))

    def test_everything(self) -> None:
        """Without a bound nothing is skipped, however much there is."""
        wire = self.listen()
        count = MAX_EVENT_ENTRIES + 100
        self.converse(b"EHLO x\n" * count)
        self.assertEqual(len(self.requests(wire)), count)

    def test_cleared(self) -> None:
        """What was cleared before it could be sent is counted."""
        wire = self.listen()
        self.converse(b"EHLO x\n")
        self.ask("DELETE", ENTRIES)
        self.converse(b"EHLO y\n")
        values = [value for _, _, value in self.events(wire)]
        self.assertGreaterEqual(sum(it["skipped"] for it in values), 2)

    def test_a_service_that_is_replaced_or_deleted(self) -> None:
        """A stream goes on with the new service, and ends with the last one."""
        wire = self.listen()
        self.converse(b"EHLO x\n")
        self.assertEqual(self.requests(wire), ["EHLO x"])
        definition = {"listen": 2600, "framing": "line", "rule": [{"equals": "a", "reply": "A"}]}
        self.assertEqual(self.ask("PUT", "/api/services/smtp", definition).status, 200)
        self.converse(b"a\n")
        self.assertEqual(self.requests(wire), ["a"])
        self.ask("DELETE", "/api/services/smtp")
        self.reactor.advance(1)
        self.assertTrue(wire.got_eof)

    def test_services(self) -> None:
        """All services are sent at first, and when one of them has changed."""
        wire = self.begin("GET", "/api/stream")
        self.assertEqual(wire.received().count(b"event: services"), 1)
        self.assertEqual(self.events(wire), [])
        self.converse(b"EHLO x\n")
        [(name, number, value)] = self.events(wire)
        self.assertEqual((name, number), ("services", ""))
        self.assertEqual(value, self.get("/api/services"))

    def test_services_and_entries(self) -> None:
        """One connection can carry the services and the entries of one of them."""
        wire = self.begin("GET", "/api/stream?service=smtp&most=50&after=0")
        self.assertEqual(wire.received().count(b"event: services"), 1)
        self.converse(b"EHLO x\n")
        names = [name for name, _, _ in self.events(wire)]
        self.assertIn("entries", names)
        self.assertIn("services", names)
        misses = self.begin("GET", "/api/stream?service=smtp&after=0&miss=true")
        misses.received()
        self.converse(b"what\n")
        self.assertEqual(self.requests(misses), ["what"])
        self.assertEqual(self.ask("GET", "/api/stream?service=no").status, 404)

    def test_wrong_queries(self) -> None:
        """A wrong query is 422, and opens no stream."""
        numbers = ("most=0", f"most={MAX_LIMIT + 1}", "most=x", "after=x", "mots=1")
        for query in (*numbers, "hex=xyz", "regex=(", "miss=1"):
            self.assertEqual(self.ask("GET", f"/api/services/smtp/stream?{query}").status, 422)
            self.assertEqual(self.ask("GET", f"/api/stream?service=smtp&{query}").status, 422)
