"""
Fuzzing: a script loads and can be served, or has problems with one line each.

``python -m tests.script.test_fuzz 20000`` tries 20,000 random examples of each kind.  The test
suite tries a few, always the same ones.
"""

import json
import re
import sys
import unittest
from copy import deepcopy
from datetime import UTC, date, datetime, time
from functools import reduce
from math import inf, nan
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs, globalLogBeginner
from twisted.trial.unittest import SynchronousTestCase

from reqresp import ReqRespFactory
from reqresp.faults.faults import KINDS
from reqresp.framing import FrameError
from reqresp.script import Script, ScriptError
from tests.support.wire import FakeReactor, Wire

EXAMPLES = int(sys.argv[1]) if __name__ == "__main__" else 0
PROPERTY = settings(
    deadline=None,
    derandomize=not EXAMPLES,
    max_examples=EXAMPLES or 150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

BASE = Path(__file__).parent
#: The shortest idle time-out in seconds.
SHORTEST = 1e-3

# Valid documents

#: Payloads: `line` can express each of them, and so can most other framings.
TEXTS = st.sampled_from(["a", "A", "ab", "b", "+OK", "", "é", "\0", "{0}", " "])
STATES = st.sampled_from(["start", "a", "b"])
SECONDS = st.sampled_from([0, 0.25, 1, 3])
#: Each has the groups 1 and x.
PATTERNS = ["(?P<x>a).*", "(?s)(.)(?P<x>.*)", "(?P<x>\\x00)|(b)", "(?P<x>)"]
TEMPLATES = ["{0}", "{{{count}}}", "{peer}/{connection}/{request}", "+{count}{0}"]
FRAMINGS: list[Any] = [
    *("line", "line", "line", "line:\\n", "delimiter:b", "chunk", "netstring", "int16", "int8"),
    *("resp", "fixed:1"),
    {"length": {"size": 2, "offset": 1, "encoding": "little"}},
    {"length": {"size": 1, "adjust": -1, "strip": 1}},
    {"head": "line", "body": "a (\\d+)", "body_end": "\r\n"},
    {"head": "delimiter:b", "body": {"text": "(\\d+)"}},
]


def table(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for tables with some of these keys."""
    return st.fixed_dictionaries({}, optional=optional)


def also(
    strategy: st.SearchStrategy[dict[str, Any]], *others: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for tables with the keys of all."""
    return st.tuples(strategy, *others).map(lambda tables: reduce(lambda a, b: a | b, tables))


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=1, max_size=3)


TABLES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    TEXTS.map(lambda text: {"text": text}),
    st.sampled_from([{"hex": "61 FF"}, {"base64": "YWI="}, {"file": "__init__.py"}]),
)
CONSTANTS = TEXTS | TABLES
SENT = CONSTANTS | st.one_of(
    st.sampled_from(TEMPLATES).map(lambda text: {"template": text}),
    st.just({"template_hex": "2b {0} 61"}),
    TABLES.map(lambda it: it | {"raw": True}),
)
REPLIES = SENT | some(SENT)
COMPARED = CONSTANTS | st.just({"template": "{0}"})
COMPARISONS = {
    kind: COMPARED | some(COMPARED) for kind in ("equals", "starts_with", "ends_with", "contains")
}
PREDICATES = table(
    **COMPARISONS,
    matches=st.sampled_from(PATTERNS) | some(st.sampled_from(PATTERNS)),
    size=st.integers(0, 3) | table(min=st.integers(0, 2), max=st.integers(2, 4)),
)
STEPS = st.one_of(
    st.fixed_dictionaries({"send": SENT}),
    st.fixed_dictionaries({"wait": SECONDS}),
    st.sampled_from(["close", "half_close", "abort", "hang", "stop_reading"]).map(
        lambda ending: {ending: True}
    ),
)


