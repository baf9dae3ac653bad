"""The list of the page in Chromium: rows, keys, pausing and searching."""

import subprocess
import tempfile
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import live
from tests.support.browser import PageCase, Stage, redis_command
from tests.support.live import PATIENCE

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()

#: Whether something of a row is below its end.
_IS_CUT = """(row) => Array.from(row.children)
    .some((it) => it.getBoundingClientRect().bottom > row.getBoundingClientRect().bottom)"""

#: Of each text of a row that says what is left out: the text, and whether its end is in its cell.
_SAID_OF_THE_REST = """(row) => Array.from(row.querySelectorAll(".b .dim, .b .soft"))
    .map((it) => [it.textContent.trim(),
        it.getBoundingClientRect().right <= it.closest(".b").getBoundingClientRect().right])"""


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


class RowTests(PageCase):
    """What a row shows."""

    stage = STAGE

    def test_an_exchange_is_a_request_over_its_reply(self) -> None:
        """A new exchange appears at once: the request, what answered, the reply."""
        self.open()
        self.stage.converse(b"DATA\r\n")
        row = self.row("DATA")
        row.wait_for()
        cells = [
            row.locator(it).text_content()
            for it in (".a1", ".b:not(.b2)", ".r:not(.r2)", ".a2", ".b2")
        ]
        self.assertEqual(cells[:2] + cells[3:], ["→", "DATA", "←", "354 go on"])
        self.assertEqual(cells[2], "data")
        top, bottom = (row.locator(it).bounding_box() for it in (".b >> nth=0", ".b2"))
        self.assertEqual(top["x"], bottom["x"])
        self.assertLess(top["y"], bottom["y"])

    def test_what_is_no_exchange_is_one_line(self) -> None:
        """A greeting, a connection and its end have one line each, in words or bytes."""
        self.open()
        self.stage.converse(b"QUIT\r\n")
        self.row("closed").wait_for()
        self.assertEqual(self.row("connected from 127.0.0.1").bounding_box()["height"], 26)
        self.assertIn("greeting", self.row("220 mail.test").text_content())
        self.assertEqual(self.row("QUIT").bounding_box()["height"], 45)

    def test_a_miss_has_a_colour_and_a_word(self) -> None:
        """A request that no rule matches is marked in amber, and says ``miss``."""
        self.open()
        self.stage.converse(b"HELP\r\n")
        row = self.row("HELP")
        row.wait_for()
        self.assertIn("is-miss", row.get_attribute("class"))
        self.assertEqual(row.locator(".r:not(.r2)").text_content(), "miss")

    def test_bytes_are_written_with_the_escapes_of_scripts(self) -> None:
        """A control, an invisible or a bidi character is an escape; a letter is itself."""
        self.open()
        self.stage.converse("café \u202e\x1b[2J\t\\ ".encode() + b"\xff\r\n")
        row = self.row("café")
        row.wait_for()
        self.assertEqual(
            row.locator(".b").first.text_content(), r"café \xe2\x80\xae\x1b[2J\t\\ \xff"
        )

    def test_what_a_row_does_not_show_is_counted(self) -> None:
        """A row says how many bytes it leaves out of all, and a long request hides no reply."""
        self.stage.converse(b"HELP " + b"x" * 59_995 + b"\r\n")
        self.open()
        row = self.row("HELP")
        row.wait_for()
        self.assertRegex(str(row.locator(".b").first.text_content()), "x … 59,800 more bytes$")
        self.assertEqual(row.locator(".b2").text_content(), "500 what?")

    def test_no_width_hides_what_is_said_of_the_rest(self) -> None:
        """A narrow list cuts bytes off, and not how many more there are, nor how a reply ends."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "rule": [{"equals": "a", "reply": ["z"] * 30, "close": True},
                      {"equals": "b", "reply": ["w" * 3000] * 30, "close": True},
                      {"reply": "y" * 3000, "close": True}]},
        )  # fmt: skip
        for request in (b"a\r\n", b"b\r\n", b"x" * 60_000 + b"\r\n"):
            self.stage.converse(request, name="own", greeting=b"")
        self.open("own")
        self.wait_rows(10)
        expected = {
            "z": ["· … 10 more frames", "close"],
            "w": ["… 59,800 more bytes", ", 10 frames", "close"],
            "x": ["… 59,800 more bytes", "… 2,800 more bytes", "close"],
        }
        for width in (400, 800, 1100, 1600, 2800):
            self.page.set_viewport_size({"width": width, "height": 900})
            for text, words in expected.items():
                said = self.row(text).evaluate(_SAID_OF_THE_REST)
                shown = [it for it in said if it[0] != "·"]
                self.assertEqual(shown, [[it, True] for it in words], f"{text}, {width}")

    def test_an_empty_payload_has_a_word(self) -> None:
        """An empty request, and an empty frame of a reply, are said to have no bytes."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "line",
             "rule": [{"reply": ["", "b"]}]},
        )  # fmt: skip
        self.stage.converse(b"\r\n", name="own", greeting=b"")
        self.open("own")
        row = self.row("no bytes")
        row.wait_for()
        self.assertEqual(row.locator(".b").first.text_content(), "no bytes")
        self.assertEqual(row.locator(".b2").text_content(), "no bytes · b")

    def test_heights_are_those_of_the_prefix_sums(self) -> None:
        """In each layout every row begins where the one before ends."""
        self.stage.converse(b"MAIL FROM:<a>\r\n", b"HELP\r\n", b"QUIT\r\n")
        self.open()
        for width in (1600, 2800, 1000, 400):
            self.page.set_viewport_size({"width": width, "height": 900})
            self.until(lambda: len(self.boxes()) == 6)
            self.assert_no_gap()
            for row in self.page.locator(".row").all():
                self.assertFalse(row.evaluate(_IS_CUT), f"{width}: {row.text_content()}")


