"""The benchmark: what it reads, computes and writes; and one small live run."""

import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from unittest import skipIf
from xml.etree import ElementTree

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from bench import clients, measure, patterns
from bench.clients import BadReplyError
from bench.load import Bulk, Keys, Paced, RedisBenchmark, Wrk, parse_redis_benchmark, parse_wrk
from bench.machine import describe
from bench.parts import PARTS, TURNS, CommandPart, IdlePart, LoadPart, StartPart
from bench.peers import PEERS, command
from bench.plot import draw
from bench.processes import Cores, run_to_end, running
from bench.report import number, report, simple_table
from bench.run import Plan, Runner
from bench.scripts import INDEXED, KINDS, LENGTHS, Kind
from bench.targets import TARGETS
from bench.values import Results, Sample, UnavailableError
from reqresp import Script
from reqresp.steps import RuleReply, Send, Step
from tests.support.live import temporary

REDIS_CSV = """\
WARNING: Could not fetch server CONFIG
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",\
"p99_latency_ms","max_latency_ms"
"PING_INLINE","81833.06","0.326","0.088","0.303","0.431","0.663","4.311"
"""
WRK = """\
Running 2s test @ http://127.0.0.1:33271/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   423.11us  110.20us   5.18ms   91.70%
    Req/Sec   114.80k     4.10k  120.55k    71.43%
  Latency Distribution
     50%  401.00us
     75%  450.00us
     90%  512.00us
     99%    1.25ms
  239800 requests in 2.10s, 12.35MB read
Requests/sec: 114190.48
Transfer/sec:      5.88MB
"""


def made_up(*costs: tuple[str, str, int, float]) -> Results:
    """Return results; each run is given as part, server, run and microseconds per request."""
    return Results(
        [
            Sample(
                part,
                peer,
                run,
                {"user": us / 4e6, "system": us * 3 / 4e6, "total": us / 1e6, "rate": 1e6 / us},
            )
            for part, peer, run, us in costs
        ]
    )


class LoadOutputTests(SynchronousTestCase):
    def test_redis_benchmark_tells_rate_and_percentiles(self) -> None:
        outcome = parse_redis_benchmark(REDIS_CSV, 50_000)
        self.assertEqual(
            (outcome.requests, outcome.rate, outcome.p50, outcome.p99),
            (50_000, 81833.06, 0.303, 0.663),
        )

    def test_redis_benchmark_without_figures_is_no_measurement(self) -> None:
        with self.assertRaises(UnavailableError):
            parse_redis_benchmark("Could not connect\n", 50_000)

    def test_wrk_tells_requests_rate_and_percentiles_in_milliseconds(self) -> None:
        outcome = parse_wrk(WRK)
        self.assertEqual(
            (outcome.requests, outcome.rate, outcome.p50, outcome.p99),
            (239_800, 114190.48, 0.401, 1.25),
        )

    def test_wrk_with_failed_replies_is_no_measurement(self) -> None:
        failed = "  Socket errors: connect 0, read 14840, write 0, timeout 0\n"
        with self.assertRaisesRegex(UnavailableError, "read 14840"):
            parse_wrk(WRK + failed)

    def test_wrk_without_a_reply_is_no_measurement(self) -> None:
        with self.assertRaises(UnavailableError):
            parse_wrk(WRK.replace("239800 requests", "0 requests"))

    def test_a_smaller_load_keeps_whole_pipelines_and_every_connection(self) -> None:
        load = RedisBenchmark(1_000_000, connections=50, depth=16)
        self.assertEqual(load.times(0.1).requests, 100_000)
        self.assertEqual(load.times(0.00001).requests, 800)

    def test_wrk_lasts_a_second_at_least(self) -> None:
        self.assertEqual(Wrk(2).times(0.05), Wrk(1))

    def test_a_warm_up_asks_for_every_key(self) -> None:
        self.assertEqual(Keys(40_000, keys=10_000, depth=1).times(0.05).requests, 10_000)
        self.assertEqual(Keys(40_000, keys=10, depth=1).times(0.05).requests, 2_000)
        self.assertEqual(Keys(1_000, keys=10).times(0.001).requests, 16)


