"""The page in Chromium with hostile bytes: it shows them as text."""

import pytest

from tests.support.browser import PageCase, Stage

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
#: The name of a state and of a fault, and one that a rule cannot have.
NAME = "<b onclick=alert(4)>name</b>"
RULE = "<i onclick=alert(5)>rule</i>"
HOSTILE = f"{MARKUP}\u202e\x1b]0;pwned\x07\x1b[2J</textarea><svg onload=alert(3)>&lt;"
#: What no page of ours has, and what it would have if a text above were markup.
STRANGE = (
    "img, main script, dialog script, main svg:not(.spark, .bars), [onclick], [onerror], [onload]"
)


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


class HostileTests(PageCase):
    """Whatever a client or a script says is text: it runs nothing, in any part of the page."""

    stage = STAGE
    name = "hostile"

    def open_hostile(self) -> int:
        """Open the page with a service whose script is hostile; return the port of the service."""
        self.stage.api(
            "POST",
            "/api/services",
            {
                "name": self.name,
                "listen": "tcp:0:interface=127.0.0.1",
                "framing": "line",
                "unmatched": MARKUP,
                "rule": [
                    {"starts_with": "<", "reply": MARKUP, "goto": NAME},
                    {"when": NAME, "equals": "never", "reply": "no"},
                    {"equals": "MAIL <b>x</b>", "reply": "yes"},
                ],
            },
        )
        self.open(self.name)
        return self.stage.port(self.name)

    def assert_text(self, *texts: str) -> None:
        """Assert that the page shows *texts*, no control character, and no element of theirs."""
        shown = self.page.evaluate("document.body.textContent")
        for text in texts:
            self.assertIn(text, shown)
        for character in "\u202e\x1b\x07":
            self.assertNotIn(character, shown)
        self.assertEqual(self.page.locator(STRANGE).count(), 0)

    def test_hostile_bytes_are_text(self) -> None:
        """Markup, terminal escapes and bidi characters in requests, replies and names."""
        port = self.open_hostile()
        fault = {"name": NAME, "kind": "slicer", "stream": "downstream", "size": 9}
        self.stage.api("POST", f"/api/services/{self.name}/faults", fault)
        self.stage.say(port, HOSTILE.encode() + b"\r\n", len(MARKUP) + 2)
        self.row("onerror").click()
        self.page.locator(".maker summary").click()
        self.page.locator(".maker .check >> text=rule").wait_for()
        self.page.get_by_role("button", name="both").click()
        self.assertIn(NAME, self.row("added").text_content())
        self.assertIn(f"start → {NAME}", self.text(".facts"))
        self.page.fill("#search", "<script>")
        self.page.locator("mark").first.wait_for()
        self.assertEqual(self.page.title(), f"reqresp: {self.name}")
        self.assert_text(MARKUP)

    def test_a_hostile_miss_is_text(self) -> None:
        """Bytes that no rule matches, and the rule that is nearest, as explain shows them."""
        port = self.open_hostile()
        self.stage.say(port, f"MAIL {HOSTILE}\r\n".encode(), len(MARKUP) + 2)
        self.row("MAIL").click()
        self.page.locator(".near").first.wait_for()
        self.assertIn("IL <img src=x", self.text(".near"))
        self.page.locator(".maker .check >> text=rule").wait_for()
        self.assert_text(MARKUP)

    def test_a_hostile_problem_is_text(self) -> None:
        """What is wrong with a script quotes it: a name of a rule, and a key."""
        self.open_hostile()
        self.page.get_by_role("button", name="Script").click()
        key = NAME + r"\u202e\u001b"
        text = f"[[rule]]\nname = '{RULE}'\nreply = 'x'\n\"{key}\" = 1\n"
        self.page.fill("dialog.editor textarea", text)
        self.page.locator("dialog.editor .problems").wait_for()
        problems = self.text("dialog.editor .problems")
        self.assertIn(RULE, problems)
        self.assertIn(NAME, problems)
        self.assert_text()

    def test_a_hostile_push_is_text(self) -> None:
        """The bytes before they are pushed, why they cannot be, and the entry afterwards."""
        self.open_hostile()
        with self.stage.connect(self.name) as client:
            client.ask(b"<\r\n", len(MARKUP) + 2)
            self.row("onerror").click()
            self.page.get_by_role("button", name="Push…").click()
            self.page.fill("dialog.push textarea", "\\<b onclick=alert(6)>")
            self.page.locator("dialog.push >> text=unknown escape").wait_for()
            self.assert_text(r"unknown escape \<")
            self.page.fill("dialog.push textarea", NAME + "\\x1b\u202e")
            preview = NAME + r"\x1b\xe2\x80\xae"
            self.page.locator("dialog.push .check", has_text=preview).wait_for()
            self.assert_text(preview)
            self.page.locator("dialog.push .go").click()
            client.receive(len(f"{NAME}\x1b\u202e".encode()))
            self.row(NAME).wait_for()
            self.assert_text(preview)

    def test_the_policy_holds(self) -> None:
        """Code and styles in markup are refused, and nothing the page does is."""
        self.open()
        with self.assertRaises(Exception) as caught:
            self.page.evaluate("() => { document.body.innerHTML = '<p>'; }")
        self.assertIn("TrustedHTML", str(caught.exception))
        self.assertIn("TrustedHTML", self.said.pop())
