"""
The data connections of ftp.toml.

PASV, EPSV and PORT say how the next one is opened; LIST and RETR open it, send, and close it.
The reactor is imported where it is needed: ``reqresp check`` runs this module without one.
"""

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol

FILES = {
    b"hello.txt": b"hello\r\n",
    b"numbers.txt": b"".join(b"%d\r\n" % number for number in range(100_000)),
}
#: Seconds that a client has to open, or to accept, a data connection.
OPEN_TIMEOUT = 30
#: By the number of a control connection: a function that opens its next data connection.
OPENERS = {}


class Accepted(Protocol):
    """A data connection that the client opens; *opened* gets the first."""

    def __init__(self, opened):
        self.opened = opened

    def connectionMade(self):
        if self.opened.called:
            self.transport.abortConnection()
        else:
            self.opened.callback(self)


async def listen(call):
    """Listen for one data connection; return the number of the port."""
    from twisted.internet import reactor

    opened = Deferred()
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(Factory.forProtocol(partial(Accepted, opened)))

    def stop(result):
        port.stopListening()
        return result

    opened.addTimeout(OPEN_TIMEOUT, reactor)
    opened.addErrback(lambda _failure: None)
    opened.addBoth(stop)
    OPENERS[call.request.connection] = lambda: opened
    return port.getHost().port


async def passive(call):
    """PASV: the client opens the data connection."""
    high, low = divmod(await listen(call), 256)
    return b"227 Entering Passive Mode (127,0,0,1,%d,%d)" % (high, low)


async def extended_passive(call):
    """EPSV: likewise."""
    return b"229 Entering Extended Passive Mode (|||%d|)" % await listen(call)


def active(call):
    """PORT: the server opens it, to the host of the client only, whatever the command says."""
    from twisted.internet import reactor

    port = int(call.groups["high"]) * 256 + int(call.groups["low"])
    host = call.request.peer.host
    if not 0 < port < 2**16:
        return b"501 wrong port"
    endpoint = TCP4ClientEndpoint(reactor, host, port, timeout=OPEN_TIMEOUT)
    OPENERS[call.request.connection] = lambda: endpoint.connect(Factory.forProtocol(Protocol))
    return b"200 ok"


def list_files(call):
    """LIST: the names and sizes, as ``ls -l`` shows them."""
    line = b"-r--r--r-- 1 ftp ftp %8d Jan  1  2000 %b\r\n"
    return transfer(call, b"".join(line % (len(data), name) for name, data in FILES.items()))


def retrieve(call):
    """RETR: a file."""
    data = FILES.get(call.groups["name"])
    return b"550 no such file" if data is None else transfer(call, data)


async def transfer(call, data):
    """Send *data* on the data connection that was asked for."""
    opener = OPENERS.pop(call.request.connection, None)
    if opener is None:
        return b"425 use PASV or PORT first"
    try:
        connection = await opener()
    except ConnectError:
        connection = None
    if connection is None:
        return b"425 cannot open the data connection"
    connection.transport.write(data)
    connection.transport.loseConnection()  # once all is sent
    return b"150 here it comes", b"226 done"
