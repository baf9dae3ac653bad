"""
The services of one process: what each answers, where it listens, and how that changes at run time.

A `Definition` says what a service is, from options, a file or HTTP; a `Service` runs it; `Services`
are all of them.  Import from its modules: this one loads none of them, so that a file is checked
without a server.
"""
