"""
Option table: the options of ``twistd reqresp``, each one row of `GROUPS`.

Parsing, conversion, help and the command lines of workers follow from it.  It must not know how it
is used.
"""

from collections.abc import Mapping

from reqresp._defaults import (
    CONNECT_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    LOG_FORMATS,
    MAX_ENTRY_BYTES,
    UNREACHABLE,
)
from reqresp._text import unescape
from reqresp.daemon.option_types import (
    Option,
    factor,
    host_names,
    ignored_patterns,
    one_of,
    path,
    path_or_stdout,
    patterns,
    port,
    seconds,
    whole_number,
    workers,
)
from reqresp.framing import Chunk, parse_framing
from reqresp.server.limits import MAX_REQUEST, MIN_TIMEOUT, RESERVED_DESCRIPTORS
from reqresp.server.responders import CLOSE_ON, RESPONSE
from reqresp.server.upstream_settings import parse_address
from reqresp.services.endpoints import (
    BACKLOG,
    INTERFACE,
    PORT,
)
from reqresp.transport.access import parse_networks

#: What answers without a script, as text; the defaults of the library.
DEFAULTS = {
    "response": RESPONSE.decode(),
    "close-on": CLOSE_ON.decode(),
    "framing": Chunk().name,
}
#: What has no meaning if another service answers.
_ANSWERING = ("response", "close-on", "framing", "max-request", "request-timeout")
#: What says where clients are forwarded to.
_FORWARDING = ("forward", "script")
#: What adds TLS to the connections to a service.
_FORWARDING_TLS = ("forward-tls", "script")

#: What defines the one service that a services file replaces.
_DEFINING = (
    *("script", *_ANSWERING, "replay", "pace", "ignore", "forward", "forward-timeout"),
    *("unreachable", "send-proxy", "forward-tls", "forward-name", "forward-ca", "forward-cert"),
    *("forward-key", "forward-insecure", "record", "redact", "port", "interface", "backlog"),
    *("listen", "allow", "deny", "max-connections", "max-per-peer", "idle-timeout", "tls-cert"),
    *("tls-key", "client-ca", "handshake-timeout", "proxy-protocol", "trust", "journal"),
    "journal-max-entry",
)

