"""Runs of pytest in processes of their own: the command, without the plugins that load slowly."""

import sys
from collections.abc import Collection

#: Plugins of other packages, as pytest names them.  Together they take three seconds to import.
SLOW = ("anyio", "hypothesispytest", "schemathesis", "twisted")


def without_slow(needed: Collection[str] = ()) -> tuple[str, ...]:
    """Return the options of pytest that leave out the slow plugins except those in *needed*."""
    return tuple(word for it in SLOW if it not in needed for word in ("-p", f"no:{it}"))


def pytest(*arguments: str, needed: Collection[str] = ()) -> tuple[str, ...]:
    """
    Return the command that runs pytest with *arguments*, and without a cache.

    :param needed: the slow plugins that it loads.
    """
    options = ("-p", "no:cacheprovider", *without_slow(needed))
    return (sys.executable, "-W", "error::ResourceWarning", "-m", "pytest", *options, *arguments)
