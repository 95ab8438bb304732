"""Commands in processes of their own, which come from the server that has imported everything."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from longbio.corpus.records import Document, Span


def drug_notes(count: int) -> list[Document]:
    """Notes that a command learns from."""
    text = "the patient takes drug 7 daily, " * 8
    spans = tuple(Span.of(start, start + 6, "Drug") for start in range(18, len(text), 32))
    return [Document(f"note-{number}", text, spans) for number in range(count)]


@dataclass
class Command:
    """A command that runs.

    Args:
        process: its own.
        said: the file that holds what it prints.
    """

    process: BaseProcess
    said: Path

    def end(self, seconds: float | None = 240) -> int | None:
        """Wait for it; its exit code, None where it still runs."""
        self.process.join(timeout=seconds)
        return self.process.exitcode

    def kill(self) -> int | None:
        """SIGKILL to it and to none of its children; its exit code, 0 where it was done before."""
        self.process.kill()
        return self.end()


def begin(arguments: list[str], folder: Path, code: str = "", **variables: str) -> Command:
    """Begin `longbio` with arguments, as a shell does.

    Args:
        arguments: after `longbio`.
        folder: the working folder.
        code: run before it.
        variables: of its environment.
    """
    said = folder / f"said-{len(list(folder.glob('said-*')))}.txt"
    said.touch()
    process = get_context("forkserver").Process(target=_run, args=(arguments, folder, said, code, variables))
    process.start()
    return Command(process, said)


def _run(arguments: list[str], folder: Path, said: Path, code: str, variables: dict[str, str]) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", **variables}
    file = os.open(said, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    torch.set_num_threads(1)
    sys.argv = ["longbio", *arguments]
    from longbio.cli import main

    exec(compile(code, "code", "exec"), {"__name__": "__main__"})
    main()