class KeyboardTests(PageCase):
    """Everything can be reached with keys."""

    stage = STAGE

    def test_the_list_is_a_listbox(self) -> None:
        """Keys move the active option, and each option says its place among all."""
        self.stage.converse(b"DATA\r\n", b".\r\n")
        self.open()
        self.wait_rows(5)
        box = self.page.locator("#rows")
        self.assertEqual(box.get_attribute("role"), "listbox")
        box.focus()
        self.press("k", "k")
        active = box.get_attribute("aria-activedescendant")
        option = self.page.locator(f"#{active}")
        self.assertEqual(option.get_attribute("aria-selected"), "true")
        self.assertEqual(option.get_attribute("aria-posinset"), "4")
        self.assertEqual(option.get_attribute("aria-setsize"), "5")
        self.assertIn("Request 2 on connection", self.text("#detail h2"))
        self.press("ArrowUp")
        self.assertIn("Request 1 on connection", self.text("#detail h2"))
        self.assertEqual(self.page.locator("[role=option][aria-selected=true]").count(), 1)

    def test_keys(self) -> None:
        """``/`` searches, ``p`` pauses, ``f`` opens faults, ``v`` views, ``m`` finds misses."""
        self.stage.converse(b"HELP\r\n", b"DATA\r\n")
        self.open()
        self.wait_rows(5)
        self.press("m")
        self.assertIn("Request 1 on connection", self.text("#detail h2"))
        self.press("v")
        self.page.locator(".dump >> text=48 45 4c 50").wait_for()
        self.press("f")
        self.assertTrue(self.page.locator("#faults").evaluate("it => it.open"))
        self.press("p")
        self.assertEqual(self.page.locator("#pause").get_attribute("aria-pressed"), "true")
        self.press("p", "/")
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "search")
        self.page.keyboard.type("DATA")
        self.wait_rows(1)
        self.press("Escape")
        self.wait_rows(5)
        self.press("?")
        self.page.locator("#keys[open]").wait_for()
        self.press("p")
        self.assertEqual(self.page.locator("#pause").get_attribute("aria-pressed"), "false")
        self.press("Escape", "r")
        self.wait("document.activeElement.tagName === 'TEXTAREA'")

    def test_a_control_that_is_made_again_keeps_the_focus(self) -> None:
        """A button of the detail can be pressed again, though the detail is drawn again."""
        self.stage.converse(b"DATA\r\n", b".\r\n", b"NOOP\r\n")
        self.open()
        self.row("DATA").click()
        self.page.get_by_role("button", name="Next entry").focus()
        self.press("Enter", "Enter")
        self.assertIn("Request 3 on connection", self.text("#detail h2"))
        self.page.get_by_role("button", name="hex", exact=True).focus()
        self.press("Enter")
        self.assertEqual(self.page.locator("#detail .dump.text").count(), 0)
        self.assertEqual(self.page.evaluate("document.activeElement.textContent"), "hex")

    def test_a_fault_is_added(self) -> None:
        """Arrows open the kinds and move among them; nothing is added before one is chosen."""
        self.open()
        self.press("f")
        self.page.get_by_label("Add a fault: ← replies").focus()
        self.press("ArrowDown", "ArrowDown", "ArrowDown", "Enter")
        self.row("added").wait_for()
        [fault] = self.stage.api("GET", "/api/services/smtp/faults")["faults"]
        self.assertEqual((fault["kind"], fault["stream"]), ("bandwidth", "downstream"))

    def test_keys_scroll_the_details(self) -> None:
        """In the details, keys that scroll do so, and the others go through the list."""
        self.page.set_viewport_size({"width": self.width, "height": 400})
        self.stage.converse(b"DATA\r\n", b".\r\n")
        self.open()
        self.row("DATA").click()
        region = self.page.get_by_role("region", name="Details")
        region.focus()
        for key, condition in (("PageDown", "> 0"), ("Home", "=== 0"), ("End", "> 0")):
            self.press(key)
            self.wait(f"document.querySelector('.scroll').scrollTop {condition}")
            self.assertIn("Request 1 on connection", self.text("#detail h2"))
        self.press("j")
        self.assertIn("Request 2 on connection", self.text("#detail h2"))
        self.press("k")
        self.assertIn("Request 1 on connection", self.text("#detail h2"))

    def test_one_connection(self) -> None:
        """``c`` shows the connection of the selected entry alone, and all again."""
        self.stage.converse(b"DATA\r\n")
        self.stage.converse(b"HELP\r\n")
        self.open()
        self.wait_rows(8)
        self.row("HELP").click()
        self.press("c")
        self.wait_rows(4)
        self.page.get_by_role("button", name="Remove the filter #").click()
        self.wait_rows(8)


