"""
Peers: the servers that are compared, and how each is built and started.

Knows commands and their requirements.  It must not know loads or figures.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from attrs import frozen

from bench.scripts import INDEXED, KINDS, TEMPLATES, template_script
from bench.values import UnavailableError

_SERVERS = Path(__file__).resolve().parent / "servers"
_MOUNTEBANK = "mountebank@2.9.1"
_BUILD_LIMIT = 180.0

Words = tuple[str, ...]


@frozen
class Peer:
    """
    One server.

    :param prepare: builds or finds the program in a cache folder, and returns its command, or
        raises UnavailableError.  In the command, ``{reply}`` stands for the reply, and
        ``{escaped}`` for the reply with backslash escapes; ``{service}`` is the port of the server
        that a relay forwards to; for ``{port}`` see bench.processes.
    :param slow: run the server once, with fewer requests.
    """

    name: str
    label: str
    prepare: Callable[[Path], Words]
    slow: bool = False


def command(words: Words, reply: str) -> Words:
    """Return a prepared command with its reply."""
    escaped = reply.encode("unicode_escape").decode()
    return tuple(word.replace("{reply}", reply).replace("{escaped}", escaped) for word in words)


def _python(source: str, *arguments: str, needs: tuple[str, ...] = ()) -> Callable[[Path], Words]:
    def prepare(_: Path) -> Words:
        for module in needs:
            _require(module)
        return (sys.executable, str(_SERVERS / source), *arguments)

    return prepare


def _require(module: str) -> None:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise UnavailableError(f"the Python module {module} is not installed")


def _program(*words: str) -> Callable[[Path], Words]:
    return lambda _: (_find(words[0]), *words[1:])


def _find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path


def _twistd(*words: str, module: str) -> Callable[[Path], Words]:
    """Run a twistd plugin in the foreground, with its log on standard output (discarded)."""

    def prepare(_: Path) -> Words:
        _require(module)
        beside = Path(sys.executable).with_name("twistd")
        twistd = str(beside) if beside.exists() else _find("twistd")
        # Not --logfile=/dev/null: twistd rotates logs after 1 MB, and root would rename the device.
        return (sys.executable, twistd, "--nodaemon", "--pidfile=", "--logfile=-", *words)

    return prepare


def _reqresp(*words: str) -> Callable[[Path], Words]:
    return _twistd(
        "reqresp", "--port", "0", "--backlog", "4096", "--response", "{escaped}", *words,
        module="reqresp.tap",
    )  # fmt: skip


def _first_reply(*words: str) -> Callable[[Path], Words]:
    """Run ``twistd reqresp`` until its first reply."""
    server = _twistd("reqresp", "--port", "PORT", "--quiet", *words, module="reqresp.tap")
    return lambda cache: (sys.executable, str(_SERVERS / "first_reply.py"), *server(cache))


def _statement(text: str) -> Callable[[Path], Words]:
    return lambda _: (sys.executable, "-c", text)


def _check(cache: Path) -> Words:
    path = cache.absolute() / "check.toml"
    path.write_text(KINDS["equals"].script(10))
    return (sys.executable, "-m", "reqresp", "check", str(path))


def _haproxy(cache: Path) -> Words:
    """Run HAProxy in the foreground, with one thread; it reads the ports from its environment."""
    path = cache.absolute() / "haproxy.cfg"
    path.write_text(_HAPROXY_CFG)
    words = ("env", "BENCH_PORT={port}", "BENCH_SERVICE={service}", _find("haproxy"))
    return (*words, "-db", "-f", str(path))


def _script(name: str, text: Callable[[], str]) -> Callable[[Path], Words]:
    def prepare(cache: Path) -> Words:
        path = cache.absolute() / f"{name}.toml"
        path.write_text(text())
        return _twistd(
            "reqresp", "--port", "0", "--backlog", "4096", "--quiet", "--script", str(path),
            module="reqresp.script.loader",
        )(cache)  # fmt: skip

    return prepare


def _rules(kind: str, rules: int) -> Callable[[Path], Words]:
    return _script(f"{kind}-{rules}", partial(KINDS[kind].script, rules))


def _node(_: Path) -> Words:
    return (_find("node"), str(_SERVERS / "node_net.js"), "{reply}")


def _built(compiler: str, options: Words, source: str, *arguments: str) -> Callable[[Path], Words]:
    def prepare(cache: Path) -> Words:
        binary = cache / Path(source).stem
        _build(_find(compiler), *options, "-o", str(binary), str(_SERVERS / source))
        return (str(binary), *arguments)

    return prepare


def _mountebank(cache: Path) -> Words:
    folder = cache / "mountebank"
    program = folder / "node_modules" / ".bin" / "mb"
    if not program.exists():
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        _build(_find("npm"), "install", f"--prefix={folder}", *options, _MOUNTEBANK)
    return (
        # Its template reads the port from the environment.
        *("env", "BENCH_PORT={port}", _find("node"), str(program), "--port", "{second}"),
        *("--host", "127.0.0.1", "--localOnly", "--configfile", str(_SERVERS / "mountebank.ejs")),
        *("--nologfile", "--loglevel", "error"),
    )


def _build(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=_BUILD_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{Path(words[0]).name} took longer than {_BUILD_LIMIT:.0f} s"
        ) from error
    except subprocess.CalledProcessError as error:
        said = str(error.stderr or error.stdout).strip().splitlines()
        reason = said[-1] if said else f"status {error.returncode}"
        raise UnavailableError(f"{Path(words[0]).name}: {reason}") from error


_REDIS = (
    "redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
    "--tcp-backlog", "4096", "--maxclients", "10000",
)  # fmt: skip
_HAPROXY_CFG = """\
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind 127.0.0.1:"$BENCH_PORT" backlog 4096
  server service 127.0.0.1:"$BENCH_SERVICE"
