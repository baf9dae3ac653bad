"""Unencrypted: what stands for TLS in tests of when it starts."""

from typing import Any

from twisted.internet.interfaces import IAddress


class Unencrypted:
    """Stands for TLS: counts how often it starts, and leaves the bytes as they are."""

    def __init__(self) -> None:
        self.started: list[IAddress] = []

    def start(self, transport: Any, protocol: Any, peer: IAddress, attach: Any) -> None:
        del protocol
        self.started.append(peer)
        attach(transport)
