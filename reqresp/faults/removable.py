"""
Removable: what is there for the time of a block.

Must not know what it is, nor how it is removed.
"""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Removable(ABC):
    """As a context manager, it removes itself at the end of the block."""

    @abstractmethod
    def remove(self) -> None:
        """Remove it.  Do nothing if it was removed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()
