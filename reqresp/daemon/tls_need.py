"""
TLS need: whether a server may use OpenSSL, known before anything that loads it is imported.

Loads neither OpenSSL nor a reactor.
"""

from reqresp._files import read_regular
from reqresp.daemon.options import Options


def may_need_tls(options: Options) -> bool:
    """
    Return whether clients or a service may get TLS; False is certain.

    A script that names an upstream may add TLS to it, also when it is reloaded.
    """
    if options["tls-cert"] is not None or options["forward-tls"]:
        return True
    if options["services"] is not None or options["control"] is not None:
        return True  # a service with TLS may come at run time
    path = options["script"]
    if path is None:
        return False
    from reqresp.script.files import MAX_FILE_BYTES  # late: a server without script needs none

    try:
        return b"upstream" in read_regular(path, MAX_FILE_BYTES)
    except ValueError:  # to be reported when it is read for use
        return False