def up_to_an_end(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *steps* without those after a step that ends the reply."""
    ends = [at for at, step in enumerate(steps) if step.keys() & {"close", "abort", "hang"}]
    return steps[: ends[0] + 1] if ends else steps


SHARES = st.sampled_from([0, 0.5, 1])
#: The required and the optional parameters of each kind.
PARAMETERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "latency": ({"delay": SECONDS}, {"jitter": SECONDS}),
    "bandwidth": ({"rate": st.integers(1, 50)}, {}),
    "slicer": ({"size": st.integers(2, 3)}, {"variation": st.integers(0, 1), "delay": SECONDS}),
    "limit_data": ({"bytes": st.integers(0, 9)}, {}),
    "reset_peer": ({}, {"bytes": st.integers(0, 9), "delay": SECONDS}),
    "timeout": ({"seconds": SECONDS}, {}),
    "blackhole": ({}, {}),
    "slow_close": ({"delay": SECONDS}, {}),
    "corrupt": ({}, {"bytes": st.integers(1, 3)}),
    "stop_reading": ({}, {}),
}
FAULTS = st.one_of(
    [
        st.fixed_dictionaries(
            {"kind": st.just(kind), **needed}, optional=may | {"probability": SHARES}
        )
        for kind, (needed, may) in PARAMETERS.items()
    ]
)
CLOSES = st.sampled_from([True, False])
ANSWERS = also(
    st.one_of(
        also(st.fixed_dictionaries({"reply": REPLIES}), table(delay=SECONDS, close=CLOSES)),
        also(st.fixed_dictionaries({"cycle": some(REPLIES)}), table(delay=SECONDS, close=CLOSES)),
        st.fixed_dictionaries({"do": some(STEPS).map(up_to_an_end)}),
        st.just({"silent": True}),
        st.just({"close": True}),
    ),
    table(goto=STATES, faults=st.lists(FAULTS, max_size=2)),
)
RULES = also(
    ANSWERS,
    PREDICATES,
    table(
        **{"not": PREDICATES},
        when=STATES | some(STATES) | st.just("*"),
        times=st.integers(1, 2),
        ignore_case=st.booleans(),
    ),
)
TRIGGERED = also(
    ANSWERS,
    st.fixed_dictionaries({"on": st.sampled_from(["connect", "idle", "refused", "malformed"])}),
    table(when=STATES | some(STATES) | st.just("*"), times=st.integers(1, 2)),
)
TIMED = also(
    ANSWERS,
    st.fixed_dictionaries({"every": st.sampled_from([2, 5])}),
    table(
        when=STATES | some(STATES) | st.just("*"),
        times=st.integers(1, 2),
        jitter=st.sampled_from([0, 1]),
    ),
)
#: Rules that name every state and reach it.
TURNS = [
    {"when": ["start", "a", "b"], "equals": f"go {state}", "silent": True, "goto": state}
    for state in "ab"
]
DOCUMENTS = also(
    st.fixed_dictionaries(
        {"rule": st.lists(RULES | TRIGGERED | TIMED, max_size=5).map(lambda rules: rules + TURNS)}
    ),
    table(
        framing=st.sampled_from(FRAMINGS),
        reply_framing=st.sampled_from(["chunk", "netstring", "int32"]),
        ignore_case=st.booleans(),
        seed=st.integers(-1, 9),
        greeting=TEXTS | some(SENT) | also(ANSWERS, table(times=st.integers(1, 2))),
        unmatched=TEXTS | some(SENT) | ANSWERS,
        limits=table(
            max_request=st.integers(8, 99),
            max_connections=st.integers(1, 3),
            max_per_peer=st.integers(1, 3),
            max_waiting=st.integers(1, 99),
            idle_timeout=st.sampled_from([1, 60.5]),
        ),
        fault=st.lists(also(FAULTS, table(on=st.sampled_from(["reply", "connect"]))), max_size=2),
    ),
)

# Documents and texts with mistakes

KEYS = [
    *("framing", "reply_framing", "ignore_case", "start", "seed", "greeting", "limits", "rule"),
    *("unmatched", "fault", "equals", "matches", "size", "not", "when", "times", "scope", "goto"),
    *("faults", "reply", "cycle", "delay", "close", "silent", "do", "send", "wait", "text", "hex"),
    *("template", "template_hex", "raw", "min", "max", "kind", "on", "head", "body", "length"),
    *("not_", "init", "self", "__class__", "", "\0", "\n", "a b", "é", "x" * 99),
]
DEEP: list[Any] = reduce(lambda inner, _: [{"rule": inner}], range(30), list[Any]())
WEIRD: list[Any] = [
    *("", "*", "\0", "\n", "\r", "{", "}", "{}", "{x}", "{1}", "{0}{peer}", "(", "(?P<x>.)", "a+"),
    *("(?P<peer>a)", "(?P<ê>a)", "\\C", "(?:a{99}){99}", "a" * 999, "☃\U0001f600\u2028\ufeff"),
    *(
        "line",
        "int8",
        "resp",
        "fixed:1",
        "fixed:" + "9" * 30,
        "delimiter:{",
        "connection",
        "latency",
    ),
    *("nowhere", "/", "\0/", "a" * 300 + "/b", "..", "wire.py", "=", "é" * 3, "0", "00", "\x85"),
    *(0, 1, -1, 2, 255, 2**31, 2**63 - 1, 2**63, -(2**63), 10**400, 16**5000, True, False),
    *(0.5, -0.0, -1.5, 1e9, 1e10, 1e308, 1e-300, nan, inf, -inf),
    *(date(1979, 5, 27), time(7, 32, 0, 999), datetime(1, 1, 1), datetime(9999, 1, 1, tzinfo=UTC)),
    *([], {}, [[]], [{}], [{}, "a"], {"": 0}, {"text": 1}, {"text": "a", "hex": ""}, DEEP),
    *({"template": "{x}{1}{count}"}, {"template_hex": "{0}a{{"}, {"file": "streams.py"}),
    *({"min": 3, "max": 1}, {"not": {"not": {}}}, {"wait": inf}, {"abort": False}),
]
SCRAPS = [
    *(
        "",
        "\n",
        '"',
        "'",
        '"""',
        "[",
        "]",
        "[[rule]]",
        "[rule]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "#",
        "\\",
    ),
    *("\0", "\r", "\x7f", "\ufeff", "\ud7ff", "é", "inf", "nan", "true", "0x", "1979-05-27", "1e9"),
    *(
        "9" * 5000,
        "[" * 999,
        "{a=" * 999,
        "a." * 99 + "a = 1\n",
        "= " * 99,
        "\n[[rule]]\nreply = 1",
    ),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return all tables and arrays in *value*, each with all its keys."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [(value, key) for key, _ in inner]
    for holder, key in [*found]:
        if isinstance(holder[key], dict | list):
            found += places(holder[key])
    return found


