"""Processes that work for this one: they end with it, however it ends, and only it sees Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from threading import Thread
from typing import Any, TypeVar

from longbio.errors import LongbioError

Item = TypeVar("Item")
K = TypeVar("K")
T = TypeVar("T")


def in_order(
    work: Callable[[Item], T],
    items: Iterable[tuple[K, Item]],
    processes: int,
    begin: Callable[..., None],
    *arguments: Any,
    remedy: str,
) -> Iterator[tuple[K, T]]:
    """What `work` makes of each item, in their order, done by a pool of processes.

    Args:
        work: a function of a module.
        items: each with a key that stays here; read as they are needed, one more than there are processes
            ahead.
        begin: called once in each process, with `arguments`, which can be pickled; an error in it is lost.
        remedy: told where a process has died, with the LongbioError.
    """
    context = processes_for(work)
    # Its other end is open nowhere but here: the system closes it when this process is killed.
    theirs, leash = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, context, _begin, (theirs, begin, arguments))
    waiting: deque[tuple[K, Future[T]]] = deque()
    is_done = False
    try:
        for key, item in items:
            waiting.append((key, _submit(pool, work, item)))
            if len(waiting) > processes + 1:
                key, future = waiting.popleft()
                yield key, future.result()
        for key, future in waiting:
            yield key, future.result()
        is_done = True
    except BrokenProcessPool as error:
        raise LongbioError("a process has died, perhaps because memory was short", remedy=remedy) from error
    finally:
        if not is_done:
            leash.close()
        pool.shutdown(cancel_futures=not is_done)
        leash.close()
        theirs.close()


def processes_for(work: Callable[..., Any]) -> ForkServerContext:
    """New processes come from a server that has imported what they need, once for all of them.

    Args:
        work: what they do, a function of a module.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    return context


def _submit(pool: ProcessPoolExecutor, work: Callable[[Item], T], item: Item) -> Future[T]:
    try:
        with interrupts_held_back():
            return pool.submit(work, item)
    except OSError as error:
        # A pool of which a process has just died closes what it hands to the next.
        raise BrokenProcessPool(str(error)) from error


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
    """End this process as soon as another one has ended, of which this is the sentinel, or a pipe of which
    nothing is read and whose other end it holds."""
    Thread(target=_wait_and_end, args=(other,), daemon=True).start()


def _wait_and_end(other: Connection | int) -> None:
    wait([other])
    os._exit(1)


def _begin(leash: Connection, begin: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    end_with(leash)
    begin(*arguments)
