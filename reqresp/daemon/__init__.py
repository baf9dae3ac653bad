"""
Daemon: what ``twistd reqresp`` runs.

`options` parses the command line, `endpoints` finds where to listen, `build` creates the server,
`service` starts and stops it.  With workers, `supervisor` starts processes that each run `worker`.

This file imports nothing, so that ``python -m reqresp.daemon.worker`` and the look-up of plugins
load only what they need.
"""
