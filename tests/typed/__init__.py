"""Code as users write it.  pyright checks it (strict) besides mypy, and these tests run it."""
