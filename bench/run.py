"""
Run: all servers of all parts, one at a time, with progress lines.

Knows parts, servers and loads.  It must not know tables or targets.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from attrs import define, evolve, frozen

from bench import measure
from bench.clients import BadReplyError, allow_descriptors, idle_connections
from bench.parts import CommandPart, IdlePart, LoadPart, Part, StartPart
from bench.peers import PEERS, Peer, Words, command
from bench.processes import Cores, Server, run_to_end, running
from bench.values import Results, Sample, UnavailableError

# The share of the load for a warm-up before each run.
_WARM_UP = 0.05
# The share of the load for a slow server, which runs once.
_SLOW = 0.3
# The time for a server to notice that its clients have disconnected, in seconds.
_SETTLE = 0.1
_SPARE_DESCRIPTORS = 1_000

Say = Callable[[str], None]


@frozen
class Plan:
    """What to run: the parts, the runs of each server, and a factor for all amounts of work."""

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

    def carry_out(self, plan: Plan) -> None:
        """Run all parts.  A server that cannot run is noted as missing."""
        total = sum(len(_names(part)) * plan.runs for part in plan.parts)
        done = 0
        commands = self._prepare(plan.parts)
        for part in plan.parts:
            for run in range(1, plan.runs + 1):
                for name in _names(part):
                    done += 1
                    if run > 1 and (PEERS[name].slow or (part.name, name) in self.results.missing):
                        continue
                    said = self._one(_scaled(part, plan.scale), PEERS[name], run, commands)
                    where = f"[{done:3}/{total}] {part.name} {run}/{plan.runs}"
                    self.say(f"{where} {PEERS[name].label}: {said}")

    def _prepare(self, parts: Sequence[Part]) -> Mapping[str, Words | UnavailableError]:
        self.cache.mkdir(parents=True, exist_ok=True)
        commands: dict[str, Words | UnavailableError] = {}
        for name in dict.fromkeys(name for part in parts for name in _names(part)):
            try:
                commands[name] = PEERS[name].prepare(self.cache)
            except UnavailableError as reason:
                commands[name] = reason
        return commands

    def _one(
        self, part: Part, peer: Peer, run: int, commands: Mapping[str, Words | UnavailableError]
    ) -> str:
        prepared = commands[peer.name]
        try:
            if isinstance(prepared, UnavailableError):
                raise prepared
            figures, said = self._figures_with_service(part, peer, prepared)
        except (UnavailableError, BadReplyError, OSError) as reason:  # OSError: a server has ended
            self.results.missing[part.name, peer.name] = str(reason)
            return f"not measured, {reason}"
        self.results.samples.append(Sample(part.name, peer.name, run, figures))
        return said

    def _figures_with_service(
        self, part: Part, peer: Peer, prepared: Words
    ) -> tuple[Mapping[str, float], str]:
        words = command(prepared, part.reply)
        if not isinstance(part, LoadPart | IdlePart) or part.service is None:
            return self._figures(part, peer, words)
        service = command(PEERS[part.service].prepare(self.cache), part.reply)
        with running(service, self.cores.load) as behind:
            words = tuple(word.replace("{service}", str(behind.port)) for word in words)
            return self._figures(part, peer, words)

    def _figures(self, part: Part, peer: Peer, words: Words) -> tuple[Mapping[str, float], str]:
        core = self.cores.server
        if isinstance(part, StartPart):
            return _start(words, core, part.starts)
        if isinstance(part, CommandPart):
            return _run_to_end(words, core, part.starts)
        if isinstance(part, IdlePart):
            each = 1 if part.service is None else 2
            allow_descriptors(part.connections * each + _SPARE_DESCRIPTORS)
        with running(words, core) as server:
            if isinstance(part, IdlePart):
                return _hold(server, part)
            return _load(server, part, peer)


def _names(part: Part) -> tuple[str, ...]:
    return tuple(part.loads) if isinstance(part, LoadPart) else part.peers


def _scaled(part: Part, scale: float) -> Part:
    if isinstance(part, LoadPart):
        return evolve(part, loads={name: load.times(scale) for name, load in part.loads.items()})
    if isinstance(part, IdlePart):
        return evolve(part, connections=max(1, round(part.connections * scale)))
    return part


def _load(server: Server, part: LoadPart, peer: Peer) -> tuple[Mapping[str, float], str]:
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


def _hold(server: Server, part: IdlePart) -> tuple[Mapping[str, float], str]:
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


def _start(words: Words, core: int, starts: int) -> tuple[Mapping[str, float], str]:
    times = []
    for _ in range(starts):
        with running(words, core) as server:
            times.append(server.seconds_to_listen)
    seconds = median(times)
    return {"seconds": seconds}, f"{seconds * 1000:.0f} ms"


def _run_to_end(words: Words, core: int, starts: int) -> tuple[Mapping[str, float], str]:
    ends = [run_to_end(words, core) for _ in range(starts)]
    seconds, cpu = (median(figures) for figures in zip(*ends, strict=True))
    return {"seconds": seconds, "cpu": cpu}, f"{seconds * 1000:.0f} ms, {cpu * 1000:.0f} ms of CPU"
