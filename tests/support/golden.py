"""Golden files: texts that tests compare with, and rewrite on request."""

import os
import re
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name: str, text: str) -> tuple[str, str]:
    """
    Return the text of a file in tests/golden, and *text* in the same form: without ports.

    If ``REQRESP_GOLDEN`` is in the environment, write *text* to the file first.
    """
    text = re.sub(r"(127\.0\.0\.1|\[::1\]):\d+", r"\1:PORT", text)
    path = GOLDEN / f"{name}.txt"
    if "REQRESP_GOLDEN" in os.environ:
        path.write_text(text + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").rstrip("\n"), text
