"""The benchmark: ``python -m bench`` measures reqresp beside other servers, in one run."""
