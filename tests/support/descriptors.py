"""The open file descriptors of this process."""

from pathlib import Path


def descriptors() -> set[str]:
    """Return what this process has open, if the system has /proc; sockets by their inode."""
    fds = Path("/proc/self/fd")
    found = (
        {str(it.readlink()) for it in fds.iterdir() if it.is_symlink()} if fds.exists() else set()
    )
    return {it for it in found if not it.startswith("/proc/")}
