"""The page in Chromium with many entries: what a frame costs, and what stays where it is."""

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from tests.support import live
from tests.support.browser import PageCase, Stage

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()

#: How many times as long as in a short list something may take in a long one.
MOST_TIMES_AS_LONG = 3
#: The most rows that exist at once: those in view, and some above and below.
MOST_ROWS = 100

#: Scrolls through the whole list; each frame shows other rows than the one before.  Resolves to the
#: milliseconds that each frame took to compute, to when each came, and to the most rows that there
#: were.
_SCROLL = """(count) => new Promise((done) => {
    const box = document.querySelector("#rows");
    const range = box.scrollHeight - box.clientHeight;
    const stride = Math.max(range / count, Math.min(range / 2, 2 * box.clientHeight));
    const seen = { costs: [], times: [], rows: 0 };
    const frame = (time) => {
        seen.times.push(time);
        seen.rows = Math.max(seen.rows, box.querySelectorAll(".row").length);
        if (seen.times.length > count) {
            done(seen);
            return;
        }
        const began = performance.now();
        box.scrollTop = (seen.times.length * stride) % (range + 1);
        box.dispatchEvent(new Event("scroll"));
        box.getBoundingClientRect(); // lays out what is new
        seen.costs.push(performance.now() - began);
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
})"""

#: Counts frames and batches of entries until `window.stopRecording` is called, which returns what
#: `_SCROLL` does, and the number of batches.
_RECORD = """() => {
    const seen = { times: [], rows: 0, batches: 0 };
    const batches = new MutationObserver(() => { seen.batches += 1; });
    batches.observe(document.querySelector("#count"), { childList: true });
    let isRunning = true;
    const frame = (time) => {
        seen.times.push(time);
        seen.rows = Math.max(seen.rows, document.querySelectorAll(".row").length);
        if (isRunning) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    window.stopRecording = () => {
        isRunning = false;
        batches.disconnect();
        return seen;
    };
}"""

#: Counts how often the number of entries is written.
_COUNT_STEPS = """() => {
    window.steps = 0;
    new MutationObserver(() => { window.steps += 1; })
        .observe(document.querySelector("#count"), { childList: true });
}"""

#: The texts of a row's cells that are cut, or overlap the row below.
_CUT = """(row) => Array.from(row.children)
    .filter((it) => it.scrollHeight > it.clientHeight + 1
        || it.getBoundingClientRect().bottom > row.getBoundingClientRect().bottom)
    .map((it) => it.textContent)"""

#: The id and the place of each row that is in view.
_IN_VIEW = """() => {
    const { top, bottom } = document.querySelector("#rows").getBoundingClientRect();
    const rows = Array.from(document.querySelectorAll(".row"));
    return rows.map((it) => [it.id, it.getBoundingClientRect()])
        .filter(([, box]) => box.bottom > top && box.top < bottom)
        .map(([id, box]) => [id, box.top]).sort((one, other) => one[1] - other[1]);
}"""


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


def interval(seen: Any) -> float:
    """Return the median time between two frames, in milliseconds."""
    times = seen["times"]
    return float(median(after - before for before, after in pairwise(times)))


