"""The page in Chromium for assistive technology, in each state, and on narrow screens."""

from collections.abc import Callable

import pytest
from attrs import frozen

from tests.support.browser import GREETING, PageCase, Stage

pytestmark = pytest.mark.xdist_group("page")

STAGE = Stage()

WIDE = 1600
NARROW = 400
#: Widths at which services are a strip above the list, and the detail is beside it.
STRIP = (761, 1000, 1240)

_OWN = {"name": "own", "listen": "tcp:0:interface=127.0.0.1"}


@frozen
class State:
    """
    What the page shows.

    :param enter: brings a page, that is not open yet, into the state.
    :param part: a selector of what is checked; None: the whole page.
    """

    name: str
    enter: Callable[[PageCase], None]
    widths: tuple[int, ...] = (WIDE,)
    part: str | None = None


def setUpModule() -> None:
    """Start what all tests share."""
    STAGE.start()


def tearDownModule() -> None:
    """Stop what all tests share."""
    STAGE.stop()


def enter_disabled(case: PageCase) -> None:
    """Show a disabled service."""
    case.open("off")
    case.page.locator("#empty >> text=disabled").first.wait_for()


def enter_empty(case: PageCase) -> None:
    """Show a service without entries."""
    case.open()
    case.page.locator("#empty pre").first.wait_for()


def enter_list(case: PageCase) -> None:
    """Show a miss, an error, a request that is cut, a note and control changes."""
    case.stage.converse(b"RCPT TO <bob@mail.test>\r\n", b"\xff\0 x" + b"x" * 999 + b"\r\n")
    with case.stage.connect() as client:
        client.ask(b"SLOW\r\nunfinished", len(GREETING) + len(b"250-a\r\n250 b\r\n"))
        client.half_close()
        client.rest()
    case.open()
    case.row("unfinished").wait_for()


def enter_faults(case: PageCase) -> None:
    """Show faults that are on, a search with marks, and a pause."""
    enter_list(case)
    case.press("f")
    case.page.get_by_role("switch", name="latency, ← replies").click()
    case.row("added").wait_for()
    case.page.fill("#search", "x")
    case.page.locator("mark >> text=more bytes").wait_for()
    case.page.locator("#pause").click()


def enter_skipped(case: PageCase) -> None:
    """Show a row that stands for entries that were skipped."""
    case.open("fixed")
    case.stage.flood(2400)
    case.until(lambda: case.counts()[1])
    gap = case.page.locator(".row.gap").last
    box = case.page.locator("#rows")
    while not gap.count():
        box.evaluate("it => { it.scrollTop -= it.clientHeight; }")
    gap.hover()


def enter_nothing_fits(case: PageCase) -> None:
    """Show that nothing fits a search."""
    enter_list(case)
    case.page.fill("#search", "no such text")
    case.page.locator("#empty >> text=Nothing fits").wait_for()


def enter_wrong_search(case: PageCase) -> None:
    """Show why a search cannot be read."""
    enter_list(case)
    case.page.select_option("#mode", "regex")
    case.page.fill("#search", "(")
    case.page.locator("#empty >> text=cannot be read").wait_for()


def enter_connection(case: PageCase) -> None:
    """Show one connection alone, which is open."""
    client = case.stage.connect()
    case.addCleanup(client.close)
    client.ask(b"DATA\r\n", len(GREETING) + len(b"354 go on\r\n"))
    enter_list(case)
    case.row("DATA").click()
    case.press("c")
    case.page.get_by_role("button", name="Remove the filter #").wait_for()


def enter_relay(case: PageCase) -> None:
    """Show what has passed a relay with faults in both directions."""
    upstream = f"127.0.0.1:{case.stage.port('fixed')}"
    case.stage.api("POST", "/api/services", {**_OWN, "upstream": upstream})
    for fault in (
        {"kind": "latency", "stream": "upstream", "delay": 0.01},
        {"kind": "slicer", "stream": "downstream", "size": 3},
    ):
        case.stage.api("POST", "/api/services/own/faults", fault)
    case.stage.converse(b"hello\r\n", name="own", greeting=b"")
    case.open("own")
    case.row("the fault slicer affects downstream").wait_for()
    case.page.locator("#active >> text=slicer").wait_for()
    case.press("f")


