"""What a config leaves open and the files beside it tell: the family, a head's class, its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from longbio.artifacts.checkpoints import CONFIG_FILE, read_config, weight_names
from longbio.encoders.families import FAMILIES
from longbio.errors import LongbioError

HEADS = ("qa_outputs.", "qa_classifier.", "classifier.", "pre_classifier.")
"""What the weights of a fine-tuned head begin with."""


def refuse_without_type(path: str | Path) -> None:
    """Raise LongbioError where a local config names no `model_type`, with the line to write into it:
    transformers would guess by the folder's name."""
    folder = Path(path)
    if not (folder / CONFIG_FILE).is_file():
        return
    config = read_config(folder)
    if config.get("model_type"):
        return
    likely = _likely_type(config.get("architectures") or (), folder)
    raise LongbioError(
        "the config names no model_type",
        where=folder / CONFIG_FILE,
        remedy=f'write "model_type": "{likely}" into it' + ("" if likely != "bert" else ", or what it is"),
    )


def _likely_type(architectures: Iterable[str], folder: Path) -> str:
    try:
        names = weight_names(folder)
    except LongbioError:  # what is wrong with the weights is told when they are read
        names = ()
    for name in (*architectures, *names):
        for family in FAMILIES:
            if name.lower().startswith(family):
                return family
    return "bert"


def refuse_unnamed_head(config: Any, folder: Path) -> None:
    """Raise LongbioError where the weights hold a task's head and the config names no class for it, with the
    line to write into it."""
    if config.architectures:
        return
    heads = [name for name in weight_names(folder) if name.startswith(HEADS)]
    if not heads:
        return
    if any(name.startswith("qa_") for name in heads):
        task = "QuestionAnswering"
    elif any(re.match(r"pre_|classifier\.(dense|out_proj)\.", name) for name in heads):
        task = "SequenceClassification"
    else:
        tagged = any(str(name)[:2] in ("B-", "I-") for name in (config.id2label or {}).values())
        task = "TokenClassification" if tagged else "SequenceClassification"
    stem = type(config).__name__.removesuffix("Config")
    raise LongbioError(
        f"the weights hold a head ({heads[0]}) and the config names no class for it",
        where=folder / CONFIG_FILE,
        remedy=f'write "architectures": ["{stem}For{task}"] into it, or the class it was saved from',
    )


def refuse_gaps(config: Any, where: str | Path) -> None:
    """Raise `LongbioError` where the labels of a head's rows skip a number."""
    labels = sorted(int(number) for number in config.id2label or {})
    if labels != list(range(len(labels))):
        what = f"id2label numbers its {len(labels)} labels to {labels[-1]}, with gaps"
        raise LongbioError(what, where=where, remedy="name every row of the head in id2label, from 0 on")


def refuse_misfits(
    where: str | Path, misfits: Iterable[tuple[str, Any, Any]], new: tuple[str, ...] = ()
) -> None:
    """Raise LongbioError where weights have other shapes than the config says.

    Args:
        where: the model's folder.
        misfits: the name of each such weight, its shape on disk and the config's.
        new: prefixes of the weights that start anew, whatever their shape was.
    """
    for name, shape, expected in misfits:
        if name.startswith(new):
            continue
        if name.startswith(HEADS):
            raise LongbioError(
                f"the head has {shape[0]} rows, and the config names {expected[0]} labels",
                where=where,
                remedy="name all of them in id2label of config.json, one for each row",
            )
        raise LongbioError(
            f"{name} is {tuple(shape)}, config.json says {tuple(expected)}",
            where=where,
            remedy="use the config that belongs to these weights",
        )
