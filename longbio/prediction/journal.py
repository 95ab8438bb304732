"""The folder of a prediction, for its owner alone: what is done stands in it after any kill."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longbio.artifacts.files import PARTIAL, full_disk_named, read_json, write_json
from longbio.artifacts.folders import refuse_unless_free
from longbio.artifacts.locks import locked
from longbio.artifacts.plans import refuse_another_plan
from longbio.errors import LongbioError

PLAN, PROGRESS = "prediction.json", "progress.json"


@contextmanager
def private_folder(out: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """While it is entered, `out` is this process' to write to, and what is written is its owner's alone,
    whatever the umask.

    Args:
        out: a folder, made if it isn't there, or begun before by the same plan.
        plan: what is asked for, ready for JSON.

    Raises:
        LongbioError: it holds something else, belongs to another plan or is being written to, or it
            can't be made.
    """
    umask = os.umask(0o077)
    try:
        names = {file.name for file in out.iterdir()} if out.is_dir() else set()
        # A process that was killed while it wrote its plan leaves a part of it.
        has_begun = not all(name == PLAN or name.startswith(f".{PLAN}{PARTIAL}") for name in names)
        if has_begun and PLAN not in names:
            refuse_unless_free(out)
        refuse_another_plan(out, out / PLAN, plan, has_begun=has_begun)
        with locked(out):
            _make_private(out)
            if not has_begun:
                write_json(out / PLAN, plan)
            yield
    finally:
        os.umask(umask)


def _make_private(out: Path) -> None:
    try:
        out.chmod(0o700)
    except OSError as error:
        raise LongbioError(
            f"it can't be made yours alone ({error.strerror})", where=out, remedy="choose another --out"
        ) from error


class Journal:
    """How far a prediction has come, and the files that grow with it.

    A lot counts as done when `progress.json` says so; what a killed process wrote beyond is cut off.

    Args:
        out: the folder.
        streams: names of its files that grow.

    Attributes:
        notes: that are done, failures among them.
        digest: of those notes.
        counts: of what was found.

    Raises:
        LongbioError: a file is shorter than it was.
    """

    def __init__(self, out: Path, streams: Iterable[str]) -> None:
        self.out = out
        known: dict[str, Any] = read_json(out / PROGRESS) if (out / PROGRESS).is_file() else {}
        self.notes: int = known.get("notes", 0)
        self.digest: str = known.get("sha256", "")
        self.counts: Counter[str] = Counter(known.get("counts", {}))
        self.sizes: dict[str, int] = known.get("bytes", {})
        self.is_finished: bool = known.get("finished", False)
        for name in streams:
            self._cut(out / name, self.sizes.get(name, 0))

    def _cut(self, file: Path, size: int) -> None:
        there = file.stat().st_size if file.is_file() else 0
        if there < size:
            raise LongbioError(
                f"the file has {there:,} bytes and had {size:,}",
                where=file,
                remedy="delete the folder and begin again",
            )
        if there > size:
            os.truncate(file, size)

    def commit(self, notes: int, digest: str, appended: Mapping[str, bytes], counts: Counter[str]) -> None:
        """A lot is done.

        Args:
            notes: of the lot.
            digest: of all notes up to its last.
            appended: what its files grow by.
            counts: of what was found in it.
        """
        for name, content in appended.items():
            with full_disk_named(self.out), (self.out / name).open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                self.sizes[name] = file.tell()
        self.notes, self.digest = self.notes + notes, digest
        self.counts.update(counts)
        self._write(finished=False)

    def finish(self, data: Mapping[str, Any]) -> None:
        """All notes are done; `data` is what of them was left out and passed over."""
        self._write(finished=True, data=data)

    def _write(self, *, finished: bool, data: Mapping[str, Any] | None = None) -> None:
        self.is_finished = finished
        progress = {
            "finished": finished,
            "notes": self.notes,
            "sha256": self.digest,
            "bytes": self.sizes,
            "counts": dict(self.counts),
        }
        if data is not None:
            progress["data"] = data
        write_json(self.out / PROGRESS, progress)
