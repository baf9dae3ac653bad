"""The peers: each a program of its own that answers the same bytes, as small as is honest."""
