"""
JSON Schema of services files, for editors.

It must not know what a key means.
"""

from reqresp.script.json_schema import Schema, make_schema
from reqresp.script.schema import Document
from reqresp.services.schema import ServicesDocument, ServiceTable


def services_schema() -> Schema:
    """Return the JSON Schema of services files; a service has the keys of a script, too."""
    file = make_schema("a services file of reqresp", ServicesDocument)
    service = make_schema("a service", ServiceTable, Document)
    del service["$schema"]
    file["$defs"] = service.pop("$defs")
    file["properties"]["service"]["items"] = service
    return file
