"""
Responses: writing one to a client, which may have gone.

Knows Twisted's requests.  Must not know routes.
"""

from twisted.web.server import Request

from reqresp.control.routes import Content


def write_head(request: Request, content: Content) -> bytes:
    """Write the head of a response; return its body."""
    request.setResponseCode(content.status)
    if content.data:
        request.setHeader("Content-Type", content.content_type)
    if content.status != 204:
        request.setHeader("Content-Length", str(len(content.data)))
    return b"" if request.method == b"HEAD" else content.data


def end_response(request: Request, data: bytes) -> None:
    """Write the body of a response, and end it, unless the client has gone."""
    if request.channel is not None:
        request.write(data)
        request.finish()
