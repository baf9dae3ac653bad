"""
Sessions: what CI and developers run, by name, as in ``.venv/bin/nox -s lint``.

`tests`, `trial`, `pyz` and `release` make environments of their own.  The others use what is
installed beside nox, so that nothing is installed twice.
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "docs"]
nox.options.reuse_venv = "yes"
# ``nox -s tests`` uses those of its Pythons that are installed.
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
#: What codespell reads.  Tests have mistakes that the server has to find.
PROSE = ("reqresp", "bench", "docs", "deploy", "examples", "twisted", "changelog.d", ".github")
MANIFEST = "deploy/kubernetes.yaml"
#: Files that are checked against the schema of this name of check-jsonschema.
SCHEMAS = {
    "vendor.compose-spec": ("deploy/compose.yaml",),
    "vendor.github-workflows": (".github/workflows/ci.yml",),
    "vendor.github-issue-forms": (
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/idea.yml",
    ),
    "vendor.github-issue-config": (".github/ISSUE_TEMPLATE/config.yml",),
}


def oldest_twisted() -> str:
    """Return the requirement of the oldest Twisted that setup.cfg allows, any patch of it."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    required = config["options"]["install_requires"]
    [version] = re.findall(r"^Twisted >= ([\d.]+)$", required, re.MULTILINE)
    return f"Twisted == {version}.*"


def beside(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a *program* of the environment that nox is installed in."""
    session.run(str(Path(sys.executable).with_name(program)), *arguments, external=True)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
@nox.parametrize(
    "twisted", [nox.param(oldest_twisted(), id="oldest"), nox.param("Twisted", id="newest")]
)
def tests(session: nox.Session, twisted: str) -> None:
    """
    Run pytest on each installed Python from 3.11 to 3.14; arguments are those of pytest.

    A later Python is not used until it is added above.
    """
    session.install("--upgrade", twisted, "--editable", ".[test]")
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "auto"]))


@nox.session(python="/usr/bin/python3")
def trial(session: nox.Session) -> None:
    """
    Run trial on the system's Python with the oldest Twisted, and measure coverage.

    Arguments are names of packages or modules of tests; without any, all run, and have to cover
    enough.
    """
    session.install(oldest_twisted(), "--editable", ".[test]")
    for left in ROOT.glob(".coverage.*"):  # by a run that failed
        left.unlink()
    # One process for each package, as many at once as there are processors; what it prints is
    # shown when it ends.  Code that runs in a subprocess of a test is not measured.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        names = session.posargs or packages_of_tests()
        runs = [pool.submit(run_trial, session, name) for name in names]
    for run in runs:
        run.result()
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


def packages_of_tests() -> list[str]:
    """Return the names of the packages of tests, and of the modules beside them."""
    tests = ROOT / "tests"
    # Not the page: it runs in a browser, and its server in a process of its own.
    packages = {path.parent for path in tests.glob("*/**/test_*.py")} - {tests / "page"}
    # The live tests first: they take longest.
    live = tests / "live"
    paths = [live, *sorted(tests.glob("test_*.py")), *sorted(packages - {live})]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def run_trial(session: nox.Session, name: str) -> None:
    """Run trial on a package or a module of tests, and log what it prints."""
    command = ("coverage", "run", "--parallel-mode", "-m", "twisted.trial")
    directory = ("--temp-directory", f"_trial_temp_{name}")
    session.log(session.run(*command, *directory, name, silent=True))


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check format, style, layers, spelling, and files that have a schema."""
    beside(session, "ruff", "format", "--check")
    beside(session, "ruff", "check")
    beside(session, "lint-imports")
    beside(session, "codespell", *PROSE, *sorted(path.name for path in ROOT.glob("*.rst")))
    for schema, files in SCHEMAS.items():
        beside(session, "check-jsonschema", "--builtin-schema", schema, *files)
    beside(session, "kubernetes-validate", "--strict", MANIFEST)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Run mypy on everything, and pyright on code that uses reqresp as users do."""
    beside(session, "mypy")
    pyright = ROOT / "tests" / "javascript" / "node_modules" / "pyright" / "index.js"
    if not pyright.exists():
        session.run("npm", "ci", "--prefix", "tests/javascript", "--ignore-scripts", external=True)
    session.run("node", str(pyright), "--pythonpath", sys.executable, external=True)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Check the links of the documents, and build the site into build/site (extra: docs)."""
    beside(session, "python", "-m", "tests.links")
    options = ("-n", "-W", "--keep-going", "-q")
    beside(session, "sphinx-build", *options, "docs", "build/site")
    beside(session, "python", "-m", "docs._site.check_links", "build/site")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure speed; arguments are those of ``python -m bench``."""
    beside(session, "python", "-m", "bench", *session.posargs)


@nox.session(venv_backend="none")
def reliability(session: nox.Session) -> None:
    """Test reliability; arguments are those of ``python -m tests.reliability``."""
    beside(session, "python", "-m", "tests.reliability", *session.posargs)


@nox.session
def pyz(session: nox.Session) -> None:
    """Build dist/reqresp.pyz: reqresp and what it needs in one file, for this Python."""
    session.install("shiv")
    (ROOT / "dist").mkdir(exist_ok=True)
    make_pyz(session, ROOT / "dist" / "reqresp.pyz", ".[metrics,pcap,tls]")


def make_pyz(session: nox.Session, path: Path, what: str) -> None:
    """Make a single file of a requirement, and try it where Python has nothing else."""
    command = ("--console-script", "reqresp", "--python", "/usr/bin/env python3")
    session.run("shiv", *command, "--quiet", "--output-file", str(path), what)
    place = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(place / "bare"))
    python, root = str(place / "bare" / "bin" / "python"), {"SHIV_ROOT": str(place / "unpacked")}
    session.run(python, "-I", str(path), "serve", "--version", env=root, external=True)
    test = str(ROOT / "tests" / "single_file.py")
    session.run(python, "-I", test, str(path), env=root, external=True)


@nox.session
def release(session: nox.Session) -> None:
    """Build, check and try the files of a release; the argument is the directory for them."""
    [directory] = session.posargs
    built = Path(directory).resolve()
    built.mkdir(parents=True)
    session.install("build", "check-wheel-contents", "shiv", "towncrier", "twine")
    session.run("towncrier", "build", "--draft", "--version", "next")
    session.run("python", "-m", "build", "--outdir", str(built))
    files = sorted(map(str, built.iterdir()))
    session.run("twine", "check", "--strict", *files)
    [wheel] = built.glob("*.whl")
    session.run("check-wheel-contents", str(wheel))
    make_pyz(session, built / "reqresp.pyz", f"{wheel}[metrics,pcap,tls]")
    clean = Path(session.create_tmp()).resolve() / "clean"
    session.run("python", "-m", "venv", "--clear", str(clean))
    run = str(clean / "bin" / "reqresp")
    session.run(str(clean / "bin" / "pip"), "install", "--quiet", str(wheel), external=True)
    with session.chdir(clean):  # not the sources
        session.run(run, "serve", "--version", external=True)
        session.run(run, "new", "it", external=True)
        session.run(run, "check", "it.toml", external=True)
