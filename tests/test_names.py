"""The public names of the package, and which modules an import loads."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

import reqresp


def public_names() -> list[str]:
    """Return the names that ``from reqresp import *`` binds."""
    return list(getattr(reqresp, "__all__"))  # noqa: B009 (it is made on request)


def output_of(program: str) -> str:
    """Return what *program* prints in a new interpreter."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


class NamesTests(SynchronousTestCase):
    """The names that can be imported from `reqresp`."""

    def test_every_name_resolves(self) -> None:
        """Each public name can be imported from the package, and `dir` lists it."""
        for name in public_names():
            self.assertIn(name, dir(reqresp))
            self.assertIsNotNone(getattr(reqresp, name))

    def test_each_name_is_listed_once(self) -> None:
        """No two modules provide the same public name."""
        names = public_names()
        self.assertEqual(len(names), len(set(names)))

    def test_names_are_the_objects_of_their_modules(self) -> None:
        """A name of the package is the same object as in its module."""
        from reqresp.faults import StopReadingFault
        from reqresp.framing import LengthField
        from reqresp.steps import Send

        self.assertIs(reqresp.Send, Send)
        self.assertIs(reqresp.LengthField, LengthField)
        self.assertIs(reqresp.StopReadingFault, StopReadingFault)

    def test_a_star_import(self) -> None:
        """A star import binds all public names, and no other."""
        found = output_of(
            "from reqresp import *; print(*(it for it in globals() if it != '__builtins__'))"
        )
        private = {
            "__name__",
            "__doc__",
            "__package__",
            "__loader__",
            "__spec__",
            "__annotations__",
        }
        self.assertEqual({*found.split()} - private, {*public_names()})

    def test_dir_before_any_use(self) -> None:
        """`dir` lists the public names before one has been imported."""
        found = output_of("import reqresp; print(*dir(reqresp))")
        self.assertEqual({*public_names()} - {*found.split()}, set())

    def test_another_name_is_an_error(self) -> None:
        """A misspelt name is an AttributeError, as in any module."""
        with self.assertRaisesRegex(AttributeError, "has no attribute 'Reqresp'"):
            _ = reqresp.Reqresp


class LoadedModulesTests(SynchronousTestCase):
    """Which modules an import loads."""

    def test_looking_for_plugins_loads_no_server_and_no_reactor(self) -> None:
        """Other Twisted programs that look for plugins load one small module of reqresp."""
        found = output_of(
            "import sys; import twisted.plugins.reqresp_plugin;"
            "print(*(name for name in sys.modules"
            " if name.startswith('reqresp.') or name == 'twisted.internet.reactor'))"
        )
        self.assertEqual(found, "reqresp._endpoint_parser")

    def test_modules_that_load_neither_twisted_nor_re2(self) -> None:
        """The framings and the command start fast, because they load neither."""
        for module in ("reqresp", "reqresp.framing", "reqresp.cli.main", "reqresp.pytest_plugin"):
            found = output_of(
                f"import sys; import {module};"
                "print(*({name.split('.')[0] for name in sys.modules} & {'twisted', 're2'}))"
            )
            self.assertEqual(found, "", module)
