"""The servers to compare: small programs that send the same replies."""
