"""Transports: what Twisted's sockets do, and what they do not do by themselves."""
