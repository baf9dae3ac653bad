"""
The image of the Containerfile: builds it, and runs it as process 1 of namespaces.

``python -m tests.image``, as root, with buildah and debootstrap of Debian.  No container engine is
needed.  The base image is made by debootstrap unless buildah has it.  What the image says is what
runs: its command, user, directory and health check, on a read-only root without capabilities.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from tests.support.documents import ROOT
from tests.support.live import PATIENCE, Log, temporary

DEPLOY = ROOT / "deploy"

BASE = "docker.io/library/debian:trixie-slim"
IMAGE = "localhost/reqresp"
#: Neither needs an engine, or more of the kernel than a chroot.
BUILDAH = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
#: The script of the containers, and a rule that is added to it.
SCRIPT = 'framing = "line"\n[[rule]]\nequals = "PING"\nreply = "PONG"\n'
SLOW = '[[rule]]\nequals = "SLOW"\nreply = "DONE"\ndelay = 1\n'

#: Runs a command as process 1: root $1, user and group $2, directory $3, scripts $4, then words.
ENTER = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$4" "$1/srv"
mount -o remount,bind,ro "$1/srv"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
ip link set lo up
root=$1 user=$2 directory=$3
shift 4
exec chroot --userspec="$user" "$root" setpriv --no-new-privs env --ignore-environment \
    --chdir="$directory" "$@"
"""


def buildah(*arguments: str) -> str:
    """Run buildah; return what it prints."""
    return subprocess.run(
        ["buildah", *arguments],
        cwd=ROOT,
        env=os.environ | BUILDAH,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def make_base() -> None:
    """Make the base image with debootstrap, unless buildah has it."""
    if buildah("images", "--quiet", "--filter", f"reference={BASE}"):
        return
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["debootstrap", "--variant=minbase", "trixie", directory], check=True)
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, directory, "/")
        buildah("commit", "--quiet", container, BASE)
        buildah("rm", container)


def build(*options: str) -> None:
    """Build the image of the Containerfile; *options* are those of ``buildah build``."""
    # Health checks are part of Docker's format only.
    buildah("build", "--format=docker", "--pull-never", *options, f"--tag={IMAGE}", ".")


class Image:
    """The root of the image as a directory, and what the image says of its process."""

    def __init__(self, container: str) -> None:
        self.root = buildah("mount", container)
        config = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]
        self.user: str = config["User"]
        self.directory: str = config["WorkingDir"]
        self.environment: list[str] = config["Env"]
        self.entry: list[str] = config["Entrypoint"]
        self.command: list[str] = config["Cmd"]
        self.health: list[str] = config["Healthcheck"]["Test"][1:]

    def run(self, scripts: Path, *command: str) -> "Container":
        """Run the image with *command*; none: its own."""
        words = [*self.environment, *self.entry, *(command or self.command)]
        place = [self.root, self.user, self.directory, str(scripts)]
        namespaces = ["unshare", "--pid", "--fork", "--mount", "--net", "--ipc"]
        return Container(self, [*namespaces, "sh", "-c", ENTER, "sh", *place, *words])


