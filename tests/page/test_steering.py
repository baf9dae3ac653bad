"""What steers a server from the page in Chromium, and what happens when the server is away."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.browser import GREETING, PageCase, Stage, control_port, start_controlled

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()

TOKEN = "only-for-tests-0123456789"  # noqa: S105, it protects nothing
SERVICES = """\
[[service]]
name = "secret"
listen = "tcp:0:interface=127.0.0.1"
response = "yes"
"""

#: Whether the page is wider than its window.
_IS_TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


class TokenTests(PageCase):
    """A server that demands a token."""

    stage = STAGE

    def test_the_token_is_asked_for(self) -> None:
        """A wrong token is asked for again; the right one shows the services, and is kept."""
        directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
        self.addCleanup(shutil.rmtree, directory)
        directory.joinpath("services.toml").write_text(SERVICES, encoding="utf-8")
        directory.joinpath("token").write_text(TOKEN, encoding="utf-8")
        directory.joinpath("token").chmod(0o600)
        server = start_controlled(directory, "--control-token-file=token")
        self.addCleanup(server.stop)
        self.page.goto(f"http://127.0.0.1:{control_port(server)}/")
        field = self.page.get_by_role("textbox", name="Token")
        field.wait_for()
        self.assert_accessible("token", "dialog.token")
        self.assertIn("Authorization", self.text("#trouble"))
        field.fill("wrong")
        self.page.get_by_role("button", name="Use", exact=True).click()
        self.until(
            lambda: self.page.locator("dialog.token").count() == 1 and not field.input_value()
        )
        field.fill(TOKEN)
        field.press("Enter")
        self.page.locator(".service.on >> text=secret").wait_for()
        self.page.locator("dialog").nth(1).wait_for(state="detached")
        self.until(lambda: not self.text("#trouble"))
        self.page.reload()
        self.page.locator(".service.on >> text=secret").wait_for()


class ResetTests(PageCase):
    """*Reset all*."""

    stage = STAGE

    def test_all_is_as_it_was_at_the_start(self) -> None:
        """A reset is asked about; then entries and faults are gone, and connections reset."""
        self.stage.converse(b"HELP\r\n")
        fault = {"kind": "latency", "stream": "downstream", "delay": 0.01}
        self.stage.api("POST", "/api/services/smtp/faults", fault)
        self.open()
        self.row("HELP").wait_for()
        self.page.locator("#active >> text=latency").wait_for()
        button = self.page.get_by_role("button", name="Reset all")
        button.click()
        self.assertIn("Counters go on.", self.text("dialog.ask"))
        self.press("Escape")
        self.page.locator("dialog.ask").wait_for(state="detached")
        self.assertEqual(self.row("HELP").count(), 1)
        with self.stage.connect() as client:
            client.receive(len(GREETING))
            button.click()
            self.page.locator("dialog.ask").get_by_role("button", name="Reset all").click()
            self.assertTrue(client.is_reset())
        self.row("HELP").wait_for(state="detached")
        self.page.locator("#active >> text=none").wait_for()
        self.assertEqual(self.stage.api("GET", "/api/services/smtp/faults")["faults"], [])

    def test_traffic_right_after_a_reset(self) -> None:
        """Entries of before are gone, even if as many have come since."""
        self.stage.converse(b"HELP\r\n")
        self.open()
        self.wait_rows(4)
        self.stage.api("POST", "/api/reset", {})
        self.stage.converse(b"DATA\r\n", b"NOOP\r\n")
        self.row("HELP").wait_for(state="detached")
        self.row("DATA").wait_for()
        path = "/api/services/smtp/entries"
        self.until(lambda: self.counts() == (len(self.stage.api("GET", path)["entries"]), 0))


class StreamTests(PageCase):
    """A page whose server is away for a while; a relay is between them."""

    stage = STAGE

    def setUp(self) -> None:
        super().setUp()
        relay = {"name": "way", "listen": "tcp:0:interface=127.0.0.1"}
        relay["upstream"] = urlsplit(self.stage.origin).netloc
        self.stage.api("POST", "/api/services", relay)
        self.page.goto(f"http://127.0.0.1:{self.stage.port('way')}/#smtp")

    def enable(self, word: str) -> None:
        """Enable or disable the relay: a disabled one has no connections."""
        self.stage.api("POST", f"/api/services/way/{word}", {})

    def passed(self) -> str:
        """Return what has come from the page."""
        path = "/api/services/way/entries?event=passed&limit=1000&max_bytes=9999"
        entries = self.stage.api("GET", path)["entries"]
        return "".join(str(it.get("data")) for it in entries if it["stream"] == "upstream")

    def test_events_begin_again_after_the_last_one(self) -> None:
        """What came while the page had no connection is shown, each entry once."""
        self.page.locator("#empty pre").first.wait_for()
        self.stage.converse(b"MAIL FROM:<a>\r\n")
        self.row("MAIL").wait_for()
        self.wait_rows(4)
        self.enable("disable")
        self.page.locator("#trouble:not(:empty)").wait_for()
        self.stage.converse(b"HELP\r\n")
        self.enable("enable")
        self.row("HELP").wait_for()
        self.wait_rows(8)
        self.assertEqual(self.text("#trouble"), "")
        last = self.page.locator(".row", has_text="closed").first.get_attribute("data-key")
        self.assertIn(f"last-event-id: {last}\r\n", self.passed().lower())

    def test_another_process_has_another_journal(self) -> None:
        """After a restart of the server its entries replace those of before."""
        directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
        self.addCleanup(shutil.rmtree, directory)
        text = SERVICES.replace("secret", "smtp")
        directory.joinpath("services.toml").write_text(text, encoding="utf-8")
        server = start_controlled(directory)
        self.addCleanup(server.stop)
        self.stage.converse(b"HELP\r\n")
        self.row("HELP").wait_for()
        relay = {"name": "way", "listen": f"tcp:{self.stage.port('way')}:interface=127.0.0.1"}
        relay["upstream"] = f"127.0.0.1:{control_port(server)}"
        self.stage.api("DELETE", "/api/services/way")
        self.stage.api("POST", "/api/services", relay)
        self.page.locator("#source >> text=answers yes").wait_for()
        self.row("HELP").wait_for(state="detached")
        self.page.locator("#empty pre").first.wait_for()


class TroubleTests(PageCase):
    """What the page says when something went wrong."""

    stage = STAGE

    def setUp(self) -> None:
        super().setUp()
        fault = {"kind": "latency", "stream": "downstream", "delay": 0.2}
        self.stage.api("POST", "/api/services/smtp/faults", fault)
        self.open()
        self.press("f")
        self.delay = self.page.get_by_role("spinbutton", name="delay of latency, ← replies, typed")

    def type(self, value: str) -> None:
        """Type a delay into its field."""
        self.delay.fill(value)
        self.press("Tab")

    def test_a_value_out_of_bounds(self) -> None:
        """It is said in the unit of its field, and stays there; the server is not asked."""
        asked: list[str] = []
        self.page.on("request", lambda it: asked.append(it.method))
        for value in ("-30", "1e13", ""):
            self.type(value)
            self.assertEqual(
                self.text("#trouble"),
                f"delay: expected ms from 0 to 1000000000000, found {value or 'none'}",
            )
            self.assertEqual(self.delay.input_value(), value)
            self.assertEqual(self.delay.get_attribute("aria-invalid"), "true")
        self.assert_accessible("a wrong value")
        self.assertNotIn("PATCH", asked)
        self.type("30")
        self.page.locator("#trouble:empty").wait_for(state="attached")
        self.assertEqual(self.delay.get_attribute("aria-invalid"), "false")
        self.until(lambda: "PATCH" in asked)

    def test_a_value_that_the_server_refuses(self) -> None:
        """It is said once, as the API has it, and the field has the value of before again."""
        slicer = {"kind": "slicer", "stream": "downstream", "size": 4}
        self.stage.api("POST", "/api/services/smtp/faults", slicer)
        variation = self.page.get_by_role("spinbutton", name="variation of slicer")
        variation.fill("9")
        self.press("Tab")
        self.page.locator("#trouble:not(:empty)").wait_for()
        self.assertEqual(self.text("#trouble"), "variation: expected at most size (4), found 9")
        self.until(lambda: variation.input_value() == "0")

    def test_it_is_dismissed(self) -> None:
        """A button removes it, and then itself."""
        self.type("-30")
        self.page.get_by_role("button", name="Dismiss the error").click()
        self.assertEqual(self.text("#trouble"), "")
        self.assertFalse(self.page.locator("#dismiss").is_visible())

    def test_a_long_text_is_whole(self) -> None:
        """It makes the page no wider, can be read to its end, and covers no button."""
        long = "expected another name, found " + "x" * 400
        self.page.route(
            "**/disable",
            lambda route: route.fulfill(status=422, json={"error": long, "problems": []}),
        )
        self.page.locator(".service .switch").first.click()
        said = self.page.locator("#trouble:not(:empty)")
        said.wait_for()
        self.assertEqual(said.text_content(), long)
        for width in (1600, 400):
            self.page.set_viewport_size({"width": width, "height": 800})
            self.assertFalse(self.page.evaluate(_IS_TOO_WIDE), width)
            self.assertFalse(said.evaluate("it => it.scrollWidth > it.clientWidth"), width)
            self.page.get_by_role("button", name="Reset all").click(trial=True)
            self.assert_accessible(f"an error, {width}")


class ServiceTests(PageCase):
    """Several services."""

    stage = STAGE

    def test_services_are_switched(self) -> None:
        """Another service has its own list, filters, faults and address; all is loaded at once."""
        self.stage.converse(b"HELP\r\n")
        self.stage.converse(b"hello\r\n", name="fixed", greeting=b"")
        self.open()
        self.row("HELP").click()
        self.page.fill("#search", "HELP")
        self.wait_rows(1)
        self.page.get_by_role("button", name="fixed :").click()
        self.row("hello").wait_for()
        self.assertEqual(self.page.locator(".row", has_text="HELP").count(), 0)
        self.assertEqual(self.page.input_value("#search"), "")
        self.assertIn("No entry selected", self.text("#detail"))
        self.assertEqual(self.text("#name"), "fixed")
        self.assertEqual(self.text("#addr"), f"127.0.0.1:{self.stage.port('fixed')}")
        self.assertTrue(self.page.url.endswith("#fixed"))
        self.page.get_by_role("button", name="smtp :").click()
        self.row("HELP").wait_for()

    def test_an_address_that_names_no_service(self) -> None:
        """The first service is chosen, also if the address cannot be decoded."""
        self.page.goto(f"{self.stage.origin}/#%E0%A4%A")
        self.page.locator(".service.on .name >> text=smtp").wait_for()
        self.assertEqual(self.text("#trouble"), "")

    def test_connections_grow_older(self) -> None:
        """The age of an open connection goes on."""
        with self.stage.connect():
            self.open()
            age = self.page.locator(".conn .dim")
            first = age.text_content()
            self.until(lambda: age.text_content() != first)

    def test_what_came_before_is_in_the_sparkline(self) -> None:
        """The requests of the last seconds are drawn when the page is opened, misses as misses."""
        self.stage.converse(b"DATA\r\n", b"HELP\r\n")
        self.stage.converse(b"hello\r\n", name="fixed", greeting=b"")
        self.open()
        found = "name => document.querySelectorAll(`.service ${name}`).length"
        self.until(lambda: self.page.evaluate(found, "rect.good") >= 2)
        bars = [
            [card.locator(f"rect.{it}").count() > 0 for it in ("good", "miss", "error")]
            for card in self.page.locator(".service").all()
        ]
        none = [False, False, False]
        self.assertEqual(bars, [[True, True, False], [True, False, False], none])

    def test_what_came_while_the_page_was_hidden(self) -> None:
        """Its requests are drawn when they came, not all at once when the page is shown again."""
        self.open("fixed")
        self.hide(is_hidden=True)
        for _ in range(2):
            self.stage.converse(b"hello\r\n", name="fixed", greeting=b"")
            self.page.wait_for_timeout(1100)  # they come in seconds of their own
        self.hide(is_hidden=False)
        bars = self.page.locator(".service.on rect.good")
        self.until(lambda: bars.count() == 2)
        self.page.wait_for_timeout(1100)  # a second is counted
        self.assertEqual(bars.count(), 2)

    def hide(self, *, is_hidden: bool) -> None:
        """Have the page believe that it is hidden, or shown."""
        self.page.evaluate(
            """(value) => {
                Object.defineProperty(document, "hidden", { value, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            is_hidden,
        )

    def test_more_connections_than_are_listed(self) -> None:
        """The newest hundred are listed, and the others counted."""
        with ExitStack() as ending:
            for _ in range(103):
                ending.enter_context(self.stage.connect("fixed"))
            self.open("fixed")
            self.page.locator(".conns >> text=3 older ones not shown").wait_for()
            path = "/api/services/fixed/connections"
            newest = self.stage.api("GET", path)["connections"][3:]
            numbers = [f"#{it['number']}" for it in newest]
            self.assertEqual(self.texts(".conn > :first-child"), numbers)

    def test_misses_are_amber_and_errors_red(self) -> None:
        """Bars, and the words of the counts, have the colour of each, and the same sign."""
        with self.stage.connect() as client:
            client.ask(b"HELP\r\n", len(GREETING) + len(b"500 what?\r\n"))
            client.send(b"unfinished")
            client.half_close()
            client.rest()
        self.open()
        card = self.page.locator(".service.on")
        colours = {}
        for kind in ("miss", "error"):
            card.locator(f"rect.{kind}").first.wait_for(state="attached")
            self.assertEqual(card.locator(f".sign.{kind}").count(), 1)
            colours[kind] = card.locator(f"rect.{kind}").evaluate("it => getComputedStyle(it).fill")
        self.assertEqual(colours, {"miss": "rgb(133, 80, 0)", "error": "rgb(176, 35, 27)"})
        label = str(card.locator(".spark").get_attribute("aria-label"))
        self.assertTrue(label.endswith("with 1 miss and 1 error"), label)
        words = card.locator(".wide .miss >> text=○")
        words.wait_for()
        self.assertRegex(str(words.text_content()), r"^○ \d+ miss(es)?$")
        self.assertEqual(words.evaluate("it => getComputedStyle(it).color"), colours["miss"])


class DeletedServiceTests(PageCase):
    """The chosen service is deleted while the page shows it."""

    stage = STAGE

    def setUp(self) -> None:
        super().setUp()
        spare = {"name": "spare", "listen": "tcp:0:interface=127.0.0.1", "response": "yes"}
        self.stage.api("POST", "/api/services", spare)

    def test_another_service_is_chosen(self) -> None:
        """The page chooses the first service that is left, and receives what comes there."""
        self.open("spare")
        self.stage.api("DELETE", "/api/services/spare")
        self.page.locator(".service.on .name >> text=smtp").wait_for()
        self.stage.converse(b"HELP\r\n")
        self.row("HELP").wait_for()
        self.assertEqual(self.text("#trouble"), "")

    def test_no_service_is_left(self) -> None:
        """The page says that there is none."""
        directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
        self.addCleanup(shutil.rmtree, directory)
        directory.joinpath("services.toml").write_text(SERVICES, encoding="utf-8")
        server = start_controlled(directory)
        self.addCleanup(server.stop)
        origin = f"http://127.0.0.1:{control_port(server)}"
        self.page.goto(origin)
        self.page.locator(".service.on >> text=secret").wait_for()
        self.page.request.delete(
            f"{origin}/api/services/secret", headers={"Content-Type": "application/json"}
        )
        self.page.locator("#empty >> text=No services").wait_for()
        self.until(lambda: not self.text("#trouble"))
        self.assertEqual(self.page.locator(".service").count(), 0)
        self.assert_accessible("no services")


class SliderTests(PageCase):
    """Sliders of faults."""

    stage = STAGE

    def test_a_slider_is_dragged(self) -> None:
        """While it is dragged the fault follows, with few requests; the typed value does, too."""
        fault = {"kind": "latency", "stream": "downstream", "delay": 0.2}
        self.stage.api("POST", "/api/services/smtp/faults", fault)
        self.open()
        self.press("f")
        slider = self.page.get_by_role("slider", name="delay of latency, ← replies")
        box: Any = slider.bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] * 0.1, y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=20)
        self.page.mouse.up()
        shown = int(
            self.page.get_by_role("spinbutton", name="delay of latency, ← replies").input_value()
        )
        self.assertTrue(900 < shown < 1100, shown)
        self.until(lambda: self.delay() == shown / 1000)
        self.assertEqual(slider.get_attribute("aria-valuetext"), f"{shown} ms")
        self.page.locator("#active >> text=latency").wait_for()
        self.assertIn(f"latency {shown} ms", self.text("#active"))
        slider.press("ArrowRight")
        self.until(lambda: self.delay() > shown / 1000)

    def test_a_rate_of_less_than_a_kilobyte(self) -> None:
        """A typed rate keeps its decimals: 0 would let nothing pass."""
        fault = {"kind": "bandwidth", "stream": "downstream", "rate": 64000}
        self.stage.api("POST", "/api/services/smtp/faults", fault)
        self.open()
        self.press("f")
        rate = self.page.get_by_role("spinbutton", name="rate of bandwidth, ← replies, typed")
        rate.fill("0.4")
        self.press("Tab")
        path = "/api/services/smtp/faults"
        self.until(lambda: self.stage.api("GET", path)["faults"][0]["rate"] == 400)
        self.page.locator("#active >> text=bandwidth 0.4 kB/s").wait_for()

    def delay(self) -> float:
        """Return the delay of the fault in the server, in seconds."""
        [fault] = self.stage.api("GET", "/api/services/smtp/faults")["faults"]
        return float(fault["delay"])


class CopyTests(PageCase):
    """What is copied."""

    stage = STAGE

    def copied(self) -> str:
        """Return the text in the clipboard."""
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def test_bytes_a_rule_and_an_explanation_are_copied(self) -> None:
        """The clipboard has the escapes of scripts, the TOML, and what `reqresp explain` says."""
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.stage.converse("MÜLL\\\r\n".encode())
        self.open()
        self.row("MÜLL").click()
        self.page.locator("#detail .dump >> text=\\n").first.wait_for()
        self.page.get_by_role("button", name="Copy: Request").click()
        self.page.locator("#detail >> text=Copied").wait_for()
        self.assertEqual(self.copied(), r"MÜLL\\\r\n")
        self.page.locator(".maker .check >> text=✓").wait_for()
        self.page.locator(".maker button", has_text="Copy").click()
        self.until(lambda: "[[rule]]" in self.copied())
        self.assertEqual(self.copied(), self.page.input_value(".maker textarea"))
        self.page.locator(".why button", has_text="Copy").click()
        self.until(lambda: "nearest: rule[" in self.copied())