"""
_SOCAT = (
    "socat", "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096",
    "TCP:127.0.0.1:{service},nodelay",
)  # fmt: skip
_NCAT = (
    "ncat", "--listen", "--keep-open", "127.0.0.1", "{port}",
    "--sh-exec", "while read -r request; do printf '{escaped}'; done",
)  # fmt: skip
_STOCK = "tcp:0:interface=127.0.0.1:backlog=4096"
_EAGER = "eager:0:interface=127.0.0.1:backlog=4096"

_ALL = (
    Peer("reqresp", "reqresp (twistd, quiet)", _reqresp("--quiet")),
    Peer("request-log", "reqresp, request log on", _reqresp()),
    Peer("table-10", "reqresp, 10 replies", _python("reqresp_table.py", "10")),
    Peer("table-1000", "reqresp, 1,000 replies", _python("reqresp_table.py", "1000")),
    Peer("table-10000", "reqresp, 10,000 replies", _python("reqresp_table.py", "10000")),
    Peer(
        "journal",
        "reqresp, 1,000 replies, recorded",
        _python("reqresp_table.py", "1000", "journal"),
    ),
    Peer(
        "metered",
        "reqresp, 1,000 replies, counted",
        _python("reqresp_table.py", "1000", "counters"),
    ),
    Peer("function", "reqresp, a function", _python("reqresp_table.py", "10", "function")),
    Peer("script-1", "script, 1 rule: equals", _rules("equals", 1)),
    *(
        Peer(f"{kind}-{rules}", f"script, {rules:,} rules: {kind}", _rules(kind, rules))
        for kind in INDEXED
        for rules in (10, 10_000)
    ),
    *(
        Peer(name, f"script, a template: {it}", _script(name, partial(template_script, it)))
        for name, it in TEMPLATES.items()
    ),
    Peer("c", "C, epoll", _built("cc", ("-O2",), "epoll.c", "{reply}")),
    Peer(
        "c-lines", "C, epoll, counting lines", _built("cc", ("-O2",), "epoll.c", "{reply}", "lines")
    ),
    Peer("asyncio", "asyncio.Protocol", _python("asyncio_protocol.py", "{reply}")),
    Peer(
        "uvloop",
        "asyncio.Protocol on uvloop",
        _python("asyncio_protocol.py", "{reply}", "uvloop", needs=("uvloop",)),
    ),
    Peer(
        "gevent",
        "gevent StreamServer",
        _python("gevent_stream.py", "{reply}", needs=("gevent",)),
    ),
    Peer("twisted", "Twisted Protocol", _python("twisted_protocol.py", "{reply}", _STOCK)),
    Peer(
        "twisted-eager",
        "Twisted Protocol, eager transport",
        _python("twisted_protocol.py", "{reply}", _EAGER, needs=("reqresp.transport.eager",)),
    ),
    Peer("twisted-lines", "Twisted LineReceiver", _python("twisted_lines.py", "{reply}")),
    Peer("threads", "a thread for each connection", _python("threads.py", "{reply}")),
    Peer(
        "threads-1000",
        "threads, 1,000 replies",
        _python("threads_table.py", "1000"),
    ),
    Peer(
        "socketserver",
        "socketserver.ThreadingTCPServer",
        _python("socketserver_threads.py", "{reply}"),
    ),
    Peer("node", "Node net", _node),
    Peer("go", "Go net", _built("go", ("build",), "go_net.go", "{reply}")),
    Peer("redis", "redis-server", _program(*_REDIS)),
    Peer("steered", "reqresp, controlled", _python("reqresp_steered.py", "{port}", "{second}")),
    Peer(
        "paged",
        "reqresp, controlled, three pages",
        _python("reqresp_steered.py", "{port}", "{second}"),
    ),
    Peer("relay", "reqresp, relay", _python("reqresp_relay.py", "{service}")),
    Peer(
        "relay-recorded",
        "reqresp, relay, recorded",
        _python("reqresp_relay.py", "{service}", "record"),
    ),
    Peer("spy", "reqresp, forwarding requests", _python("reqresp_spy.py", "{service}")),
    Peer("bulk", "a service that sends megabytes", _python("bulk.py")),
    Peer(
        "portforward",
        "twisted.protocols.portforward",
        _python("twisted_portforward.py", "{service}"),
    ),
    Peer("asyncio-relay", "asyncio, relay", _python("asyncio_relay.py", "{service}")),
    Peer("socat", "socat, a process for each connection", _program(*_SOCAT)),
    Peer("haproxy", "HAProxy, mode tcp", _haproxy),
    Peer("ncat", "ncat, a shell for each connection", _program(*_NCAT), slow=True),
    Peer("mountebank", "mountebank, tcp imposter", _mountebank, slow=True),
    Peer(
        "plugin-reqresp", "twistd reqresp", _twistd("reqresp", "--port", "0", module="reqresp.tap")
    ),
    Peer("plugin-bare", "twistd, a bare plugin", _twistd("bench-bare", module="twisted")),
    Peer("python", "python -c pass", _statement("pass")),
    Peer(
        "import-reactor",
        "import twisted.internet.reactor",
        _statement("import twisted.internet.reactor"),
    ),
    Peer("help", "reqresp --help", lambda _: (sys.executable, "-m", "reqresp", "--help")),
    Peer("check", "reqresp check, 10 rules", _check),
    Peer(
        "twistd-help", "twistd reqresp --help", _twistd("reqresp", "--help", module="reqresp.tap")
    ),
    Peer("first-reply", "twistd reqresp, until its first reply", _first_reply()),
    Peer(
        "first-reply-worker",
        "twistd reqresp, until the first reply of a worker",
        _first_reply("--workers", "1"),
    ),
    Peer("import-testing", "import reqresp.testing", _statement("import reqresp.testing")),
    Peer(
        "fixture",
        "a server for a test, started and stopped",
        _statement("from reqresp.testing import serve\nwith serve(): pass"),
    ),
)
PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _ALL}
