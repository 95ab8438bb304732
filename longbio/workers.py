"""Processes that work for this one: they end with it, however it ends, and Ctrl-C is its alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """A pool of processes whose work is dropped when its block is left by an error.

    Args:
        count: of the processes.
        begin: called once in each of them, with `arguments`; an error in it is lost.
        arguments: can be pickled.
    """

    def __init__(self, count: int, begin: Callable[..., None], *arguments: Any) -> None:
        context = get_context("spawn")
        # Its other end is open nowhere but here: the system closes it when this process is killed.
        theirs, self._leash = context.Pipe(duplex=False)
        self._theirs = theirs
        self._pool = ProcessPoolExecutor(count, context, _begin, (theirs, begin, arguments))

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have something done by one of the processes.

        Raises:
            BrokenProcessPool: one of them has died.
        """
        try:
            with interrupts_held_back():
                return self._pool.submit(work, *arguments)
        except OSError as error:
            # A pool of which a process has just died closes what it hands to the next.
            raise BrokenProcessPool(str(error)) from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._leash.close()
        self._pool.shutdown(cancel_futures=error is not None)
        self._leash.close()
        self._theirs.close()


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that are started meanwhile never see a Ctrl-C, not even while they are still importing;
    this one sees it afterwards."""
    # It would let interrupts through again, when the first process is started.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(other: Connection | int) -> None:
    """End this process as soon as another one has ended.

    Args:
        other: a process' sentinel, or a pipe of which nothing is read and whose other end it holds.
    """
    Thread(target=_wait_and_end, args=(other,), daemon=True).start()


def _wait_and_end(other: Connection | int) -> None:
    wait([other])
    os._exit(1)


def _begin(leash: Connection, begin: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    end_with(leash)
    begin(*arguments)
