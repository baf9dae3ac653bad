"""RESP values: examples, and nested values drawn by hypothesis."""

from hypothesis import strategies as st

#: Values of every type, those of RESP2 first.
VALUES = (
    *(b"+OK", b"+", b"-ERR unknown command 'x'", b":0", b":-1", b":+9223372036854775807"),
    *(b"$0\r\n", b"$3\r\nabc", b"$5\r\na\r\nbc", b"$2\r\n\r\n", b"$-1", b"*-1", b"*0"),
    *(b"*2\r\n+a\r\n$1\r\nb", b"*2\r\n*1\r\n:1\r\n*0", b"*1\r\n*1\r\n*1\r\n*-1"),
    *(b"_", b"#t", b"#f", b",1", b",-1.25", b",1e5", b",1.5E-10", b",+2.0e+3", b",inf", b",-inf"),
    *(b",nan", b"(3492890328409238509324850943850943825024385", b"(-1", b"(+1"),
    *(b"!21\r\nSYNTAX invalid syntax", b"!0\r\n", b"=15\r\ntxt:Some string", b"=4\r\nmkd:"),
    *(b"%1\r\n+proto\r\n:3", b"%0", b"%1\r\n*1\r\n:1\r\n%1\r\n:2\r\n_", b"~2\r\n#t\r\n#f", b"~0"),
    *(b">3\r\n+message\r\n$1\r\nc\r\n$2\r\nhi", b"|1\r\n+ttl\r\n:3600\r\n$1\r\na"),
    *(b"*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2", b"|1\r\n+a\r\n%0\r\n|0\r\n*1\r\n|0\r\n:1"),
)


def values() -> st.SearchStrategy[bytes]:
    """Return a strategy for whole values, nested in all ways."""
    bulks = st.binary(max_size=9)
    leaves = st.one_of(
        st.sampled_from([value + b"\r\n" for value in VALUES]),
        bulks.map(lambda data: b"$%d\r\n%b\r\n" % (len(data), data)),
        bulks.map(lambda data: b"=%d\r\ntxt:%b\r\n" % (len(data) + 4, data)),
    )
    return st.recursive(leaves, nests, max_leaves=8)


def nests(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for aggregates of *inner* values, and for values with attributes."""
    pairs = st.tuples(inner, inner).map(b"".join)
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda found: b"*%d\r\n" % len(found) + b"".join(found)),
        st.lists(inner, max_size=3).map(lambda found: b"~%d\r\n" % len(found) + b"".join(found)),
        st.lists(pairs, max_size=2).map(lambda found: b"%%%d\r\n" % len(found) + b"".join(found)),
        pairs.map(lambda pair: b"|1\r\n" + pair + b":1\r\n"),
    )
