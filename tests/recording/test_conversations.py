"""The values of a recording."""

from reqresp.recording import Conversation, Event, Mark, Sender


def test_places_are_not_compared() -> None:
    """Two events are equal wherever they are in a file."""
    event = Event(Sender.CLIENT, (b"a", Mark("b")), 0.5, line=3)
    assert event == Event(Sender.CLIENT, (b"a", Mark("b")), 0.5, line=4)
    assert event != Event(Sender.CLIENT, (b"a", Mark("c")), 0.5, line=3)
    assert Conversation(1, "", (event,), 2) == Conversation(1, "", (event,), 9)
