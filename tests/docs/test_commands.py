"""
Commands in guides: each block of them is run in a directory that has the files it names.

What serves is started, and answers; everything else must succeed.  Ports are free ones.
"""

import os
import re
import signal
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import InMemoryReactor
from tests.support import live
from tests.support.captures import Talk, pcap
from tests.support.documents import ROOT, blocks, indented
from tests.support.issued import authority
from tests.support.live import PATIENCE, Log
from tests.support.walkthrough import Walkthrough

#: The README and all guides, as their paths; not the page that is made of the programs.
PAGES = {
    str(path.relative_to(ROOT).with_suffix("")): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
    if path.stem != "command-lines"
}
#: How blocks begin that are run elsewhere, by their page: with the file that runs them.
ELSEWHERE = {
    "docs/control": (r"(?:\$ )?curl ", "tests/docs/test_control.py"),
    "docs/howto/ci": ("reqresp serve ", "tests/docs/test_ci.py"),
    "docs/migrating/ncat-and-socat": ("ncat ", "tests/docs/test_migrating.py"),
    "docs/performance": (r"\.venv/bin/python -m bench\.patterns", "tests/test_bench.py"),
    "docs/releasing": (r"python3 dist/reqresp\.pyz serve", "tests/single_file.py"),
    "docs/reliability": (r"\.venv/bin/python -m tests\.", "tests/reliability/test_reliability.py"),
    "docs/services": ("reqresp new |twistd ", "tests/docs/test_services.py"),
    "docs/toxiproxy": ("twistd ", "tests/docs/test_toxiproxy.py"),
    "docs/transport": ("python -m tests.twisted_suite", "tests/twisted_suite.py"),
}
#: How blocks begin that are not run at all, by their page, with what the page says of it.
NOT_RUN = {
    "docs/containers": ("podman |docker ", "no command of this page that begins with their names"),
    "docs/performance": ("sudo apt-get", "No test runs the first command."),
}
#: What sets up an environment.
SETUP = r"python3 -m venv|\. \.venv/bin/activate|(?:\.venv/bin/)?pip install"
PROGRAM = re.compile(
    rf"(\$ )?({SETUP}|sudo |(\.venv/bin/)?python3? |podman |docker |curl |twistd |openssl |ncat "
    r"|pytest |reqresp [a-z]+ )"
)
#: A service for relays.
SERVICE = r"reqresp serve --port 6379 --framing resp --response '$1\r\nv'" + "\n"
VALUE = "$1\\r\\nv\n"


def commands(page: str) -> list[str]:
    """Return the blocks of the *page* that begin with a command, without those of ``console``."""
    lines = PAGES[page].splitlines()
    found = [
        indented(lines[number:], deeper_than=len(start[1]))
        for number, line in enumerate(lines, 1)
        if (start := re.match(r"( *)(?:(?!\.\.).*::|\.\. code-block:: sh)$", line))
    ]
    return [it for it in found if PROGRAM.match(it)]


def is_run_here(page: str, block: str) -> bool:
    """Return whether a test below has to run the *block*."""
    others = (of[page][0] for of in (ELSEWHERE, NOT_RUN) if page in of)
    block = without_setup(block)
    return block != "" and not any(re.match(it, block) for it in others)


def without_setup(block: str) -> str:
    """Return the commands of the *block* but for those that set up an environment."""
    lines = [it for it in block.splitlines() if not re.match(SETUP, it)]
    return "\n".join(lines).strip()


def run_here(page: str) -> list[str]:
    """Return the blocks of the *page* that its test has to run."""
    return [without_setup(it) for it in commands(page) if is_run_here(page, it)]


