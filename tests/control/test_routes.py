"""Routes: which one a path leads to."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.control.routes import Parameter, Route, Router, split_path


def route(method: str, path: str) -> Route:
    return Route(method=method, path=path, answer=lambda _: None, summary="")


class RouterTests(SynchronousTestCase):
    """How routes are found."""

    router = Router(
        [
            route("GET", "/a"),
            route("POST", "/a"),
            route("GET", "/a/{name}"),
            route("GET", "/a/{name}/b/{id:int}"),
        ]
    )

    def found(self, path: bytes) -> tuple[list[str], dict[str, Any]] | None:
        match = self.router.find(path)
        return None if match is None else ([*match.routes], {**match.path})

    def test_paths(self) -> None:
        """A path leads to the routes of its methods, with the values of its parameters."""
        self.assertEqual(self.found(b"/a"), (["GET", "POST"], {}))
        self.assertEqual(self.found(b"/a/x%20%2Fy"), (["GET"], {"name": "x /y"}))
        self.assertEqual(self.found(b"/a/x/b/07"), (["GET"], {"name": "x", "id": 7}))
        for path in (b"/", b"/a/", b"/b", b"/a/x/b/y", b"/a/x/b/", b"/a/x/c/1", b"a", b"/%ff"):
            self.assertIsNone(self.found(path), path)

    def test_routes(self) -> None:
        """All routes are listed, those of one path together."""
        found = [(it.method, it.path) for it in self.router.routes]
        self.assertEqual(found[:3], [("GET", "/a"), ("POST", "/a"), ("GET", "/a/{name}")])
        self.assertEqual(len(found), 4)

    def test_methods(self) -> None:
        """HEAD is allowed where GET is."""
        match = self.router.find(b"/a")
        assert match is not None
        self.assertEqual(match.allowed(), "GET, HEAD, POST")

    def test_parameters(self) -> None:
        """A route knows the parameters of its path."""
        parameters = route("GET", "/a/{name}/b/{id:int}").parameters
        self.assertEqual(parameters, (Parameter("name"), Parameter("id", True)))

    def test_segments(self) -> None:
        """A path is split before its escapes are read."""
        self.assertEqual(split_path(b"/a%2Fb/c"), ["a/b", "c"])
