"""`convert`: a short encoder's folder becomes a long one's, verified, whole or not at all."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

import longbio
from longbio.artifacts import checkpoints
from longbio.artifacts.atomic_files import read_json, write_json, write_text_atomically
from longbio.artifacts.runs import make_once
from longbio.artifacts.staged_folders import require_free_space, staged_folder
from longbio.conversion import build, card
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.sources import (
    Source,
    family_of,
    read_source,
    refuse_what_cannot_be_expressed,
)
from longbio.conversion.verify import Check, verify
from longbio.encoders.config_checks import refuse_without_type
from longbio.encoders.families import TARGETS
from longbio.encoders.loading import read_tokenizer, ready_kernel
from longbio.errors import LongbioError

REPORT = "conversion.json"


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion: `report` is the content of `conversion.json`."""

    folder: Path
    report: dict[str, Any]
    already_done: bool = False


def convert(
    source: str | Path,
    out: str | Path,
    *,
    settings: ConversionSettings | None = None,
    verification: bool = True,
    text: str | None = None,
    kernel: str = "auto",
    force: bool = False,
    offline: bool = False,
    on_check: Callable[[Check], None] = lambda check: None,
) -> Conversion:
    """Convert a short encoder into a native Longformer or BigBird folder.

    Args:
        source: a local folder or a Hugging Face hub name.
        out: appears whole at the end or not at all.
        settings: what to make; None for a Longformer of 4,096 tokens, window 512.
        verification: prove that the result equals its source (`conversion.verify`).
        text: bits per masked token and unknown tokens are measured on it; embedded notes when None.
        kernel: the kernel that is compared with the reference.
        force: replace what stands in `out`.
        offline: never ask the hub.
        on_check: told of every check as it is done.

    Raises:
        LongbioError: the source can't be read or expressed, `out` is in the way, or the
            verification failed; then the folder stands as `<out>.failed`.
    """
    settings = settings or ConversionSettings()
    settings.check()
    ready_kernel(kernel)
    out, name = Path(out), str(source)
    folder = checkpoints.locate(name, offline=offline)
    refuse_without_type(folder)
    family_of(checkpoints.read_config(folder), name)
    _, casing = read_tokenizer(folder, settings.lowercase)
    made_of = {
        "source": checkpoints.checkpoint_digest(folder),
        "settings": asdict(settings),
        "casing": None if casing is None else asdict(casing),
        # A result that was verified also serves a call that doesn't ask for it.
        "is_verified": verification or _is_verified(out),
    }

    def make(staged: Path) -> dict[str, Any]:
        short = read_source(name, folder, settings.lowercase)
        report = _build(short, staged, settings) | {"source_sha256": made_of["source"]}
        if verification:
            proof = verify(short, staged, settings, kernel=kernel, text=text, on_check=on_check)
            report["verification"] = proof
            if not proof["passed"]:
                _keep_failed(staged, out, report)
        write_text_atomically(staged / "README.md", card.render(report, out.name))
        return report

    was_there = (out / REPORT).is_file() and not force
    return Conversion(out, make_once(out, REPORT, made_of, make, force=force), already_done=was_there)


def text_of(file: Path | None) -> str | None:
    """The content of a text file, None when there is none. Raises LongbioError where it isn't UTF-8."""
    if file is None:
        return None
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LongbioError("can't be read as UTF-8 text", where=file, remedy="name a text file") from error


def _is_verified(out: Path) -> bool:
    return (out / REPORT).is_file() and read_json(out / REPORT)["verification"] is not None


def _build(source: Source, partial: Path, settings: ConversionSettings) -> dict[str, Any]:
    target = TARGETS[settings.to]
    refuse_what_cannot_be_expressed(source, target)
    if settings.max_tokens < source.num_tokens:
        raise LongbioError(
            f"the source has {source.num_tokens} positions, more than --max-tokens {settings.max_tokens}",
            where=source.name,
            remedy="ask for at least as many",
        )
    size = sum(file.stat().st_size for file in checkpoints.weight_files(source.folder))
    require_free_space(partial, size * 3 // 2)
    made_up = build.write(partial, source, target, settings)
    return {
        "source": source.name,
        "source_family": source.config.model_type,
        "source_tokens": source.num_tokens,
        "settings": asdict(settings),
        "casing": None if source.casing is None else asdict(source.casing),
        "made_up": made_up,
        "left_behind": source.left_behind,
        "versions": {
            "longbio": longbio.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
        "verification": None,
    }


def _keep_failed(partial: Path, out: Path, report: Mapping[str, Any]) -> None:
    """Move what failed its verification to `<out>.failed`, and say so."""
    write_json(partial / REPORT, report)
    failed = out.with_name(out.name + ".failed")
    with staged_folder(failed, force=True) as kept:
        kept.rmdir()
        partial.rename(kept)
    names = [check["name"] for check in report["verification"]["checks"] if check["passed"] is False]
    remedy = f"read {REPORT} there and report it: a conversion must equal its source"
    if all("unknown tokens" in name for name in names):
        remedy = "if the model is of another language, give a text of it with --text FILE"
    raise LongbioError(f"verification failed: {', '.join(names)}", where=failed, remedy=remedy)