@pytest.mark.timeout(300)
class CommandTests(SynchronousTestCase):
    """The commands of each page."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)
        self.walk = Walkthrough(self, ROOT, self.directory)

    def write(self, **files: str) -> None:
        """Write *files* into the directory, by their names with ``_`` before the suffix."""
        for name, text in files.items():
            (self.directory / ".".join(name.rsplit("_", 1))).write_text(text)

    def asked(self, port: int, *requests: str, framing: str = "line") -> str:
        """Return the replies of the server that a page has at *port*."""
        words = " ".join(f"'{it}'" for it in requests)
        ended = self.walk.run(f"reqresp ask 127.0.0.1:{port} --framing {framing} {words}")
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def test_readme(self) -> None:
        """The server answers what is asked; the relay records, and the recording is replayed."""
        serve, ask, record, replay, test = run_here("README")
        self.assertEqual(self.walk.do(f"{serve}\n{ask}"), ["response\n", "response\n"])
        self.walk.do(SERVICE + record)
        self.assertEqual(self.asked(6380, "GET k", framing="resp"), VALUE)
        [shown] = self.walk.do(replay)
        self.assertIn("< $1\\r\\n", shown)
        self.assertEqual(self.asked(6380, "GET k", framing="resp"), VALUE)
        self.assertRegex(test, r"\Apython -m pytest")  # CI runs it

    def test_containers(self) -> None:
        """The token is a word; what follows the image serves and checks, with the examples."""
        [secrets] = run_here("docs/containers")
        (self.directory / "deploy").mkdir()
        self.walk.do(secrets.partition("\n")[0])
        token = (self.directory / "deploy" / "control-token").read_text()
        self.assertRegex(token, r"\A[0-9a-f]{64}\n\Z")
        text = PAGES["docs/containers"].replace(" \\\n       ", "")
        run = re.findall(r"^    podman run .+ localhost/reqresp (\w.+)$", text, re.MULTILINE)
        serve, check = (it.replace("/srv", str(ROOT / "examples")) for it in run)
        self.walk.do(f"reqresp {serve.replace('serve ', 'serve --port 9999 ')}")
        self.assertIn("+OK", self.asked(9999, "USER ann"))
        [checked] = self.walk.do(f"reqresp {check}")
        self.assertIn(": ok: ", checked)

    def test_control(self) -> None:
        """The line that is said to be stable is in the log."""
        [serve] = run_here("docs/control")
        self.walk.do(serve.replace("examples/", f"{ROOT}/examples/"))
        self.walk.log().wait(r"Listening on 127\.0\.0\.1:\d+ for control$")

    def test_guide(self) -> None:
        """The pipe prints the request that no rule has answered, and no other."""
        [command] = run_here("docs/guide")
        self.write(it_toml='rule = [{ equals = "known", reply = "yes" }]')
        command = command.replace("reqresp --script", "reqresp --port 0 --script")
        pipe = subprocess.Popen(
            ["bash", "-c", self.walk.prepared(command)],
            cwd=self.directory,
            env=self.walk.environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        misses = Log(pipe.stdout)
        self.addCleanup(misses.close)
        self.addCleanup(pipe.wait, PATIENCE)
        self.addCleanup(os.killpg, pipe.pid, signal.SIGTERM)
        tail = subprocess.Popen(
            ["tail", "--lines=+1", "--follow=name", "--retry", "it.log"],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        log = Log(tail.stdout)
        self.addCleanup(log.close)
        self.addCleanup(tail.wait, PATIENCE)
        self.addCleanup(tail.terminate)
        [line] = log.wait(r"Listening on 127\.0\.0\.1:(\d+)$")
        with live.Client(("127.0.0.1", int(line[1]))) as client:
            self.assertEqual(client.ask(b"known\nodd\n", 5), b"yes\r\n")
            self.assertEqual(client.rest(), b"")
        misses.wait("odd")
        self.assertNotIn("known", misses.text())

    def test_operations(self) -> None:
        """Workers, a server behind a load balancer, one of a container, and TLS are served."""
        workers, balanced, contained, tls, own, clients = run_here("docs/operations")
        self.walk.do(workers.replace("--metrics 9100", "--metrics 0"))
        self.assertEqual(self.asked(9999, "hello", framing="chunk"), "response\n")
        self.assertTrue([*self.directory.glob("it.worker-*.jsonl")])

        # The addresses of documents belong to nobody.
        local = re.sub(r"192\.0\.2\.11\b", "127.0.0.1", balanced)
        local = local.replace("192.0.2.1 ", "127.0.0.1 ").replace(
            "--framing", "--port 9999 --framing"
        )
        self.walk.do(local)
        with live.Client(("127.0.0.1", int(self.walk.prepared("9999")))) as client:
            greeting = b"PROXY TCP4 192.0.2.7 192.0.2.11 50000 9999\r\n"
            self.assertEqual(client.ask(greeting + b"hello\n", 10), b"response\r\n")
        self.walk.log().wait("192.0.2.7:50000")

        self.walk.do(contained)
        self.assertEqual(self.asked(9999, "hello"), "response\n")

        leaf = authority().issue_cert("localhost")
        chain = "".join(it.bytes().decode() for it in leaf.cert_chain_pems)
        self.write(server_pem=chain, server_key=leaf.private_key_pem.bytes().decode())
        self.walk.do(tls)
        for block in (own, clients):
            *_, replies = self.walk.do(block)
            self.assertEqual(re.findall("^response", replies, re.MULTILINE), ["response"] * 2)

    def test_recording(self) -> None:
        """Bytes are recorded, also without secrets; a recording is shown; a capture is imported."""
        record, redact, show, convert = run_here("docs/recording")
        text, redacted, shown = (
            it.code for it in blocks(PAGES["docs/recording"]) if it.language == "text"
        )
        file = self.directory / "redis.rec"
        for command, found in ((record, "hunter2"), (redact, "\n> \\<password>")):
            self.walk.do(SERVICE + command)
            self.asked(6380, "AUTH hunter2", framing="resp")
            self.walk.do("")  # the server ends
            self.assertIn(found, file.read_text())
            file.unlink()
        self.assertIn("\n> \\<password>", redacted)
        file.write_text(f"{text}\n")
        plain, as_hex = self.walk.do(show)
        self.assertEqual(plain.rstrip(), shown)
        self.assertIn("24 2d 31 0d 0a", as_hex)

        talk = Talk()  # with port 5432
        frames = [*talk.open(), talk.send(b"SELECT\n"), talk.say(b"1\n")]
        (self.directory / "capture.pcap").write_bytes(
            pcap([(it.at, it.ethernet()) for it in frames])
        )
        self.walk.do(convert)
        self.assertIn("> SELECT\\n", (self.directory / "postgres.rec").read_text())

    def test_relay(self) -> None:
        """Each passes bytes to the service and back, the last one also through another relay."""
        forward, script, two = run_here("docs/relay")
        found = [it.code for it in blocks(PAGES["docs/relay"]) if it.language == "toml"]
        relay = min(found, key=len)
        fault = '\n[[fault]]\nkind = "latency"\nstream = "upstream"\ndelay = 0.01\n'
        self.write(
            relay_toml=self.walk.prepared(relay),
            faulty_relay_toml=self.walk.prepared(relay + fault),
            rules_toml='framing = "resp"\n[unmatched]\nforward = true\n',
        )
        (self.directory / "faulty_relay.toml").rename(self.directory / "faulty-relay.toml")
        for block in (forward, script, two):
            self.walk.do(SERVICE + block)
            self.assertEqual(self.asked(6380, "GET k", framing="resp"), VALUE)

    def test_replay(self) -> None:
        """It is replayed, its mails are marked, and it becomes a script."""
        replay, mark, script = run_here("docs/replay")
        text, *_ = (it.code for it in blocks(PAGES["docs/recording"]) if it.language == "text")
        mail = "# reqresp recording 1\n> Message-ID: <1@me>\\r\\n\n> Date: today\\r\\n\n"
        self.write(redis_rec=f"{text}\n", smtp_rec=mail)
        self.walk.do(replay)
        self.assertEqual(self.asked(6380, "PING", framing="resp"), "+PONG\n")
        self.walk.do(f"{mark}\n{script}\nreqresp check redis.toml")
        marked = (self.directory / "smtp.rec").read_text()
        self.assertIn("<\\<id", marked)
        self.assertIn("Date: \\<ignored", marked)

    def test_script(self) -> None:
        """The server answers the client of the page; the schema is one of JSON."""
        serve, schema, ask = run_here("docs/script")
        self.write(smtp_toml=(ROOT / "examples" / "smtp.toml").read_text())
        [replies] = self.walk.do(f"{serve}\n{ask}")
        self.assertRegex(replies, r"\A220 (?s:.+)\n221 ")
        self.walk.do(f"{schema}\npython3 -m json.tool script.schema.json")

    def test_testing(self) -> None:
        """Tests with servers run in parallel."""
        [command] = run_here("docs/testing")
        self.write(test_it_py="def test_it(reqresp_server):\n    assert reqresp_server().port\n")
        [printed] = self.walk.do(f"{command} test_it.py")
        self.assertIn("1 passed", printed)

    def test_transport(self) -> None:
        """A web server listens, and each endpoint on a reactor in memory."""
        [lean] = run_here("docs/transport")
        self.walk.do(lean)
        self.walk.do(re.sub("--reactor lean-epoll ", "", lean))
        strings = re.findall(
            r"^    ((?:haproxy:)?eager:\S+)$", PAGES["docs/transport"], re.MULTILINE
        )
        self.assertEqual(len(strings), 3)
        for string in strings:
            endpoint = serverFromString(InMemoryReactor(), string)
            self.successResultOf(endpoint.listen(Factory()))


class PagesTests(SynchronousTestCase):
    """All pages."""

    def test_all_are_run(self) -> None:
        """Each page with commands has a test, and where they are run elsewhere is there."""
        pages = {page for page in PAGES if run_here(page)}
        here = re.findall(r'run_here\("([\w/-]+)"\)', Path(__file__).read_text(encoding="utf-8"))
        self.assertEqual(pages, {*here})
        for page, (start, file) in ELSEWHERE.items():
            self.assertTrue(any(re.match(start, it) for it in commands(page)), page)
            self.assertTrue((ROOT / file).is_file(), file)

    def test_what_is_not_run_is_named(self) -> None:
        """A page with commands that no test runs says so."""
        for page, (start, said) in NOT_RUN.items():
            self.assertTrue(any(re.match(start, it) for it in commands(page)), page)
            self.assertIn(said, " ".join(PAGES[page].split()), page)

    def test_environments(self) -> None:
        """Environments are set up as the README's test command does it, with extras that exist."""
        config = ConfigParser()
        config.read(ROOT / "setup.cfg")
        *_, tested = commands("README")
        extra = re.compile(r"'\.\[([\w,]+)\]'")
        known = [re.sub(extra, "", it) for it in tested.splitlines()[:3]]
        for page in PAGES:
            lines = [line for block in commands(page) for line in re.split("\n| && ", block)]
            for line in filter(re.compile(SETUP).match, lines):
                plain = line.replace(".venv/bin/pip", "pip")
                self.assertIn(re.sub(extra, "", plain), known, page)
                for extras in extra.findall(line):
                    unknown = {*extras.split(",")} - {*config["options.extras_require"]}
                    self.assertEqual(unknown, set(), page)
