"""Expectations: what a server should receive, what answers it, and the text of the verdict."""
