"""
Walkthrough: a page of commands, followed as a reader follows it.

A block after "Save this as ``FILE``" is written to the file; after "Add this to", to its end.  In a
block of ``console``, each line after ``$`` is a command, and what follows is what it prints.  A
command that serves goes on until the text says Ctrl-C.  A block of ``text`` is in the log of the
server that was started last, after what was found before.  ``...`` stands for any text.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import ROOT, Block, blocks
from tests.support.live import PATIENCE, Log, program

_SERVERS = ("reqresp serve ", "twistd ", "redis-server ")
_IS_READY = r"Listening on|starting on|Ready to accept connections"
_PORTS = r"\b(2525|6379|638\d|8080|8474|910\d|999\d)\b"
_FILE = re.compile(
    r"(Save|save|Add) (?:this|it|a better one)\s(?:\w+\s)*?(?:as|to)\s[^`]*``([\w.]+)``"
)


@define
class _Server:
    process: "subprocess.Popen[bytes]"
    log: Log
    #: How many lines of the log were found.
    found: int = 0


@frozen
class _Part:
    """A block, and the text before it."""

    text: str
    block: Block


@define
class Walkthrough:
    """
    Follows the page at *path* in *directory*, with ports of its own.

    :param case: the test; what was started ends with it.
    """

    case: SynchronousTestCase
    path: Path
    directory: Path
    _servers: list[_Server] = field(factory=list)
    _ports: dict[str, str] = field(factory=dict)
    environment: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._add_programs()

    def follow(self) -> int:
        """Do what the page says; return how many commands were run."""
        commands = 0
        for part in _parts(self.path.read_text(encoding="utf-8")):
            if "Ctrl-C" in part.text:
                self._stop()
            match part.block.language:
                case "console":
                    for command, printed in _commands(part.block.code):
                        commands += 1
                        self._run(command, printed)
                case "text":
                    self._find(part.block.code)
                case "toml" | "python":
                    self._save(part)
        return commands

    def do(self, code: str) -> list[str]:
        """
        Run a block of commands, each of which must succeed, with servers of its own.

        Return what those have printed that do not serve.
        """
        self._stop()
        printed: list[str] = []
        for command in code.replace("\\\n", "").splitlines():
            if command.startswith(_SERVERS):
                self._start(self.prepared(command))
            elif command.strip():
                ended = self.run(command)
                self.case.assertEqual(ended.returncode, 0, f"{command}\n{ended.stdout}")
                printed.append(ended.stdout)
        return printed

    def log(self) -> Log:
        """Return the log of the server that was started last."""
        return self._servers[-1].log

    def _add_programs(self) -> None:
        """Put commands on the path, from this Python and this project."""
        directory = self.directory / ".bin"
        directory.mkdir()
        for name, arguments in (
            ("python", ""),
            ("python3", ""),
            ("pytest", "-m pytest"),
            ("reqresp", "-m reqresp"),
            ("twistd", '-c "from twisted.scripts.twistd import run; run()"'),
        ):
            script = directory / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            script.chmod(0o755)
        is_installed = any(it.name == "reqresp" for it in entry_points(group="pytest11"))
        plugin = "" if is_installed else "-p reqresp.pytest_plugin"
        self.environment = {
            **os.environ,
            "PATH": f"{directory}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": f"-p no:schemathesis -p no:cacheprovider {plugin}",
        }

    def _run(self, command: str, printed: str) -> None:
        command = self.prepared(command).replace("redis-cli ", "redis-cli --no-raw ")
        program("redis-server" if "redis" in command else "nc")
        if command.startswith(_SERVERS):
            self._start(command)
            return
        ended = self.run(command)
        expected = _pattern(self.prepared(printed))
        self.case.assertRegex(ended.stdout.rstrip(), rf"\A{expected}\Z", command)

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a *command* that ends by itself; return its status, and all that it prints."""
        return subprocess.run(
            ["bash", "-c", self.prepared(command)],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _start(self, command: str) -> None:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        server = _Server(process, Log(process.stdout))
        self.case.addCleanup(self._end, server)
        server.log.wait(_IS_READY)
        self._servers.append(server)

    def _stop(self) -> None:
        for server in self._servers:
            self._end(server)
        self._servers.clear()

    def _end(self, server: _Server) -> None:
        server.process.terminate()
        server.process.wait(PATIENCE)
        server.log.close()

    def _find(self, code: str) -> None:
        """Find the lines of *code* in the log, in their order, after what was found before."""
        server = self._servers[-1]
        for line in self.prepared(code).splitlines():
            pattern = re.sub(r"(127\\\.0\\\.0\\\.1:)[3-9]\d{4}", r"\1\\d+", _pattern(line))
            server.found = server.log.find(pattern, server.found)

    def _save(self, part: _Part) -> None:
        [*_, (verb, name)] = _FILE.findall(" ".join(part.text.split()))
        path = self.directory / name
        before = f"{path.read_text()}\n" if verb == "Add" else ""
        path.write_text(self.prepared(f"{before}{part.block.code}\n"))

    def prepared(self, text: str) -> str:
        """Return *text* with a free port for each that the page names."""
        return re.sub(_PORTS, lambda match: self._port(match[1]), text)

    def _port(self, named: str) -> str:
        if named not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._ports[named] = str(free.getsockname()[1])
        return self._ports[named]


def _parts(page: str) -> Iterator[_Part]:
    found = blocks(page)
    lines = page.splitlines()
    for before, block in pairwise([Block(0, "", ""), *found]):
        start = before.line + len(before.code.splitlines())
        yield _Part("\n".join(lines[start : block.line - 1]), block)


def _commands(code: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed.rstrip()


def _pattern(text: str) -> str:
    return "(?s:.*)".join(map(re.escape, text.split("...")))