def enter_relay_detail(case: PageCase) -> None:
    """Show the detail of what has passed a relay."""
    enter_relay(case)
    case.press("f")
    case.row("hello").click()
    case.page.locator(".talk >> text=upstream closed").wait_for()


def enter_miss(case: PageCase) -> None:
    """Show the detail of a miss, with both views of its bytes, of a connection that is closed."""
    enter_list(case)
    case.row("RCPT TO").click()
    case.page.locator(".maker .check >> text=✓").wait_for()
    case.page.locator(".maker summary").click()
    case.page.get_by_role("button", name="both").click()
    case.page.locator(".talk >> text=closed").wait_for()


def enter_slices(case: PageCase) -> None:
    """Show the detail of a reply that was sent in slices."""
    fault = {"kind": "slicer", "stream": "downstream", "size": 4}
    case.stage.api("POST", "/api/services/smtp/faults", fault)
    case.stage.converse(b"DATA\r\n")
    case.open()
    case.row("DATA").click()
    case.page.locator(".side >> text=11 bytes in 3 slices").wait_for()
    case.page.locator("#detail").get_by_role("button", name="both").click()
    case.page.locator(".dump .odd").first.wait_for()


def enter_editor(case: PageCase) -> None:
    """Open the editor."""
    case.open()
    case.page.get_by_role("button", name="Script").click()
    case.page.locator("dialog.editor .check >> text=✓").wait_for()


def enter_editor_with_problem(case: PageCase) -> None:
    """Show what is wrong with a script."""
    enter_editor(case)
    case.page.fill("dialog.editor textarea", "[[rule]]\nx = 1\n")
    case.page.locator("dialog.editor .problems").wait_for()


def enter_saved_script(case: PageCase) -> None:
    """Save a script."""
    enter_editor(case)
    case.page.get_by_role("button", name="Use this script").click()
    case.row("script").wait_for()


def enter_push(case: PageCase) -> None:
    """Show bytes that can be pushed."""
    client = case.stage.connect()
    case.addCleanup(client.close)
    client.receive(len(GREETING))
    case.open()
    case.row("220 mail.test").click()
    case.page.get_by_role("button", name="Push…").click()
    case.page.fill("dialog.push textarea", r"421 bye\r\n")
    case.page.locator("dialog.push .check >> text=✓ 9 bytes").wait_for()


def enter_push_with_problem(case: PageCase) -> None:
    """Show why bytes cannot be pushed."""
    enter_push(case)
    case.page.fill("dialog.push textarea", r"\q")
    case.page.locator("dialog.push >> text=unknown escape").wait_for()


def enter_pushed(case: PageCase) -> None:
    """Push bytes."""
    enter_push(case)
    case.page.locator("dialog.push .go").click()
    case.row("421 bye").click()


def enter_keys(case: PageCase) -> None:
    """Show the keys."""
    case.open()
    case.page.locator("#help").click()


def enter_reset(case: PageCase) -> None:
    """Show the question before a reset."""
    case.open()
    case.page.get_by_role("button", name="Reset all").click()


#: States in which nothing is listed.
EMPTY = (
    State("disabled", enter_disabled),
    State("empty", enter_empty, (WIDE, NARROW)),
    State("nothing fits", enter_nothing_fits),
    State("a search that cannot be read", enter_wrong_search),
)
#: States of the list.
LIST = (
    State("faults, a search and a pause", enter_faults),
    State("skipped entries", enter_skipped, (WIDE, NARROW)),
    State("one connection", enter_connection),
    State("a relay", enter_relay, (WIDE, NARROW)),
)
#: States of the detail.
DETAIL = (
    State("a miss", enter_miss, (WIDE, NARROW)),
    State("slices", enter_slices, (WIDE, NARROW)),
    State("a piece of a relay", enter_relay_detail, (WIDE, NARROW)),
    State("what was pushed", enter_pushed),
)
#: The dialogs, and what follows one.
DIALOGS = (
    State("editor", enter_editor, part="dialog.editor"),
    State("editor with a problem", enter_editor_with_problem, part="dialog.editor"),
    State("a saved script", enter_saved_script),
    State("push", enter_push, part="dialog.push"),
    State("push with a problem", enter_push_with_problem, part="dialog.push"),
    State("keys", enter_keys, part="#keys"),
    State("reset", enter_reset, part="dialog.ask"),
)
#: States in which services are a strip.
STRIPS = (
    State("a list and a strip", enter_list, STRIP),
    State("a relay and a strip", enter_relay_detail, STRIP),
)