class ManyTests(PageCase):
    """Thousands of entries."""

    stage = STAGE

    def test_ten_thousand_entries(self) -> None:
        """Ten thousand entries are all there, few rows exist, and each is where it belongs."""
        self.stage.flood(9_990)
        self.open("fixed")
        self.wait_rows(9_992)
        for place in (0, 0.5, 1):
            self.page.locator("#rows").evaluate(
                "(it, place) => { it.scrollTop = place * it.scrollHeight; }", place
            )
            self.page.wait_for_timeout(50)
            self.assertLess(self.page.locator(".row").count(), 100)
            boxes, area = self.boxes(), self.page.locator("#rows").bounding_box()
            self.assertLessEqual(boxes[0][1], area["y"])
            self.assertGreaterEqual(boxes[-1][2], area["y"] + area["height"] - 1)
            self.assert_no_gap()
        self.press("g")
        self.assertEqual(
            self.page.locator("[aria-selected=true]").get_attribute("aria-posinset"), "1"
        )
        self.press("G")
        self.assertEqual(
            self.page.locator("[aria-selected=true]").get_attribute("aria-setsize"), "9992"
        )

    def test_a_flood_is_coalesced_and_what_is_skipped_is_counted(self) -> None:
        """Thousands are drawn in few steps while keys work, and none is lost sight of."""
        self.open("fixed")
        self.page.evaluate(_COUNT_STEPS)
        with self.stage.connect("fixed") as client:
            for turn in range(12):
                # More than one event has.
                client.send(b"".join(b"request %d.\r\n" % (turn * 800 + it) for it in range(800)))
                client.receive(800 * len(b"yes\r\n"))
                self.press("j")
        # Besides there are the connection and its end.
        self.until(lambda: self.counts()[1] and sum(self.counts()) == 9602)
        self.assertLess(self.page.evaluate("window.steps"), 100)
        self.assertEqual(self.page.locator("[aria-selected=true]").count(), 1)
        self.until(self.scroll_up_to_a_gap)
        self.find_what_was_skipped()
        self.until(self.scroll_up_to_a_gap)
        gap = self.page.locator(".row.gap").last
        self.assertRegex(str(gap.text_content()), r"[\d,]+ entries skipped")
        shown, skipped = self.counts()
        gap.click()
        self.until(lambda: self.counts() > (shown, 0) and self.counts()[1] < skipped)

    def test_a_gap_is_one_line_in_each_layout(self) -> None:
        """The row of what was skipped is as high as its text."""
        self.open("fixed")
        self.stage.flood(2400)
        self.until(lambda: self.counts()[1])
        self.press("g")
        gap = self.page.locator(".row.gap").first
        for width in (1600, 2800, 1000, 400):
            self.page.set_viewport_size({"width": width, "height": 900})
            self.assertEqual(gap.evaluate(_CUT), [], width)

    def test_gaps_are_filled_while_paused(self) -> None:
        """What was skipped is loaded in place; what came since is counted, and not shown."""
        self.open("fixed")
        with self.stage.connect("fixed") as client:
            for turn in range(6):
                client.send(b"".join(b"request %d.\r\n" % (turn * 400 + it) for it in range(400)))
                client.receive(400 * len(b"yes\r\n"))
            self.until(lambda: self.counts()[1] and sum(self.counts()) == 2401)
            self.page.locator("#pause").click()
            client.ask(b"later\r\n", len(b"yes\r\n"))
            self.wait("document.querySelector('#pause').textContent === 'Resume · 1 new'")
            while self.counts()[1]:
                self.load_the_last_gap()
            self.assertEqual(self.counts(), (2401, 0))
            self.assertEqual(self.text("#pause"), "Resume · 1 new")
            self.page.fill("#search", "nothing of this")
            self.wait("document.querySelector('#pause').textContent === 'Resume · 0 new'")
            self.page.fill("#search", "later")
            self.wait("document.querySelector('#pause').textContent === 'Resume · 1 new'")
            self.page.locator("#pause").click()
            self.wait_rows(1)

    def test_a_connection_whose_end_is_skipped_is_not_open(self) -> None:
        """It is gone from those that are open, cannot be ended, and its conversation says why."""
        self.open("fixed")
        with self.stage.connect("fixed") as client:
            while not self.is_skipped(self.close_before_many(client)):
                pass
            self.until(lambda: self.texts(".conn > :first-child") == ["#1"])
            self.page.locator(".talk >> text=closed").wait_for()
            for name in ("Push…", "Close", "Reset"):
                button = self.page.locator("#detail").get_by_role("button", name=name, exact=True)
                button.wait_for(state="hidden")

    def close_before_many(self, other: live.Client) -> int:
        """Select the entry of a new connection, which ends before many entries of *other* come."""
        with self.stage.connect("fixed") as client:
            client.ask(b"first\r\n", len(b"yes\r\n"))
            self.until(lambda: len(self.texts(".conn")) == 2)
            self.row("first").click()
            self.page.locator("#detail >> text=Push…").wait_for()
        other.ask(b"other\r\n" * 800, 800 * len(b"yes\r\n"))
        path = "/api/services/fixed/entries?event=disconnected"
        return int(self.stage.api("GET", path)["entries"][-1]["id"])

    def is_skipped(self, entry: int) -> bool:
        """Return whether the page lacks an entry, which came before the newest ones."""
        all_entries = self.stage.service("fixed")["counts"]["entries"]
        self.until(lambda: sum(self.counts()) == all_entries)
        self.until(self.scroll_up_to_a_gap)
        after = str(self.page.locator(".row.gap").last.get_attribute("data-key")).partition("-")[2]
        return int(after) < entry

    def load_the_last_gap(self) -> None:
        """Click the last gap of the list, and wait until it is loaded."""
        shown, _skipped = self.counts()
        self.press("G")
        self.until(self.scroll_up_to_a_gap)
        self.page.locator(".row.gap").last.click()
        self.until(lambda: self.counts()[0] > shown)

    def find_what_was_skipped(self) -> None:
        """Assert that a search finds a request that was skipped."""
        skipped = self.page.locator(".row.gap").last.get_attribute("data-key").partition("-")[2]
        entry = self.stage.api("GET", f"/api/services/fixed/entries/{int(skipped) + 3}")
        self.page.fill("#search", entry["request"])
        self.page.locator(".row mark").first.wait_for()
        self.wait_rows(1)
        self.press("Escape")

    def scroll_up_to_a_gap(self) -> bool:
        """Scroll up by what is visible unless there is a gap; return whether there is one."""
        found = bool(self.page.locator(".row.gap").count())
        if not found:
            self.page.locator("#rows").evaluate("it => { it.scrollTop -= it.clientHeight; }")
        return found


