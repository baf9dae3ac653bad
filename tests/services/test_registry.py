"""All services of a process: they come, change and go, whole or not at all."""

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from reqresp._errors import ProblemsError
from reqresp.services.errors import ListenError, TakenError, UnknownServiceError
from reqresp.services.registry import Changes, Services
from reqresp.services.service import Service
from tests.support.served import Served

A = '[[service]]\nname = "a"\nlisten = 1\nresponse = "A"\nframing = "line"\n'
B = '[[service]]\nname = "b"\nlisten = 2\nresponse = "B"\nframing = "line"\n'


class LookUpTests(Served):
    """Services by their names."""

    def test_names(self) -> None:
        """Services keep the order of their file; an unknown name suggests a similar one."""
        self.start(A.replace('"a"', '"smtp"') + B)
        self.assertEqual([it.name for it in self.services], ["smtp", "b"])
        self.assertEqual(len(self.services), 2)
        self.assertIn("b", self.services)
        with self.assertRaisesRegex(KeyError, "unknown service 'smpt'; did you mean smtp"):
            self.services["smpt"]


class OneTests(Served):
    """One service comes, changes or goes."""

    def create(self, text: str) -> Deferred[Service]:
        [definition] = self.definitions(text)
        return self.services.create(definition)

    def test_create(self) -> None:
        """A new service listens and answers at once."""
        self.successResultOf(self.create(A))
        self.assertEqual(self.services["a"].addresses, ("127.0.0.1:1",))
        self.assertEqual(self.ask("a"), b"A\r\n")

    def test_create_disabled(self) -> None:
        """A service that is not enabled does not listen."""
        self.successResultOf(self.create(A + "enabled = false"))
        self.assertFalse(self.services["a"].is_enabled)
        self.assertEqual(self.network.open, {})

    def test_taken(self) -> None:
        """A name or an address of another service is refused with one line."""
        self.start(A)
        failure = self.failureResultOf(self.create(A.replace("= 1", "= 3")), TakenError)
        self.assertEqual(str(failure.value), "a service is named 'a' already")
        failure = self.failureResultOf(self.create(B.replace("= 2", "= 1")), TakenError)
        self.assertEqual(str(failure.value), "127.0.0.1:1 is the address of 'a'")
        self.assertEqual(len(self.services), 1)

    def test_an_address_of_two(self) -> None:
        """Two services can have one address while one of them listens; a reset restores that."""
        disabled = A.replace('"a"', '"c"') + "enabled = false\n"
        self.start(A + disabled)
        self.assertEqual([*self.network.open], ["127.0.0.1:1"])
        failure = self.failureResultOf(self.services["c"].enable(), ListenError)
        self.assertEqual(str(failure.value), "cannot listen on 127.0.0.1:1: Address already in use")
        self.successResultOf(self.services["a"].disable())
        self.successResultOf(self.services["c"].enable())
        self.assertEqual(self.ask("c"), b"A\r\n")
        reset = self.services.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual([it.addresses for it in self.services], [("127.0.0.1:1",), ()])

    def test_cannot_listen(self) -> None:
        """A service that cannot listen is not created, and its other ports are closed."""
        self.network.broken.add("127.0.0.1:3")
        failure = self.failureResultOf(self.create(A.replace("= 1", "= [1, 3]")), ListenError)
        self.assertEqual(str(failure.value), "cannot listen on 127.0.0.1:3: Address already in use")
        self.assertEqual((len(self.services), self.network.open), (0, {}))

    def test_problems(self) -> None:
        """What cannot be made says where it is written."""
        text = A + 'tls = { cert = "none.pem" }'
        failure = self.failureResultOf(self.create(text), ProblemsError)
        self.assertRegex(
            str(failure.value), r"^services.toml:6: service\[0\].tls.cert: .*none.pem: "
        )

    def test_replace_what_is_answered(self) -> None:
        """Open connections go on as they began; new ones get the new answer."""
        self.start(A)
        service, client = self.services["a"], self.connect("a")
        [definition] = self.definitions(A.replace('"A"', '"new"'))
        self.assertIs(self.successResultOf(self.services.replace("a", definition)), service)
        client.send(b"x\n")
        self.assertEqual((client.received(), self.ask("a")), (b"A\r\n", b"new\r\n"))

    def test_replace_the_address(self) -> None:
        """The service listens there, and its connections are reset."""
        self.start(A)
        client = self.connect("a")
        [definition] = self.definitions(A.replace("= 1", "= [1, 3]"))
        replaced = self.services.replace("a", definition)
        client.turn()
        self.successResultOf(replaced)
        self.assertEqual(self.services["a"].addresses, ("127.0.0.1:1", "127.0.0.1:3"))
        self.assertTrue(client.got_reset)

    def test_replace_that_fails(self) -> None:
        """If the new one cannot listen, the old one does, and its connections go on."""
        self.start(A)
        service, client = self.services["a"], self.connect("a")
        self.network.broken.add("127.0.0.1:3")
        [definition] = self.definitions(A.replace("= 1", "= [1, 3]"))
        self.failureResultOf(self.services.replace("a", definition), ListenError)
        self.assertIs(self.services["a"], service)
        client.send(b"x\n")
        self.assertEqual((client.received(), self.ask("a")), (b"A\r\n", b"A\r\n"))

    def test_replace_enables(self) -> None:
        """The definition says whether the service listens."""
        self.start(A)
        for text, addresses in ((A + "enabled = false", ()), (A, ("127.0.0.1:1",))):
            [definition] = self.definitions(text)
            self.successResultOf(self.services.replace("a", definition))
            self.assertEqual(self.services["a"].addresses, addresses)

    def test_rename(self) -> None:
        """A service can get another name, which must be free, and keep its address."""
        self.start(A + B)
        [definition] = self.definitions(A.replace('"a"', '"b"'))
        self.failureResultOf(self.services.replace("a", definition), TakenError)
        [definition] = self.definitions(A.replace('"a"', '"c"'))
        self.successResultOf(self.services.replace("a", definition))
        self.assertEqual([it.name for it in self.services], ["c", "b"])
        self.assertEqual(self.ask("c"), b"A\r\n")

    def test_delete(self) -> None:
        """Its ports are closed, and its connections are reset."""
        self.start(A + B)
        client = self.connect("a")
        deleted = self.services.delete("a")
        client.turn()
        self.successResultOf(deleted)
        self.assertTrue(client.got_reset)
        self.assertEqual([*self.network.open], ["127.0.0.1:2"])
        self.failureResultOf(self.services.delete("a"), UnknownServiceError)


