"""
Twisted files: the pid file, the log and the UNIX sockets that Twisted will open or make.

About most problems with them it prints a traceback, and those of a daemon that has detached from
its terminal are only in its log.  What can be seen before is checked here, and is one line.  It
must not know what is served.
"""

import os
from collections.abc import Mapping
from errno import EACCES
from pathlib import Path
from typing import Any

from twisted.python import usage

from reqresp._files import find_foreign_link, read_regular
from reqresp._text import printable
from reqresp.daemon.privileges import as_final_user, with_user
from reqresp.services.endpoints import EndpointSpec, is_number

#: More than the number of a process needs.
_MAX_PID_FILE_BYTES = 100
_MAX_PID = 2**31 - 1
_OPEN = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_DEFAULT_LOG = "twistd.log"
_NO_PID_FILE = "none: twistd --pidfile= reqresp"


def check_pid_and_log(options: usage.Options) -> None:
    """
    Check the pid file and the log of twistd, before it reads the one and opens the other.

    A pid file that names a process that has ended is removed, as twistd does.

    :param options: of ``twistd reqresp``; without those of twistd, nothing is checked.
    :raises SystemExit: one of them cannot be used; one line says why, and what to do.
    """
    twistd = options.parent
    if twistd is None or "pidfile" not in twistd:  # a worker, or ``twist``
        return
    if twistd["pidfile"]:
        path = Path(twistd["pidfile"]).absolute()
        problem = _pid_file_problem(path, is_elsewhere=twistd["chroot"] is not None)
        if problem is not None:
            raise _refusal(f"--pidfile: {path}: {problem}")
    name = _log_name(twistd)
    if name is not None:
        path = Path(name).absolute()
        problem = _log_problem(path)
        if problem is not None:
            raise _refusal(f"--logfile: {path}: {problem}; pass another path")


def is_log_seen(options: usage.Options) -> bool:
    """Return whether the log of twistd goes to where standard error does, such as a terminal."""
    twistd = options.parent
    if twistd is None or "logfile" not in twistd or twistd["syslog"] or twistd["logger"]:
        return False
    if _log_name(twistd) is not None:
        return False
    try:
        return os.path.sameopenfile(1, 2)
    except OSError:  # one of them is closed
        return False


def check_socket(spec: EndpointSpec, options: usage.Options) -> None:
    """
    Check that the UNIX socket of *spec* can be made by the user that the server will run as.

    :raises SystemExit: it cannot; one line says why, and what to do.
    """
    twistd: Mapping[str, Any] = options.parent or {}
    if spec.socket_path is None or twistd.get("chroot") is not None:
        return
    path = Path(twistd.get("rundir", ".")) / spec.socket_path
    problem = _lock_problem(path) if spec.has_socket_lock else None
    if problem is not None:
        raise _refusal(f"cannot listen on {spec.name}: {problem}")
    with as_final_user(options):
        is_forbidden = path.parent.is_dir() and not os.access(
            path.parent, os.W_OK | os.X_OK, effective_ids=True
        )
    if is_forbidden:
        why = with_user(os.strerror(EACCES), options)
        raise _refusal(f"cannot listen on {spec.name}: {why}")


def _refusal(problem: str) -> SystemExit:
    return SystemExit(f"reqresp: {printable(problem)}")


def _pid_file_problem(path: Path, *, is_elsewhere: bool) -> str | None:
    """
    Return what is wrong with the pid file, and what to do; None: it can be used.

    :param is_elsewhere: whether it will be written below the new root of ``--chroot``.
    """
    link = find_foreign_link(path)
    if link is not None:
        return f"{link} is a symbolic link of another user; pass another path, or {_NO_PID_FILE}"
    try:
        if path.exists():
            pid = _read_pid(path)
            if pid == os.getpid():
                return f"{_left_over(pid)}; remove it, or pass {_NO_PID_FILE}"
            if _is_running(pid):
                return (
                    f"names process {pid}, which is running; pass another path, or {_NO_PID_FILE}"
                )
            path.unlink()
        if not is_elsewhere:
            _create_and_remove(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return f"{why}; pass another path, or {_NO_PID_FILE}"
    return None


def _read_pid(path: Path) -> int:
    text = read_regular(path, _MAX_PID_FILE_BYTES).decode("ascii", "replace").strip()
    if not is_number(text) or not 0 < int(text) <= _MAX_PID:
        raise ValueError(f"expected the number of a process, found {text!r}")
    return int(text)


def _log_name(twistd: Mapping[str, Any]) -> str | None:
    """Return the path of the log; None: it is not a file."""
    if twistd["syslog"] or twistd["logger"] or twistd["logfile"] == "-":
        return None
    is_daemon = not twistd["nodaemon"] and not twistd["debug"]
    name: str | None = twistd["logfile"]
    return name or (_DEFAULT_LOG if is_daemon else None)


def _log_problem(path: Path) -> str | None:
    link = find_foreign_link(path)
    if link is not None:
        return f"{link} is a symbolic link of another user"
    try:
        if not path.exists():
            _create_and_remove(path)
            return None
        descriptor = os.open(path, _OPEN)
        try:
            # twistd does this, and fails with a pipe.
            os.lseek(descriptor, 0, os.SEEK_END)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.strerror
    return None


def _lock_problem(path: Path) -> str | None:
    """Return why the lock of the UNIX socket at *path* cannot be had; None: it can."""
    lock = Path(f"{path}.lock")
    try:
        text = str(lock.readlink())
    except OSError:  # most often there is none
        return None
    pid = int(text) if is_number(text) else 0
    if not 0 < pid <= _MAX_PID or not _is_running(pid):
        return None  # Twisted removes the lock of a process that has ended
    if pid == os.getpid():
        return f"{lock} {_left_over(pid)}; remove it and {path}"
    return (
        f"{lock} names process {pid}, which is running; if that is not a server, remove the lock"
        f" and {path}"
    )


def _left_over(pid: int) -> str:
    # In its container each server is process 1, also one that was killed before.
    return f"names process {pid}, which is this one: left over, unless another container uses it"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _create_and_remove(path: Path) -> None:
    """
    Check that a file can be created at *path*, by doing it.

    :raises OSError: it cannot.
    """
    real = path.resolve()
    os.close(os.open(real, _CREATE, 0o600))
    real.unlink()
