"""Run the command ``reqresp``, as ``python -m reqresp``."""

from reqresp.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
