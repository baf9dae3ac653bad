"""The names that Twisted looks up; the server itself is imported when one is used."""

from twisted.application.service import ServiceMaker

from reqresp._endpoint_parser import EagerParser

reqresp = ServiceMaker("reqresp", "reqresp.tap", "Answer every request on a TCP port.", "reqresp")
eager = EagerParser()
