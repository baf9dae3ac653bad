"""
FileWatcher: notices that files have changed.

Asks for their size and time again and again, which works on every file system and needs no other
package.  It must not know what the files contain.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: How often the files are looked at, in seconds.
INTERVAL = 0.5

#: What tells one version of a file from another; None: there is no such file.
_Version = tuple[int, int, int] | None


class FileWatcher:
    """
    Calls *changed* after files have changed, once they have been the same for one `INTERVAL`.

    A file that is gone may be about to be replaced: nothing is called until it is there again.

    :param find: returns the files as they are named now.  A file that was not named before has not
        changed.
    """

    _log = Logger()

    def __init__(
        self,
        find: Callable[[], Iterable[Path]],
        changed: Callable[[], object],
        clock: IReactorTime,
    ) -> None:
        self._find = find
        self._changed = changed
        #: Of each file, when *changed* was called last.
        self._known: Mapping[Path, _Version] = {}
        #: Of each file, at the last look, if one had changed.
        self._new: Mapping[Path, _Version] | None = None
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """Remember the files as they are, and begin to look at them."""
        self._known = self._versions()
        self._loop.start(INTERVAL, now=False).addErrback(
            lambda failure: self._log.failure("files are not watched any more", failure)
        )

    def stop(self) -> None:
        """Look at the files no more."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        found = self._versions()
        if all(self._known.get(path, version) == version for path, version in found.items()):
            self._known, self._new = found, None
        elif found != self._new or self._has_lost(found):
            self._new = found
        else:
            self._known, self._new = found, None
            self._changed()

    def _has_lost(self, found: Mapping[Path, _Version]) -> bool:
        """Return whether a file that was there is not among those *found*."""
        return any(it is None and self._known.get(path) for path, it in found.items())

    def _versions(self) -> Mapping[Path, _Version]:
        return {path: _version(path) for path in self._find()}


def _version(path: Path) -> _Version:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