class BlocksTests(SynchronousTestCase):
    def test_every_key_is_asked_equally_often_and_its_reply_expected(self) -> None:
        asked: dict[bytes, int] = {}
        for requests, replies in clients.blocks(10, 16):
            pairs = zip(requests.splitlines(), replies.splitlines(), strict=True)
            for request, reply in pairs:
                self.assertEqual(reply, request.replace(b"key", b"+value"))
                asked[request] = asked.get(request, 0) + 1
        self.assertEqual(asked, {clients.key(n): 2_000 for n in range(10)})

    def test_no_key_is_asked_again_before_all_others_were(self) -> None:
        asked = [request for request, _ in clients.blocks(100, 1)]
        for start in range(0, len(asked), 100):
            self.assertEqual(len(set(asked[start : start + 100])), 100)
        self.assertNotEqual(asked[:100], asked[100:200])

    def test_few_keys_and_many_send_as_many_bytes(self) -> None:
        sizes = [
            sum(len(requests) for requests, _ in clients.blocks(keys, 16)) for keys in (10, 10_000)
        ]
        self.assertEqual(sizes[0], sizes[1])


class ArithmeticTests(SynchronousTestCase):
    def test_the_exact_total_is_shared_as_the_ticks_are(self) -> None:
        before = measure.CpuReading(1.0, 10, 10)
        cpu = measure.spent(before, measure.CpuReading(1.8, 25, 55))
        self.assertAlmostEqual(cpu.user, 0.2)
        self.assertAlmostEqual(cpu.system, 0.6)

    def test_no_tick_at_all_still_counts_the_total(self) -> None:
        reading = measure.CpuReading(1.0, 10, 10)
        self.assertAlmostEqual(measure.spent(reading, evolve(reading, seconds=1.5)).total, 0.5)

    def test_a_process_that_works_is_seen_to(self) -> None:
        before = measure.read_cpu(os.getpid())
        sum(range(200_000))
        self.assertGreater(measure.spent(before, measure.read_cpu(os.getpid())).total, 0)

    def test_a_ratio_is_the_median_of_the_runs_ratios(self) -> None:
        results = made_up(
            *(("closed-50", "c", run, us) for run, us in enumerate((5.0, 10.0, 20.0))),
            *(("closed-50", "reqresp", run, us) for run, us in enumerate((10.0, 15.0, 80.0))),
        )
        ratio = results.ratio("closed-50", "reqresp", "c", "total")
        self.assertAlmostEqual(ratio or 0, 2.0)

    def test_a_ratio_to_what_was_not_measured_is_none(self) -> None:
        results = made_up(("closed-50", "reqresp", 1, 10.0))
        self.assertIsNone(results.ratio("closed-50", "reqresp", "c", "total"))

    def test_numbers_keep_three_digits(self) -> None:
        self.assertEqual(
            [number(value) for value in (1234.5, 12.345, 1.2345, 0.12345, 0.0)],
            ["1,234", "12.3", "1.23", "0.123", "0"],
        )


class TablesOfPartsTests(SynchronousTestCase):
    def test_every_peer_and_floor_of_a_part_is_known(self) -> None:
        for part in PARTS.values():
            names = set(part.loads) | {part.floor} if isinstance(part, LoadPart) else part.peers
            self.assertEqual([name for name in names if name not in PEERS], [])

    def test_every_floor_meets_the_load_it_is_the_floor_of(self) -> None:
        parts = [part for part in PARTS.values() if isinstance(part, LoadPart)]
        self.assertEqual([part.name for part in parts if part.floor not in part.loads], [])

    def test_a_reply_is_escaped_where_the_command_unescapes_it(self) -> None:
        self.assertEqual(command(("{reply}", "{escaped}"), "+\r\n"), ("+\r\n", "+\\r\\n"))