class ScrollTests(PageCase):
    """Scrolling through ten thousand entries."""

    stage = STAGE

    def test_a_frame_costs_what_it_does_in_a_short_list(self) -> None:
        """Computing a frame, and drawing it, takes as long with 10,000 entries as with 100."""
        few = {"name": "few", "listen": "tcp:0:interface=127.0.0.1", "response": "yes"}
        self.stage.api("POST", "/api/services", {**few, "framing": "line"})
        self.stage.flood(100, "few")
        self.stage.flood(9_990)
        self.open("fixed")
        short, long = [], []
        # By turns: a machine that is busy is so for both.
        for _turn in range(3):
            short.append(self.scroll("few", 103))
            long.append(self.scroll("fixed", 9_992))
        for measure in (lambda seen: median(seen["costs"]), interval):
            least = [min(map(measure, it)) for it in (short, long)]
            self.assertLess(least[1], least[0] * MOST_TIMES_AS_LONG)
        self.assertLess(max(seen["rows"] for seen in long), MOST_ROWS)

    def scroll(self, service: str, count: int) -> Any:
        """Scroll through the list of *service*, which has so many entries; return what was seen."""
        self.page.get_by_role("button", name=f"{service} :").click()
        self.wait_rows(count)
        return self.page.evaluate(_SCROLL, 60)


class FloodTests(PageCase):
    """Two thousand entries a second arrive at a page that has ten thousand."""

    stage = STAGE

    def test_frames_come_as_when_nothing_arrives(self) -> None:
        """The page draws as often as before and after it, with few rows, in a few batches."""
        self.stage.flood(9_990)
        self.open("fixed")
        self.wait_rows(9_992)
        idle = [self.record(lambda: self.page.wait_for_timeout(1000))]
        flood = self.record(self.send_many)
        idle.append(self.record(lambda: self.page.wait_for_timeout(1000)))
        self.assertLess(interval(flood), max(map(interval, idle)) * MOST_TIMES_AS_LONG)
        self.assertLess(flood["rows"], MOST_ROWS)
        self.assertGreater(flood["batches"], 1)
        self.assertGreater(len(flood["times"]), flood["batches"] * 2)
        self.assertGreater(self.counts()[1], 0)

    def record(self, action: Callable[[], None]) -> Any:
        """Return what the page does during *action*."""
        self.page.evaluate(_RECORD)
        action()
        return self.page.evaluate("window.stopRecording()")

    def send_many(self) -> None:
        """Send 8,000 requests, 200 of them each tenth of a second."""
        with self.stage.connect("fixed") as client:
            for turn in range(40):
                client.send(b"".join(b"later %d.\r\n" % (turn * 200 + it) for it in range(200)))
                self.page.wait_for_timeout(100)
                client.receive(200 * len(b"yes\r\n"))


class StillTests(PageCase):
    """The oldest of more than ten thousand entries are dropped while the reader has scrolled up."""

    stage = STAGE

    def setUp(self) -> None:
        super().setUp()
        self.stage.flood(9_990)
        self.open("fixed")
        self.wait_rows(9_992)

    def test_what_is_in_view_does_not_move(self) -> None:
        """Rows above it are dropped: those in view stay where they are."""
        before = self.scroll_to("it.scrollHeight / 2")
        place = self.place_of(before[0][0])
        for turn in (1, 2):
            self.drop_some(turn)
            self.assertEqual(self.page.evaluate(_IN_VIEW), before)
        self.assertLess(self.place_of(before[0][0]), place)

    def test_the_oldest_stay_while_they_are_in_view(self) -> None:
        """They are dropped once the reader has gone."""
        before = self.scroll_to("0")
        for turn in (1, 2):
            self.drop_some(turn)
            self.assertEqual(self.page.evaluate(_IN_VIEW), before)
        self.press("G")
        self.drop_some(3)
        self.wait("[...document.querySelectorAll('[aria-setsize]')].at(-1).ariaSetSize === '10000'")

    def scroll_to(self, top: str) -> Any:
        """Scroll to *top*, in JavaScript; return what is in view."""
        self.page.locator("#rows").evaluate(f"it => {{ it.scrollTop = {top}; }}")
        self.wait("document.querySelector('#count').textContent.includes('scrolled up')")
        return self.page.evaluate(_IN_VIEW)

    def place_of(self, row: str) -> int:
        """Return the place of a row among all."""
        return int(self.page.locator(f"#{row}").get_attribute("aria-posinset"))

    def drop_some(self, turn: int) -> None:
        """Have hundreds of entries come, and an unfinished request, which the page counts."""
        self.stage.flood(300)
        with self.stage.connect("fixed") as client:
            client.send(b"unfinished")
            client.half_close()
            client.rest()
        self.page.get_by_role("button", name=f"Errors {turn}").wait_for()