class PauseTests(PageCase):
    """Pausing."""

    stage = STAGE

    def test_a_pause_moves_no_row(self) -> None:
        """While it is paused no row moves, and the button counts what is new."""
        self.stage.converse(*[b"NOOP %d\r\n" % it for it in range(40)])
        self.open()
        self.wait_rows(43)
        before = self.boxes()
        self.page.locator("#pause").click()
        self.assertEqual(self.boxes(), before)
        self.stage.converse(b"DATA\r\n")
        self.wait("document.querySelector('#pause').textContent === 'Resume · 4 new'")
        self.assertEqual(self.boxes(), before)
        self.page.locator("#pause").click()
        self.row("DATA").wait_for()
        self.wait_rows(47)

    def test_scrolling_up_moves_no_row_either(self) -> None:
        """Who has scrolled up sees the same rows while others are added."""
        self.stage.converse(*[b"NOOP %d\r\n" % it for it in range(40)])
        self.open()
        self.wait_rows(43)
        self.page.locator("#rows").evaluate("it => { it.scrollTop = 100; }")
        self.wait("document.querySelector('#count').textContent.includes('scrolled up')")
        self.stage.converse(b"DATA\r\n")
        self.wait_rows(47)
        self.assertEqual(self.page.locator("#rows").evaluate("it => it.scrollTop"), 100)