def misspelt(name: str, random: Random) -> str:
    at = random.randrange(len(name) + 1)
    return name[:at] + random.choice(["", "x", "_", name[:1]]) + name[at + 1 :]


def spoil(document: dict[str, Any], random: Random) -> None:
    """Change one thing in *document*."""
    document.setdefault("rule", [])  # so that there is something to change
    holder, key = random.choice(places(document))
    value = holder[key]
    other, there = random.choice(places(document))
    match random.randrange(9):
        case 0:
            holder.pop(key)
        case 1 if isinstance(holder, dict):
            holder.pop(key)
            holder[random.choice([random.choice(KEYS), misspelt(key, random)])] = value
        case 2:
            holder[key] = random.choice(
                [[value], [value, value], {"text": value}, {str(key): value}]
            )
        case 3 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), random.choice([value, *WEIRD]))
        case 4:
            holder[key], other[there] = deepcopy(other[there]), deepcopy(value)
        case 5 if isinstance(holder, dict):
            holder[random.choice(KEYS)] = deepcopy(value)
        case 6 if isinstance(value, dict):
            value[random.choice(KEYS)] = deepcopy(random.choice(WEIRD))
        case _:
            holder[key] = deepcopy(random.choice(WEIRD))


def tear(text: str, random: Random) -> str:
    """Change one thing in *text*."""
    start = random.randrange(len(text) + 1)
    end = min(len(text), start + random.choice([0, 0, 1, 1, 2, 9, 99]))
    other = random.randrange(len(text) + 1)
    scraps = [*SCRAPS, text[start:end] * 2, text[other : other + 9], chr(random.randrange(0xD800))]
    return text[:start] + random.choice(scraps) + text[end:]


# TOML


