"""What is packaged, and that twistd finds it after every kind of installation."""

import ast
import atexit
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from unittest import SkipTest

import pytest
from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp import __version__
from tests.support import live
from tests.support.live import PATIENCE, twistd

#: Builds and installs take longer than other tests, and are prepared once.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("packaging")]

ROOT = Path(__file__).parent.parent

#: What a build may need.  A working directory has more files.
SOURCES = [
    *("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.rst", "CHANGELOG.rst"),
    *("CONTRIBUTING.rst", "SECURITY.rst", "LICENSE", "reqresp", "twisted", "tests", "docs"),
    *("deploy", "examples"),
]


@frozen
class Prepared:
    """
    What all tests of this module share.

    *virtual* is a virtual environment with the dependencies of the project; each test copies it.
    *sources* is a copy of the sources; *sdist* and *wheel* were built from it.
    """

    virtual: Path
    sources: Path
    sdist: Path
    wheel: Path


def run(command: list[str], directory: Path) -> str:
    """
    Run *command* in *directory*, away from the sources; return what it prints.

    :raises AssertionError: it fails; the message has its output.
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
    """Install into *virtual* with the pip of this interpreter."""
    command = [sys.executable, "-m", "pip", "--python", python(virtual), "install", "--quiet"]
    run([*command, "--disable-pip-version-check", *arguments], virtual)


def python(virtual: Path) -> str:
    """Return the path of the interpreter of *virtual*."""
    return str(virtual / "bin" / "python")


@cache
def prepare() -> Prepared | str:
    """Build once and return the result, or return the reason why that is impossible."""
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
    """Copy the files that a build may need to *directory*."""
    directory.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.py[cod]", "dropin.cache")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=ignore)
        elif source.exists():
            shutil.copy(source, directory / name)


def imported() -> set[str]:
    """Return the names of the packages of others that the modules of reqresp import."""
    found: set[str] = set()
    for path in (ROOT / "reqresp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module or "")
    return {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names, "reqresp"}


class MetadataTests(SynchronousTestCase):
    """What setup.cfg says of the project."""

    def setUp(self) -> None:
        self.config = ConfigParser()
        self.config.read(ROOT / "setup.cfg")

    def declared(self, section: str, key: str) -> set[str]:
        """Return the names of the distributions in a list, in lower case."""
        lines = self.config[section][key].split("\n")
        return {re.split(r"[ \[;><=~]", line, maxsplit=1)[0].lower() for line in lines} - {""}

    def test_what_is_imported_is_declared(self) -> None:
        """Each package that is imported is a requirement, or in an extra for users."""
        declared = self.declared("options", "install_requires")
        for extra in ("tls", "pcap", "metrics", "testing"):
            declared |= self.declared("options.extras_require", extra)
        distributions = packages_distributions()
        for package in imported():
            names = {name.lower() for name in distributions[package]}
            self.assertTrue(names & declared, f"{package}: {names}")

    def test_no_address_that_does_not_exist(self) -> None:
        """The project is published nowhere, so it names no address of its own."""
        keys = {*self.config["metadata"]}
        self.assertEqual(keys & {"url", "project_urls", "download_url", "author_email"}, set())


class PackagingTests(SynchronousTestCase):
    """Wheel, sdist and editable installs, each in a fresh virtual environment."""

    def setUp(self) -> None:
        prepared = prepare()
        if isinstance(prepared, str):
            raise SkipTest(prepared)
        self.prepared = prepared
        self.directory = live.temporary(self)

    def fresh(self) -> Path:
        """Return a virtual environment with the dependencies of the project only."""
        virtual = self.directory / "virtual"
        shutil.copytree(self.prepared.virtual, virtual, symlinks=True)
        return virtual

    def install(self, *what: str) -> Path:
        """Return a fresh virtual environment with *what* installed without a package index."""
        virtual = self.fresh()
        pip(virtual, "--no-index", "--no-build-isolation", *what)
        return virtual

    def assert_works(self, virtual: Path, home: Path) -> None:
        """Assert that twistd in *virtual* offers and runs the command, with its code in *home*."""
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
        """Without an installation, twistd does not offer the command."""
        offered = run([*twistd(python(self.fresh())), "--help"], self.directory)
        self.assertIn("Commands:", offered)
        self.assertNotIn("reqresp", offered)

    def test_wheel(self) -> None:
        """The command serves when it is installed from a wheel."""
        virtual = self.install(str(self.prepared.wheel))
        self.assert_works(virtual, virtual)

    def test_sdist(self) -> None:
        """The command serves when it is installed from an sdist."""
        virtual = self.install(str(self.prepared.sdist))
        self.assert_works(virtual, virtual)

    def test_editable(self) -> None:
        """An editable installation serves from the sources it links to."""
        sources = self.directory / "sources"
        shutil.copytree(self.prepared.sources, sources)
        self.assert_works(self.install("--editable", str(sources)), sources)

    def test_wheel_holds_the_packages_alone(self) -> None:
        """A wheel has our packages, their files and the plugin; ``twisted.plugins`` has no init."""
        with zipfile.ZipFile(self.prepared.wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        data = (ROOT / "reqresp" / name for name in ("control/page", "cli/starters"))
        files = [*(ROOT / "reqresp").rglob("*.py"), *(it for each in data for it in each.iterdir())]
        packaged = {str(path.relative_to(ROOT)) for path in files}
        self.assertEqual(
            names, packaged | {"reqresp/py.typed", "twisted/plugins/reqresp_plugin.py"}
        )

    def test_sdist_can_be_tested(self) -> None:
        """An sdist has the tests and what a build needs, in a directory named after its version."""
        with tarfile.open(self.prepared.sdist) as archive:
            names = set(archive.getnames())
        top = f"reqresp-{__version__}"
        for name in (
            *("setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "reqresp/py.typed"),
            *("twisted/plugins/reqresp_plugin.py", "tests/__init__.py", "tests/test_packaging.py"),
        ):
            self.assertIn(f"{top}/{name}", names)
        self.assertEqual([name for name in names if name.endswith((".pyc", "dropin.cache"))], [])
