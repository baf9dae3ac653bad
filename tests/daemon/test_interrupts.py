"""Interrupts that were logged instead of raised, with a log in memory."""

import io
import sys
import warnings

from twisted.logger import LogBeginner, Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.interrupts import raise_logged_interrupt


class LoggedInterruptTests(SynchronousTestCase):
    """What was logged before logging began."""

    def setUp(self) -> None:
        self.publisher = LogPublisher()
        self.log = Logger(observer=self.publisher)
        self.beginner = LogBeginner(self.publisher, io.StringIO(), sys, warnings)

    def test_interrupt(self) -> None:
        """A KeyboardInterrupt among other events is raised."""
        self.log.failure("before", Failure(ValueError()))
        self.log.failure("it", Failure(KeyboardInterrupt()))
        self.log.info("after")
        with self.assertRaises(KeyboardInterrupt):
            raise_logged_interrupt(self.beginner)

    def test_interrupt_in_an_event_of_the_old_log(self) -> None:
        """A KeyboardInterrupt is raised that was logged as `twisted.python.log.err` does."""
        self.publisher({"failure": Failure(KeyboardInterrupt()), "isError": 1})
        with self.assertRaises(KeyboardInterrupt):
            raise_logged_interrupt(self.beginner)

    def test_other_failures(self) -> None:
        """Other failures, such as a plugin that cannot be imported, are not raised."""
        self.log.failure("it", Failure(ImportError()))
        self.log.info("after")
        raise_logged_interrupt(self.beginner)

    def test_nothing(self) -> None:
        """Without events, nothing is raised."""
        raise_logged_interrupt(self.beginner)
