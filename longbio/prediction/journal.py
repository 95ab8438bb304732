"""A record of the notes that are done, which survives any kill."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import name_full_disk, read_json, write_json
from longbio.errors import LongbioError

PROGRESS = "progress.json"


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
        size_on_disk = file.stat().st_size if file.is_file() else 0
        if size_on_disk < size:
            raise LongbioError(
                f"the file has {size_on_disk:,} bytes and had {size:,}",
                where=file,
                remedy="delete the folder and begin again",
            )
        if size_on_disk > size:
            os.truncate(file, size)

    def commit(self, notes: int, digest: str, appended: Mapping[str, bytes], counts: Counter[str]) -> None:
        """A lot of so many notes is done; the digest is of all notes up to its last, and what files grow by
        is `appended`."""
        for name, content in appended.items():
            with name_full_disk(self.out), (self.out / name).open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                self.sizes[name] = file.tell()
        self.notes, self.digest = self.notes + notes, digest
        self.counts.update(counts)
        self._write()

    def finish(self, data: Mapping[str, Any]) -> None:
        """All notes are done; `data` is what of them was left out and passed over."""
        self._write(finished=True, data=data)

    def _write(self, *, finished: bool = False, **more: Any) -> None:
        self.is_finished = finished
        progress = {
            "finished": finished,
            "notes": self.notes,
            "sha256": self.digest,
            "bytes": self.sizes,
            "counts": dict(self.counts),
        }
        write_json(self.out / PROGRESS, progress | more)
