"""
Privileges: opening files as the user that the server will run as.

twistd that root starts with ``--uid`` or ``--gid`` becomes that user when it has opened its ports.
Files are opened before, so that an error is reported before anything listens.  As root it would
read what the user may not read, and follow the user's symbolic links.

As root remain ports, which need it, and the log and the pid file, which twistd opens.

It must not know what files contain.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python import usage
from zope.interface import implementer

_HINT = " (files are opened as the user of --uid or --gid)"


@frozen
class _User:
    """A group, and a user in it; no user: that stays as it is."""

    gid: int
    user: pwd.struct_passwd | None

    def become(self) -> None:
        """Become that user.  (Root remains the real user, which can undo it.)"""
        os.setegid(self.gid)
        if self.user is not None:
            os.initgroups(self.user.pw_name, self.gid)
            os.seteuid(self.user.pw_uid)


def check_final_user(options: usage.Options) -> None:
    """
    Check that twistd will find the user to run as; it would print a traceback.

    :raises SystemExit: the user does not exist; the message names it.
    """
    _final_user(options)


@contextmanager
def as_final_user(options: usage.Options) -> Iterator[None]:
    """
    Within this context, be the user that twistd will run as, according to its own options.

    :param options: of ``twistd reqresp``; without those of twistd, nothing changes.
    :raises SystemExit: the user does not exist, it cannot read Python's own files, or this process
        may not become another user.
    """
    user = _final_user(options)
    if user is None:
        yield
        return
    own_group, own_groups = os.getegid(), os.getgroups()
    try:
        try:
            user.become()
        except OSError as error:  # as in a container without the capabilities of root
            raise SystemExit(f"reqresp: --uid or --gid: {error.strerror}") from None
        if not os.access(os.__file__, os.R_OK, effective_ids=True):
            # Otherwise some import fails, now or later.
            raise SystemExit(
                f"reqresp: {sys.prefix}: the user of --uid or --gid cannot read this Python"
            )
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)
        if os.getgroups() != own_groups:
            os.setgroups(own_groups)


@implementer(IStreamServerEndpoint)
@frozen
class FinalUserEndpoint:
    """Listens with *endpoint* as the user that twistd will run as."""

    endpoint: IStreamServerEndpoint
    options: usage.Options

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen for *factory*; return a Deferred of the port."""
        with as_final_user(self.options):
            return self.endpoint.listen(factory)


def with_user(problem: str, options: usage.Options) -> str:
    """Return *problem*; if permission was denied to the final user, it says so."""
    is_due_to_user = os.strerror(EACCES) in problem and _final_user(options) is not None
    return problem + _HINT if is_due_to_user else problem


def _final_user(options: usage.Options) -> _User | None:
    """Return the user that root runs the server as; None: it does not change."""
    if options.parent is None or os.geteuid() != 0:
        return None
    # Those of ``twist``, which does not change it, have neither.
    uid, gid = options.parent.get("uid"), options.parent.get("gid")
    if uid is None:
        return None if gid is None else _User(gid, None)
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        raise SystemExit(f"reqresp: --uid: expected an existing user, found {uid}") from None
    return _User(user.pw_gid if gid is None else gid, user)
