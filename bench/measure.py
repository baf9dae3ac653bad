"""
Measure: what the kernel says about a process.

Knows /proc and process clocks; nothing of servers, loads or reports.
"""

import os
import time
from pathlib import Path

from attrs import frozen

_TICK = 1 / os.sysconf("SC_CLK_TCK")
# The bits under a pid that make it a clock of all its threads, dead ones too (clock_getcpuclockid).
_SCHEDULED_TIME = 2


@frozen
class Cpu:
    """Seconds of CPU that a process and its reaped children have used."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system


@frozen
class CpuReading:
    """One look at a process: the exact total, and the ticks that tell how to share it out."""

    seconds: float
    user_ticks: int
    system_ticks: int


def read_cpu(pid: int) -> CpuReading:
    """
    Read the CPU used so far.

    /proc/PID/stat counts in ticks of 10 ms; the process clock in nanoseconds, but it does not
    tell user from system.  Children are in ticks only, and only once they were waited for.
    """
    # The second field, the name in parentheses, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    exact = time.clock_gettime((~pid << 3) | _SCHEDULED_TIME)
    return CpuReading(
        seconds=exact + (child_user + child_system) * _TICK,
        user_ticks=user + child_user,
        system_ticks=system + child_system,
    )


def spent(before: CpuReading, after: CpuReading) -> Cpu:
    """Share the exact total between user and system as the ticks of the same time do."""
    total = after.seconds - before.seconds
    user = after.user_ticks - before.user_ticks
    system = after.system_ticks - before.system_ticks
    share = user / (user + system) if user + system > 0 else 0.0
    return Cpu(total * share, total * (1 - share))


def resident_bytes(pid: int) -> int:
    """
    Tell the resident memory, page by page.

    VmRSS in /proc/PID/status is counted per CPU and may lag by hundreds of kilobytes.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss":
            return int(rest.split()[0]) * 1024
    raise ValueError(f"no Rss in /proc/{pid}/smaps_rollup")


def listening_ports(pid: int) -> frozenset[int]:
    """Tell on which TCP ports a process listens, by the sockets that it holds."""
    inodes = _socket_inodes(pid)
    ports = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(ports)


def _socket_inodes(pid: int) -> frozenset[str]:
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    return frozenset(inodes)
