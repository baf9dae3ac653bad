"""The detail, the faults and the script in Chromium: what they show, and what they change."""

from typing import Any

import pytest

from reqresp import Script
from reqresp.script.explain import explain
from tests.support.browser import SCRIPT, PageCase, Stage, redis_command

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


class DetailTests(PageCase):
    """What is shown of one entry."""

    stage = STAGE

    def test_near_misses_bytes_and_conversation(self) -> None:
        """A miss shows the nearest rule with the byte that differs, and what came before it."""
        self.stage.converse(b"MAIL FROM:<a>\r\n", b"RCPT TO <bob@mail.test>\r\n")
        self.open()
        self.row("RCPT TO").click()
        self.page.locator(".near").wait_for()
        requests = [b"MAIL FROM:<a>", b"RCPT TO <bob@mail.test>"]
        said = explain(Script.parse(SCRIPT), requests).partition("nearest: ")[2]
        self.assertTrue(said.startswith("rule[1] (line 9) equals, differs at byte 7\n"))
        lines = [f"nearest: {said}".splitlines()[at].strip() for at in range(3)]
        self.assertEqual(self.texts(".near > *"), lines)
        self.assertEqual(self.texts(".near .diff"), ["3a", ":", "20", " "])
        self.assertEqual(self.texts(".talk .now .b"), ["RCPT TO <bob@mail.test>", "500 what?"])
        self.assertIn("MAIL FROM:<a>", self.texts(".talk .b"))
        self.wait("document.querySelector('.facts').textContent.includes('start')")
        self.assertEqual(self.text(".facts dd.miss"), "unmatched, line 2")

    def test_a_request_that_ends_where_the_rule_goes_on(self) -> None:
        """The byte that is missing is marked, and what fits in another state is said."""
        self.stage.converse(b"RCPT TO\r\n", b".\r\n")
        self.open()
        self.row("RCPT TO").click()
        self.page.locator(".near").wait_for()
        self.assertEqual(self.texts(".near .diff"), ["3a", ":", "  "])
        self.row("500 what?").click()
        self.page.locator(".near >> text=rule[3] (line 19) matches, but in state data").wait_for()

    def test_a_miss_without_unmatched(self) -> None:
        """No rule has answered it, and the detail says so."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "rule": [{"equals": "a", "reply": "1"}]},
        )  # fmt: skip
        with self.stage.connect("own") as client:
            client.send(b"b\n")
            self.open("own")
            self.row("miss").click()
            fact = self.page.locator(".facts dd.miss >> text=no rule (the script has no unmatched)")
            fact.wait_for()

    def test_lines_are_those_of_the_editor(self) -> None:
        """A rule among the keys of a service has its line in the script that the page shows."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "unmatched": "?",
             "rule": [{"equals": "a", "reply": "1"}, {"equals": "b", "reply": "2"}]},
        )  # fmt: skip
        self.stage.converse(b"b\n", name="own", greeting=b"")
        self.open("own")
        self.row("rule[1]").click()
        fact = self.page.locator(".facts dd", has_text="rule[1] equals, line ")
        line = int(str(fact.text_content()).rpartition(" ")[2])
        self.page.get_by_role("button", name="Script").click()
        script = self.page.locator("dialog.editor textarea").input_value().splitlines()
        self.assertEqual(script[line - 1 : line + 1], ["[[rule]]", 'equals = "b"'])

    def test_a_conversation_is_whole(self) -> None:
        """It has what the list lacks, which can be selected, and says where there is more."""
        with self.stage.connect("fixed") as client:
            for count in (30, 30):
                client.send(b"".join(b"request %d.\r\n" % it for it in range(count)))
                client.receive(count * len(b"yes\r\n"))
            self.open("fixed")
            self.wait_rows(61)
            self.page.fill("#search", "request 29.")
            self.wait_rows(2)
            self.page.locator(".row").first.click()
            self.page.locator(".talk >> text=later entries are not shown").wait_for()
            self.page.locator(".talk >> text=earlier entries are not shown").wait_for()
            shown = [it for it in self.texts(".talk .b") if it.startswith("request")]
            expected = [*range(9, 30), *range(20)]
            self.assertEqual(shown, [f"request {it}." for it in expected])
            self.page.locator(".talk >> text=request 28.").click()
            self.page.locator(".side >> text=request 28.").wait_for()

    def test_a_conversation_goes_on(self) -> None:
        """What comes on the connection is added; once it is closed it cannot be ended."""
        with self.stage.connect("fixed") as client:
            client.ask(b"first\r\n", len(b"yes\r\n"))
            self.open("fixed")
            self.row("first").click()
            client.ask(b"second\r\n", len(b"yes\r\n"))
            self.page.locator(".talk >> text=second").wait_for()
            buttons = self.page.get_by_role("button", name="Reset", exact=True)
            buttons.wait_for()
        self.page.locator(".talk >> text=closed").wait_for()
        buttons.wait_for(state="hidden")

    def test_the_list_has_what_rules_see_and_the_detail_the_wire(self) -> None:
        """The detail has the line endings, in hex as well; the list has none."""
        self.stage.converse(b"DATA\r\n")
        self.open()
        self.row("DATA").click()
        self.assertEqual(self.row("DATA").locator(".b:not(.b2)").text_content(), "DATA")
        self.page.locator("#detail .dump >> text=\\n").first.wait_for()
        self.assertEqual(self.texts("#detail .dump.text .b"), [r"DATA\r\n", r"354 go on\r\n"])
        self.page.get_by_role("button", name="hex").click()
        self.assertEqual(self.page.locator("#detail .dump.text").count(), 0)
        self.assertIn("44 41 54 41 0d 0a", self.text("#detail .dump"))

    def test_all_bytes_of_a_large_piece(self) -> None:
        """The detail has all bytes of what has passed a relay, and copies all; the list counts."""
        own = {"listen": "tcp:0:interface=127.0.0.1", "framing": "line"}
        rules = [{"equals": "a", "reply": "y" * 60_000}]
        self.stage.api("POST", "/api/services", {"name": "large", **own, "rule": rules})
        upstream = f"127.0.0.1:{self.stage.port('large')}"
        relay = {"name": "own", "listen": own["listen"], "upstream": upstream}
        self.stage.api("POST", "/api/services", relay)
        with self.stage.connect("own") as client:
            client.ask(b"a\r\n", 60_002)
        path = "/api/services/own/entries?event=passed&max_bytes=0"
        pieces = [it for it in self.stage.api("GET", path)["entries"] if "data" in it]
        largest = max(pieces, key=lambda it: it["data"]["size"])
        size = largest["data"]["size"]
        self.assertGreater(size, 4096)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.open("own")
        row = self.page.locator(f"#row-{largest['id']}")
        self.assertIn(f" … {size - 200:,} more bytes", row.text_content())
        row.click()
        self.until(lambda: self.text(".side header .num") == f"{size:,} bytes")
        self.page.locator(f".dump >> text=Show more; {size - 4096:,} bytes left").wait_for()
        self.page.get_by_role("button", name="Copy: From the service").click()
        self.page.locator("#detail >> text=Copied").wait_for()
        copied = self.page.evaluate("navigator.clipboard.readText()")
        self.assertEqual(copied.count("y") + copied.count("\\"), size)

    def test_the_bytes_of_an_unanswered_request(self) -> None:
        """It has the framing that came with it, as requests with a reply have."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "netstring",
             "rule": [{"reply": "late", "delay": 600}]},
        )  # fmt: skip
        self.open("own")
        with self.stage.connect("own") as client:
            client.send(b"4:wait,")
            self.until(lambda: self.stage.service("own")["counts"]["requests"])
            self.stage.api("POST", "/api/services/own/connections/1/reset", {})
        row = self.row("no reply before the connection ended")
        row.click()
        self.assertEqual(row.locator(".b").first.text_content(), "wait")
        self.page.locator("#detail .dump >> text=4:wait,").wait_for()

    def test_slices_alternate_their_tint(self) -> None:
        """A reply that a fault sends in slices has every other slice tinted, and their count."""
        fault = {"kind": "slicer", "stream": "downstream", "size": 4}
        self.stage.api("POST", "/api/services/smtp/faults", fault)
        self.stage.converse(b"DATA\r\n")
        self.open()
        self.row("DATA").click()
        self.page.locator(".side >> text=11 bytes in 3 slices").wait_for()
        self.assertEqual("".join(self.texts(".dump .odd")), "go o")
        self.page.get_by_role("button", name="hex").click()
        self.assertEqual(self.texts(".dump .odd"), [*["67", "6f", "20", "6f"], *"go o"])

    def test_hovering_a_byte_marks_its_offset_everywhere(self) -> None:
        """The byte under the pointer is marked in text, in hex, and in the other message."""
        self.stage.converse("DÄTA\r\n".encode())
        self.open()
        self.row("DÄTA").click()
        self.page.locator("#detail .near, #detail .why").first.wait_for()
        self.page.get_by_role("button", name="both").click()
        self.page.locator(".dump:not(.text) [data-i='2']").first.hover()
        own = self.page.locator(".side").first.locator(".hit").all_text_contents()
        self.assertEqual({*own}, {"84", "Ä", "·"})
        self.assertEqual(self.page.locator(".hit.other").all_text_contents(), ["0", "30", "0"])

    def test_a_connection_is_pushed_to_closed_and_reset(self) -> None:
        """The buttons of the conversation act on the client's connection."""
        self.open()
        with self.stage.connect() as client:
            client.receive(len(b"220 mail.test\r\n"))
            self.row("220 mail.test").click()
            self.page.get_by_role("button", name="Push…").click()
            self.page.fill("dialog.push textarea", r"421 bye\q")
            self.page.locator("dialog.push >> text=unknown escape").wait_for()
            self.page.fill("dialog.push textarea", r"421 bye\r\n")
            self.page.get_by_role("button", name="Push", exact=True).click()
            self.assertEqual(client.receive(9), b"421 bye\r\n")
            self.row("421 bye").wait_for()
            self.page.locator("#detail >> role=button[name='Close']").click()
            self.assertEqual(client.rest(), b"")
        with self.stage.connect() as client:
            client.receive(len(b"220 mail.test\r\n"))
            self.wait("document.querySelectorAll('.row').length >= 7")
            self.press("G")
            self.page.locator("#detail >> role=button[name='Reset']").click()
            self.assertTrue(client.is_reset())


