"""
Run: all servers of all parts, one at a time, with progress lines.

The servers of a load are started together and loaded in turns, so that what else the machine does
affects all of them.

Knows parts, servers and loads.  It must not know tables or targets.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from attrs import define, evolve, field, frozen

from bench import measure
from bench.clients import BadReplyError, allow_descriptors, idle_connections
from bench.parts import TURNS, CommandPart, IdlePart, LoadPart, Part, StartPart
from bench.peers import PEERS, Peer, Words, command
from bench.processes import Cores, Server, run_to_end, running
from bench.values import Results, Sample, UnavailableError

# The share of the load for a warm-up before each turn.
_WARM_UP = 0.05
# The share of the load for a slow server, which runs once.
_SLOW = 0.3
# The time for a server to notice that its clients have disconnected, in seconds.
_SETTLE = 0.1
_SPARE_DESCRIPTORS = 1_000

Say = Callable[[str], None]
# Figures by name, and what the progress line says of them.
Measured = tuple[Mapping[str, float], str]


@frozen
class Plan:
    """What to run: the parts, the starts of each server, and a factor for all amounts of work."""

    parts: Sequence[Part]
    runs: int
    scale: float = 1.0


@define
class Runner:
    """Runs a plan and keeps the results."""

    cores: Cores
    cache: Path
    say: Say
    results: Results
    _commands: dict[str, Words | UnavailableError] = field(init=False, factory=dict)
    _done: int = field(init=False, default=0)
    _total: int = field(init=False, default=0)

    def carry_out(self, plan: Plan) -> None:
        """Run all parts.  A server that cannot run is noted as missing."""
        parts = [_scaled(part, plan.scale) for part in plan.parts]
        self._prepare(parts)
        self._done = 0
        self._total = sum(len(_names(part)) * _turns(part) for part in parts) * plan.runs
        for part in parts:
            for run in range(plan.runs):
                if isinstance(part, LoadPart):
                    self._take_turns(part, run)
                else:
                    for name in _names(part):
                        self._measure(part, name, run, partial(self._alone, part, name))

    def _prepare(self, parts: Sequence[Part]) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        for part in parts:
            for name in (*_names(part), *_services(part)):
                if name not in self._commands:
                    try:
                        self._commands[name] = PEERS[name].prepare(self.cache)
                    except UnavailableError as reason:
                        self._commands[name] = reason

    def _take_turns(self, part: LoadPart, run: int) -> None:
        """Start all servers of *part*, and load one after the other, some times."""
        with ExitStack() as started:
            servers: dict[str, Server] = {}

            def load(name: str) -> Measured:
                if name not in servers:
                    servers[name] = started.enter_context(self._serving(part, name))
                return _load(servers[name], part, PEERS[name])

            for turn in range(run * TURNS, (run + 1) * TURNS):
                for name in part.loads:
                    self._measure(part, name, turn, partial(load, name))

    def _measure(self, part: Part, name: str, number: int, measure: Callable[[], Measured]) -> None:
        """Keep the figures of measurement *number* of a server, or why there are none."""
        self._done += 1
        if number > 0 and (PEERS[name].slow or (part.name, name) in self.results.missing):
            return
        try:
            figures, said = measure()
        except (UnavailableError, BadReplyError, OSError) as reason:  # OSError: a server has ended
            self.results.missing[part.name, name] = str(reason)
            said = f"not measured, {reason}"
        else:
            self.results.samples.append(Sample(part.name, name, number, figures))
        where = f"[{self._done:3}/{self._total}] {part.name} {number + 1}"
        self.say(f"{where} {PEERS[name].label}: {said}")

    def _alone(self, part: IdlePart | StartPart | CommandPart, name: str) -> Measured:
        if isinstance(part, IdlePart):
            each = 1 if part.service is None else 2
            allow_descriptors(part.connections * each + _SPARE_DESCRIPTORS)
            with self._serving(part, name) as server:
                return _hold(server, part)
        words = self._command(part, name)
        if isinstance(part, StartPart):
            return _start(words, self.cores.server, part.starts)
        return _run_to_end(words, self.cores.server, part.starts)

    def _command(self, part: Part, name: str) -> Words:
        prepared = self._commands[name]
        if isinstance(prepared, UnavailableError):
            raise prepared
        return command(prepared, part.reply)

    @contextmanager
    def _serving(self, part: LoadPart | IdlePart, name: str) -> Iterator[Server]:
        """Run a server, and before it the service that it needs."""
        words = self._command(part, name)
        with ExitStack() as behind:
            for service in _services(part):
                running_service = running(self._command(part, service), self.cores.load)
                port = behind.enter_context(running_service).port
                words = tuple(word.replace("{service}", str(port)) for word in words)
            yield behind.enter_context(running(words, self.cores.server))


def _names(part: Part) -> tuple[str, ...]:
    return tuple(part.loads) if isinstance(part, LoadPart) else part.peers


def _services(part: Part) -> tuple[str, ...]:
    service = part.service if isinstance(part, LoadPart | IdlePart) else None
    return () if service is None else (service,)


def _turns(part: Part) -> int:
    return TURNS if isinstance(part, LoadPart) else 1


def _scaled(part: Part, scale: float) -> Part:
    if isinstance(part, LoadPart):
        return evolve(part, loads={name: load.times(scale) for name, load in part.loads.items()})
    if isinstance(part, IdlePart):
        return evolve(part, connections=max(1, round(part.connections * scale)))
    return part


def _load(server: Server, part: LoadPart, peer: Peer) -> Measured:
    load = part.loads[peer.name]
    if peer.slow:
        load = load.times(_SLOW)
    load.times(_WARM_UP).run(server.port)
    time.sleep(_SETTLE)
    before = measure.read_cpu(server.pid)
    outcome = load.run(server.port)
    time.sleep(_SETTLE)
    cpu = measure.spent(before, measure.read_cpu(server.pid))
    figures = {
        "user": cpu.user / outcome.requests,
        "system": cpu.system / outcome.requests,
        "total": cpu.total / outcome.requests,
        "rate": outcome.rate,
    }
    if outcome.p50 is not None and outcome.p99 is not None:
        figures |= {"p50": outcome.p50, "p99": outcome.p99}
    return figures, f"{figures['total'] * 1e6:.2f} us/request, {outcome.rate:,.0f} requests/s"


def _hold(server: Server, part: IdlePart) -> Measured:
    # One connection first, so that one-time allocations are not counted.
    with idle_connections(server.port, 1, b"PING\r\n", part.reply.encode()):
        pass
    time.sleep(_SETTLE)
    before = measure.resident_bytes(server.pid)
    with idle_connections(server.port, part.connections, b"PING\r\n", part.reply.encode()):
        time.sleep(_SETTLE)
        after = measure.resident_bytes(server.pid)
    each = (after - before) / part.connections
    return {"resident": each}, f"{each:,.0f} bytes a connection"


def _start(words: Words, core: int, starts: int) -> Measured:
    times = []
    for _ in range(starts):
        with running(words, core) as server:
            times.append(server.seconds_to_listen)
    seconds = median(times)
    return {"seconds": seconds}, f"{seconds * 1000:.0f} ms"


def _run_to_end(words: Words, core: int, starts: int) -> Measured:
    ends = [run_to_end(words, core) for _ in range(starts)]
    seconds, cpu = (median(figures) for figures in zip(*ends, strict=True))
    return {"seconds": seconds, "cpu": cpu}, f"{seconds * 1000:.0f} ms, {cpu * 1000:.0f} ms of CPU"
