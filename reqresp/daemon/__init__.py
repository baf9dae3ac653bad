"""The daemon: what ``twistd reqresp`` runs."""
