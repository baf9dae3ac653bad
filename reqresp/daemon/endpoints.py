"""
Places: where to listen, as options say it.

Turns port numbers and endpoint descriptions into descriptions that have a name, and finds out which
go together with what else was asked for; nothing is bound here.
"""

import re
from collections.abc import Iterable

from attrs import frozen
from twisted.internet.endpoints import quoteStringArgument

from reqresp.daemon.conversions import is_number

PORT = 9999
INTERFACE = "127.0.0.1"
BACKLOG = 1024

#: Endpoints whose sockets several processes can accept from, and on which the connections are what
#: comes through them.
_PLAIN = {"eager", "tcp", "tcp6", "unix", "systemd"}


@frozen
class Place:
    """An endpoint's *description*, and the *name* it has in messages."""

    name: str
    description: str

    @property
    def is_plain(self) -> bool:
        """Whether its connections are those of its sockets, without a layer of their own."""
        return self.description.partition(":")[0] in _PLAIN

    @property
    def is_encrypted(self) -> bool:
        """Whether its own layer is TLS."""
        return re.match(r"(haproxy:)?(ssl|tls):", self.description) is not None

    @property
    def is_kept(self) -> bool:
        """Whether its socket stays open when this process has closed it."""
        return self.description.startswith("systemd:")


def described(description: str) -> Place:
    """Give the place that *description* alone describes."""
    return Place(description, description)


def numbered(port: int, interface: str | None = None, backlog: int | None = None) -> Place:
    """Give the place with this *port* number."""
    interface = INTERFACE if interface is None else interface
    backlog = BACKLOG if backlog is None else backlog
    quoted = quoteStringArgument(interface)
    shown = f"[{interface}]" if ":" in interface else interface
    return Place(f"{shown}:{port}", f"eager:{port}:interface={quoted}:backlog={backlog}")


def listening(
    port: str | None, interface: str | None, backlog: int | None, descriptions: Iterable[str]
) -> list[Place]:
    """
    Give the places to listen on: that of *port*, a number or a description, and *descriptions*.

    :raises ValueError: *interface* or *backlog* is given with a description.
    """
    places = [described(description) for description in descriptions]
    if port is None and not places:
        port = str(PORT)
    if port is not None and is_number(port):
        return [numbered(int(port), interface, backlog), *places]
    for name, given in (("interface", interface), ("backlog", backlog)):
        if given is not None:
            raise ValueError(f"--{name} goes with a port's number, not with an endpoint")
    return places if port is None else [described(port), *places]


def measured(port: str, workers: int | None) -> list[Place]:
    """
    Give the places for the metrics of each of *workers*, or of the one process there is.

    Workers have ports that follow each other.

    :raises ValueError: *workers* are to share one description, or there are too few port numbers.
    """
    # Not eager: a page is no reply to be in a hurry with.
    description = f"tcp:{port}:interface={INTERFACE}" if is_number(port) else port
    if workers is None and not is_number(port):
        return [described(port)]
    counted = re.match(r"(tcp6?:)([0-9]+)(?![^:])(.*)", description, re.DOTALL)
    if counted is None:
        raise ValueError("with --workers, each has a port of its own: give the first's, by number")
    kind, number, rest = counted.groups()
    first = int(number)
    numbers = [first + offset if first else 0 for offset in range(workers or 1)]
    if numbers[-1] >= 2**16:
        raise ValueError(f"there are no {workers} port numbers from {first} on")
    if is_number(port):
        return [Place(f"{INTERFACE}:{it}", f"{kind}{it}{rest}") for it in numbers]
    return [described(f"{kind}{it}{rest}") for it in numbers]
