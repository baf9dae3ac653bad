"""Write the screenshots of the docs: ``python -m tests.page.screenshots``."""

import random
import time
from pathlib import Path

from attrs import frozen

from tests.support.browser import GREETING, SCRIPT, SMTP, Stage, redis_command

DOCS = Path(__file__).parent.parent.parent / "docs"

#: A mail server with rules, a relay to redis with faults in both directions, and one that is off.
SERVICES = f"""\
{SMTP}
[[service]]
name = "redis"
listen = "tcp:0:interface=127.0.0.1"
upstream = "{{redis}}"

[[service.fault]]
stream = "upstream"
kind = "bandwidth"
rate = 64000

[[service.fault]]
stream = "downstream"
kind = "latency"
delay = 0.04
jitter = 0.02

[[service]]
name = "scpi"
listen = "tcp:0:interface=127.0.0.1"
enabled = false
response = "0"
"""

#: The rules of the mail server.
RULES = f"""\
{SCRIPT}
[[rule]]
starts_with = "RCPT TO:<ann@"
reply = "250 recipient ok"
"""

#: What a client of it sends and receives that stays connected.
MAIL = {
    b"MAIL FROM:<ann@mail.test>\r\n": b"250 sender ok\r\n",
    b"RCPT TO <bob@mail.test>\r\n": b"500 what?\r\n",
    b"DATA\r\n": b"354 go on\r\n",
}

#: Seconds of traffic, which the sparklines show.
TRAFFIC = 20.0


@frozen
class Screenshot:
    """
    One screenshot.

    :param service: the chosen one.
    :param text: of the row that is selected; the last one that has it.
    :param shows_faults: whether the faults above the list are open.
    """

    name: str
    width: int
    theme: str
    service: str
    text: str
    shows_faults: bool = False


SCREENSHOTS = (
    Screenshot("wide", 1600, "light", "smtp", "RCPT TO <"),
    Screenshot("dark", 1400, "dark", "redis", "LRANGE", shows_faults=True),
    Screenshot("narrow", 400, "light", "smtp", "SLOW"),
)


def send_mail(stage: Stage, dice: random.Random) -> None:
    """Talk to the mail server, sometimes with a mistake."""
    separator = b" " if dice.random() < 0.2 else b":"
    recipient = b"RCPT TO%b<bob@mail.test>\r\n" % separator
    stage.converse(b"MAIL FROM:<ann@mail.test>\r\n", recipient, b"DATA\r\n", b".\r\n")


def use_redis(stage: Stage, dice: random.Random) -> None:
    """Talk to redis, through the relay."""
    job = b"job-%d" % dice.randrange(100)
    commands = (b"LPUSH queue " + job, b"GET stock", b"LRANGE queue 0 1")
    with stage.connect("redis") as client:
        for words in map(bytes.split, commands):
            client.send(redis_command(*words))
            client.socket.recv(4096)


def make_traffic(stage: Stage) -> None:
    """Talk to all services for a while."""
    dice = random.Random(1)  # noqa: S311, it protects nothing
    end = time.monotonic() + TRAFFIC
    while time.monotonic() < end:
        for _ in range(dice.randrange(4)):
            send_mail(stage, dice)
        use_redis(stage, dice)
        time.sleep(dice.random())
    slicer = {"kind": "slicer", "stream": "downstream", "size": 4, "delay": 0.01}
    stage.api("POST", "/api/services/smtp/faults", slicer)
    with stage.connect() as client:
        client.receive(len(GREETING))
        client.ask(b"MAIL FROM:<ann@mail.test>\r\n", len(b"250 sender ok\r\n"))
        client.ask(b"SLOW\r\n", len(b"250-a\r\n250 b\r\n"))
    stage.api("DELETE", "/api/services/smtp/faults/slicer")


def take(stage: Stage, shot: Screenshot) -> None:
    """Write one screenshot."""
    size = {"width": shot.width, "height": 900}
    page = stage.browser.new_page(viewport=size, color_scheme=shot.theme)
    page.goto(f"{stage.origin}/#{shot.service}")
    row = page.locator(".row", has_text=shot.text).last
    row.wait_for()
    if shot.shows_faults:
        page.keyboard.press("f")
        page.locator("#sides .knob").first.wait_for()
    row.click()
    page.locator(".dump").first.wait_for()
    page.wait_for_timeout(1500)  # until the details and the sparklines are there
    page.screenshot(path=DOCS / f"page-{shot.name}.png")
    page.close()


def main() -> None:
    """Write all screenshots, of real traffic."""
    stage = Stage(SERVICES, RULES)
    stage.start()
    try:
        make_traffic(stage)
        with stage.connect() as client, stage.connect("redis") as other:
            client.receive(len(GREETING))
            for request, reply in MAIL.items():
                client.ask(request, len(reply))
            other.send(redis_command(b"PING"))
            for shot in SCREENSHOTS:
                take(stage, shot)
    finally:
        stage.stop()


if __name__ == "__main__":
    main()