class SearchTests(PageCase):
    """Searching and filtering."""

    stage = STAGE

    def setUp(self) -> None:
        super().setUp()
        self.stage.converse(b"MAIL FROM:<ann>\r\n", b"HELP \xff\x00\r\n", b"mail 42\r\n")
        self.open()
        self.wait_rows(6)

    def search(self, mode: str, query: str) -> list[str]:
        """Search; return the requests that are shown, with what is marked in brackets."""
        self.page.select_option("#mode", mode)
        self.page.fill("#search", query)
        self.wait(
            "query => !query || document.querySelector('#count').textContent.includes('filtered')",
            query,
        )
        self.page.wait_for_timeout(150)
        return self.texts(".row mark")

    def test_ways_of_searching(self) -> None:
        """Text in any case, pairs of hex digits and regular expressions are found and marked."""
        self.assertEqual(self.search("text", "mail"), ["mail", "MAIL", "mail"])
        self.wait_rows(3)
        self.assertEqual("".join(self.search("hex", "ff 00")), r"\xff\0")
        self.wait_rows(1)
        self.assertEqual(self.search("regex", r"mail \d+"), ["mail 42"])

    def test_a_command_is_searched_as_rules_see_it(self) -> None:
        """The page and the server find the words of a command, and not what stands between."""
        self.stage.api(
            "POST",
            "/api/services",
            {"name": "own", "listen": "tcp:0:interface=127.0.0.1", "framing": "resp",
             "unmatched": "+what", "rule": [{"equals": "a", "reply": "+a"}]},
        )  # fmt: skip
        with self.stage.connect("own") as client:
            client.ask(redis_command(b"GET", b"a"), 7)
        self.page.get_by_role("button", name="own :").click()
        self.row("GET a").wait_for()
        for mode, query in (("text", "get a"), ("hex", "47 45 54 20 61"), ("regex", "^get .$")):
            self.assertEqual(self.search(mode, query), ["GET a"])
            self.wait_rows(1)
        for mode, query in (("text", "$3"), ("hex", "0d 0a"), ("regex", "[$]3")):
            self.search(mode, query)
            self.wait_rows(0)

    def test_what_is_not_loaded_is_searched_on_the_server(self) -> None:
        """What only the server has is found, and the page says where it searched."""
        self.page.fill("#search", "mail")
        self.page.locator("#count >> text=searched: all entries ·").wait_for()
        self.stage.converse(b"HELP " + b"x" * 3000 + b" needle\r\n")
        self.page.fill("#search", "NEEDLE")
        self.page.locator("#count >> text=searched: all entries, on the server").wait_for()
        self.wait_rows(1)
        self.page.select_option("#mode", "regex")
        self.page.fill("#search", r"n[e]+dle$")
        self.wait_rows(1)
        self.page.fill("#search", r"(?=needle)")  # RE2 looks at nothing ahead
        self.page.locator("#empty >> text=invalid RE2 pattern").wait_for()

    def test_a_pattern_that_would_take_a_browser_for_ever(self) -> None:
        """It is searched for in linear time, and what comes later is found as well."""
        self.stage.converse(b"a" * 60 + b"c\r\n", b"aab\r\n")
        self.page.select_option("#mode", "regex")
        self.page.fill("#search", "(a+)+b")
        self.wait_rows(1)
        self.assertEqual(self.texts(".row mark"), ["aab"])
        self.stage.converse(b"AB\r\n")
        self.wait_rows(2)

    def test_hex_is_what_the_api_reads(self) -> None:
        """The page refuses what the server refuses: spaces stand after pairs alone."""
        for query in ("ff 00", "FF00  ", "f f00", " ff00", "ff0", "fg"):
            self.search("hex", query)
            is_refused = self.page.locator("#search").get_attribute("aria-invalid") == "true"
            path = f"/api/services/smtp/entries?hex={quote(query)}"
            status = self.page.request.get(self.stage.origin + path).status
            self.assertEqual(is_refused, status == HTTPStatus.UNPROCESSABLE_ENTITY, query)

    def test_a_wrong_search_says_what_is_wrong(self) -> None:
        """Nothing is shown for a pattern that cannot be read, but the reason."""
        self.search("regex", "(")
        self.wait("document.querySelector('#empty').textContent.includes('cannot be read')")
        self.assertEqual(self.text("#empty .error"), "regex: invalid RE2 pattern '(': missing ): (")
        self.assertEqual(self.page.locator("#search").get_attribute("aria-invalid"), "true")

    def test_case_is_that_of_ascii_letters(self) -> None:
        """A text is found as the server finds it: other bytes are only themselves."""
        self.stage.converse(b"\xe3\xa3 HELP\r\n")
        self.wait_rows(10)
        self.assertEqual(self.search("text", "ã"), [])
        self.page.get_by_role("button", name="Clear filters").wait_for()
        self.assertEqual(self.search("text", "heLp"), ["HELP", "HELP"])

    def test_chips(self) -> None:
        """A chip shows how many misses there are, and them alone when it is pressed."""
        chip = self.page.get_by_role("button", name="Misses 2")
        chip.click()
        self.wait_rows(2)
        self.assertEqual(chip.get_attribute("aria-pressed"), "true")
        self.assertTrue(all("miss" in it for it in self.texts(".row")))
        chip.click()
        self.wait_rows(6)

    def test_nothing_fits(self) -> None:
        """A search without a result offers to clear the filters."""
        self.search("text", "no such text")
        self.page.get_by_role("button", name="Clear filters").click()
        self.wait_rows(6)


