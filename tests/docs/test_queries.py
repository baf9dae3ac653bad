"""Queries and alerts for Prometheus: they are right PromQL, and ask for what a server exports."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml  # type: ignore[import-untyped]  # it has no annotations
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Counters, ReqRespFactory
from reqresp.control.prometheus import Exposition, make_registry
from tests.support.documents import ROOT, blocks, indented
from tests.support.wire import FakeReactor

#: What Prometheus adds to each sample.
ADDED = {"job", "instance"}
ALERTS = (ROOT / "docs" / "howto" / "alerts.rst").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.rst").read_text(encoding="utf-8")


def exported() -> dict[str, set[str]]:
    """Return the names of the samples that a server exports, with the labels of each."""
    counters = Counters()
    registry = make_registry(ReqRespFactory(counters=counters), counters, lambda: True)
    body, _ = Exposition(registry, FakeReactor()).render("")
    found: dict[str, set[str]] = {"up": {*ADDED}}  # by Prometheus itself
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {*ADDED}).update(sample.labels)
    return found


def nodes(query: str) -> list[Any]:
    """
    Return the nodes of the tree of *query*.

    :raises ValueError: it is no PromQL.
    """
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), found.append)
    return found


def unknown(query: str) -> set[str]:
    """Return the metrics and labels in *query* that a server does not export."""
    known, labels = exported(), set[str]()
    names, asked = set[str](), set[str]()
    for node in nodes(query):
        if isinstance(node, promql_parser.VectorSelector):
            names.add(str(node.name))
            labels |= known.get(str(node.name), set())
            asked |= {it.name for it in node.matchers.matchers}
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            asked |= {*node.modifier.labels}
    return names - {*known} | asked - labels


def labels_of(query: str) -> set[str]:
    """Return the labels of what *query* returns."""
    groups = [it for it in nodes(query) if isinstance(it, promql_parser.AggregateExpr)]
    if groups:
        return {label for it in groups if it.modifier for label in it.modifier.labels}
    names = [it.name for it in nodes(query) if isinstance(it, promql_parser.VectorSelector)]
    return set.union(*(exported()[str(name)] for name in names))


def alerts() -> Iterator[dict[str, Any]]:
    """Yield the alerts of the page."""
    [rules] = [it.code for it in blocks(ALERTS) if it.language == "yaml"]
    for group in yaml.safe_load(rules)["groups"]:
        yield from group["rules"]


def code(first: str) -> str:
    """Return the code in the guide to operations that begins with *first*."""
    lines = OPERATIONS.splitlines()
    return indented(lines[lines.index(f"   {first}") :], deeper_than=0)


class QueryTests(SynchronousTestCase):
    """What the documents ask Prometheus."""

    def test_alerts(self) -> None:
        """Each has a name, a query for what is exported, and a summary with labels of its own."""
        found = [*alerts()]
        self.assertGreater(len(found), 5)
        for alert in found:
            self.assertEqual({*alert} - {"for"}, {"alert", "expr", "annotations"})
            promql_parser.parse_duration(alert.get("for", "1m"))
            self.assertEqual(unknown(alert["expr"]), set(), alert["alert"])
            used = {*re.findall(r"\{\{ \$labels\.(\w+) \}\}", alert["annotations"]["summary"])}
            self.assertEqual(used - labels_of(alert["expr"]), set(), alert["alert"])

    def test_queries(self) -> None:
        """Each query of the guide to operations asks for what is exported."""
        queries = re.findall(
            r"^(?!#).+$", code("# requests a second, of all workers"), re.MULTILINE
        )
        self.assertGreater(len(queries), 5)
        for query in queries:
            self.assertEqual(unknown(query), set(), query)

    def test_configuration(self) -> None:
        """Prometheus asks the port of each worker, as the job that alerts name."""
        [job] = yaml.safe_load(code("scrape_configs:"))["scrape_configs"]
        self.assertIn(f'{{job="{job["job_name"]}"}}', next(alerts())["expr"])
        promql_parser.parse_duration(job["scrape_interval"])
        self.assertEqual(job["static_configs"], [{"targets": ["127.0.0.1:9100", "127.0.0.1:9101"]}])

    def test_wrong_queries(self) -> None:
        """What is no PromQL, and a metric or a label that no server exports, are noticed."""
        for query in ("sum(", "rate(reqresp_requests_total)", "summ(reqresp_ready)"):
            with self.assertRaises(ValueError):
                nodes(query)
        for query, names in (
            ("reqresp_requests", {"reqresp_requests"}),
            ('reqresp_ready{limit="denied"}', {"limit"}),
            ("sum by (le, kind) (reqresp_reply_seconds_bucket)", {"kind"}),
        ):
            self.assertEqual(unknown(query), names)
        self.assertEqual(labels_of("sum by (kind) (reqresp_faults_total) > 0"), {"kind"})
        self.assertEqual(labels_of("sum(reqresp_ready)"), set())
        self.assertEqual(labels_of("reqresp_ready == 0"), ADDED)
