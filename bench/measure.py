"""
Measure: the CPU time, memory and ports of a process.

Knows /proc and process clocks.  It must not know servers, loads or reports.
"""

import os
import time
from pathlib import Path

from attrs import frozen

_TICK = 1 / os.sysconf("SC_CLK_TCK")
# The low bits of the id of a process's CPU clock (clock_getcpuclockid).
_SCHEDULED_TIME = 2


@frozen
class Cpu:
    """The CPU time of a process and its reaped children, in seconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system


@frozen
class CpuReading:
    """The exact CPU time of a process, and its user and system ticks."""

    seconds: float
    user_ticks: int
    system_ticks: int


def read_cpu(pid: int) -> CpuReading:
    """
    Return the CPU time used so far.

    /proc/PID/stat counts in ticks of 10 ms.  The process clock counts in nanoseconds, but does not
    separate user from system.  Children are counted in ticks only, after they were waited for.
    """
    # The second field, the name in parentheses, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    exact = time.clock_gettime((~pid << 3) | _SCHEDULED_TIME)
    return CpuReading(
        seconds=exact + (child_user + child_system) * _TICK,
        user_ticks=user + child_user,
        system_ticks=system + child_system,
    )


def spent(before: CpuReading, after: CpuReading) -> Cpu:
    """Return the CPU time between two readings, divided by the ratio of their ticks."""
    total = after.seconds - before.seconds
    user = after.user_ticks - before.user_ticks
    system = after.system_ticks - before.system_ticks
    share = user / (user + system) if user + system > 0 else 0.0
    return Cpu(total * share, total * (1 - share))


def resident_bytes(pid: int) -> int:
    """
    Return the resident memory, counted page by page.

    VmRSS in /proc/PID/status is counted per CPU, and may differ by hundreds of kilobytes.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss":
            return int(rest.split()[0]) * 1024
    raise ValueError(f"no Rss in /proc/{pid}/smaps_rollup")


def listening_ports(pid: int) -> frozenset[int]:
    """Return the TCP ports that a process listens on."""
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
        except FileNotFoundError:  # closed since
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    return frozenset(inodes)
