"""
Summary: what answers the clients of a service, in a few words for people.

It must not know how a service runs.
"""

from collections.abc import Sized
from pathlib import Path

from reqresp._text import escape
from reqresp.script import Script
from reqresp.server.upstream_settings import format_service
from reqresp.services.answers import Loaded
from reqresp.services.definition import Definition, FixedReply, ReplayFile, ScriptFile

#: Characters of a reply that are shown.
MAX_SHOWN = 60


def summary_of(definition: Definition, loaded: Loaded) -> str:
    """Return what answers the clients of a service."""
    answering = definition.answering
    if isinstance(answering, FixedReply):
        return f"answers {escape(answering.response)[:MAX_SHOWN]}"
    if isinstance(answering, ReplayFile):
        return f"replays {answering.path.name}"
    script = loaded.script
    if script is None or script.is_relay:
        return f"forwards to {_upstream(definition, script)}"
    file = f"{answering.path.name}: " if isinstance(answering, ScriptFile) else ""
    return f"{file}{summary_of_rules(script)}"


def summary_of_rules(script: Script) -> str:
    """Return how many rules a script has."""
    return f"{several(script.rules.rules, 'rule')} in {several(script.rules.states, 'state')}"


def several(things: Sized, name: str) -> str:
    """Return how many *things* there are, with their *name*: ``1 rule``, ``2 rules``."""
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _upstream(definition: Definition, script: Script | None) -> str:
    address: tuple[str, int] | Path | None = definition.upstream.get("address")
    if address is None and script is not None and script.upstream is not None:
        address = script.upstream.address
    return "" if address is None else format_service(address)
