"""Metered: a test case with a server that counts."""

from typing import Any

from reqresp import (
    Counters,
    ReqRespFactory,
)
from tests.support.conversation import Conversation


class Metered(Conversation):
    """Servers with counters that use the reactor's clock."""

    def setUp(self) -> None:
        super().setUp()
        self.counters = Counters(self.reactor.seconds)

    def factory(self, respond: Any = None, **options: Any) -> ReqRespFactory:
        return super().factory(respond, counters=self.counters, **options)

    def assert_counted(
        self, requests: int, replies: int, received: int, sent: int, seconds: float = 0.0
    ) -> None:
        """Assert all totals."""
        counters = self.counters
        self.assertEqual(
            (counters.requests, counters.replies, counters.received, counters.sent),
            (requests, replies, received, sent),
        )
        self.assertEqual(sum(counters.times), replies)
        self.assertAlmostEqual(counters.seconds, seconds)
