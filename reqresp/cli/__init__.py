"""The command ``reqresp``."""