class AccessibilityTests(PageCase):
    """axe-core finds nothing, in every state and in both themes."""

    stage = STAGE

    def test_an_empty_list(self) -> None:
        """Each reason why nothing is listed is accessible."""
        self.check(EMPTY)

    def test_the_list(self) -> None:
        """Each state of the list is accessible."""
        self.check(LIST)

    def test_the_detail(self) -> None:
        """Each state of the detail is accessible."""
        self.check(DETAIL)

    def test_dialogs(self) -> None:
        """Each dialog is accessible, and what it leaves."""
        self.check(DIALOGS)

    def test_the_strip_of_services(self) -> None:
        """The strip of services is accessible at each width that has it."""
        self.check(STRIPS)

    def check(self, states: tuple[State, ...]) -> None:
        """Enter each state, from the beginning; assert that it is accessible at each width."""
        for state in states:
            self.page.goto("about:blank")
            self.reset()
            self.page.set_viewport_size({"width": WIDE, "height": 900})
            state.enter(self)
            for width in state.widths:
                self.page.set_viewport_size({"width": width, "height": 900})
                self.assert_accessible(f"{state.name}, {width}", state.part)


class NarrowTests(PageCase):
    """Screens that have no room for three panes."""

    stage = STAGE

    def test_the_detail_covers_the_list(self) -> None:
        """Below 760 pixels the detail covers the list, the rest is inert, and focus comes back."""
        self.page.set_viewport_size({"width": 400, "height": 800})
        self.stage.converse(b"HELP\r\n")
        self.open()
        row = self.row("HELP")
        row.wait_for()
        self.assertFalse(self.page.locator("#detail").is_visible())
        row.click()
        self.assertEqual(self.page.locator("#detail").bounding_box()["width"], 400)
        self.assertTrue(self.page.locator("#middle").evaluate("it => it.inert"))
        self.page.get_by_role("button", name="← List").click()
        self.assertFalse(self.page.locator("#middle").evaluate("it => it.inert"))
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "rows")

    def test_a_short_list_fills_the_screen(self) -> None:
        """The line below the list is at the bottom, however little the list has."""
        self.page.set_viewport_size({"width": 400, "height": 800})
        self.open()
        self.page.locator("#empty pre").first.wait_for()
        for entries in (0, 4):
            self.wait_rows(entries)
            box = self.page.locator(".foot").bounding_box()
            self.assertEqual(box["y"] + box["height"], 800, entries)
            self.stage.converse(b"HELP\r\n")

    def test_near_rules_have_room(self) -> None:
        """Bytes that differ are shown in hex and as text, with no need to scroll."""
        self.stage.converse(b"RCPT TO <bob@mail.test>\r\n")
        self.open()
        self.row("RCPT TO").click()
        self.page.locator(".near >> text=<bob@mail.t|").first.wait_for()
        self.page.set_viewport_size({"width": 400, "height": 800})
        self.row("RCPT TO").click()
        self.page.locator(".near", has_text="3c 62 6f |T TO:<bo|").wait_for()
        self.assertFalse(
            self.page.locator(".near").evaluate("it => it.scrollWidth > it.clientWidth")
        )

    def test_services_become_a_strip(self) -> None:
        """Below 1240 pixels the services are in a row above the list, and nothing is cut off."""
        self.page.set_viewport_size({"width": 1100, "height": 800})
        self.open()
        tops = {it.bounding_box()["y"] for it in self.page.locator(".service").all()}
        self.assertEqual(len(tops), 1)
        for width in (1100, 400):
            self.page.set_viewport_size({"width": width, "height": 800})
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            self.assertFalse(self.page.evaluate(wide), width)
