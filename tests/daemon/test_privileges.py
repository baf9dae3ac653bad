"""Being the user that twistd will run as, for a while."""

import os
import pwd
from errno import EPERM
from unittest import SkipTest

from twisted.application.twist._options import TwistOptions
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.options import Options
from reqresp.daemon.privileges import as_final_user, with_user


def options(**of_twistd: int) -> Options:
    """Return options of a twistd that was started with *of_twistd*."""
    made = Options()
    made.parent = ServerOptions()
    made.parent.update(of_twistd)
    return made


def ids() -> tuple[int, int, list[int]]:
    """Return the user, the group and the other groups of this process."""
    return os.geteuid(), os.getegid(), sorted(os.getgroups())


class FinalUserTests(SynchronousTestCase):
    """The user within the context, and after it."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        self.before = ids()
        # Only root may read some Pythons.
        self.patch(os, "access", lambda *_, **__: True)
        self.nobody = pwd.getpwnam("nobody")

    def test_a_user(self) -> None:
        """Its group is the user's own, unless another is given; root's groups are left."""
        with as_final_user(options(uid=self.nobody.pw_uid)):
            self.assertEqual(ids()[:2], (self.nobody.pw_uid, self.nobody.pw_gid))
            self.assertNotIn(0, ids()[2])
        with as_final_user(options(uid=self.nobody.pw_uid, gid=1)):
            self.assertEqual(ids()[:2], (self.nobody.pw_uid, 1))
        self.assertEqual(ids(), self.before)

    def test_a_group(self) -> None:
        """With a group alone, the user stays."""
        with as_final_user(options(gid=1)):
            self.assertEqual(ids()[:2], (0, 1))
        self.assertEqual(ids(), self.before)

    def test_an_error(self) -> None:
        """An error within the context leaves nothing changed."""
        with self.assertRaises(ValueError), as_final_user(options(uid=self.nobody.pw_uid)):
            raise ValueError
        self.assertEqual(ids(), self.before)

    def test_no_such_user(self) -> None:
        """A number that belongs to no user is reported in one line."""
        with self.assertRaises(SystemExit) as caught, as_final_user(options(uid=1234567)):
            self.fail("it was accepted")
        self.assertEqual(
            caught.exception.code, "reqresp: --uid: expected an existing user, found 1234567"
        )

    def test_python_that_the_user_may_not_read(self) -> None:
        """Imports would fail, now or later, so one line says it."""
        self.patch(os, "access", lambda path, *_, **__: path != os.__file__)
        with self.assertRaises(SystemExit) as caught, as_final_user(options(gid=1)):
            self.fail("it was accepted")
        self.assertRegex(
            str(caught.exception.code), r"^reqresp: /.*: the user .* cannot read this Python$"
        )
        self.assertEqual(ids(), self.before)

    def test_without_the_capability(self) -> None:
        """Root that may not become another user, as in some containers, gets one line."""

        def refuse(gid: int) -> None:
            if gid != self.before[1]:
                raise PermissionError(EPERM, os.strerror(EPERM))

        self.patch(os, "setegid", refuse)
        with self.assertRaises(SystemExit) as caught, as_final_user(options(gid=1)):
            self.fail("it was accepted")
        self.assertEqual(caught.exception.code, "reqresp: --uid or --gid: Operation not permitted")

    def test_the_reason(self) -> None:
        """Only where permission is denied, and to another user, the user is mentioned."""
        denied = "it: Permission denied"
        other = options(uid=self.nobody.pw_uid)
        self.assertEqual(
            with_user(denied, other), f"{denied} (files are opened as the user of --uid or --gid)"
        )
        self.assertEqual(with_user("it: Is a directory", other), "it: Is a directory")
        self.assertEqual(with_user(denied, options()), denied)


class SameUserTests(SynchronousTestCase):
    """Nothing changes without options of twistd, and without a user among them."""

    def test_it_stays(self) -> None:
        """A worker has no options of twistd, and ``twist`` has others."""
        before = ids()
        of_twist = Options()
        of_twist.parent = TwistOptions()
        for same in (Options(), options(), of_twist):
            with as_final_user(same):
                self.assertEqual(ids(), before)
