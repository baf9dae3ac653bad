"""
reqresp with a control server: ``PORT CONTROL``, the ports of the service and of the control server.

The service replies ``+PONG`` to ``PING``, and to ``control`` the port of the control server.  Its
journal keeps the last 10,000 entries.
"""

import sys
from pathlib import Path
from typing import Any

from reqresp.transport import lean_reactor

lean_reactor.install()

from twisted.internet import endpoints, reactor  # noqa: E402  # the reactor is installed

from reqresp.control.control_site import make_control_site  # noqa: E402
from reqresp.services.answers import load  # noqa: E402
from reqresp.services.environment import Environment  # noqa: E402
from reqresp.services.reading import read_definition  # noqa: E402
from reqresp.services.registry import Services  # noqa: E402

port, control = sys.argv[1:]
the_reactor: Any = reactor
definition = read_definition(
    {
        "name": "default",
        "listen": f"eager:{port}:interface=127.0.0.1",
        "framing": "line",
        "rule": [
            {"equals": "PING", "reply": "+PONG"},
            {"equals": "control", "reply": control},
        ],
    },
    Path(),
)
services = Services(Environment(reactor=reactor, keeps_journal=True, has_counters=True))
services.start([(definition, load(definition))])
site = make_control_site(services, clock=the_reactor, pages={})
endpoints.serverFromString(reactor, f"tcp:{control}:interface=127.0.0.1").listen(site)
services["default"].enable()
the_reactor.run()