class EmptyTests(PageCase):
    """What is shown when there is nothing."""

    stage = STAGE

    def test_how_to_send_the_first_request(self) -> None:
        """The empty list has commands with the real port; the first request replaces them."""
        live.program("nc")
        self.open()
        self.page.locator("#empty pre").first.wait_for()
        port = self.stage.port("smtp")
        shell = self.texts("#empty pre")[0]
        self.assertEqual(shell, f"printf 'hello\\r\\n' | nc -N 127.0.0.1 {port}")
        from_shell, from_python = self.run_what_is_shown()
        self.assertEqual(from_shell, b"220 mail.test\r\n500 what?\r\n")
        self.assertTrue(from_python.startswith(b"220 mail.test\r\n"))
        self.row("hello").wait_for()
        self.assertFalse(self.page.locator("#empty").is_visible())

    def test_the_first_request_of_other_services(self) -> None:
        """It fits the framing, and a UNIX socket is asked by its path."""
        live.program("nc")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = f"{directory.name}/it.sock"
        tcp = "tcp:0:interface=127.0.0.1"
        self.open()
        for name, listen, framing in (
            ("local", f"unix:{path}", "line"),
            ("ended", tcp, "delimiter:;\\x03"),
            ("sized", tcp, "int16:little"),
        ):
            wanted = {"name": name, "listen": listen, "framing": framing, "response": "yes"}
            self.stage.api("POST", "/api/services", wanted)
            self.stage.api("DELETE", f"/api/services/{name}/entries")
            self.page.get_by_role("button", name=f"{name} ").click()
            self.page.locator(f"#empty >> text={name} listens on").wait_for()
            self.assertEqual([b"yes" in it for it in self.run_what_is_shown()], [True, True], name)

    def run_what_is_shown(self) -> tuple[bytes, bytes]:
        """Run the commands of the empty list; return what the shell and Python receive."""
        shell, python = self.texts("#empty pre")
        said = subprocess.run(
            [live.program("bash"), "-c", shell], capture_output=True, check=False, timeout=PATIENCE
        )
        self.assertEqual((said.returncode, said.stderr), (0, b""))
        namespace: dict[str, Any] = {}
        exec(python.replace("print(", "received = ("), namespace)  # noqa: S102, what a user would run
        return said.stdout, bytes(namespace["received"])

    def test_a_disabled_service(self) -> None:
        """A disabled service says so, and can be enabled."""
        self.open("off")
        self.page.get_by_role("button", name="Enable off").click()
        self.row("enabled").wait_for()
        self.assertTrue(self.stage.service("off")["enabled"])
        self.page.get_by_role("switch", name="off enabled").click()
        self.row("disabled").wait_for()
        self.assertFalse(self.stage.service("off")["enabled"])
