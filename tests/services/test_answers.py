"""What serves the clients of a service; `tests.daemon.test_forwarding` has relays of options."""

from twisted.logger import LogLevel

from reqresp import Line
from reqresp._errors import FieldError, ProblemsError
from reqresp.services.answers import Loaded, check_answers, load, log_warnings
from reqresp.services.definition import Definition, FixedReply, ReplayFile, ScriptFile
from tests.support import live
from tests.support.listening import logged_events, text_of
from tests.support.served import Served

HEAD = '[[service]]\nname = "it"\nlisten = 1\n'


class LoadTests(Served):
    """The files that a definition names."""

    def test_a_file_that_is_missing(self) -> None:
        """Its name is shown with the key, and the line, that names it."""
        for key, name in (("script", "no.toml"), ("replay", "no.rec")):
            with self.assertRaises(ProblemsError) as caught:
                self.loaded(f'{HEAD}{key} = "{name}"')
            self.assertEqual(
                str(caught.exception),
                f"services.toml:4: service[0].{key}: {name}: cannot be read: No such file or"
                " directory",
            )

    def test_faults_beside_a_script(self) -> None:
        """They are added to those of the script, and the seed replaces its own."""
        path = live.temporary(self) / "it.toml"
        path.write_text(
            'seed = 1\nfault = [{ kind = "latency", delay = 1 }]\n[[rule]]\nreply = "a"\n'
        )
        faults = '[{ kind = "latency", delay = 2 }, { kind = "noop", stream = "upstream" }]'
        text = f'{HEAD}script = "{path}"\nseed = 2\nfault = {faults}'
        [(_, loaded)] = self.loaded(text)
        assert loaded.script is not None
        self.assertEqual(loaded.script.seed, 2)
        self.assertEqual(len({it.key for it in loaded.script.faults}), 2)  # each has its own dice
        self.assertEqual([it.name for it in loaded.script.stream_faults], ["noop"])
        self.start(text)
        wire = self.connect("it")
        wire.send(b"x\n")
        wire.wait(2.9)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.2)
        self.assertEqual(wire.received(), b"a\r\n")

    def test_faults_that_do_not_fit_a_script(self) -> None:
        """They are refused where they are written, once the script is known."""
        path = live.temporary(self) / "it.toml"
        relay = 'upstream = { address = "a:1" }\n'
        noop = 'kind = "noop", stream = "upstream"'
        for script, fault, problem in (
            ('rule = [{ reply = "a" }]', 'kind = "nope"', "kind: unknown kind 'nope'"),
            ('rule = [{ reply = "a" }]', noop.replace("up", "down"), "stream: expected upstream"),
            (relay, 'kind = "noop"', "stream: the key is missing: a relay has no replies"),
            (f"{relay}fault = [{{ {noop} }}]", f'{noop}, name = "noop"', "name: expected another"),
        ):
            path.write_text(script)
            with self.assertRaises(ProblemsError) as caught:
                self.loaded(f'{HEAD}script = "{path}"\nfault = [{{ {fault} }}]')
            self.assertIn(f"services.toml:5: service[0].fault[0].{problem}", str(caught.exception))

    def test_a_recording_of_nothing(self) -> None:
        """What is wrong with a whole file is placed likewise."""
        path = live.temporary(self) / "it.rec"
        path.write_text("# reqresp recording 1\n")
        with self.assertRaises(ProblemsError) as caught:
            self.loaded(f'{HEAD}replay = "{path}"')
        self.assertIn("services.toml:4: service[0].replay: ", str(caught.exception))

    def test_the_same(self) -> None:
        """Files that say the same answer alike, however they are written."""
        directory = live.temporary(self)
        rule, head = 'rule = [{{ reply = "{}" }}]', "# reqresp recording 1\n> {}\n"
        found: list[Loaded] = []
        for answering, text in (
            (ScriptFile(directory / "it.toml"), rule),
            (ReplayFile(directory / "it.rec"), head),
        ):
            definition = Definition(answering=answering)
            found = []
            for written in (text.format("a"), text.format("a") + "\n", text.format("b")):
                answering.path.write_text(written)
                found.append(load(definition))
            self.assertTrue(found[0].is_same(found[1]))
            self.assertFalse(found[0].is_same(found[2]))
        self.assertTrue(load(Definition()).is_same(load(Definition())))
        self.assertFalse(load(Definition()).is_same(found[0]))

    def test_warnings(self) -> None:
        """What is valid but hardly meant is logged."""
        [(_, loaded)] = self.loaded(HEAD + 'rule = [{ reply = "a" }, { reply = "b" }]')
        events = logged_events(self, LogLevel.warn)
        log_warnings(loaded)
        self.assertIn("never answers", text_of(events[0]))


class CheckTests(Served):
    """Parts that do not fit together."""

    def test_a_reply_that_the_framing_cannot_hold(self) -> None:
        """The error names the key."""
        definition = Definition(answering=FixedReply(b"a\nb"), framing=Line())
        with self.assertRaises(FieldError) as caught:
            check_answers(definition, Loaded(), self.reactor)
        self.assertEqual(caught.exception.field, "response")

    def test_replacing_keys(self) -> None:
        """What they replace in a script has to fit to it."""
        directory = live.temporary(self)
        path = directory / "it.toml"
        for script, keys, error in (
            ('rule = [{ reply = "a" }]', 'upstream = "a:1"', "answers by itself"),
            ('upstream = { address = "a:1" }', 'framing = "line"', "a relay"),
            ('rule = [{ reply = "a" }]', "upstream = { tls = { ca = 'x' }, address = 'a:1' }", ""),
            ('rule = [{ reply = "a\\nb" }]\nframing = "chunk"', 'framing = "line"', "conflicts"),
        ):
            path.write_text(script)
            [(definition, loaded)] = self.loaded(HEAD + f'script = "{path}"\n{keys}')
            with self.assertRaisesRegex(ValueError, error):
                check_answers(definition, loaded, self.reactor)

    def test_nothing_is_logged(self) -> None:
        """A check chooses no seed."""
        text = HEAD + 'fault = [{ kind = "latency", delay = 1 }]'
        [(definition, loaded)] = self.loaded(text)
        events = logged_events(self, LogLevel.info)
        check_answers(definition, loaded, self.reactor)
        self.assertEqual(events, [])


class UploadTests(Served):
    """Services that read slowly, or not to the end."""

    def test_each_kind_of_service_that_answers(self) -> None:
        """A fixed reply and rules have faults of what clients send; a reload changes them."""
        fault = 'fault = [{ stream = "upstream", kind = "latency", delay = 2 }]\n'
        for answer in ('framing = "line"\nresponse = "a"\n', '[[service.rule]]\nreply = "a"\n'):
            self.setUp()
            self.start(HEAD + fault + answer)
            wire = self.connect("it")
            wire.send(b"x\n")
            wire.wait(1.9)
            self.assertEqual(wire.received(), b"")
            wire.wait(0.1)
            self.assertEqual(wire.received(), b"a\r\n")
            self.services.reload(self.loaded(HEAD + answer))
            wire.send(b"x\n")
            self.assertEqual(wire.received(), b"a\r\n")
