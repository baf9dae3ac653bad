"""The real twistd, and files that others have replaced or may not read."""

import os
import pwd
import signal
import sys
from pathlib import Path
from unittest import SkipTest

from tests.support import live
from tests.support.issued import ours
from tests.support.live import Server
from tests.support.live_case import LiveTestCase

USER = "nobody"
SECRET = "the secret of root"  # noqa: S105 (it is not one)


class ReplacedTests(LiveTestCase):
    """Files that are something else when SIGHUP reads them again."""

    def test_pipes(self) -> None:
        """A pipe without a writer does not block: the server answers, and keeps what it had."""
        (self.directory / "it.toml").write_text('rule = [{ equals = "a", reply = "A" }]')
        (self.directory / "it.pem").write_bytes(ours())
        files = "--script=it.toml", "--tls-cert=it.pem", "--journal=it.jsonl"
        server = self.serve("--metrics=0", *files, ports=2)
        # The port of metrics answers without TLS.
        self.assertEqual(len(server.ports), 2)
        for name in ("it.toml", "it.pem", "it.jsonl"):
            (self.directory / name).unlink()
            os.mkfifo(self.directory / name)
        server.signal(signal.SIGHUP)
        server.log.wait(r"keeping the current rules: .*it\.toml: is not a regular file")
        server.log.wait(r"keeping the current certificate: .*it\.pem: is not a regular file")
        server.log.wait(r"it\.jsonl: cannot be reopened: .*; keeping the open file")
        client = self.connect(server, 1)
        client.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b" 200 ", client.rest().splitlines()[0])
        self.assertEqual(server.stop(), -signal.SIGTERM)


class OtherUserTests(LiveTestCase):
    """A server that root starts with ``--uid``, with files in a directory of that user."""

    def setUp(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("only root can become another user")
        super().setUp()
        self.user = pwd.getpwnam(USER)
        os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.secret = live.temporary(self) / "secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)

    def start(self, *options: str) -> Server:
        """Start a server whose user is `USER`."""
        return self.stopped(
            live.start(
                self.directory,
                *(f"--uid={USER}", "reqresp", "--port=0", *options),
                python=live.shared_python(),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        )

    def refusal(self, *options: str) -> str:
        """Return the line with which *options* are refused, before anything listens."""
        server = self.start(*options)
        self.assertGreater(server.wait(), 0)
        text = server.log.text()
        self.assertNotIn("starting on", text)
        self.assertNotIn(SECRET, text)
        [line] = [it for it in text.splitlines() if it.startswith("reqresp: ")]
        return line

    def link(self, name: str) -> Path:
        """Make a symbolic link of the user to the secret file."""
        path = self.directory / name
        path.symlink_to(self.secret)
        os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)
        return path

    def test_links_to_what_only_root_may_read(self) -> None:
        """No file is read or written that the user may not read or write."""
        path = self.link("it")
        denied = "Permission denied"
        user = r" \(files are opened as the user of --uid or --gid\)$"
        for options, told in (
            (["--journal"], f"reqresp: --journal: {path}: {denied}{user}"),
            (["--script"], f"reqresp: --script: {path}: cannot be read: {denied}{user}"),
            (["--tls-cert"], f"reqresp: --tls-cert: {path}: cannot be read: {denied}.*{user}"),
            (["--listen=ssl:0:privateKey"], f"reqresp: invalid endpoint .*{denied}"),
            (["--metrics=ssl:0:privateKey"], f"reqresp: invalid endpoint .*{denied}"),
            (
                ["--workers=1", "--script"],
                f"reqresp: --script: {path}: cannot be read: {denied}{user}",
            ),
        ):
            *others, last = options
            self.assertRegex(self.refusal(*others, f"{last}={path}"), told)
        self.assertEqual(self.secret.read_text(), SECRET)

    def test_files_of_the_user(self) -> None:
        """The journal belongs to the user, who can open it again on SIGHUP."""
        journal = self.directory / "it.jsonl"
        server = self.start(f"--journal={journal}")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")
        self.assertEqual((journal.stat().st_uid, journal.stat().st_gid), self.user[2:4])
        self.assertEqual(Path(f"/proc/{server.pid}").stat().st_uid, self.user.pw_uid)
        journal.rename(self.directory / "old")
        server.signal(signal.SIGHUP)
        server.log.wait("reopened as a new file")
        self.assertEqual(server.stop(), -signal.SIGTERM)

    def test_a_recording_of_the_user(self) -> None:
        """It belongs to the user, and leads to nothing that the user may not write."""
        forward = f"--forward=127.0.0.1:{self.serve().port}"
        path = self.directory / "it.rec"
        server = self.start(forward, f"--record={path}")
        self.assertEqual(self.connect(server).ask(b"request"), b"response")
        self.assertEqual((path.stat().st_uid, path.stat().st_gid), self.user[2:4])
        path.rename(self.directory / "old")
        server.signal(signal.SIGHUP)
        server.log.wait("reopened as a new file")
        self.assertEqual(server.stop(), -signal.SIGTERM)
        link = self.link("link")
        self.assertRegex(
            self.refusal(forward, f"--record={link}"),
            rf"reqresp: --record: {link}: Permission denied \(files are opened as the user",
        )

    def test_a_unix_socket(self) -> None:
        """It belongs to the user, who removes it at the end; the user's directory is needed."""
        path = self.directory / "it.sock"
        server = self.start(f"--listen=unix:{path}")
        server.log.wait("Listening on /")
        self.assertEqual(path.stat().st_uid, self.user.pw_uid)
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertEqual([*self.directory.iterdir()], [])
        self.secret.parent.chmod(0o755)
        other = self.secret.with_name("it.sock")
        self.assertEqual(
            self.refusal(f"--listen=unix:{other}"),
            f"reqresp: cannot listen on unix:{other}: Permission denied"
            " (files are opened as the user of --uid or --gid)",
        )

    def test_links_to_what_root_writes(self) -> None:
        """Root follows no link of the user to the pid file or the log, which twistd opens."""
        path = self.link("it")
        for option in ("pidfile", "logfile"):
            ended = live.run_all(
                self.directory,
                {
                    "": [
                        *live.twistd(live.shared_python()),
                        *("-n", "--pidfile=", f"--{option}={path}", f"--uid={USER}"),
                        *("reqresp", "--port=0"),
                    ]
                },
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )[""]
            self.assertEqual(ended.status, 1)
            self.assertRegex(
                ended.errors,
                rf"\Areqresp: --{option}: {path}: {path} is a symbolic link of another user;.*\n\Z",
            )
        self.assertEqual(self.secret.read_text(), SECRET)

    def test_a_user_that_does_not_exist(self) -> None:
        """The line names the option; twistd would print a traceback."""
        ended = live.run_all(
            self.directory,
            {"": [*live.twistd(), "-n", "--pidfile=", "--uid=1234567", "reqresp", "--port=0"]},
        )[""]
        self.assertEqual(ended.status, 1)
        self.assertEqual(ended.errors, "reqresp: --uid: expected an existing user, found 1234567\n")
