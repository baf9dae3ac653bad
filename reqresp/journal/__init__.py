"""The journal: what happened, in memory and as JSON Lines."""
