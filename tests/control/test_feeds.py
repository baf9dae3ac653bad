"""Feeds: the events that they make."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.control.feeds import make_event


class EventTests(SynchronousTestCase):
    """How an event is written."""

    def test_an_event(self) -> None:
        """An event has its name, its number if there is one, and JSON on one line."""
        self.assertEqual(
            make_event("entries", {"a": "é\n\u2028"}, 7),
            b'event: entries\nid: 7\ndata: {"a":"\\u00e9\\n\\u2028"}\n\n',
        )
        self.assertEqual(make_event("services", []), b"event: services\ndata: []\n\n")
