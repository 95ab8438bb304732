"""The progress of long work: what is reported, not how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR, LogRecord, getLogger
from typing import Protocol


class Narrator(Protocol):
    """What is told of a run while it goes on."""

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        """A stage of `total` steps begins; call the result with the step and a few words."""

    def end(self, result: str) -> None:
        """The stage is over; one line of result."""

    def fail(self, what: str) -> None:
        """The stage has failed, and the work goes on with others; one line of why."""


class Silence:
    """A narrator that says nothing."""

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        return lambda step, words: None

    def end(self, result: str) -> None:
        pass

    def fail(self, what: str) -> None:
        pass


def hush_deepspeed() -> None:
    """DeepSpeed, where it is installed, is imported by transformers and tells that there is no GPU."""
    # A filter, for it sets its level when it is imported.
    getLogger("DeepSpeed").addFilter(_is_error)


def _is_error(record: LogRecord) -> bool:
    return record.levelno >= ERROR
