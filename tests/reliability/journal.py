"""Journal: one-byte requests for a large file, all of them recorded."""

import json
from pathlib import Path

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import ask_all, crowd
from tests.reliability.serving import KIB, serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_most, exactly, scaled

CLIENTS = 20
ROUNDS = 25
#: The file, which is not text, so the journal has it as base64; and the request for it.
FILE = bytes(range(0x80, 0x100)) * 16_000
REQUEST = b"f\n"
SCRIPT = """
framing = "line"

[[rule]]
equals = "f"
reply  = { file = "it.bin" }

[[rule]]
reply  = "response"
"""
#: The bytes of request and reply in a line: the default, and a smaller number.
MOST = (64 * KIB, 1000)
#: The bytes of a line that are not request or reply.
REST = 512


def run(scale: float, say: Say) -> list[Figure]:
    """Request the file again and again, with the default and with a smaller number."""
    return [figure for most in MOST for figure in _recorded(scale, say, most)]


def _recorded(scale: float, say: Say, most: int) -> list[Figure]:
    rounds = scaled(ROUNDS, scale, 2)
    option = () if most == MOST[0] else (f"--journal-max-entry={most}",)
    with working_directory() as directory:
        directory.joinpath("it.toml").write_text(SCRIPT)
        directory.joinpath("it.bin").write_bytes(FILE)
        with (
            serving(
                "--script=it.toml", "--journal=it.jsonl", *option, directory=directory
            ) as server,
            Askers(server.port, 1, pause=CALM) as asker,
        ):
            say(f"{rounds * CLIENTS} requests for {len(FILE):,} bytes, {most:,} in a line")
            with crowd(server.port, CLIENTS) as clients:
                replies = sum(ask_all(clients, REQUEST, FILE + b"\r\n") for _ in range(rounds))
        lines = [line for line in _lines(directory) if b'"request":"f"' in line]
    sizes = [json.loads(line)["steps"][0]["send"].get("size") for line in lines]
    return [
        exactly(
            f"replies, with {most:,} bytes in a line of the journal", replies, rounds * CLIENTS
        ),
        exactly("lines with the size of the reply", sizes.count(len(FILE)), rounds * CLIENTS),
        at_most("bytes of the longest line", max(map(len, lines)), most * 4 // 3 + REST),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *asker.timed_figures(),
    ]


def _lines(directory: Path) -> list[bytes]:
    return (directory / "it.jsonl").read_bytes().splitlines()
