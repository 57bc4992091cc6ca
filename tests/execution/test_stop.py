"""Signals that ask a process to stop."""

import contextlib
import signal
import threading
import time

import pytest

from slt_bench.execution.worker import signals
from slt_bench.execution.worker.signals import SIGNALS, Stopped, Stopper

EVERY = pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)


def send(*signums, reached):
    """Signals to this process one after another; `reached` gets those after which it went on."""
    for signum in signums:
        signal.raise_signal(signum)
        reached.append(signum)


@pytest.fixture(autouse=True)
def handlers():
    """The handlers at the start, none of which ignores its signal as under nohup; whatever a test does, they return."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    yield {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_the_signals_are_those_that_people_and_schedulers_send():
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2} <= set(SIGNALS)


def test_stopped_passes_by_whoever_catches_every_exception():
    assert not issubclass(Stopped, Exception)
    with pytest.raises(Stopped), Stopper(), contextlib.suppress(Exception):
        signal.raise_signal(signal.SIGTERM)


@EVERY
class TestEverySignal:
    def test_stops_at_once_outside_of_a_deferred_block(self, signum):
        reached = []
        with Stopper() as stopper:
            with pytest.raises(Stopped, match=f"stopped by {signum.name}") as caught:
                send(signum, reached=reached)
            assert caught.value.signum == signum
            assert stopper.requested == signum
        assert reached == []

    def test_only_asks_within_one_and_stops_at_its_end(self, signum):
        reached = []
        with Stopper() as stopper:
            with pytest.raises(Stopped, match=f"stopped by {signum.name}"), stopper.deferred():
                send(signum, reached=reached)
            assert stopper.requested == signum
        assert reached == [signum]

    @pytest.mark.parametrize("seconds", [0.0, signals.SAME_SECONDS])
    def test_stops_at_once_when_it_is_the_second_unless_both_come_together(self, signum, monkeypatch, seconds):
        monkeypatch.setattr(signals, "SAME_SECONDS", seconds)
        reached = []
        with Stopper() as stopper, pytest.raises(Stopped) as caught, stopper.deferred():
            send(signal.SIGTERM, signum, signum, reached=reached)
        assert caught.value.signum == (signal.SIGTERM if seconds else signum)
        assert reached == ([signal.SIGTERM, signum, signum] if seconds else [signal.SIGTERM])

    def test_stops_at_once_after_a_block_in_which_nothing_came(self, signum):
        with Stopper() as stopper:
            with stopper.deferred():
                pass
            with pytest.raises(Stopped, match=signum.name):
                signal.raise_signal(signum)

    def test_finds_its_former_handler_again(self, signum, handlers):
        with Stopper():
            assert signal.getsignal(signum) != handlers[signum]
        assert signal.getsignal(signum) == handlers[signum]
        with pytest.raises(RuntimeError), Stopper():
            raise RuntimeError
        with pytest.raises(Stopped), Stopper():
            signal.raise_signal(signum)
        assert signal.getsignal(signum) == handlers[signum]

    def test_stays_ignored(self, signum):
        signal.signal(signum, signal.SIG_IGN)
        with Stopper() as stopper:
            signal.raise_signal(signum)
            assert stopper.requested is None
            with stopper.deferred():
                signal.raise_signal(signum)
            stopper.check()
            assert signal.getsignal(signum) is signal.SIG_IGN
        assert signal.getsignal(signum) is signal.SIG_IGN


def test_nothing_is_asked_where_nothing_came():
    with Stopper() as stopper:
        with stopper.deferred():
            stopper.check()
        assert stopper.requested is None


def test_an_error_in_a_deferred_block_is_not_hidden_by_the_request():
    def fail():
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("its own")

    with Stopper() as stopper, pytest.raises(RuntimeError, match="its own"), stopper.deferred():
        fail()
    with pytest.raises(Stopped):
        stopper.check()


def test_a_block_may_be_deferred_again_after_an_error():
    with Stopper() as stopper:
        with pytest.raises(RuntimeError), stopper.deferred():
            raise RuntimeError
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGUSR2)


def test_two_stoppers_one_within_the_other_both_let_go(handlers):
    with Stopper() as outer, Stopper() as inner:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        assert (outer.requested, inner.requested) == (None, signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == handlers[signal.SIGTERM]


def test_outside_of_the_main_thread_no_handler_is_touched(handlers):
    seen = []

    def work():
        with Stopper() as stopper:
            seen.extend(signal.getsignal(signum) for signum in SIGNALS)
            with stopper.deferred():
                pass
            stopper.check()
        seen.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [*handlers.values(), "ended"]
    assert {signum: signal.getsignal(signum) for signum in SIGNALS} == handlers


def test_another_thread_goes_on_while_the_main_one_is_stopped():
    begin, counted = threading.Event(), []

    def count():
        begin.wait()
        counted.extend(range(1000))

    thread = threading.Thread(target=count)
    thread.start()
    with pytest.raises(Stopped), Stopper():
        signal.raise_signal(signal.SIGTERM)
    begin.set()
    thread.join()
    assert len(counted) == 1000


def test_a_signal_that_another_thread_sends_stops_the_main_one():
    def wait():
        thread = threading.Thread(target=lambda: signal.raise_signal(signal.SIGUSR2))
        thread.start()
        thread.join()
        deadline = time.monotonic() + 30
        while stopper.requested is None and time.monotonic() < deadline:
            time.sleep(0.001)

    with Stopper() as stopper:
        with pytest.raises(Stopped), stopper.deferred():
            wait()
        assert stopper.requested == signal.SIGUSR2
