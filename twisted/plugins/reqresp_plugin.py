"""What Twisted finds: names only, so that looking for plugins loads none of the server."""

from twisted.application.service import ServiceMaker

from reqresp._endpoint_parser import EagerParser

reqresp = ServiceMaker("reqresp", "reqresp.tap", "Answer every request on a TCP port.", "reqresp")
eager = EagerParser()
