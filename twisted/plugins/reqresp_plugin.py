"""What twistd finds: names only, so that looking for plugins imports nothing of ours."""

from twisted.application.service import ServiceMaker

reqresp = ServiceMaker("reqresp", "reqresp.tap", "Answer every request on a TCP port.", "reqresp")