class Container:
    """A process that runs the image as process 1, in namespaces of its own."""

    def __init__(self, image: Image, command: list[str]) -> None:
        self._image = image
        self._outer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.log = Log(self._outer.stdout)
        self.errors = Log(self._outer.stderr)

    @property
    def pid(self) -> int:
        """The number that process 1 has outside."""
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        until(lambda: children.read_text() != "", lambda: "process 1 exists")
        return int(children.read_text().split()[0])

    def ready(self) -> "Container":
        """Wait until the health check of the image succeeds."""
        until(self.is_healthy, lambda: f"it is healthy: {self.log.text()}\n{self.errors.text()}")
        return self

    def is_healthy(self) -> bool:
        """Return whether the health check of the image succeeds."""
        return self.inside(*self._image.health).returncode == 0

    def inside(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run *command* in the container, as its user."""
        user, _, group = self._image.user.partition(":")
        return subprocess.run(
            [
                *("nsenter", f"--target={self.pid}", "--pid", "--mount", "--net", "--root"),
                *("--setuid", user, "--setgid", group, "--", "env", *self._image.environment),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ask(self, *requests: str, framing: str = "line") -> str:
        """Return the replies to *requests*, a line each."""
        asked = self.inside("reqresp", "ask", "127.0.0.1:9999", f"--framing={framing}", *requests)
        return asked.stdout + asked.stderr

    def signal(self, number: int) -> None:
        """Send process 1 a signal from outside."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; return the exit status, 128 and the signal if one ended it."""
        status = self._outer.wait(PATIENCE)
        self.log.close()
        self.errors.close()
        return status

    def end(self) -> None:
        """Kill it, unless it has ended."""
        if self._outer.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait()


def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Ask until *condition* holds; fail with *what* after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


class ImageTests(unittest.TestCase):
    """The image, as process 1 on a read-only root."""

    image: Image

    @classmethod
    def setUpClass(cls) -> None:
        container = buildah("from", IMAGE)
        cls.addClassCleanup(buildah, "rm", container)
        cls.image = Image(container)

    def setUp(self) -> None:
        self.scripts = temporary(self)
        self.scripts.chmod(0o755)
        # As Kubernetes mounts a ConfigMap: the directory of the files is replaced as a whole.
        self.mount("1", SCRIPT)
        (self.scripts / "it.toml").symlink_to("..data/it.toml")

    def mount(self, version: str, script: str) -> None:
        """Replace the script, as Kubernetes does after a change of a ConfigMap."""
        directory = self.scripts / f"..{version}"
        directory.mkdir()
        (directory / "it.toml").write_text(script)
        (self.scripts / "..new").symlink_to(directory.name)
        (self.scripts / "..new").rename(self.scripts / "..data")

    def start(self, *command: str) -> Container:
        """Start the image with *command* (none: its own), and end it with the test."""
        container = self.image.run(self.scripts, *command)
        self.addCleanup(container.end)
        return container

    def serve(self, *options: str) -> Container:
        """Serve the script with the image's own command and *options*; wait until it is healthy."""
        return self.start(*self.image.command, "--script=/srv/it.toml", *options).ready()

    def test_own_command(self) -> None:
        """It answers, is process 1, is not root, writes nothing, and logs to stdout only."""
        container = self.start().ready()
        self.assertEqual(container.ask("hello", framing="chunk"), "response\n")
        container.log.wait("'hello'")
        status = container.inside("cat", "/proc/1/status").stdout
        self.assertIn("\nUid:\t10001\t10001\t10001\t10001\n", status)
        self.assertIn("\nCapEff:\t0000000000000000\n", status)
        self.assertIn("\nNoNewPrivs:\t1\n", status)
        written = container.inside("touch", "/srv/file", "/opt/reqresp/file", "/file")
        self.assertEqual(written.stderr.count("Read-only file system"), 3, written.stderr)
        self.assertNotIn("plugin cache", container.log.text())
        self.assertEqual(container.errors.text(), "")

    def test_sigterm(self) -> None:
        """After SIGTERM it is unhealthy but serves, finishes replies, and ends with status 0."""
        self.mount("2", SCRIPT + SLOW)
        container = self.serve("--lame-duck=5")
        container.signal(signal.SIGTERM)
        until(lambda: not container.is_healthy(), lambda: "it is not ready any more")
        self.assertEqual(container.ask("PING", "SLOW"), "PONG\nDONE\n")
        self.assertEqual(container.wait(), 0)

    def test_sigint(self) -> None:
        """SIGINT is as SIGTERM."""
        container = self.serve("--lame-duck=0")
        container.signal(signal.SIGINT)
        self.assertEqual(container.wait(), 0)

    def test_sigterm_before_it_serves(self) -> None:
        """SIGTERM ends it at any time after Python has started."""
        container = self.start()
        until(
            lambda: (
                b"reqresp" in Path(f"/proc/{container.pid}/cmdline").read_bytes()
                and handles_sigterm(container.pid)
            ),
            lambda: "it handles SIGTERM",
        )
        container.signal(signal.SIGTERM)
        self.assertIn(container.wait(), (0, 128 + signal.SIGTERM))

    def test_restarts_after_sigkill(self) -> None:
        """It starts again in the same root after SIGKILL, as often as one likes."""
        for _ in range(3):
            container = self.serve()
            self.assertEqual(container.ask("PING"), "PONG\n")
            container.signal(signal.SIGKILL)
            container.wait()

    def test_workers(self) -> None:
        """A worker that is killed is replaced; SIGTERM ends all."""
        container = self.serve("--workers=2", "--lame-duck=0")
        container.log.wait("is ready", 2)
        [worker] = container.log.wait(r"worker 1 \(pid (\d+)\) is ready")[:1]
        self.assertEqual(container.inside("sh", "-c", f"kill -KILL {worker[1]}").returncode, 0)
        container.log.wait("killed by SIGKILL; restarting now")
        container.log.wait("is ready", 3)
        self.assertEqual(container.ask("PING"), "PONG\n")
        container.signal(signal.SIGTERM)
        self.assertEqual(container.wait(), 0)

    def test_config_map(self) -> None:
        """With ``--watch``, a ConfigMap that is replaced is read again."""
        container = self.serve("--watch")
        self.mount("2", SCRIPT.replace("PONG", "CHANGED"))
        until(lambda: container.ask("PING") == "CHANGED\n", container.log.text)

    def test_kubernetes(self) -> None:
        """The arguments and the script of deploy/kubernetes.yaml serve."""
        documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
        self.mount("2", documents[0]["data"]["it.toml"])
        [pod] = documents[1]["spec"]["template"]["spec"]["containers"]
        container = self.start(*pod["args"]).ready()
        self.assertEqual(container.ask("PING"), "PONG\n")

    def test_compose(self) -> None:
        """deploy/compose.yaml builds this image; its server and client get along, with the page."""
        services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        server, build = services["server"], services["server"]["build"]
        file = DEPLOY / build["context"] / build["dockerfile"]
        self.assertTrue(file.samefile(ROOT / "Containerfile"), file)
        self.assertEqual(server["healthcheck"]["test"], ["CMD", *self.image.health])
        (self.scripts / "pop3.toml").write_bytes((ROOT / "examples" / "pop3.toml").read_bytes())
        (self.scripts / "control-token").write_text("secret")
        # Not /run/secrets: only /srv is mounted here.
        command = [it.replace("/run/secrets", "/srv") for it in server["command"]]
        container = self.start(*command).ready()
        client = [it.replace("server:", "127.0.0.1:") for it in services["client"]["command"]]
        asked = container.inside("reqresp", *client)
        self.assertEqual(asked.returncode, 0, asked.stderr)
        self.assertIn("+OK ann, and your password?", asked.stdout)
        fetch = (
            "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8474/').status)"
        )
        self.assertEqual(container.inside("python3", "-c", fetch).stdout, "200\n")


def handles_sigterm(pid: int) -> bool:
    """Return whether the process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [line for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


if __name__ == "__main__":
    # Options are those of ``buildah build``, such as --volume with certificates of a proxy.
    make_base()
    build(*sys.argv[1:])
    unittest.main(argv=sys.argv[:1], verbosity=2)
