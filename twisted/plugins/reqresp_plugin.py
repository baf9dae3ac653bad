"""The names that Twisted looks up; the server itself is imported when one is used."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

from reqresp._endpoint_parser import EagerParser

reqresp = ServiceMaker("reqresp", "reqresp.tap", "Answer every request on a TCP port.", "reqresp")
eager = EagerParser()
lean = Reactor(
    "lean-epoll", "reqresp.transport.lean_reactor", "epoll(7), monotonic, less work an event."
)
