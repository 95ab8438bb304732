"""Folders that belong to one plan: what it made is kept, what is left is made, another plan is refused.

A plan is what decides a result, ready for JSON: settings, and digests of models and of data. Two kinds of
folders are bound to one:

- a run folder, in which work goes on after a kill: `Run`, which keeps its plan in `run.json`;
- a result that appears whole or not at all: `make_once`, which keeps it in the result's own report.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import read_json, write_bytes_atomically, write_json
from longbio.artifacts.locks import hold_lock
from longbio.artifacts.staged_folders import staged_folder
from longbio.errors import LongbioError

RUN = "run.json"
MADE_OF = "made_of"
"""The key of a report under which the plan of its folder stands."""

LOGS = (".log", ".out", ".err")
"""Endings of files that a shell may write into a run folder; they are no results."""

MOST_DIFFERENCES = 3
"""That a message names."""

_DIGEST = re.compile(r"[0-9a-f]{16,64}")


class Run:
    """A folder in which one process works, by one plan. See `Run.open`.

    Args:
        folder: the run folder.
        is_main: whether this process writes; of processes that train together only one does.
    """

    def __init__(self, folder: Path, *, is_main: bool = True) -> None:
        self.folder, self.is_main = folder, is_main

    @classmethod
    @contextmanager
    def open(
        cls, out: Path, plan: Mapping[str, Any], *, private: bool = False, wait: bool = False
    ) -> Iterator[Run]:
        """Work in a run folder, alone, and go on with what the same plan began there.

        Args:
            out: is made if it isn't there.
            plan: all that decides what will stand in it.
            private: it is its owner's alone, and so is all that is written meanwhile.
            wait: for a process that works there; else that is an error.

        Raises:
            LongbioError: another process works there, the folder was made by another plan or holds
                something else, or it can't be made.
        """
        run = cls(out)
        with hold_lock(out, wait=wait), _owner_only() if private else nullcontext():
            if not (out / RUN).is_file() and run._holds(anything=private):
                raise LongbioError(
                    "the folder holds something else", where=out, remedy="choose another place, or empty it"
                )
            run._make(private)
            try:
                run.bind(plan, whole=True)
                yield run
            except BaseException:
                run._leave()
                raise

    @classmethod
    @contextmanager
    def scratch(cls, target: Path, plan: Mapping[str, Any]) -> Iterator[Run]:
        """A private run folder `.<target>.begun`, deleted once the target is made or can't be; what another
        plan left in it is deleted, too."""
        folder = target.absolute().with_name(f".{target.name}.begun")
        file = folder / RUN
        if not file.is_file() or differences(read_json(file), plan):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            with cls.open(folder, plan, private=True) as run:
                yield run
        except LongbioError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)

    def bind(self, plan: Mapping[str, Any], *, whole: bool = False) -> None:
        """Add to the plan what became known only now; `whole`: this is all of it.

        Raises LongbioError where it was another one.
        """
        if not self.is_main:
            return
        file, plan = self.folder / RUN, _as_json(plan)
        known = read_json(file) if file.is_file() else {}
        compared = plan if whole and known else {key: plan[key] for key in plan if key in known}
        if changed := differences({key: known.get(key) for key in compared}, compared):
            if self._holds():
                raise _made_otherwise(self.folder, changed, "delete it")
            known = {}
        if known | plan != known:
            write_json(file, known | plan)

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The content of a file that is made if it isn't there."""
        file = self.folder / name
        if not file.is_file():
            write_bytes_atomically(file, make())
        return file.read_bytes()

    def _leave(self) -> None:
        """Delete the folder of a run that made nothing."""
        if not self._holds(anything=True):
            (self.folder / RUN).unlink(missing_ok=True)
            with suppress(OSError):  # it holds a log or what is hidden, and stays
                self.folder.rmdir()

    def _holds(self, *, anything: bool = False) -> bool:
        """Whether the folder holds what a run may have left beside its plan; without a plan only folders
        count, or with `anything` files too."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        visible = [
            e for e in entries if e.name != RUN and not e.name.startswith(".") and e.suffix not in LOGS
        ]
        anything = anything or (self.folder / RUN).is_file()
        return any(anything or entry.is_dir() for entry in visible)

    def _make(self, private: bool) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if private:
                self.folder.chmod(0o700)
        except OSError as error:
            what = f"the folder can't be made ({error.strerror})"
            raise LongbioError(what, where=self.folder, remedy="choose another place") from error


def is_run_of(out: Path, plan: Mapping[str, Any]) -> bool:
    """Whether a run folder was begun by just this plan."""
    return (out / RUN).is_file() and not differences(
        {key: value for key, value in read_json(out / RUN).items() if key in plan}, plan
    )


def make_once(
    out: Path,
    report: str,
    made_of: Mapping[str, Any],
    make: Callable[[Path], dict[str, Any]],
    *,
    force: bool | None = None,
) -> dict[str, Any]:
    """Make a folder completely, unless it was made of the same before; returns its report.

    Args:
        out: the folder.
        report: the name of its report.
        made_of: all that decides what will stand in it.
        make: fills the folder that it is given, and returns the report.
        force: make it anew, and replace what stands in `out`; None where nobody can ask for that.

    Raises:
        LongbioError: `out` holds something else, or another process makes it.
    """
    with hold_lock(out):
        if (out / report).is_file() and not force:
            done: dict[str, Any] = read_json(out / report)
            if changed := differences(done.get(MADE_OF, {}), made_of):
                remedy = "delete it" if force is None else "replace it with --force"
                raise _made_otherwise(out, changed, remedy)
            return done
        with staged_folder(out, force=bool(force)) as staged:
            content = make(staged) | {MADE_OF: _as_json(made_of)}
            write_json(staged / report, content)
    return content


def differences(recorded: Mapping[str, Any], asked: Mapping[str, Any], before: str = "") -> list[str]:
    """What differs from what was recorded, in words: `recipe.epochs was 3 and is 4`."""
    asked = _as_json(asked)
    changed = []
    for key in dict.fromkeys([*recorded, *asked]):
        old, new = recorded.get(key), asked.get(key)
        if json.dumps(old) == json.dumps(new):
            continue
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            old, new = ({str(number): value for number, value in enumerate(values)} for values in (old, new))
        if isinstance(old, dict) and isinstance(new, dict):
            inner = differences(old, new, f"{before}{key}.")
            changed += inner or [f"{before}{key} is in another order"]
        else:
            changed.append(f"{before}{key} {_change(old, new)}")
    return changed


def _change(old: Any, new: Any) -> str:
    """Digests say nothing to a reader, and long lists nothing in a line."""
    if any(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (old, new)):
        return "has changed"
    was, is_now = (json.dumps(value, ensure_ascii=False) for value in (old, new))
    return f"was {was} and is {is_now}" if len(was) + len(is_now) <= 80 else "has changed"


def _made_otherwise(out: Path, changed: list[str], remedy: str) -> LongbioError:
    rest = len(changed) - MOST_DIFFERENCES
    what = ", ".join(changed[:MOST_DIFFERENCES]) + (f", and {rest} more" if rest > 0 else "")
    return LongbioError(
        f"what is there was made by another plan: {what}",
        where=out,
        remedy=f"choose another place, or {remedy}",
    )


def _as_json(plan: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file: tuples are lists."""
    return dict(json.loads(json.dumps(plan)))


@contextmanager
def _owner_only() -> Iterator[None]:
    umask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(umask)