class ScriptTests(SynchronousTestCase):
    """Scripts with many rules, and the figures for them."""

    def answer(self, kind: Kind, request: bytes) -> tuple[str, list[Step]]:
        """Return which of a few rules of that kind matches the request, and its reply."""
        steps = Script.parse(kind.script(LENGTHS + 10)).rules.respond(request, patterns.Asking())
        assert isinstance(steps, RuleReply)
        return steps.by, [*steps]

    def test_every_rule_of_every_kind_answers_its_own_requests(self) -> None:
        for name, kind in KINDS.items():
            for at in (0, LENGTHS - 1, LENGTHS + 9):
                answer = f"rule[{at}]", [Send(clients.value(at))]
                self.assertEqual(self.answer(kind, kind.ask(at, "any text")), answer, name)

    def test_kinds_that_are_looked_up_answer_the_load_s_requests(self) -> None:
        for name in INDEXED:
            answer = "rule[7]", [Send(clients.value(7))]
            self.assertEqual(self.answer(KINDS[name], clients.key(7)), answer, name)

    def test_prefixes_of_several_lengths_have_so_many(self) -> None:
        lines = KINDS["lengths"].script(2 * LENGTHS).splitlines()
        prefixes = [line for line in lines if line.startswith("starts_with")]
        self.assertEqual((len(prefixes), len(set(map(len, prefixes)))), (2 * LENGTHS, LENGTHS))

    def test_a_script_is_loaded_asked_and_reckoned(self) -> None:
        figures = patterns.measure(KINDS["middle"], 50, blocks=2)
        for figure in (figures.seconds, figures.first, figures.again):
            self.assertGreater(figure, 0)
        self.assertLessEqual(figures.loaded, figures.asked)

    def test_requests_differ_and_ask_for_any_rule(self) -> None:
        [requests, others] = patterns.requests(KINDS["contains"], 1_000, 2)
        self.assertEqual(len({*requests, *others}), len(requests) + len(others))
        self.assertGreater(len({request[13:22] for request in requests}), 5)

    def test_the_tables_have_kinds_below_and_sizes_beside_each_other(self) -> None:
        small = patterns.Figures(0.5, 2e-6, 1e-6, 1_000_000, 2_000_000)
        large = evolve(small, first=4e-6, again=3e-6, asked=30_000_000)
        told = patterns.tables({("equals", 1): small, ("equals", 10_000): large}).splitlines()
        self.assertEqual([line.split()[-3:] for line in told[3:5]], [
            ["first", "2.00", "4.00"],
            ["again", "1.00", "3.00"],
        ])  # fmt: skip
        self.assertEqual(told[-2].split()[-3:], ["0.500", "1.00", "30.0"])

    def test_ten_thousand_rules_may_cost_so_much_more_than_ten(self) -> None:
        results = made_up(
            ("scripts", "equals-10", 1, 20.0),
            ("scripts", "equals-10000", 1, 25.9),
            ("scripts-16", "matches-10", 1, 5.0),
            ("scripts-16", "matches-10000", 1, 6.6),
        )
        verdicts = {target.what: target.verdict(results) for target in TARGETS}
        told = "a script of 10,000 rules ({}): CPU relative to 10 rules"
        self.assertEqual(verdicts["closed loop, " + told.format("equals")], "met")
        self.assertEqual(verdicts["16 deep, " + told.format("matches")], "missed")
        self.assertEqual(verdicts["16 deep, " + told.format("equals")], "not measured")


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.results = made_up(
            ("closed-50", "c", 1, 7.0),
            ("closed-50", "asyncio", 1, 10.5),
            ("closed-50", "reqresp", 1, 10.5),
        )
        self.results.samples.append(Sample("idle", "reqresp", 1, {"resident": 2_000.0}))
        self.results.missing["closed-50", "go"] = "go is not installed"

    def verdicts(self) -> dict[str, str]:
        return {target.what: target.verdict(self.results) for target in TARGETS}

    @skipIf(find_spec("docutils") is None, "docutils is not installed")
    def test_it_is_restructured_text_without_complaint(self) -> None:
        text = f"{report(self.results, 3)}\n{describe(Path('none'), 'python -m bench', 0.1)}"
        done = subprocess.run(
            [sys.executable, "-m", "docutils", "--report=1", "--halt=5", "--writer=xml"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual((done.stdout.count("<table"), done.stderr), (4, ""))

    def test_the_cheapest_comes_first_and_the_floor_is_one(self) -> None:
        lines = [line for line in report(self.results, 1).splitlines() if "closed-50  " in line]
        self.assertEqual(
            lines[0].split()[1:8], ["C,", "epoll", "1.75", "5.25", "7.00", "1.00", "142,857"]
        )
        self.assertIn("reqresp", lines[2])
        self.assertIn(" 1.50 ", lines[2])

    def test_what_could_not_run_is_listed_with_its_reason(self) -> None:
        self.assertIn("go is not installed", report(self.results, 1))

    def test_a_target_is_met_or_missed_or_was_not_measured(self) -> None:
        verdicts = self.verdicts()
        self.assertEqual(verdicts["closed loop, 50 connections: CPU relative to asyncio"], "met")
        self.assertEqual(
            verdicts["accept and one request: CPU relative to redis-server"], "not measured"
        )

    def test_a_figure_above_its_bar_is_missed(self) -> None:
        self.assertEqual(self.verdicts()["an idle connection, resident"], "missed")

    def test_each_load_of_the_server_with_threads_has_a_target(self) -> None:
        relative = [what for what in self.verdicts() if what.endswith("CPU relative to threads")]
        self.assertEqual(
            sorted(what.partition(": ")[0] for what in relative),
            sorted(
                PARTS[name].title
                for name in (
                    *("closed-1", "closed-50", "closed-200", "pipeline-16", "pipeline-100"),
                    *("http", "accept"),
                )
            ),
        )

    def test_every_target_has_a_name_of_its_own(self) -> None:
        self.assertEqual(len(self.verdicts()), len(TARGETS))

    def test_a_table_without_rows_is_nothing(self) -> None:
        self.assertEqual(simple_table(("what", "why"), []), "")

    def test_the_plot_is_xml_with_a_bar_for_each_server(self) -> None:
        root = ElementTree.fromstring(draw(self.results))  # noqa: S314  # our own text
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(
            [text for text in texts if text in ("C, epoll", "asyncio.Protocol")],
            ["C, epoll", "asyncio.Protocol"],
        )

    def test_the_plot_explains_its_ratios(self) -> None:
        plot = draw(self.results)
        self.assertIn("1.50 x C<", plot)
        self.assertIn(">x C: CPU relative to a loop of epoll_wait, recv and send in C", plot)

    def test_a_plot_of_nothing_is_still_a_picture(self) -> None:
        root = ElementTree.fromstring(draw(Results()))  # noqa: S314  # our own text
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")


class LiveTests(SynchronousTestCase):
    """Real processes and a few requests: all parts work together."""

    def setUp(self) -> None:
        self.core = min(os.sched_getaffinity(0))
        self.said: list[str] = []
        self.results = Results()
        self.runner = Runner(
            Cores(self.core, self.core), temporary(self), self.said.append, self.results
        )

    @skipIf(shutil.which("redis-benchmark") is None, "redis-benchmark is not installed")
    def test_a_server_is_loaded_and_its_cpu_counted(self) -> None:
        part = LoadPart("closed-50", "", {"threads": RedisBenchmark(500, connections=2)})
        self.runner.carry_out(Plan([part], runs=1))
        self.assertEqual(self.results.missing, {})
        self.assertGreater(self.results.median("closed-50", "threads", "total") or 0, 0)
        self.assertGreater(self.results.median("closed-50", "threads", "rate") or 0, 0)

    def test_scripts_and_functions_are_loaded_with_keys(self) -> None:
        load = Keys(32, keys=10, connections=2)
        part = LoadPart("scripts", "", {"function": load, "starts_with-10": load, "filters": load})
        self.runner.carry_out(Plan([part], runs=1))
        self.assertEqual(self.results.missing, {})
        for peer in part.loads:
            self.assertGreater(self.results.median("scripts", peer, "total") or 0, 0)

    def test_the_servers_of_a_load_take_turns(self) -> None:
        """Each is started once for its turns, and their processes run at the same time."""
        load = Keys(32, keys=10, connections=2)
        part = LoadPart("scripts", "", {"function": load, "table-10": load})
        self.runner.carry_out(Plan([part], runs=2))
        self.assertEqual(self.results.missing, {})
        measured = [(it.peer, it.run) for it in self.results.samples]
        expected = [(name, turn) for turn in range(2 * TURNS) for name in part.loads]
        self.assertEqual(measured, expected)
        self.assertIn(f"{4 * TURNS}/{4 * TURNS}]", self.said[-1])

    def test_idle_connections_and_starts_are_measured(self) -> None:
        parts = (IdlePart("idle", "", ("threads",), 40), StartPart("startup", "", ("threads",), 1))
        self.runner.carry_out(Plan(parts, runs=1))
        self.assertEqual(self.results.missing, {})
        self.assertGreater(self.results.median("startup", "threads", "seconds") or 0, 0)
        self.assertGreater(self.results.median("idle", "threads", "resident") or 0, 0)

    def test_relays_are_measured_before_a_service(self) -> None:
        load = Bulk(4, connections=2)
        loads = {"relay": load, "relay-recorded": load}
        parts = (
            LoadPart("relay-bulk", "", loads, service="bulk"),
            IdlePart("relay-idle", "", ("relay",), 40, service="threads"),
        )
        self.runner.carry_out(Plan(parts, runs=1))
        self.assertEqual(self.results.missing, {})
        for peer in loads:
            self.assertGreater(self.results.median("relay-bulk", peer, "total") or 0, 0)
        self.assertGreater(self.results.median("relay-idle", "relay", "resident") or 0, 0)

    def test_a_bulk_reply_that_is_cut_is_no_measurement(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def cut() -> None:
                with server.accept()[0] as client:
                    client.recv(1024)

            thread = Thread(target=cut)
            thread.start()
            with self.assertRaisesRegex(BadReplyError, "EOF, 1000000 bytes before the end"):
                Bulk(1, connections=1).run(server.getsockname()[1])
            thread.join()

    def test_commands_are_measured_to_their_end(self) -> None:
        self.runner.carry_out(Plan([CommandPart("commands", "", ("python", "check"), 1)], runs=1))
        self.assertEqual(self.results.missing, {})
        for figure in ("seconds", "cpu"):
            python, check = (
                self.results.median("commands", peer, figure) or 0 for peer in ("python", "check")
            )
            self.assertGreater(check, python)

    def test_a_command_that_fails_is_reported_with_its_last_words(self) -> None:
        with self.assertRaisesRegex(UnavailableError, "status 1: no such thing"):
            run_to_end([sys.executable, "-c", "raise SystemExit('no such thing')"], self.core)

    def test_a_command_that_does_not_end_is_given_up(self) -> None:
        with self.assertRaisesRegex(UnavailableError, "did not end"):
            run_to_end(["sleep", "60"], self.core, limit=0.1)

    def test_a_wrong_reply_is_no_measurement(self) -> None:
        part = LoadPart("replies", "", {"threads": Keys(16, keys=10, connections=1)})
        self.runner.carry_out(Plan([part], runs=2))
        self.assertIn("expected b", self.results.missing["replies", "threads"])
        self.assertEqual(len(self.said), 1)

    def test_a_server_that_ends_at_once_is_reported_with_its_last_words(self) -> None:
        with (
            self.assertRaisesRegex(UnavailableError, "before listening: no such thing"),
            running([sys.executable, "-c", "raise SystemExit('no such thing')"], self.core),
        ):
            self.fail("it did not listen")

    def test_a_server_that_never_listens_is_given_up_and_killed(self) -> None:
        with (
            self.assertRaisesRegex(UnavailableError, "did not listen"),
            running(["sleep", "60"], self.core, limit=0.1),
        ):
            self.fail("it did not listen")

    def test_a_server_is_asked_at_a_pace(self) -> None:
        """A server is asked at a rate, while pages receive what it does."""
        words = PEERS["paged"].prepare(Path())
        with running(command(words, "+PONG"), self.core) as server:
            outcome = Paced(0.5, rate=200, pages=2, connections=4).run(server.port)
        self.assertEqual(outcome.requests, 100)
        self.assertEqual(Paced(2, rate=10).times(0.5), Paced(1, rate=10))

    def test_a_server_is_gone_when_it_is_no_longer_needed(self) -> None:
        words = PEERS["threads"].prepare(temporary(self))
        with running(command(words, "reply"), self.core) as server:
            self.assertEqual(measure.listening_ports(server.pid), {server.port})
        with self.assertRaises(ProcessLookupError):
            os.kill(server.pid, 0)
