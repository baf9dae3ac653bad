"""JSON Schema of services files; `tests.script.test_json_schema` has the examples and the types."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.services.json_schema import services_schema
from tests.support.json_schemas import validator


class ServicesTests(SynchronousTestCase):
    """What a service is."""

    def test_services(self) -> None:
        """A service has the keys of a script, and its own."""
        valid = validator(services_schema())
        service = {"name": "a", "listen": 1, "rule": [{"reply": "a"}], "tls": {"cert": "it"}}
        self.assertTrue(valid.is_valid({"service": [service]}))
        self.assertFalse(valid.is_valid({"service": [{**service, "listn": 1}]}))
        self.assertFalse(valid.is_valid({"service": [{"name": "a"}]}))
