"""Control: everything spoken over HTTP."""