#: All options, by their purpose, in the order of the help.
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Services": (
        Option(
            name="services",
            value="FILE",
            help="TOML file that defines several services, each with a place to listen; see "
            "docs/services.rst; not with options that define one",
            convert=path,
            excludes=_DEFINING,
        ),
        Option(
            name="control",
            value="PORT",
            help=f"port number on {INTERFACE}, or an ENDPOINT, where services are shown and "
            "changed while they run; not with --workers",
            default="none",
            convert=port,
            excludes=("workers",),
            is_for_workers=False,
        ),
        Option(
            name="control-token-file",
            value="FILE",
            help="requests to --control must have the token in this file; required unless that is "
            "on loopback or a UNIX socket",
            convert=path,
            requires=("control",),
            is_for_workers=False,
        ),
    ),
    "Answering": (
        Option(
            name="script",
            letter="s",
            value="FILE",
            help="TOML file that describes what to answer; see docs/script.rst",
            convert=path,
            excludes=("response", "close-on"),
        ),
        Option(
            name="watch",
            help="read the script, the recording or the services file again whenever it, or a "
            "file that it names, has changed",
            requires=("script", "replay", "services"),
        ),
        Option(
            name="response",
            letter="r",
            value="TEXT",
            help="reply to every request; not with --script",
            default=DEFAULTS["response"],
            convert=unescape,
        ),
        Option(
            name="close-on",
            letter="c",
            value="TEXT",
            help="close the connection after the reply to this request; empty: never; "
            "not with --script",
            default=DEFAULTS["close-on"],
            convert=unescape,
        ),
        Option(
            name="framing",
            letter="f",
            value="FRAMING",
            help="where a request ends",
            default=f"{DEFAULTS['framing']}; with --script: the script's, or line",
            convert=parse_framing,
        ),
    ),
    "Replaying": (
        Option(
            name="replay",
            value="FILE",
            help="answer as was recorded in this file; see docs/replay.rst",
            convert=path,
            excludes=("script", *_ANSWERING, "forward"),
        ),
        Option(
            name="pace",
            value="FACTOR",
            help="multiply the recorded times by this: 0 replies at once, 1 as recorded",
            default="0",
            convert=factor,
            requires=("replay",),
        ),
        Option(
            name="ignore",
            value="PATTERN",
            help="let clients send other bytes where this pattern of RE2 matches what they had "
            "sent; repeatable",
            is_repeatable=True,
            convert=ignored_patterns,
            requires=("replay",),
        ),
    ),
    "Forwarding": (
        Option(
            name="forward",
            value="SERVICE",
            help="connect each client to this service, and pass all bytes; see docs/relay.rst",
            convert=parse_address,
            excludes=_ANSWERING,
            excludes_without="script",
        ),
        Option(
            name="forward-timeout",
            value="SECONDS",
            help="maximum time to connect to the service",
            default=f"{CONNECT_TIMEOUT:g}",
            convert=seconds(MIN_TIMEOUT),
            requires=_FORWARDING,
        ),
        Option(
            name="unreachable",
            value="ACTION",
            help="close or reset clients while the service cannot be reached",
            default=UNREACHABLE[0],
            convert=one_of(*UNREACHABLE),
            requires=_FORWARDING,
        ),
        Option(
            name="send-proxy",
            value="VERSION",
            help="send a PROXY header with the client's address to the service: version 1 or 2",
            convert=one_of("1", "2"),
            requires=_FORWARDING,
        ),
        Option(
            name="forward-tls",
            help="use TLS to the service, and check its certificate",
            requires=_FORWARDING,
        ),
        Option(
            name="forward-name",
            value="NAME",
            help="name that the certificate of the service must have",
            default="the host of --forward",
            requires=_FORWARDING_TLS,
        ),
        Option(
            name="forward-ca",
            value="FILE",
            help="trust these CAs for the service, in PEM format",
            default="those of the system",
            convert=path,
            requires=_FORWARDING_TLS,
        ),
        Option(
            name="forward-cert",
            value="FILE",
            help="show this certificate, with its chain, to the service, in PEM format",
            convert=path,
            requires=_FORWARDING_TLS,
        ),
        Option(
            name="forward-key",
            value="FILE",
            help="private key of that certificate, in PEM format",
            default="read from --forward-cert",
            convert=path,
            requires=("forward-cert",),
        ),
        Option(
            name="forward-insecure",
            help="do not check the certificate of the service: others can read and change what "
            "passes",
            requires=_FORWARDING_TLS,
        ),
    ),
    "Recording": (
        Option(
            name="record",
            value="FILE",
            help="append what clients and the service send to this file; with --workers, to one "
            "file for each; see docs/recording.rst",
            convert=path,
            requires=_FORWARDING,
        ),
        Option(
            name="redact",
            value="PATTERN",
            help="do not record what the groups of this pattern of RE2 match, or, without groups, "
            "all that it matches; repeatable",
            is_repeatable=True,
            convert=patterns,
            requires=("record",),
        ),
    ),
    "Listening": (
        Option(
            name="port",
            letter="p",
            value="PORT",
            help="port number, or an ENDPOINT",
            default=str(PORT),
            convert=port,
            is_for_workers=False,
        ),
        Option(
            name="interface",
            letter="i",
            value="ADDRESS",
            help="address to listen on; only with a port number",
            default=INTERFACE,
            is_for_workers=False,
        ),
        Option(
            name="backlog",
            letter="b",
            value="NUMBER",
            help="maximum number of clients that wait to be accepted; only with a port number",
            default=str(BACKLOG),
            convert=whole_number(0),
            is_for_workers=False,
        ),
        Option(
            name="listen",
            letter="l",
            value="ENDPOINT",
            help="endpoint to listen on, in addition to --port if that is given; repeatable",
            is_repeatable=True,
            is_for_workers=False,
        ),
        Option(
            name="allow",
            value="NETWORK",
            help="accept only clients from this network; repeatable",
            default="all",
            is_repeatable=True,
            convert=parse_networks,
        ),
        Option(
            name="deny",
            value="NETWORK",
            help="refuse clients from this network, even if allowed; repeatable",
            default="none",
            is_repeatable=True,
            convert=parse_networks,
        ),
    ),
    "Limits": (
        Option(
            name="max-request",
            value="BYTES",
            help="maximum size of a request; a larger one closes its connection",
            default=str(MAX_REQUEST),
            convert=whole_number(1),
        ),
        Option(
            name="max-connections",
            value="NUMBER",
            help="maximum number of open connections; more are reset",
            default=f"the soft limit on open files less {RESERVED_DESCRIPTORS}",
            convert=whole_number(1),
        ),
        Option(
            name="max-per-peer",
            value="NUMBER",
            help="maximum number of open connections from one client address; more are reset",
            default="no limit",
            convert=whole_number(1),
        ),
        Option(
            name="idle-timeout",
            value="SECONDS",
            help="close connections that are idle for this long",
            default="never",
            convert=seconds(MIN_TIMEOUT),
        ),
        Option(
            name="request-timeout",
            value="SECONDS",
            help="close connections whose request is not complete this long after it began",
            default="never",
            convert=seconds(MIN_TIMEOUT),
        ),
    ),
    "Stopping": (
        Option(
            name="lame-duck",
            value="SECONDS",
            help="seconds to keep serving on shutdown while /readyz reports not ready",
            default="0",
            initial="0",
            convert=seconds(0),
        ),
        Option(
            name="drain",
            letter="d",
            value="SECONDS",
            help="seconds to finish replies on shutdown, after --lame-duck; then connections "
            "are reset",
            default="5",
            initial="5",
            convert=seconds(0),
        ),
    ),
    "TLS": (
        Option(
            name="tls-cert",
            value="FILE",
            help="use TLS, with this certificate and its chain, in PEM format",
            convert=path,
            requires_plain=True,
        ),
        Option(
            name="tls-key",
            value="FILE",
            help="private key of the certificate, in PEM format",
            default="read from --tls-cert",
            convert=path,
            requires=("tls-cert",),
        ),
        Option(
            name="client-ca",
            value="FILE",
            help="require client certificates signed by these CAs, in PEM format",
            convert=path,
            requires=("tls-cert",),
        ),
        Option(
            name="handshake-timeout",
            value="SECONDS",
            help="reset connections whose TLS handshake takes longer",
            default=f"{HANDSHAKE_TIMEOUT:g}",
            convert=seconds(MIN_TIMEOUT),
            requires=("tls-cert",),
        ),
    ),
    "Load balancers": (
        Option(
            name="proxy-protocol",
            help="require a PROXY header, version 1 or 2, at the start of each connection",
            requires_plain=True,
        ),
        Option(
            name="trust",
            value="NETWORK",
            help="accept PROXY headers only from this network; repeatable",
            default="loopback",
            is_repeatable=True,
            convert=parse_networks,
            requires=("proxy-protocol",),
        ),
    ),
    "Workers": (
        Option(
            name="workers",
            letter="w",
            value="NUMBER",
            help="number of processes that accept from the same sockets; clients that connect "
            "before one is ready wait for it: see /readyz, or Listening on in the log; auto: one "
            "for each processor",
            default="serve in this process",
            convert=workers,
            requires_plain=True,
            is_for_workers=False,
        ),
    ),
    "Logging and metrics": (
        Option(
            name="quiet",
            letter="q",
            help="log only problems: no requests and no connections",
        ),
        Option(
            name="log-format",
            value="FORMAT",
            help="how requests and connections are logged: plain, or json, as in a journal",
            default=LOG_FORMATS[0],
            initial=LOG_FORMATS[0],
            convert=one_of(*LOG_FORMATS),
        ),
        Option(
            name="journal",
            letter="j",
            value="FILE",
            help="append what happens to this file, as JSON Lines; - is standard output; with "
            "--workers, to one file for each",
            convert=path_or_stdout,
        ),
        Option(
            name="journal-max-entry",
            value="BYTES",
            help="maximum bytes of request and reply that an entry of the journal holds; of "
            "more, it holds the beginning and the size",
            default=str(MAX_ENTRY_BYTES),
            convert=whole_number(0),
        ),
        Option(
            name="metrics",
            letter="m",
            value="PORT",
            help=f"port number on {INTERFACE}, or an ENDPOINT, for /metrics, /healthz and "
            "/readyz; workers use consecutive port numbers from this one",
            default="none",
            convert=port,
            is_for_workers=False,
        ),
        Option(
            name="http-host",
            value="NAME",
            help="answer requests to --metrics and --control that have this name in Host, besides "
            "addresses, names without a dot and the name of this machine; repeatable",
            is_repeatable=True,
            convert=host_names,
        ),
    ),
    "Information": (
        Option(name="version", help="print the versions of reqresp and Twisted, and exit"),
        Option(name="help", help="print this help, and exit"),
    ),
}
