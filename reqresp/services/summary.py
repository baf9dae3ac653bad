"""
Summary: what answers the clients of a service, in a few words for people.

It must not know how a service runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from reqresp._text import escape
from reqresp.server.upstream_settings import format_service
from reqresp.services.answers import Loaded, accept_mode_of
from reqresp.services.definition import Definition, FixedReply, ReplayFile, ScriptFile
from reqresp.transport.accept_modes import summarize_mode

if TYPE_CHECKING:  # few services have a script
    from reqresp.script import Script

#: Characters of a reply that are shown.
MAX_SHOWN = 60


def summary_of(definition: Definition, loaded: Loaded) -> str:
    """Return what answers the clients of a service, and how they connect if not at once."""
    accept = summarize_mode(accept_mode_of(definition, loaded.script))
    return ", ".join(filter(None, (_answers(definition, loaded), accept)))


def _answers(definition: Definition, loaded: Loaded) -> str:
    answering = definition.answering
    if isinstance(answering, FixedReply):
        return f"answers {escape(answering.response)[:MAX_SHOWN]}"
    if isinstance(answering, ReplayFile):
        return f"replays {answering.path.name}"
    script = loaded.script
    if script is None or script.is_relay:
        return f"forwards to {_upstream(definition, script)}"
    from reqresp.script.summary import summarize_rules  # late, likewise

    file = f"{answering.path.name}: " if isinstance(answering, ScriptFile) else ""
    return f"{file}{summarize_rules(script)}"


def _upstream(definition: Definition, script: "Script | None") -> str:
    address: tuple[str, int] | Path | None = definition.upstream.get("address")
    if address is None and script is not None and script.upstream is not None:
        address = script.upstream.address
    return "" if address is None else format_service(address)
