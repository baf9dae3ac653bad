"""The smallest twistd plugin that listens: what start-up is compared with."""

from twisted.application.service import ServiceMaker

bare = ServiceMaker("bare", "bench.servers.bare_tap", "Answer every read.", "bench-bare")