class InTurnTests(Served):
    """Changes that are asked for while another one has not ended."""

    def setUp(self) -> None:
        super().setUp()
        #: Each fires when the files of a definition have been read.
        self.reads: list[Deferred[None]] = []

        def run(function: Any, *args: Any) -> Deferred[Any]:
            self.reads.append(Deferred())
            return self.reads[-1].addCallback(lambda _: function(*args))

        self.services = Services(evolve(self.environment, run=run))
        self.start(A)

    def replace(self, text: str) -> Deferred[Service]:
        [definition] = self.definitions(text)
        return self.services.replace("a", definition)

    def test_deleted_while_it_is_replaced(self) -> None:
        """It is deleted after that: nothing listens, whatever was to change."""
        for text in (A.replace('"A"', '"new"'), A.replace("= 1", "= [1, 3]")):
            self.successResultOf(self.services.reload(self.loaded(A)))
            replaced, deleted = self.replace(text), self.services.delete("a")
            self.reads.pop().callback(None)
            for _ in range(2):
                self.reactor.advance(0)
            self.successResultOf(replaced)
            self.successResultOf(deleted)
            self.assertEqual((len(self.services), self.network.open), (0, {}))

    def test_replaced_while_it_is_deleted(self) -> None:
        """It is unknown then, and nothing listens."""
        client = self.connect("a")
        deleted, replaced = self.services.delete("a"), self.replace(A)
        client.turn()
        self.successResultOf(deleted)
        failure = self.failureResultOf(replaced, UnknownServiceError)
        self.assertEqual(str(failure.value), "unknown service 'a'")
        self.assertEqual((len(self.services), self.network.open), (0, {}))

    def test_reloaded_while_it_is_replaced(self) -> None:
        """The reload begins after that, and wins."""
        replaced = self.replace(A.replace("= 1", "= 3"))
        reloaded = self.services.reload(self.loaded(A))
        self.reads.pop().callback(None)
        for _ in range(2):
            self.reactor.advance(0)
        self.successResultOf(replaced)
        changes = Changes(changed=("a",), reverted=("a",))
        self.assertEqual(self.successResultOf(reloaded), changes)
        self.assertEqual([*self.network.open], ["127.0.0.1:1"])

    def test_one_service_is_changed_while_it_is_replaced(self) -> None:
        """It is enabled, disabled or reset after that, as what it has become."""
        for change, is_open in (
            (self.services.enable, True),
            (self.services.disable, False),
            (self.services.reset_one, True),
        ):
            self.successResultOf(self.services.reload(self.loaded(A)))
            old = self.services["a"]
            replaced, changed = self.replace(A.replace("= 1", "= 3")), change("a")
            self.assertNoResult(changed)
            self.reads.pop().callback(None)
            for _ in range(3):
                self.reactor.advance(0)
            self.successResultOf(replaced)
            new = self.successResultOf(changed)
            self.assertIs(new, self.services["a"])
            self.assertIsNot(new, old)
            self.assertEqual([*self.network.open], ["127.0.0.1:3"] * is_open)
        self.failureResultOf(self.services.enable("b"), UnknownServiceError)

    def test_cancelled_before_it_begins(self) -> None:
        """A change that is cancelled while it waits is not made, and those after it are."""
        replaced, cancelled = self.replace(A.replace('"A"', '"new"')), self.services.delete("a")
        deleted = self.services.delete("a")
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.reads.pop().callback(None)
        self.reactor.advance(0)
        self.successResultOf(replaced)
        self.successResultOf(deleted)


