"""
Compiler: the rules, framings and faults that the tables of a script describe.

Knows which keys and rules of a script fit together.  Must not know TOML or files.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from reqresp._errors import MAX_PROBLEMS, Problem
from reqresp.exchanges import UNMATCHED
from reqresp.faults import PlacedFault
from reqresp.framing import Framing
from reqresp.script._faults import read_faults
from reqresp.script._parts import TableParts
from reqresp.script._states import StateFramings, check_not_forwarded, mixed, read_states
from reqresp.script._upstream import is_relay, read_upstream
from reqresp.script.calls import Functions, Modules
from reqresp.script.files import ScriptFiles
from reqresp.script.reachability import check_states, never_answering
from reqresp.script.reader import Reader
from reqresp.script.rule import CLOSES, EVERY_STATE, Rule
from reqresp.script.rule_compiler import RuleCompiler, places_of
from reqresp.script.rules import SHARED_PROPERTIES, Rules
from reqresp.script.schema import AnswerTable, Document
from reqresp.server.config import UNORDERED_FORWARDS
from reqresp.server.limits import Limits
from reqresp.server.triggers import Trigger
from reqresp.transport.accept_modes import Accept, accept_mode

_NOTHING_FORWARDED = (
    "nothing is forwarded: give a rule or [unmatched] forward = true; or remove the keys about"
    " requests and replies, and all bytes pass"
)
_NO_TLS = "expected no start_tls in a script that forwards requests"
#: The keys that say how replies are framed.
_FRAMINGS = ("framing", "reply_framing")
#: Rules that one warning names.
MAX_NAMED_RULES = 5


def compile_script(
    tables: dict[str, Any], reader: Reader, files: ScriptFiles, functions: Functions | None = None
) -> dict[str, Any]:
    """
    Return the fields of a `Script`; unusable if *reader* has problems afterwards.

    :param files: those that the script can name.
    :param functions: those that it can call; None: those of modules among *files*, which are run.
    """
    document: Document = reader.read(Document, tables, "")
    parts = TableParts(reader, files, Modules(files) if functions is None else functions)
    framing = reply_framing = parts.framing(document.framing, "framing")
    if document.reply_framing is not None:
        reply_framing = parts.framing(document.reply_framing, "reply_framing")
    limits = document.limits or Limits()
    _check_limits(limits, framing, reader)
    default = mixed(framing, reply_framing)
    properties = read_states(document.state, parts, default, limits)
    is_framed = not tables.keys().isdisjoint(_FRAMINGS)
    framings = StateFramings(default, properties, is_framed)
    compiler = RuleCompiler.of(reader, parts, framings, document)
    rules = compiler.rules()
    at_start = compiler.in_states([document.start])
    greeting = at_start.answer(document.greeting, "greeting", Trigger.CONNECT)
    unmatched = compiler.in_states(None).answer(document.unmatched, UNMATCHED) or CLOSES
    _check_start(document.start, reader)
    if document.state_scope == "server" and properties:
        reader.report("state_scope", SHARED_PROPERTIES)
    others = [unmatched] if greeting is None else [greeting, unmatched]
    check_states(document.start, rules, others, reader.report, properties)
    upstream = read_upstream(document.upstream, reader, files.directory or Path())
    relays = is_relay(tables)
    faults = read_faults(document.fault, parts, is_relay=relays)
    forwards = any(rule.forwards for rule in (*rules, *others))
    if document.upstream is not None and not relays and not forwards:
        reader.report("upstream", _NOTHING_FORWARDED)
    if forwards or relays:
        if not document.ordered:
            reader.report("ordered", UNORDERED_FORWARDS)
        check_not_forwarded(properties, parts)
        for place in _starting_tls(document):
            reader.report(place, _NO_TLS)
    if reader.problems:
        return {}
    try:
        responder = Rules(
            rules,
            start=document.start,
            greeting=greeting,
            unmatched=unmatched,
            properties=properties,
            shares_state=document.state_scope == "server",
        )
    except ValueError as error:
        reader.report("rule", str(error))
        return {}
    return {
        "rules": responder,
        "framing": framing,
        "reply_framing": reply_framing,
        "limits": limits,
        "accept": Accept.NOW if document.accept is None else accept_mode(document.accept),
        "faults": faults.replies,
        "stream_faults": faults.streams,
        "seed": document.seed,
        "ordered": document.ordered,
        "called": tuple(parts.found.values()),
        "upstream": upstream,
        "is_relay": relays,
        "files": files.paths,
        "warnings": () if relays else _warnings(document.start, responder, faults.replies, reader),
    }


def _starting_tls(document: Document) -> Iterator[str]:
    """Yield the places of all steps that start TLS."""
    answers = [(f"rule[{at}]", it) for at, it in enumerate(document.rule)]
    others = [("greeting", document.greeting), (UNMATCHED, document.unmatched)]
    for path, table in (*answers, *others):
        if isinstance(table, AnswerTable):
            yield from places_of("start_tls", table, path)


def _check_start(start: str, reader: Reader) -> None:
    if start == EVERY_STATE:
        reader.report("start", f'expected one state, found "{start}", which means every state')


def _check_limits(limits: Limits, framing: Framing | None, reader: Reader) -> None:
    try:
        if framing is not None:
            framing.decoder(limits.max_request)
    except ValueError as error:
        reader.report("limits.max_request", str(error))


def _warnings(
    start: str, responder: Rules, faults: Sequence[PlacedFault], reader: Reader
) -> tuple[Problem, ...]:
    if responder.is_empty and not faults:
        message = "the script answers nothing: the first request of a client closes its connection"
        return (reader.problem("", message),)
    never = never_answering(start, responder.rules)
    warnings = [
        reader.problem(rule.path, _why_never(earlier))
        for rule, earlier in islice(never, MAX_PROBLEMS)
    ]
    if next(never, None) is not None:
        warnings.append(reader.problem("", f"more than {MAX_PROBLEMS} rules never answer"))
    return tuple(warnings)


def _why_never(earlier: Sequence[Rule]) -> str:
    names = [it.path for it in earlier[:MAX_NAMED_RULES]]
    if len(earlier) > MAX_NAMED_RULES:
        names[-1] = f"{len(earlier) - MAX_NAMED_RULES + 1} others"
    answer = "answers" if len(earlier) == 1 else "answer"
    return f"never answers: {' and '.join(names)} already {answer} every request that it matches"
