"""What gets packaged, and that twistd finds it however it was installed."""

import atexit
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from functools import cache
from pathlib import Path
from unittest import SkipTest

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp import __version__
from tests.support import live
from tests.support.live import PATIENCE, twistd

ROOT = Path(__file__).parent.parent
#: What a build may need; more lies about in a working directory.
SOURCES = [
    *("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.rst", "CHANGELOG.rst"),
    *("CONTRIBUTING.rst", "SECURITY.rst", "LICENSE", "reqresp", "twisted", "tests", "docs"),
    *("deploy", "examples"),
]


@frozen
class Prepared:
    """
    What all tests here share.

    *virtual* is a virtual environment with what the project needs, which is copied for each test;
    *sources* are a copy too, out of which *sdist* and *wheel* were built.
    """

    virtual: Path
    sources: Path
    sdist: Path
    wheel: Path


def run(command: list[str], directory: Path) -> str:
    """
    Run *command* in *directory*, away from the sources; give what it prints.

    :raises AssertionError: it fails; the message has what it says.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}"
    return ended.stdout


def pip(virtual: Path, *arguments: str) -> None:
    """Have pip install into *virtual*, which needs none of its own."""
    command = [sys.executable, "-m", "pip", "--python", python(virtual), "install", "--quiet"]
    run([*command, "--disable-pip-version-check", *arguments], virtual)


def python(virtual: Path) -> str:
    """The interpreter of *virtual*."""
    return str(virtual / "bin" / "python")


@cache
def prepare() -> Prepared | str:
    """Build, once; or tell why that cannot be done."""
    directory = Path(tempfile.mkdtemp(prefix="reqresp-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    virtual = directory / "virtual"
    venv.create(virtual, with_pip=False)
    try:
        pip(virtual, "--retries=1", "--no-compile", "Twisted", "google-re2", "setuptools >= 77")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return f"what it needs cannot be installed from PyPI: {error}"
    sources = directory / "sources"
    copy_sources(sources)
    built = directory / "built"
    built.mkdir()
    for what in ("sdist", "wheel"):
        code = f"from setuptools.build_meta import *; build_{what}({str(built)!r})"
        run([python(virtual), "-c", code], sources)
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    return Prepared(virtual, sources, sdist, wheel)


def copy_sources(directory: Path) -> None:
    """Copy what a clone would have."""
    directory.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.py[cod]", "dropin.cache")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=ignore)
        elif source.exists():
            shutil.copy(source, directory / name)


class PackagingTests(SynchronousTestCase):
    """Wheel, sdist and editable installs, each in a fresh virtual environment."""

    def setUp(self) -> None:
        prepared = prepare()
        if isinstance(prepared, str):
            raise SkipTest(prepared)
        self.prepared = prepared
        self.directory = live.temporary(self)

    def fresh(self) -> Path:
        """A virtual environment that has what the project needs, and not the project."""
        virtual = self.directory / "virtual"
        shutil.copytree(self.prepared.virtual, virtual, symlinks=True)
        return virtual

    def install(self, *what: str) -> Path:
        """A fresh virtual environment with *what* installed, for which no index is asked."""
        virtual = self.fresh()
        pip(virtual, "--no-index", "--no-build-isolation", *what)
        return virtual

    def assert_works(self, virtual: Path, home: Path) -> None:
        """In *virtual* twistd knows the command, whose code is in *home*, and it serves."""
        empty = self.directory / "empty"
        empty.mkdir()
        where = [python(virtual), "-c", "import reqresp; print(reqresp.__file__)"]
        self.assertIn(home.resolve(), Path(run(where, empty).strip()).resolve().parents)
        offered = run([*twistd(python(virtual)), "--help"], empty)
        self.assertRegex(offered, r"\n +reqresp +Answer every request")
        script = empty / "it.toml"
        script.write_text("rule = [{ matches = 'a+', reply = 'b' }]")
        said = run([str(virtual / "bin" / "reqresp"), "explain", str(script), "aa"], empty)
        self.assertIn("> b'b'", said)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with (
            live.start(
                empty, "reqresp", "--port=0", python=python(virtual), env=environment
            ) as server,
            server.connect() as client,
        ):
            client.send(b"close")
            self.assertEqual(client.rest(), b"response")

    def test_not_installed(self) -> None:
        """Without an install twistd offers no such command: the other tests see no sources."""
        offered = run([*twistd(python(self.fresh())), "--help"], self.directory)
        self.assertIn("Commands:", offered)
        self.assertNotIn("reqresp", offered)

    def test_wheel(self) -> None:
        """Installed from a wheel, it serves."""
        virtual = self.install(str(self.prepared.wheel))
        self.assert_works(virtual, virtual)

    def test_sdist(self) -> None:
        """Installed from an sdist, it serves."""
        virtual = self.install(str(self.prepared.sdist))
        self.assert_works(virtual, virtual)

    def test_editable(self) -> None:
        """Installed as a link to its sources, it serves from these."""
        sources = self.directory / "sources"
        shutil.copytree(self.prepared.sources, sources)
        self.assert_works(self.install("--editable", str(sources)), sources)

    def test_wheel_holds_the_packages_alone(self) -> None:
        """A wheel has our package and the plugin, and nothing that would hide Twisted's."""
        with zipfile.ZipFile(self.prepared.wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        packaged = {str(path.relative_to(ROOT)) for path in (ROOT / "reqresp").rglob("*.py")}
        self.assertEqual(
            names, packaged | {"reqresp/py.typed", "twisted/plugins/reqresp_plugin.py"}
        )

    def test_sdist_can_be_tested(self) -> None:
        """An sdist has the tests, and what a build needs, under a directory of its version."""
        with tarfile.open(self.prepared.sdist) as archive:
            names = set(archive.getnames())
        top = f"reqresp-{__version__}"
        for name in (
            *("setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "reqresp/py.typed"),
            *("twisted/plugins/reqresp_plugin.py", "tests/__init__.py", "tests/test_packaging.py"),
        ):
            self.assertIn(f"{top}/{name}", names)
        self.assertEqual([name for name in names if name.endswith((".pyc", "dropin.cache"))], [])
