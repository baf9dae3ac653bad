"""
Summary: how much a script has of what, in one line for people.

Must not know files.
"""

from collections.abc import Sized

from reqresp.script.loader import Script
from reqresp.transport.accept_modes import summarize_mode


def summarize(script: Script) -> str:
    """Return what *script* does, and how many rules, states and faults it has."""
    faults = (
        *script.faults,
        *script.stream_faults,
        *(fault for rule in script.rules.all() for fault in rule.all_faults),
    )
    accept = summarize_mode(script.accept)
    rest = [several(faults, "fault"), *([accept] if accept else [])]
    if script.upstream is not None and script.is_relay:
        return ", ".join([f"relay to {script.upstream.name}", *rest])
    framing = f"framing {script.framing.name}"
    if script.reply_framing != script.framing:
        framing += f", replies {script.reply_framing.name}"
    return ", ".join([summarize_rules(script), framing, *rest])


def summarize_rules(script: Script) -> str:
    """Return how many rules *script* has, and in how many states."""
    return f"{several(script.rules.rules, 'rule')} in {several(script.rules.states, 'state')}"


def several(things: Sized, name: str) -> str:
    """Return how many *things* there are, with their *name*: ``1 rule``, ``2 rules``."""
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