class RuleTests(PageCase):
    """Making rules, and editing scripts."""

    stage = STAGE

    def test_a_rule_is_made_checked_and_inserted(self) -> None:
        """A miss becomes a rule, which is checked at once, and answers the next request."""
        self.stage.converse(b"VRFY: a\\b\r\n")
        self.open()
        self.row("VRFY").click()
        self.page.locator(".maker textarea").wait_for()
        expected = '[[rule]]\nequals = "VRFY: a\\\\b"\nreply  = "500 what?"\n'
        self.assertEqual(self.page.input_value(".maker textarea"), expected)
        self.page.get_by_role("button", name="matches").click()
        self.assertIn(
            r"matches = '(?s)VRFY:(?P<rest>.*)'", self.page.input_value(".maker textarea")
        )
        self.page.get_by_role("button", name="starts_with").click()
        text = self.page.input_value(".maker textarea")
        self.page.fill(".maker textarea", text.replace("reply ", "replyy"))
        self.page.locator(".maker .check >> text=unknown key").first.wait_for()
        self.assertRegex(self.text(".maker .check"), r"line 3, rule\[\d\].replyy")
        self.page.locator(".maker textarea").press("Escape")
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "rows")
        self.assertTrue(self.page.get_by_role("button", name="Insert").is_disabled())
        places = self.page.get_by_label("Where to insert").locator("option").all_text_contents()
        self.assertEqual(
            [places[0], places[1], places[-1]],
            ["last, as rule[6]", "before rule[5]", "first, as rule[0]"],
        )
        self.page.fill(".maker textarea", text.replace("500 what?", "252 perhaps"))
        self.page.locator(".maker .check >> text=6 rules").or_(
            self.page.locator(".maker .check >> text=7 rules")
        ).first.wait_for()
        self.page.get_by_role("button", name="Insert").click()
        self.page.locator(".maker .check >> text=inserted").wait_for()
        with self.stage.connect() as client:
            client.receive(len(b"220 mail.test\r\n"))
            client.send(b"VRFY: x\r\n")
            self.assertEqual(client.receive(13), b"252 perhaps\r\n")

    def test_a_rule_of_a_miss_without_a_reply(self) -> None:
        """What it replies is left open."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "unmatched": {"silent": True}, "rule": [{"equals": "a", "reply": "1"}]},
        )  # fmt: skip
        with self.stage.connect("own") as client:
            client.send(b"b\n")
            self.open("own")
            self.row("miss").click()
            self.page.locator(".maker .check >> text=2 rules").wait_for()
            expected = '[[rule]]\nequals = "b"\nreply  = ""\n'
            self.assertEqual(self.page.input_value(".maker textarea"), expected)

    def test_a_rule_of_a_service_without_a_script(self) -> None:
        """It is a whole script, with the framing of the service."""
        own = {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "response": "yes"}
        self.stage.api("POST", "/api/services", own)
        self.stage.say(self.stage.port("own"), b"b\r\n", 3)
        self.open("own")
        self.row("yes").click()
        self.page.locator(".maker summary").click()
        self.page.locator(".maker .check >> text=✓ 1 rule in 1 state, framing chunk").wait_for()
        rule = '[[rule]]\nequals = "b\\r\\n"\nreply  = "yes"\n'
        script = f'framing = "chunk"\n\n{rule}'
        self.assertEqual(self.page.input_value(".maker textarea"), script)
        self.page.get_by_role("button", name="starts_with").click()
        text = self.page.input_value(".maker textarea")
        self.assertTrue(text.startswith('framing = "chunk"\n\n[[rule]]\nstarts_with = '), text)
        self.assertTrue(self.page.get_by_role("button", name="Insert").is_hidden())

    def test_a_rule_is_inserted_among_those_of_a_service(self) -> None:
        """Rules that came as JSON have a text, which a rule is inserted into."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "unmatched": "?", "rule": [{"equals": "a", "reply": "1"}]},
        )  # fmt: skip
        self.stage.converse(b"b\n", name="own", greeting=b"")
        self.open("own")
        self.row("miss").click()
        self.page.locator(".maker .check >> text=2 rules").wait_for()
        text = self.page.input_value(".maker textarea")
        # The check that is due after the change comes after the insertion, and says nothing.
        with self.page.expect_response("**/script/check"):
            self.page.fill(".maker textarea", text.replace('"?"', '"2"'))
            self.page.get_by_role("button", name="Insert").click()
            self.page.locator(".maker .check >> text=inserted").wait_for()
        self.page.evaluate("() => new Promise((done) => setTimeout(done, 0))")
        self.page.locator(".maker .check >> text=inserted").wait_for()
        self.assertEqual(self.stage.say(self.stage.port("own"), b"b\na\n", 6), b"2\r\n1\r\n")

    def test_a_rule_where_the_framing_has_a_part(self) -> None:
        """The script that is made names the framing with its part, such as the delimiter."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "delimiter:;",
             "response": "a"},
        )  # fmt: skip
        self.stage.say(self.stage.port("own"), b"x;", 2)
        self.open("own")
        self.row("x").click()
        self.page.locator(".maker summary").click()
        self.page.locator(".maker .check >> text=framing delimiter:;").wait_for()
        text = self.page.input_value(".maker textarea")
        self.assertTrue(text.startswith('framing = "delimiter:;"\n\n[[rule]]\n'), text)

    def test_a_rule_of_long_binary_payloads(self) -> None:
        """Each of its payloads is whole, and the rule is valid."""
        replies = [{"hex": "fd" * 70}, {"hex": "fe" * 70}]
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "unmatched": "?", "rule": [{"starts_with": {"hex": "ff"}, "reply": replies}]},
        )  # fmt: skip
        self.stage.converse(b"\xff" * 70 + b"\n", name="own", greeting=b"")
        self.open("own")
        self.row(r"\xff").click()
        self.page.locator(".maker summary").click()
        self.until(lambda: self.page.input_value(".maker textarea"))
        text = self.page.input_value(".maker textarea")
        for byte in ("fd", "fe", "ff"):
            self.assertIn(" ".join([byte] * 70), text)
        self.stage.api("POST", "/api/services/own/script/check", {"script": text})

    def test_a_rule_of_bytes_that_look_like_a_command(self) -> None:
        """Where rules see bytes, a rule has the bytes."""
        self.insert_rule_of_ping("chunk", r"*1\r\n$4\r\nPING\r\n")

    def test_a_rule_of_a_command(self) -> None:
        """Where rules see words, a rule has the words."""
        self.insert_rule_of_ping("resp", "PING")

    def insert_rule_of_ping(self, framing: str, seen: str) -> None:
        """Insert a rule of a command of redis, seen by rules as *seen*; assert that it answers."""
        command = redis_command(b"PING")
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": framing,
             "unmatched": "+what", "rule": [{"equals": "a", "reply": "+a"}]},
        )  # fmt: skip
        with self.stage.connect("own") as client:
            client.ask(command, 5)
        self.open("own")
        row = self.row("miss")
        self.assertEqual(row.locator(".b").first.text_content(), seen)
        row.click()
        self.page.locator(".maker .check >> text=2 rules").wait_for()
        text = self.page.input_value(".maker textarea")
        self.assertIn(f'equals = "{seen}"\n', text)
        request = self.page.locator(".side").first.locator(".b").all_text_contents()
        self.assertEqual("".join(request), r"*1\r\n$4\r\nPING\r\n")
        self.page.fill(".maker textarea", text.replace("+what", "+PONG"))
        self.page.get_by_role("button", name="Insert").click()
        self.page.locator(".maker .check >> text=inserted").wait_for()
        self.assertEqual(self.stage.say(self.stage.port("own"), command, 5), b"+PONG")

    def test_a_rule_of_a_long_request(self) -> None:
        """A rule has the whole request, of which the list has only the first bytes."""
        self.stage.converse(b"x" * 3000 + b"\r\n", name="fixed", greeting=b"")
        self.open("fixed")
        self.row("xxx").click()
        self.page.locator(".maker summary").click()
        self.until(lambda: self.page.input_value(".maker textarea"))
        self.assertIn(f'"{"x" * 3000}"', self.page.input_value(".maker textarea"))

    def test_the_script_is_edited(self) -> None:
        """A problem has its line; a script without problems is used for new clients."""
        self.open()
        self.page.get_by_role("button", name="Script").click()
        area = self.page.locator("dialog.editor textarea")
        area.wait_for()
        script = area.input_value()
        self.assertTrue(script.startswith('greeting = "220 mail.test"'))
        self.assertEqual(area.evaluate("it => it.scrollTop"), 0)
        area.fill(script.replace("starts_with", "starts_wit"))
        problem = self.page.locator("dialog.editor .problems button")
        problem.wait_for()
        self.assertRegex(str(problem.text_content()), r"^line \d+, rule\[0\]")
        self.page.locator("dialog.editor .numbers .error-line").wait_for()
        problem.click()
        self.assertIn(
            "starts_wit", area.evaluate("it => it.value.slice(it.selectionStart, it.selectionEnd)")
        )
        area.fill(script.replace("220 mail.test", "220 other.test"))
        self.page.locator("dialog.editor .check >> text=✓").wait_for()
        self.page.get_by_role("button", name="Use this script").click()
        self.page.locator("dialog.editor").wait_for(state="detached")
        with self.stage.connect() as client:
            self.assertEqual(client.receive(16), b"220 other.test\r\n")

    def test_keys_choose_a_line_of_the_conversation(self) -> None:
        """The time of an entry is a button, which keeps the focus when the entry is shown."""
        self.stage.converse(b"MAIL FROM:<a>\r\n", b"RCPT TO <bob@mail.test>\r\n")
        self.open()
        self.row("RCPT TO").click()
        line = self.page.locator(".talk > div", has_text="MAIL FROM:<a>")
        line.get_by_role("button").press("Enter")
        self.page.locator(".talk .now >> text=MAIL FROM:<a>").wait_for()
        self.page.locator(".talk >> text=RCPT TO").wait_for()
        focused = self.page.locator(".talk .now button:focus")
        self.assertEqual(focused.get_attribute("aria-current"), "true")

    def test_edits_of_a_script_stay_until_they_are_used_or_discarded(self) -> None:
        """Escape closes the editor; opened again, it shows the edits, until they are discarded."""
        self.open()
        button = self.page.get_by_role("button", name="Script")
        button.click()
        editor = self.page.locator("dialog.editor")
        area = editor.locator("textarea")
        discard = editor.get_by_role("button", name="Discard edits")
        area.wait_for()
        script = area.input_value()
        self.assertFalse(discard.is_visible())
        area.press("x")
        area.press("Escape")
        editor.wait_for(state="detached")
        button.click()
        editor.locator(".problems").wait_for()
        self.assertEqual(area.input_value(), f"x{script}")
        discard.click()
        editor.locator(".check >> text=✓").wait_for()
        self.assertEqual(area.input_value(), script)

    def test_a_script_that_another_client_has_changed(self) -> None:
        """The editor does not replace it, and says that it has changed."""
        self.open()
        self.page.get_by_role("button", name="Script").click()
        area = self.page.locator("dialog.editor textarea")
        self.page.locator("dialog.editor .check >> text=✓").wait_for()
        path = "/api/services/smtp/script"
        changed = area.input_value().replace("220 mail.test", "220 other.test")
        self.stage.api("PUT", path, {"script": changed})
        self.page.get_by_role("button", name="Use this script").click()
        self.page.locator("dialog.editor .check >> text=has changed meanwhile").wait_for()
        self.assertEqual(self.stage.api("GET", path)["script"], changed)


class FaultTests(PageCase):
    """Faults above the list."""

    stage = STAGE

    def faults(self) -> list[dict[str, object]]:
        """Return the faults of the service."""
        found: list[dict[str, object]] = self.stage.api("GET", "/api/services/smtp/faults")[
            "faults"
        ]
        return found

    def test_a_fault_is_switched_changed_and_switched_off(self) -> None:
        """A switch adds a fault, a typed value changes it, and each change is an entry."""
        self.open()
        self.press("f")
        toggle = self.page.get_by_role("switch", name="latency, ← replies")
        toggle.click()
        self.row("added").wait_for()
        [fault] = self.faults()
        self.assertEqual(
            [fault[it] for it in ("kind", "stream", "delay")], ["latency", "downstream", 0.2]
        )
        typed = self.page.get_by_role("spinbutton", name="delay of latency, ← replies, typed")
        typed.fill("30")
        self.press("Tab")
        self.row("changed").wait_for()
        self.assertEqual(self.faults()[0]["delay"], 0.03)
        self.assertIn("latency 30 ms", self.text("#active"))
        self.stage.converse(b"DATA\r\n")
        row = self.row("DATA")
        row.locator(".tag >> text=latency").wait_for()
        self.assertEqual(row.locator("rect.part").count(), 1)
        toggle.click()
        self.row("removed").wait_for()
        self.assertEqual(self.faults(), [])

    def test_another_service_is_chosen_before_a_value_is_sent(self) -> None:
        """The value goes to the fault that it was typed for, not to one of the same name."""
        for name in ("smtp", "fixed"):
            fault = {"kind": "latency", "stream": "downstream", "delay": 0.2}
            self.stage.api("POST", f"/api/services/{name}/faults", fault)
        held: list[Any] = []
        self.page.route(
            "**/faults/*", lambda route: route.continue_() if held else held.append(route)
        )
        self.open()
        self.press("f")
        typed = self.page.get_by_role("spinbutton", name="delay of latency, ← replies, typed")
        for value in ("30", "40"):
            typed.fill(value)
            self.press("Tab")
            self.until(lambda: held)
        self.page.get_by_role("button", name="fixed :").click()
        self.page.locator(".service.on .name >> text=fixed").wait_for()
        held[0].continue_()
        self.until(lambda: self.faults()[0]["delay"] == 0.04)
        [other] = self.stage.api("GET", "/api/services/fixed/faults")["faults"]
        self.assertEqual(other["delay"], 0.2)
