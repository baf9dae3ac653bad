"""Messages and log lines that guides show: each is compared with what is really said."""

import json
import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Journal, Line, ReqRespFactory, Script
from reqresp.cli.main import main
from reqresp.journal.entries import as_json
from tests.support import live
from tests.support.controlled import Controlled
from tests.support.daemon import refusal
from tests.support.documents import ROOT
from tests.support.recorded import Recorded
from tests.support.relayed import RelayedCase
from tests.support.wire import FakeReactor, Wire

#: What comes by chance: ports of clients, and times.
CHANCE = re.compile(r'(?<=\d\.1:)\d{4,5}|(?<="at":)[\d.]+|(?<="sent":)[\d.]+')


def shown(page: str, first: str) -> str:
    """Return the lines of the *page* from the one that begins with *first* to a blank one."""
    text = (ROOT / "docs" / f"{page}.rst").read_text(encoding="utf-8")
    [found] = re.findall(rf"^( +{re.escape(first)}.*(?:\n +\S.*)*)", text, re.MULTILINE)
    return "\n".join(line.strip() for line in found.splitlines())


def without_chance(text: str) -> str:
    """Return *text* without ports of clients and times."""
    return CHANCE.sub("...", text)


class UnreachableTests(RelayedCase):
    """A service that refuses connections."""

    def serve(self) -> None:
        pass

    def test_a_relay(self) -> None:
        """The client, the service and the reason."""
        with capturedLogs() as events:
            self.connect()
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        line = re.sub(r"(?<=upstream )\S+", "127.0.0.1:6379", line)
        self.assertEqual(
            without_chance(line), without_chance(shown("relay", "127.0.0.1:40312: upstream"))
        )


class ReplayTests(Recorded):
    """A client that deviates from a recording."""

    def test_a_deviation(self) -> None:
        """Where it does, what was expected and what was found."""
        get = (r"> *2\r\n", r"> $3\r\n", r"> GET\r\n", r"> $1\r\n", r"> a\r\n")
        ping = (r"> *1\r\n", r"> $4\r\n", r"> PING\r\n", r"< +PONG\r\n")
        factory = self.replay(r"> QUIT\r\n", "-- 2", *ping, *get)
        with capturedLogs() as events:
            client = self.join(factory)
            client.send(b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n")
        [line] = [it["log_format"].format(**it) for it in events if it["log_level"].name == "warn"]
        self.assertEqual(
            without_chance(line.replace("it.rec", "redis.rec")),
            without_chance(shown("replay", "127.0.0.1:40312: differs")),
        )


class CheckTests(SynchronousTestCase):
    """What is refused before anything listens."""

    def test_a_services_file(self) -> None:
        """Each problem has a line of its own."""
        path = live.temporary(self) / "services.toml"
        services = [
            '[[service]]\nname = "echo"\nlisten = 1\nresponse = "yes"\nframin = "line"\n',
            '[[service]]\nname = "smtp"\nlisten = 2\nresponse = "yes"\n',
            '[[service]]\nname = "smtp"\nlisten = 3\nresponse = "yes"\n',
        ]
        path.write_text("\n".join(services))
        printed = StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            main(["check", str(path)])
        lines = printed.getvalue().replace(str(path), path.name)
        self.assertEqual(lines.rstrip(), shown("services", "services.toml:5:"))

    def test_control_without_a_token(self) -> None:
        """An address that others can reach requires one."""
        self.assertEqual(
            refusal("--control=tcp:8474"), shown("services", "reqresp: --control: tcp:8474")
        )


class ControlTests(Controlled):
    """Errors of the control server."""

    services_text = (
        '[[service]]\nname = "ping"\nlisten = 9998\nframing = "line"\nresponse = "PONG"\n'
    )

    def test_an_unknown_service(self) -> None:
        """It is a problem with a path."""
        found = self.ask("GET", "/api/services/pong").json
        self.assertEqual(found, json.loads(shown("control", '{"error": "unknown service')))

    def test_a_script_with_a_problem(self) -> None:
        """The script of the page is refused with its line."""
        command = shown("control", "$ curl -X PUT --json")
        sent = re.search("--json '(.*)' ", command)
        assert sent is not None
        found = self.ask("PUT", "/api/services/ping/script", json.loads(sent[1])).json
        self.assertEqual(found, json.loads(command.partition("\n")[2].replace("\n", "")))


class JournalTests(SynchronousTestCase):
    """Lines of a journal."""

    def test_a_connection_and_a_request(self) -> None:
        """The keys, in their order, and the values, but for times and numbers."""
        clock = FakeReactor()
        journal = Journal(most=10, most_bytes=10_000)
        others = "".join(f"{{ equals = '{it}', reply = '' }}," for it in "abc")
        script = Script.parse(f"rule = [{others} {{ equals = 'STAT', reply = '+OK 2 320' }}]")
        factory = ReqRespFactory(script, framing=Line(), observers=[journal], clock=clock)
        Wire(factory, clock).send(b"STAT\n")
        lines = [json.dumps(as_json(it), separators=(",", ":")) for it in journal.entries()]
        page = shown("guide", '{"event":"connected"').replace(",\n", ",")
        self.assertEqual(without_chance("\n".join(lines)), without_chance(page))
