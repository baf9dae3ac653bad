"""The server: one connection's life, and what all connections share."""