class ReloadTests(Served):
    """All services become what a file says now."""

    def reload(self, text: str) -> Changes:
        return self.successResultOf(self.services.reload(self.loaded(text)))

    def test_nothing_has_changed(self) -> None:
        """Services that stay the same are not touched: their rules count on."""
        text = (
            '[[service]]\nname = "a"\nlisten = 1\nrule = [{ reply = { template = "{count}" } }]\n'
        )
        self.start(text)
        self.assertEqual(self.ask("a"), b"1\r\n")
        self.assertEqual(str(self.reload("# moved by a line\n" + text)), "nothing has changed")
        self.assertEqual(self.ask("a"), b"2\r\n")

    def test_comes_changes_and_goes(self) -> None:
        """A connection of a service that stays the same goes on."""
        self.start(A + B)
        client = self.connect("b")
        changes = self.reload(B + A.replace('"a"', '"c"').replace("= 1", "= 3"))
        self.assertEqual(changes, Changes(added=("c",), removed=("a",)))
        self.assertEqual(str(changes), "added c; removed a")
        self.assertEqual([*self.network.open], ["127.0.0.1:2", "127.0.0.1:3"])
        self.assertEqual(self.reload(B), Changes(removed=("c",)))
        client.send(b"x\n")
        self.assertEqual(client.received(), b"B\r\n")
        self.assertTrue(client.is_open)

    def test_answers_change(self) -> None:
        """New connections get the new answer, and open ones go on as they began."""
        self.start(A + B)
        client = self.connect("a")
        self.assertEqual(self.reload(A.replace('"A"', '"new"') + B), Changes(changed=("a",)))
        client.send(b"x\n")
        self.assertEqual((client.received(), self.ask("a")), (b"A\r\n", b"new\r\n"))

    def test_addresses_are_exchanged(self) -> None:
        """A service can listen where another did before."""
        self.start(A + B)
        changes = self.reload(A.replace("= 1", "= 2") + B.replace("= 2", "= 1"))
        self.assertEqual(changes, Changes(changed=("a", "b")))
        self.assertEqual(self.services["a"].addresses, ("127.0.0.1:2",))
        self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_a_reload_that_fails_changes_nothing(self) -> None:
        """Neither a service that could change nor one that could come or go."""
        self.start(A + B)
        client = self.connect("a")
        self.network.broken.add("127.0.0.1:4")
        changed, moved = B.replace('"B"', '"new"'), A.replace("= 1", "= [1, 4]")
        moved_tls = A + 'tls = { cert = "none.pem" }\n'
        for text, error in (
            (changed + moved, ListenError),
            (changed + moved_tls, ProblemsError),
            (A.replace('"a"', '"c"').replace("= 1", "= [1, 4]"), ListenError),
        ):
            self.failureResultOf(self.services.reload(self.loaded(text)), error)
            self.assertEqual([it.name for it in self.services], ["a", "b"])
            self.assertEqual({*self.network.open}, {"127.0.0.1:1", "127.0.0.1:2"})
            client.send(b"x\n")
            self.assertEqual((client.received(), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_what_changed_at_run_time(self) -> None:
        """A reload makes it as the file says, and tells so."""
        self.start(A + B)
        self.successResultOf(self.services.use_script("b", 'rule = [{ reply = "scripted" }]'))
        changes = self.reload(A + B)
        self.assertEqual(changes, Changes(changed=("b",), reverted=("b",)))
        self.assertEqual(str(changes), "changed b; undid what had changed at run time: b")
        self.assertEqual(self.ask("b"), b"B\r\n")
        self.assertEqual(self.reload(A + B), Changes())

    def test_a_service_that_was_renamed(self) -> None:
        """It is again as its file says, wherever it listens, and its entries are numbered on."""
        self.start(A + B)
        for text in (A, A.replace("= 1", "= 3")):
            [definition] = self.definitions(text.replace('"a"', '"c"'))
            replaced = self.services.replace("a", definition)
            for _ in range(2):  # until its connections are reset
                self.reactor.advance(0)
            self.successResultOf(replaced)
            self.ask("c")
            position = self.services["c"].journal.position
            changes = self.reload(A + B)
            self.assertEqual(changes, Changes(added=("a",), removed=("c",), reverted=("c",)))
            self.assertEqual([it.name for it in self.services], ["a", "b"])
            self.assertEqual({*self.network.open}, {"127.0.0.1:1", "127.0.0.1:2"})
            self.assertEqual(self.ask("a"), b"A\r\n")
            self.assertGreater(self.services["a"].journal.position, position)

    def test_names_that_were_exchanged(self) -> None:
        """Each service has its own name and address again."""
        self.start(A + B)
        for name, text in (
            ("a", A.replace('"a"', '"c"')),
            ("b", B.replace('"b"', '"a"')),
            ("c", A.replace('"a"', '"b"')),
        ):
            [definition] = self.definitions(text)
            self.successResultOf(self.services.replace(name, definition))
        changes = Changes(changed=("a", "b"), reverted=("b", "a"))
        self.assertEqual(self.reload(A + B), changes)
        self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_what_was_created_is_in_the_way(self) -> None:
        """A service that was created keeps its name and its address: the file has the problem."""
        self.start(A)
        [definition] = self.definitions(B)
        self.successResultOf(self.services.create(definition))
        for text, problem in (
            (B.replace('"b"', '"c"'), ":8: service[1].listen: 127.0.0.1:2 is the address of 'b'"),
            (B.replace("= 2", "= 3"), ":7: service[1].name: a service is named 'b' already"),
        ):
            reloaded = self.services.reload(self.loaded(A + text))
            failure = self.failureResultOf(reloaded, ProblemsError)
            expected = f"services.toml{problem} since a change at run time; undo it first"
            self.assertEqual(str(failure.value), expected)
            self.assertEqual([it.name for it in self.services], ["a", "b"])
            self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_an_empty_script(self) -> None:
        """A script that answers nothing, perhaps not written yet, is refused."""
        text = A.replace('response = "A"', "ignore_case = true")
        failure = self.failureResultOf(self.services.reload(self.loaded(text)), ProblemsError)
        self.assertIn("the script answers nothing", str(failure.value))

    def test_services_that_were_created_stay(self) -> None:
        """A reload is about the services of the file."""
        self.start(A)
        [definition] = self.definitions(B)
        self.successResultOf(self.services.create(definition))
        self.assertEqual(self.reload(A.replace('"a"', '"c"')), Changes(("c",), (), ("a",)))
        self.assertEqual([it.name for it in self.services], ["c", "b"])


class TogetherTests(Served):
    """What all services do together."""

    def test_reset(self) -> None:
        """Services that came go, those that went come again, and all are as at the start."""
        self.start(A + B)
        [other] = self.definitions(A.replace('"a"', '"c"').replace("= 1", "= 3"))
        self.successResultOf(self.services.create(other))
        self.successResultOf(self.services.delete("a"))
        self.successResultOf(self.services.use_script("b", 'rule = [{ reply = "scripted" }]'))
        self.successResultOf(self.services["b"].disable())
        reset = self.services.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual([it.name for it in self.services], ["a", "b"])
        self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))
        self.assertEqual({*self.network.open}, {"127.0.0.1:1", "127.0.0.1:2"})

    def test_a_reset_that_fails_changes_nothing(self) -> None:
        """One line says where a service cannot listen; services and connections are as before."""
        self.start(A + B)
        [other] = self.definitions(A.replace('"a"', '"c"').replace("= 1", "= 3"))
        self.successResultOf(self.services.create(other))
        self.successResultOf(self.services["a"].disable())
        self.successResultOf(self.services.use_script("b", 'rule = [{ reply = "scripted" }]'))
        client = self.connect("b")
        position = self.services["b"].journal.position
        self.network.broken.add("127.0.0.1:1")
        failure = self.failureResultOf(self.services.reset(), ListenError)
        expected = "cannot listen on 127.0.0.1:1: Address already in use; nothing was reset"
        self.assertEqual(str(failure.value), expected)
        self.assertEqual([it.name for it in self.services], ["a", "b", "c"])
        self.assertFalse(self.services["a"].is_enabled)
        self.assertEqual({*self.network.open}, {"127.0.0.1:2", "127.0.0.1:3"})
        self.assertFalse(client.got_reset)
        self.assertEqual(self.services["b"].journal.kept, position - 1)
        self.assertEqual(self.ask("b"), b"scripted\r\n")
        self.network.broken.clear()
        reset = self.services.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_a_reset_makes_a_replaced_service_again(self) -> None:
        """Its entries are numbered on, and it takes the address of one that came since."""
        self.start(A + B)
        for name, text in (("b", B.replace("= 2", "= 4")), ("a", A.replace("= 1", "= 2"))):
            [definition] = self.definitions(text)
            self.successResultOf(self.services.replace(name, definition))
        self.ask("b")
        position = self.services["b"].journal.position
        reset = self.services.reset()
        for _ in range(3):
            self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual([*self.network.open], ["127.0.0.1:1", "127.0.0.1:2"])
        self.assertGreaterEqual(self.services["b"].journal.position, position)
        self.assertEqual((self.ask("a"), self.ask("b")), (b"A\r\n", b"B\r\n"))

    def test_reset_after_a_reload(self) -> None:
        """It is as the last reload said, and connections are reset."""
        self.start(A + B)
        changed = A.replace('"A"', '"new"') + B
        self.successResultOf(self.services.reload(self.loaded(changed)))
        clients = [self.connect("a"), self.connect("b")]
        self.successResultOf(self.services.use_script("a", 'rule = [{ reply = "scripted" }]'))
        reset = self.services.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual((self.ask("a"), self.ask("b")), (b"new\r\n", b"B\r\n"))
        self.assertTrue(all(it.got_reset for it in clients))

    def test_the_end(self) -> None:
        """Ports close, replies are finished, and connections end."""
        self.start(A + B)
        self.assertTrue(self.services.is_open)
        clients = [self.connect("a"), self.connect("b")]
        self.successResultOf(self.services.close_ports())
        self.assertEqual(self.network.open, {})
        self.assertFalse(self.services.is_open)
        drained = self.services.drain(5)
        self.assertNoResult(drained)
        for client in clients:
            client.turn()
            self.assertTrue(client.got_eof)
            client.send_eof()
            client.turn()
        self.successResultOf(drained)

    def test_start_reports_the_problems_of_all(self) -> None:
        """None of them is made then."""
        text = A + 'tls = { cert = "no1.pem" }\n' + B + 'tls = { cert = "no2.pem" }\n'
        with self.assertRaises(ProblemsError) as caught:
            self.services.start(self.loaded(text))
        self.assertEqual([it.line for it in caught.exception.problems], [6, 12])
        self.assertEqual(len(self.services), 0)
