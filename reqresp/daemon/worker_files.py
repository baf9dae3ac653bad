"""
Worker files: those that workers use, and whether they can.

Looks, and changes nothing; it knows paths, and nothing of what is in them.
"""

import os
import sys
from errno import EACCES, EISDIR, ENOENT
from pathlib import Path

from reqresp.daemon.options import Options


def journal_path(path: Path, worker: int) -> Path:
    """Give the path of the journal of the *worker* with this number."""
    # One for each: what is torn, full or renamed is one process's affair.  Not it.jsonl.2, which
    # is what logrotate calls an old one.
    return path.with_name(f"{path.stem}.worker-{worker}{path.suffix}")


def why_unusable(options: Options) -> str | None:
    """
    Tell why workers, run by this user, could not use the files that *options* name.

    None is made: that is for each worker, whose file it will be.
    """
    if not os.access(sys.executable, os.X_OK, effective_ids=True):
        return f"{sys.executable}: it cannot be run by the user that workers run as"
    paths = [options[name] for name in ("script", "tls-cert", "tls-key", "client-ca")]
    for path in filter(None, paths):
        if not os.access(path, os.R_OK, effective_ids=True):
            return f"{path}: it cannot be read by the user that workers run as"
    if options["journal"] is None:
        return None
    if options["journal"].is_dir():
        return f"--journal: {options['journal']}: {os.strerror(EISDIR)}"
    for worker in range(1, options["workers"] + 1):
        path = journal_path(options["journal"], worker)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY))
        except FileNotFoundError:
            if not path.parent.is_dir():
                return f"--journal: {path}: {os.strerror(ENOENT)}"
            if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
                return f"--journal: {path}: {os.strerror(EACCES)}"
        except OSError as error:
            return f"--journal: {path}: {error.strerror}"
    return None
