"""Main: what ``python -m reqresp`` runs, which is the command ``reqresp``."""

from reqresp.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
