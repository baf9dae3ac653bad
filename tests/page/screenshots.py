"""Write the screenshots of the docs: ``python -m tests.page.screenshots``."""

from pathlib import Path

from tests.support.browser import Stage

DOCS = Path(__file__).parent.parent.parent / "docs"
#: The name, the width and the theme of each.
SCREENSHOTS = (("wide", 1600, "light"), ("dark", 1100, "dark"), ("narrow", 400, "light"))


def main() -> None:
    """Write all screenshots, of real traffic."""
    stage = Stage()
    stage.start()
    try:
        mail = (b"MAIL FROM:<ann@mail.test>\r\n", b"RCPT TO <bob@mail.test>\r\n", b"SLOW\r\n")
        for _ in range(4):
            stage.converse(*mail, b"RCPT TO:<bob@mail.test>\r\n", b"DATA\r\n", b".\r\n")
        for name, width, theme in SCREENSHOTS:
            size = {"width": width, "height": 900}
            page = stage.browser.new_page(viewport=size, color_scheme=theme)
            page.goto(f"{stage.origin}/#smtp")
            page.locator(".row", has_text="RCPT TO <").last.click()
            page.locator(".maker .check", has_text="✓").wait_for()
            page.screenshot(path=DOCS / f"page-{name}.png")
            page.close()
    finally:
        stage.stop()


if __name__ == "__main__":
    main()
