"""Subjects: all parsers that are fed inputs, by name."""

from tests.reliability.decoding import FRAMINGS, Subject
from tests.reliability.proxying import ProxySubject

SUBJECTS: dict[str, Subject] = {**FRAMINGS, "PROXY header": ProxySubject()}
