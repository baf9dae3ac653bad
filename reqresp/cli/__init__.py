"""The command ``reqresp``: asks servers, checks and explains scripts."""
