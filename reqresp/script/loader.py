"""
Script: a whole service in one TOML file, read with all its problems at once.

Knows files and TOML; what the tables mean is for `builder`, and what becomes of them for others.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from attrs import evolve, field, frozen

from reqresp.faults.faults import PlacedFault
from reqresp.framing import Framing, Mixed
from reqresp.script.compiler import EVERY, Builder
from reqresp.script.parts import Parts
from reqresp.script.payloads import read_file
from reqresp.script.reachability import check_states, never_answering
from reqresp.script.reader import Problem, Reader
from reqresp.script.rules import CLOSES, Rule, Rules
from reqresp.script.schema import Document
from reqresp.script.toml_positions import line_of, locate
from reqresp.server.config import ConfigSource, ServerConfig
from reqresp.server.limits import Limits

#: Levels of tables and lists in a script.
DEPTH = 50
#: What a fault can strike on.
On = Literal["reply", "connect"]


class ScriptError(ValueError):
    """A script has *problems*; as text, one line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@frozen(kw_only=True)
class Script(ConfigSource):
    """
    A service as a script describes it, for ``ReqRespFactory(script)``.

    Every factory starts it anew: nothing is counted across factories.

    :param name: the file's, for messages.
    :param framing: of requests.
    :param reply_framing: of replies; the same unless the script says otherwise.
    :param warnings: what is no error, but hardly meant.
    """

    name: str
    rules: Rules
    framing: Framing
    reply_framing: Framing
    limits: Limits
    faults: tuple[PlacedFault, ...]
    seed: int | None
    warnings: tuple[Problem, ...] = ()
    #: Where each key stands in the file.
    lines: Mapping[str, int] = field(repr=False, eq=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """
        Read the script in the file at *path*.

        :raises ScriptError: it cannot be read, or has problems: all of them.
        """
        path = Path(path)
        try:
            text = read_file(path).decode("utf-8-sig")  # some editors put a mark in front
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            reason = f"no UTF-8: {error.object[error.start : error.start + 1]!r}"
            raise ScriptError(Problem(str(path), line, "", reason)) from None
        except ValueError as error:
            raise ScriptError(Problem(str(path), None, "", str(error))) from None
        return cls.parse(text, str(path), path.parent)

    @classmethod
    def parse(cls, text: str, name: str = "script", base: str | Path = ".") -> Self:
        """
        Read the script *text*.

        :param name: what it is called in messages.
        :param base: the directory that names of files in it are relative to.
        :raises ScriptError: it has problems: all of them.
        """
        tables = _toml(text, name)
        lines = locate(text)
        reader = Reader(name, partial(line_of, lines))
        parts = _build(tables, reader, Path(base))
        if reader.problems:
            raise ScriptError(*sorted(reader.problems, key=lambda it: it.line or 0))
        return cls(name=name, lines=lines, **parts)

    def config(self) -> ServerConfig:
        framing = self.framing
        if self.reply_framing != framing:
            framing = Mixed(framing, self.reply_framing)
        return ServerConfig(
            self.rules.anew(),
            framing,
            self.limits,
            self.faults,
            self.seed,
        )


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(text)
        if _depth(tables) <= DEPTH:
            return tables
        problem = Problem(name, None, "", "nested too deeply")
    except RecursionError:
        problem = Problem(name, None, "", "nested too deeply")
    except tomllib.TOMLDecodeError as error:
        problem = _no_toml(str(error), text, name)
    except ValueError:  # Python refuses to read it
        problem = Problem(name, None, "", "a number has too many digits")
    raise ScriptError(problem)


def _depth(tables: dict[str, Any]) -> int:
    """Count the levels of *tables*, up to one more than `DEPTH`: paths grow with each."""
    depth = 0
    level: list[Any] = [tables]
    while level and depth <= DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth


def _no_toml(message: str, text: str, name: str) -> Problem:
    place = re.search(r" \(at (?:end of document|line (\d+), column (\d+))\)$", message)
    if place is None:
        return Problem(name, None, "", f"no TOML: {message}")
    where = f"at column {place[2]}" if place[2] else "at the end"
    line = int(place[1] or text.rstrip().count("\n") + 1)
    return Problem(name, line, "", f"no TOML: {message[: place.start()]}, {where}")


def _build(tables: dict[str, Any], reader: Reader, base: Path) -> dict[str, Any]:
    """Give what a `Script` is made of; of no use if *reader* found a problem."""
    document: Document = reader.read(Document, tables, "")
    parts = Parts(reader, base)
    framing = reply_framing = parts.framing(document.framing, "framing")
    if document.reply_framing is not None:
        reply_framing = parts.framing(document.reply_framing, "reply_framing")
    builder = Builder(reader, base, reply_framing, framing, document)
    if document.start == EVERY:
        reader.blame("start", f'expected a state, found "{EVERY}", which stands for them all')
    rules = [
        builder.rule(table, f"rule[{at}]")
        for at, table in enumerate(document.rule)
        if table is not None  # which was blamed for being no table
    ]
    greeting, unmatched = None, CLOSES
    if document.greeting is not None:
        greeting = builder.answer(document.greeting, "greeting")
    if document.unmatched is not None:
        unmatched = builder.answer(document.unmatched, "unmatched")
    others = [unmatched] if greeting is None else [greeting, unmatched]
    check_states(document.start, rules, others, reader.blame)
    faults: list[PlacedFault] = []
    for at, table in enumerate(document.fault):
        if table is None:
            continue
        on = reader.read(On, table.pop("on", "reply"), f"fault[{at}].on")
        found = parts.fault(table, f"fault[{at}]")
        if on is not None and found is not None:
            faults.append(evolve(found, on_connect=on == "connect"))
    limits = document.limits or Limits()
    try:
        if framing is not None:
            framing.decoder(limits.max_request)
    except ValueError as error:
        reader.blame("limits.max_request", str(error))
    if reader.problems or framing is None or reply_framing is None:
        return {}
    try:
        book = Rules(rules, start=document.start, greeting=greeting, unmatched=unmatched)
    except ValueError as error:
        reader.blame("rule", str(error))
        return {}
    return {
        "rules": book,
        "framing": framing,
        "reply_framing": reply_framing,
        "limits": limits,
        "faults": tuple(faults),
        "seed": document.seed,
        "warnings": tuple(
            reader.problem(rule.name, f"never answers: {_answer(before)} all that comes to it")
            for rule, before in never_answering(document.start, rules)
        ),
    }


def _answer(rules: Sequence[Rule]) -> str:
    return " and ".join(rule.name for rule in rules) + " answer" + "s" * (len(rules) == 1)