def bare(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else inline(key)


def inline(value: Any) -> str:
    """Return *value* as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")
        case int():
            return hex(value) if value > 10**1000 else str(value)
        case date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(inline, value))}]"
        case dict():
            pairs = (f"{bare(key)} = {inline(one)}" for key, one in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return repr(value)


def written(document: dict[str, Any]) -> str:
    """Return *document* as people write it: with headers for arrays of tables."""
    first, last = [], []
    for key, value in document.items():
        if value and isinstance(value, list) and all(isinstance(one, dict) for one in value):
            for one in value:
                last += ["", f"[[{bare(key)}]]"]
                last += [f"{bare(name)} = {inline(it)}" for name, it in one.items()]
        else:
            first.append(f"{bare(key)} = {inline(value)}")
    return "\n".join([*first, *last, ""])


# Serving

PIECES = [
    *(b"a\r\n", b"ab\n", b"A\n", b"\n", b"go a\r\ngo b\n", b"a\nb\xff\xe9\na 3\r\nabc\r\n"),
    *(b"a", b"b", b"\xff\xfe", b"\0\1a", b"\1\0\0", b"\0\2ab\0\1", b"1:a,0:,", b"9:", b"PING\r\n"),
    *(b"*1\r\n$1\r\na\r\n", b"*2\r\n$2\r\ngo\r\n$1\r\nb\r\n", b"x" * 120),
]
TALKS = st.lists(st.sampled_from(PIECES), max_size=5)


def outcome(text: str) -> Script | list[str]:
    """Return the script, or its problems, each of which is one line."""
    try:
        return Script.parse(text, "it.toml", BASE)
    except ScriptError as error:
        refused = error
    lines = [str(problem) for problem in refused.problems]
    assert lines, "no problem"
    assert str(refused).split("\n") == lines
    assert len({*lines}) == len(lines), refused
    for problem in refused.problems:
        assert problem.file == "it.toml"
        assert re.fullmatch(r"\S[^\n\r]+", problem.message), problem
        assert problem.line is None or 1 <= problem.line <= text.count("\n") + 1
    return lines


def talked(script: Script, pieces: list[bytes]) -> tuple[list[bytes], list[str]]:
    """Return what three clients receive that send the same, and the failures in the log."""
    reactor = FakeReactor()
    received = []
    with capturedLogs() as events:
        factory = ReqRespFactory(script, clock=reactor, seed=1)
        for _ in range(3):
            wire = Wire(factory, reactor)
            for piece in pieces:
                wire.send(piece)
            wire.wait(1)
            wire.send(*pieces)
            wire.wait(9)
            wire.send_eof()
            wire.wait(99)
            received.append(wire.received())
            wire.reset()
    failures = [event["log_failure"] for event in events if "log_failure" in event]
    for failure in failures:
        if not failure.check(FrameError):
            failure.raiseException()
    return received, [failure.getErrorMessage() for failure in failures]


class FuzzTests(SynchronousTestCase):
    """Only a `ScriptError` keeps a script from being served."""

    def judge(self, text: str, pieces: list[bytes]) -> Script | None:
        """Load *text* twice, and serve it twice if it loads; return the script if it does."""
        first, second = outcome(text), outcome(text)
        if not (isinstance(first, Script) and isinstance(second, Script)):
            self.assertEqual(first, second)
            return None
        self.assertEqual(first.warnings, second.warnings)
        for warning in first.warnings:
            self.assertRegex(warning.message, r"\A\S[^\n]*\S\Z")
        if (first.limits.idle_timeout or 1) >= SHORTEST:
            try:
                self.assertEqual(talked(first, pieces), talked(second, pieces))
            finally:
                self.flushLoggedErrors(FrameError)
        return first

    @PROPERTY
    @given(DOCUMENTS, TALKS)
    def test_documents_of_the_format(self, document: dict[str, Any], pieces: list[bytes]) -> None:
        """Valid documents load, unless the framing cannot express a reply."""
        script = self.judge(written(document), pieces)
        if "framing" not in document and "reply_framing" not in document:
            self.assertIsNotNone(script, written(document))

    @PROPERTY
    @given(DOCUMENTS, TALKS, st.randoms(use_true_random=False), st.integers(1, 3))
    def test_documents_with_mistakes(
        self, document: dict[str, Any], pieces: list[bytes], random: Random, count: int
    ) -> None:
        """Documents with misspelt keys, changed types, and swapped, missing or nested values."""
        document = deepcopy(document)
        for _ in range(count):
            spoil(document, random)
        self.judge(written(document), pieces)

    @PROPERTY
    @given(DOCUMENTS, TALKS, st.randoms(use_true_random=False), st.integers(1, 3))
    def test_texts_with_mistakes(
        self, document: dict[str, Any], pieces: list[bytes], random: Random, count: int
    ) -> None:
        """TOML text with pieces removed, repeated, moved or inserted."""
        text = written(document)
        for _ in range(count):
            text = tear(text, random)
        self.judge(text, pieces)

    def test_all_faults_are_tried(self) -> None:
        """The documents generated here have every kind of fault, and no other."""
        self.assertEqual({*PARAMETERS}, {*KINDS})


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # otherwise failures are printed
    unittest.main(argv=sys.argv[:1])
