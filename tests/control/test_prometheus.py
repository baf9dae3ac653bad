"""The metrics: their names, values, labels and formats."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import UNIXAddress

import reqresp
from reqresp import Fault, Limits, Line, Netstring, PlacedFault, RuleReply, Script, Send, Wait
from reqresp.control.prometheus import (
    MAX_AGE,
    Exposition,
    ServerCollector,
    ServicesCollector,
    make_registry,
)
from reqresp.faults.faults import KINDS as FAULTS
from reqresp.server.admission import KINDS, Refusal
from reqresp.server.front_factory import front_of
from reqresp.steps import Steps
from tests.support.metered import Metered
from tests.support.served import Served

#: Samples by name, and by their labels.
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]

OPEN_METRICS = "application/openmetrics-text"

#: What no label may be made of.
ODD = 'x"}\n evil{a="1"} 7\n# HELP \\ \u2028\xff'


class Odd(Fault):
    """A fault that a user wrote, with an unusual name."""

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:
        return (Wait(0), *steps)


Odd.__name__ = ODD


class Exposed(Metered):
    """Servers whose metrics are parsed."""

    ready = True

    def read(self, factory: Any) -> Samples:
        """Return the samples that Prometheus would read."""
        made = CollectorRegistry()
        made.register(ServerCollector(factory, self.counters, lambda: self.ready))
        found: Samples = defaultdict(dict)
        for family in text_string_to_metric_families(generate_latest(made).decode()):
            for sample in family.samples:
                found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
        return dict(found)

    def single(self, factory: Any, name: str) -> float:
        """Return the value of a metric without labels."""
        [(labels, value)] = self.read(factory)[f"reqresp_{name}"].items()
        self.assertEqual(labels, ())
        return value


class MetricsTests(Exposed):
    """Each metric has the value that its name says."""

    def test_all_are_there_from_the_start(self) -> None:
        """All series exist from the start with 0, so that the first increase is visible."""
        samples = self.read(self.factory())
        info = samples.pop("reqresp_build_info")
        self.assertEqual(samples.pop("reqresp_ready"), {(): 1.0})
        self.assertEqual(
            [sorted(dict(labels)) for labels in info], [["python", "twisted", "version"]]
        )
        self.assertEqual({value for them in samples.values() for value in them.values()}, {0.0})
        self.assertEqual(
            sorted(samples),
            [
                "reqresp_connections_accepted_total",
                "reqresp_connections_open",
                "reqresp_connections_refused_total",
                "reqresp_faults_total",
                "reqresp_frame_errors_total",
                "reqresp_malformed_total",
                "reqresp_misses_total",
                "reqresp_received_bytes_total",
                "reqresp_replies_total",
                "reqresp_reply_seconds_bucket",
                "reqresp_reply_seconds_count",
                "reqresp_reply_seconds_sum",
                "reqresp_requests_total",
                "reqresp_responder_errors_total",
                "reqresp_sent_bytes_total",
                "reqresp_upstream_failures_total",
            ],
        )

    def test_connections(self) -> None:
        """Open, accepted and refused connections are counted."""
        factory = self.factory(limits=Limits(max_connections=2))
        gone = self.join(factory)
        gone.reset()
        self.join(factory)
        self.join(factory)
        self.join(factory)
        self.assertEqual(self.single(factory, "connections_open"), 2)
        arrival = cast(Any, object())  # its PROXY header has not come yet: it takes a place, too
        front_of(factory).arrived(arrival)
        self.assertEqual(self.single(factory, "connections_open"), 3)
        with front_of(factory).settling(arrival):
            pass
        self.assertEqual(self.single(factory, "connections_accepted_total"), 3)
        refused = self.read(factory)["reqresp_connections_refused_total"]
        self.assertEqual(refused.pop((("limit", "max_connections"),)), 1)
        self.assertEqual(set(refused.values()), {0})

    def test_traffic(self) -> None:
        """Requests, replies, and bytes in both directions are counted."""
        factory = self.factory(lambda request: request.data * 2, framing=Line())
        self.join(factory).send(b"a\nbc\nd")
        names = ("requests", "replies", "received_bytes", "sent_bytes")
        values = [self.single(factory, f"{name}_total") for name in names]
        self.assertEqual(values, [2, 2, 6, 10])

    def test_time_from_request_to_reply(self) -> None:
        """The histogram of reply times has cumulative buckets."""
        factory = self.factory(lambda request: Wait(float(request.data)), framing=Line())
        wire = self.join(factory)
        wire.send(b"0\n2\n30\n")
        wire.wait(2)
        wire.wait(30)
        samples = self.read(factory)
        buckets = samples["reqresp_reply_seconds_bucket"]
        counts = {dict(labels)["le"]: value for labels, value in buckets.items()}
        self.assertEqual((counts["5e-05"], counts["1.0"], counts["2.5"]), (1, 1, 2))
        self.assertEqual((counts["10.0"], counts["+Inf"]), (2, 3))
        self.assertEqual(samples["reqresp_reply_seconds_count"], {(): 3})
        self.assertEqual(samples["reqresp_reply_seconds_sum"], {(): 32})

    def test_trouble(self) -> None:
        """Misses, frame errors, responder errors, faults."""

        def fail(_request: object) -> bytes:
            raise ValueError("no")

        factory = self.factory(fail, framing=Netstring())
        self.join(factory).send(b"1:a,")
        self.join(factory).send(b"nonsense")
        self.flushLoggedErrors(ValueError)
        self.assertEqual(self.single(factory, "responder_errors_total"), 1)
        self.assertEqual(self.single(factory, "frame_errors_total"), 1)
        script = "[[rule]]\nequals = 'a'\nreply = 'b'\nfaults = [{ kind = 'latency', delay = 1 }]\n"
        factory = self.factory(Script.parse(script), seed=1)
        self.join(factory).send(b"a\nc\n")
        self.reactor.advance(1)
        self.assertEqual(self.single(factory, "misses_total"), 1)
        self.assertEqual(self.read(factory)["reqresp_faults_total"][(("kind", "latency"),)], 1)

    def test_readiness(self) -> None:
        """As it is when it is asked for."""
        self.ready = False
        self.assertEqual(self.single(self.factory(), "ready"), 0)


class LabelsTests(Exposed):
    """No label holds what clients send or users name."""

    def labels(self, factory: Any) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        """Name all series, but for what is said of the build."""
        return {
            (name, labels)
            for name, them in self.read(factory).items()
            for labels in them
            if name != "reqresp_build_info"
        }

    def test_hostile_clients_and_odd_names_make_no_series(self) -> None:
        """Data from clients and users adds no series and no label."""
        placed = [PlacedFault(ODD, Odd()), PlacedFault(ODD * 2, Odd(), on_connect=True)]
        factory = self.factory(
            lambda request: RuleReply((Send(request.data),), ODD, injected=(ODD,)),
            framing=Line(),
            faults=placed,
            seed=1,
        )
        before = self.labels(factory)
        for data in (ODD.encode() + b"\n", b"\0\xff\n", b"a" * 99_999, b'a{le="1"}\n'):
            wire = self.join(factory)
            wire.send(data)
            wire.reset()
        for _ in range(2):
            front_of(factory).refuse(UNIXAddress(None), Refusal(ODD, ODD))
        self.assertEqual(self.labels(factory), before)
        samples = self.read(factory)
        self.assertEqual(samples["reqresp_connections_refused_total"][(("limit", "other"),)], 2)
        self.assertGreater(samples["reqresp_faults_total"][(("kind", "other"),)], 3)

    def test_kinds_are_those_that_there_are(self) -> None:
        """The labels are the known kinds, and ``other`` for the rest."""
        labels = self.labels(self.factory())
        self.assertEqual(
            {dict(them)["limit"] for name, them in labels if "refused" in name}, {*KINDS, "other"}
        )
        self.assertEqual(
            {dict(them)["kind"] for name, them in labels if "faults" in name}, {*FAULTS, "other"}
        )

    def test_every_kind_of_refusal_is_listed(self) -> None:
        """The reason of each `Refusal` in the source is in `KINDS`."""
        made = {
            call.args[0].value
            for path in Path(reqresp.__file__).parent.rglob("*.py")
            for call in ast.walk(ast.parse(path.read_text()))
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "Refusal"
            and isinstance(call.args[0], ast.Constant)
        }
        self.assertEqual(made, {*KINDS})


class ServicesTests(Served):
    """The metrics of several services."""

    def samples(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        registry = CollectorRegistry()
        registry.register(ServicesCollector(self.services, lambda: True))
        found: Samples = defaultdict(dict)
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            for sample in family.samples:
                found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
        return dict(found)

    def test_labels(self) -> None:
        """Each metric of a service has its name, and all series exist from its start."""
        text = '[[service]]\nname = "{}"\nlisten = {}\nframing = "line"\n'
        self.start(text.format("a", 1) + text.format("b", 2))
        self.ask("a")
        found = self.samples()
        a, b = (("service", "a"),), (("service", "b"),)
        self.assertEqual(found["reqresp_requests_total"], {a: 1.0, b: 0.0})
        self.assertEqual(found["reqresp_reply_seconds_count"], {a: 1.0, b: 0.0})
        self.assertEqual(found["reqresp_connections_open"], {a: 1.0, b: 0.0})
        self.assertEqual(found["reqresp_malformed_total"][("kind", "request"), ("service", "b")], 0)
        self.assertEqual(found["reqresp_ready"], {(): 1.0})

    def test_the_names_are_those_of_one_server(self) -> None:
        """A dashboard finds the same metrics."""
        self.start('[[service]]\nname = "a"\nlisten = 1\n')
        service = self.services["a"]
        registry = CollectorRegistry()
        registry.register(ServerCollector(service.factory, service.counters, lambda: True))
        families = text_string_to_metric_families(generate_latest(registry).decode())
        names = {sample.name for family in families for sample in family.samples}
        self.assertEqual({*self.samples()}, names)


class ExpositionTests(Exposed):
    """The metrics as text, in the format that the request prefers."""

    def exposition(self, *, is_ready: bool = True) -> Exposition:
        """Return the exposition of a server of its own."""
        registry = make_registry(self.factory(), self.counters, lambda: is_ready)
        return Exposition(registry, self.reactor)

    def test_the_format_that_is_asked_for(self) -> None:
        """The text is in Prometheus's format unless OpenMetrics is preferred; both parse."""
        exposition = self.exposition()
        text, content_type = exposition.render("")
        self.assertEqual(content_type, "text/plain; version=0.0.4; charset=utf-8")
        names = {family.name for family in text_string_to_metric_families(text.decode())}
        self.assertLessEqual({"reqresp_ready", "python_info"}, names)
        text, content_type = exposition.render(f"{OPEN_METRICS};version=1.0.0,*/*")
        self.assertTrue(content_type.startswith(CONTENT_TYPE_LATEST.split(" charset")[0]))
        self.assertIn("reqresp_requests", {it.name for it in open_metrics(text.decode())})

    def test_the_first_known_format_is_used(self) -> None:
        """Of several formats the first one that is known is used; else Prometheus's."""
        for accept, expected in (
            (f"application/x, {OPEN_METRICS}; q=0.5, text/plain", OPEN_METRICS),
            (f"text/plain; version=0.0.4, {OPEN_METRICS}", "text/plain"),
            (f"x{OPEN_METRICS}, */*", "text/plain"),
            (",;,", "text/plain"),
        ):
            _, content_type = self.exposition().render(accept)
            self.assertEqual(content_type.partition(";")[0], expected, accept)

    def test_versions(self) -> None:
        """Whatever version is asked for, each format has one."""
        exposition = self.exposition()
        for accept in (OPEN_METRICS, "text/plain"):
            versions = ("0.0.1", "1.0.0", "2.7", "abc", "\xb2", "1..2", "-1")
            types = {exposition.render(f"{accept}; version={it}")[1] for it in versions}
            self.assertEqual(types, {exposition.render(accept)[1]})

    def test_it_is_made_once_a_second(self) -> None:
        """Within a second the metrics are collected once for each format."""
        exposition = self.exposition()
        self.counters.malformed["request"] = 1
        first = exposition.render("")
        self.counters.malformed["request"] = 2
        self.reactor.advance(MAX_AGE - 0.01)
        self.assertIs(exposition.render("text/plain; version=9")[0], first[0])
        self.assertIn(b"reqresp_frame_errors_total 2.0", exposition.render(OPEN_METRICS)[0])
        self.reactor.advance(0.01)
        self.assertIn(b"reqresp_frame_errors_total 2.0", exposition.render("")[0])

    def test_two_servers_in_a_process(self) -> None:
        """Two servers in one process have separate registries."""
        for is_ready in (False, True):
            text, _ = self.exposition(is_ready=is_ready).render("")
            self.assertIn(b"\nreqresp_ready %.1f\n" % is_ready, text)

    def test_without_prometheus_client(self) -> None:
        """Without ``prometheus_client`` the error says what to install."""
        program = (
            "import sys; sys.modules['prometheus_client'] = None\n"
            "try: import reqresp.control.site\n"
            "except ImportError as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        self.assertTrue(done.stdout.endswith(b" (pip install 'reqresp[metrics]')\n"), done.stdout)

    def test_without_metrics_none_of_it_is_loaded(self) -> None:
        """A server without metrics loads neither prometheus_client nor twisted.web."""
        program = (
            "import sys, reqresp.tap, reqresp.script.loader\n"
            "print(*(it for it in sys.modules if it.startswith(('prometheus', 'twisted.web'))))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        self.assertEqual(done.stdout, b"\n")
