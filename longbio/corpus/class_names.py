"""What the numbers of a table's column stand for, as `datasets` keeps it: in Parquet, or beside the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import yaml

METADATA = b"huggingface"
"""Where Parquet files of `datasets` have their features."""

BESIDE = ("dataset_info.json", "dataset_infos.json", "README.md")
"""Files beside a table, or in the folder above it, that may describe it."""

MAX_BYTES = 4_000_000
"""Of a description; what is larger is none."""


def class_names(file: Path) -> dict[str, tuple[str, ...]]:
    """The names of classes by the column, in lower case, of a table whose numbers stand for them.

    Of the table at most the metadata are read; descriptions beside it are, too.
    """
    every = (_features_in_parquet(file), *_features_beside(file))
    return next((names for features in every if (names := _names(features))), {})


def nested_columns(file: Path) -> list[str]:
    """The columns of a Parquet file that hold lists or objects; none of another file."""
    return [column.name for column in _schema(file) or () if pyarrow.types.is_nested(column.type)]


def _schema(file: Path) -> Any:
    if file.suffix.lower() != ".parquet":
        return None
    try:
        return pyarrow.parquet.read_schema(file)
    except (OSError, ValueError, pyarrow.ArrowException):
        return None  # who reads its rows says what is wrong


def _features_in_parquet(file: Path) -> Any:
    schema = _schema(file)
    if schema is None or METADATA not in (schema.metadata or {}):
        return None
    return _member(_load(json.loads, schema.metadata[METADATA]), "info", "features")


def _features_beside(file: Path) -> Iterator[Any]:
    for folder in (file.parent, file.parent.parent):
        for name in BESIDE:
            described = folder / name
            if not described.is_file() or described.stat().st_size > MAX_BYTES:
                continue
            content = described.read_bytes()
            if name == "README.md":
                yield _member(_front_matter(content), "dataset_info", "features")
            elif isinstance(description := _load(json.loads, content), dict):
                # Of the description, or of each of its configurations.
                yield description.get("features")
                yield from (_member(configuration, "features") for configuration in description.values())


def _load(load: Callable[[Any], Any], content: str | bytes) -> Any:
    """What JSON or YAML says; None of what is broken."""
    try:
        return load(content)
    except (ValueError, RecursionError, yaml.YAMLError):
        return None


def _front_matter(content: bytes) -> Any:
    parts = content.decode("utf-8", "ignore").split("---\n", 2)
    return None if len(parts) < 3 or parts[0].strip() else _load(yaml.safe_load, parts[1])


def _member(value: Any, *path: str) -> Any:
    for name in path:
        if isinstance(value, list):  # of several configurations the first
            value = value[0] if value else None
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _names(features: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(features, list):  # as a README has them
        features = {feature.get("name"): feature for feature in features if isinstance(feature, dict)}
    if not isinstance(features, dict):
        return {}
    classes = {str(name).lower(): _classes(feature) for name, feature in features.items()}
    return {name: names for name, names in classes.items() if names}


def _classes(feature: Any) -> tuple[str, ...]:
    """The names of a class label, however deep in sequences it stands."""
    if isinstance(feature, list) and len(feature) == 1:
        return _classes(feature[0])
    if not isinstance(feature, dict):
        return ()
    names = feature.get("names")
    if isinstance(names, Mapping):  # a README has them by number
        try:
            names = [names[key] for key in sorted(names, key=int)]
        except (TypeError, ValueError):
            return ()
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    inner = (feature.get(name) for name in ("feature", "sequence", "list", "dtype", "class_label"))
    return next((classes for part in inner if (classes := _classes(part))), ())
