"""Relays in Chromium: redis behind them, faults in both directions, and what is shown of it."""

import re
from typing import Any

import pytest

from tests.support.browser import RELAYS, SERVICES, PageCase, Stage, redis_command

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage(SERVICES + RELAYS)


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


class RelayTests(PageCase):
    """What passes a relay to a real redis."""

    stage = STAGE

    def cells(self, text: str) -> tuple[str, ...]:
        """Return the arrow, the bytes or words, and the outcome of a row."""
        row = self.row(text)
        return tuple(row.locator(it).first.text_content() for it in (".a1", ".b", ".r"))

    def test_what_passes(self) -> None:
        """Pieces have the arrow of their direction; connections, faults and ends are words."""
        self.open("redis")
        with self.stage.connect("redis") as client:
            client.send(redis_command(b"PING"))
            self.assertEqual(client.receive(7), b"+PONG\r\n")
            client.half_close()
            self.row("closed").wait_for()
        self.assertEqual(self.cells("PING"), ("→", r"*1\r\n$4\r\nPING\r\n", ""))
        self.assertEqual(self.cells("PONG"), ("←", r"+PONG\r\n", ""))
        self.assertEqual(self.cells("connected upstream"), ("", "connected upstream", ""))
        for words in ("the fault slicer affects upstream", "the fault latency affects downstream"):
            self.assertEqual(self.cells(words), ("", words, "fault"))
            self.assertIn("is-fault", self.row(words).get_attribute("class"))
        for words in ("the client ended its side", "the service ended its side", "upstream closed"):
            self.row(words).wait_for()
        self.page.get_by_role("button", name="Faults 2").click()
        self.wait_rows(2)

    def test_the_detail_of_a_piece(self) -> None:
        """A piece says which way it passed; there is no rule to make, and no time to show."""
        with self.stage.connect("redis") as client:
            client.send(redis_command(b"PING"))
            client.receive(7)
            self.open("redis")
            self.row("PONG").click()
            self.assertEqual(self.text("#detail h2"), "Passed to the client on connection 1")
            self.assertEqual(
                self.texts(".side > header > span:first-child"), ["← From the service"]
            )
            self.assertEqual(self.texts("#detail .dump .b"), [r"+PONG\r\n"])
            self.assertIn("the fault slicer affects upstream", self.texts(".talk .fault"))
            self.assertEqual(self.page.locator(".maker, .row .bars").count(), 0)

    def test_faults_have_a_column_for_each_direction(self) -> None:
        """The faults of the script are on, in the column of their direction."""
        self.open("redis")
        self.press("f")
        self.assertEqual(
            self.texts("#sides h3"),
            ["→ upstream: client to server", "← downstream: server to client"],
        )
        columns = [
            it.locator("[role=switch][aria-checked=true]").all()
            for it in self.page.locator("#sides > div").all()
        ]
        self.assertEqual(
            [[it.get_attribute("aria-label") for it in column] for column in columns],
            [["slicer, → upstream: client to server"], ["latency, ← downstream: server to client"]],
        )
        self.assertEqual(sorted(self.texts("#active .fault")), ["← latency 10 ms", "→ slicer 6 B"])

    def test_each_direction_has_switches_sliders_and_numbers(self) -> None:
        """A fault is switched on, slid and typed upstream while the other column stays as it is."""
        self.open("redis")
        self.press("f")
        upstream, downstream = self.page.locator("#sides > div").all()
        # Its name has a number once it is on, as another fault has its name.
        toggle = upstream.get_by_role("switch", name=re.compile("^latency"))
        self.assertEqual(toggle.get_attribute("aria-checked"), "false")
        toggle.click()
        self.until(lambda: toggle.get_attribute("aria-checked") == "true")
        self.assertEqual(self.faults(), {("upstream", 0.2), ("downstream", 0.01)})
        typed = upstream.get_by_role("spinbutton", name="delay of latency")
        typed.fill("30")
        self.press("Tab")
        self.until(lambda: self.faults() == {("upstream", 0.03), ("downstream", 0.01)})
        slider = upstream.get_by_role("slider", name="delay of latency")
        self.assertEqual(slider.get_attribute("aria-valuetext"), "30 ms")
        slider.fill("500")
        self.until(lambda: self.faults() == {("upstream", 0.5), ("downstream", 0.01)})
        self.assertEqual(typed.input_value(), "500")
        other = downstream.get_by_role("spinbutton", name="delay of latency")
        self.assertEqual(other.input_value(), "10")
        other.fill("20")
        self.press("Tab")
        self.until(lambda: self.faults() == {("upstream", 0.5), ("downstream", 0.02)})
        toggle.click()
        self.until(lambda: toggle.get_attribute("aria-checked") == "false")
        self.assertEqual(self.faults(), {("downstream", 0.02)})
        self.assertEqual(sorted(self.texts("#active .fault")), ["← latency 20 ms", "→ slicer 6 B"])

    def faults(self) -> set[tuple[str, float]]:
        """Return the direction and the delay, in seconds, of each latency of the relay."""
        faults = self.stage.api("GET", "/api/services/redis/faults")["faults"]
        return {(it["stream"], it["delay"]) for it in faults if it["kind"] == "latency"}

    def test_a_service_that_does_not_run(self) -> None:
        """A relay that cannot connect says why, as an error."""
        self.open("gone")
        with self.stage.connect("gone") as client:
            self.assertTrue(client.is_reset())
        row = self.row("no connection upstream")
        row.wait_for()
        self.assertIn("refused", row.text_content())
        self.assertIn("is-error", row.get_attribute("class"))
        self.row("reset by reqresp").wait_for()
        self.page.get_by_role("button", name="Errors 1").click()
        self.wait_rows(1)

    def test_the_bar_has_the_delay_of_the_fault_alone(self) -> None:
        """The time that the service takes for a forwarded request is not the fault's."""
        self.open("spy")
        with self.stage.connect("spy") as client:
            client.send(redis_command(b"BLPOP", b"nothing", b"0.1"))
            self.assertEqual(client.receive(5), b"*-1\r\n")
        row = self.row("BLPOP nothing")
        row.locator(".tag >> text=latency").wait_for()
        whole, part = (float(it.get_attribute("width")) for it in row.locator("rect").all())
        # The fault takes 20 ms, and redis 100 at least.
        self.assertTrue(0 < part <= whole / 5, (whole, part))
        row.click()
        took: Any = self.page.locator(".facts dd", has_text="of which")
        self.assertTrue(took.text_content().endswith(", of which faults 20 ms"))
