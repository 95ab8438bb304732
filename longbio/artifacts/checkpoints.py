"""Reading a checkpoint that someone else wrote: found, opened without running its code, hashed."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError, safe_open

from longbio.artifacts.atomic_files import read_json, sha256_of_folder
from longbio.errors import LongbioError

CONFIG_FILE = "config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)

# In the order of preference: safetensors can hold no code.
SAFETENSORS_NAMES = ("model.safetensors", "model.safetensors.index.json")
PICKLE_NAMES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
SAFETENSORS_PATTERNS = (*SAFETENSORS_NAMES, "model-*-of-*.safetensors")
PICKLE_PATTERNS = (*PICKLE_NAMES, "pytorch_model-*-of-*.bin")

# TensorFlow's names, kept by the checkpoints of BERT's first year.
LEGACY_SUFFIXES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
# The second line is the HTTP client's own base class, for a connection that breaks half-way.
_HUB_FAILURES: tuple[type[BaseException], ...] = (OSError, EntryNotFoundError, HFValidationError)
_HUB_FAILURES += HfHubHTTPError.__bases__

_FETCH_AGAIN = "fetch the checkpoint again"
_LFS_POINTER = b"version https://git-lfs"
_ZIP_MAGIC = b"PK\x03\x04"


def locate(source: str, *, offline: bool = False) -> Path:
    """The local folder of a checkpoint, fetched from the Hugging Face Hub if it has to be.

    Args:
        source: a folder, or a name on the Hub ("organisation/model" or "model"). A folder wins.
        offline: take a Hub name from the local cache only.

    Raises:
        LongbioError: there is neither, or the Hub refuses or can't be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        remedy = "name the folder with its config.json and weights"
        raise LongbioError("is a file", where=source, remedy=remedy)
    if not _HUB_NAME.fullmatch(source):
        remedy = "name a checkpoint folder or a Hub name"
        raise LongbioError("there is no such folder", where=source, remedy=remedy)
    fetched = _fetch(source, SAFETENSORS_PATTERNS, offline=offline)
    if not any((fetched / name).exists() for name in SAFETENSORS_NAMES):
        fetched = _fetch(source, PICKLE_PATTERNS, offline=offline)
    return fetched


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` of a checkpoint says. Raises LongbioError where it is missing or no JSON object."""
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict):
        raise LongbioError("the file holds no JSON object", where=folder / CONFIG_FILE)
    return config


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights, sorted; safetensors before pickles.

    Raises LongbioError where there are none, or one that the index names is missing.
    """
    entry = _entry_file(folder)
    if entry.suffix != ".json":
        return [entry]

    files = sorted({folder / name for name in _read_index(entry).values()})
    for path in files:
        if not path.is_file():
            raise LongbioError("a file of the weights is missing", where=path, remedy=_FETCH_AGAIN)
    return files


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint under its own key, on the CPU and in its stored dtype.

    Tensors are views of the files where the format allows it: the files must not be written to meanwhile.
    Pickled code never runs. The keys `LayerNorm.gamma` and `.beta` of old checkpoints become `.weight` and
    `.bias`. Raises LongbioError where weights are missing, damaged, or something other than tensors.
    """
    weights: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        weights |= _read_weight_file(path)

    entry = _entry_file(folder)
    if entry.suffix == ".json":
        for key, file_name in _read_index(entry).items():
            if key not in weights:
                raise LongbioError(
                    f"the tensor {key} is missing", where=folder / file_name, remedy=_FETCH_AGAIN
                )
    return {_modern(key): tensor for key, tensor in weights.items()}


def weight_names(folder: Path) -> tuple[str, ...]:
    """The key of every tensor of a checkpoint, as `read_weights` gives them, without reading safetensors."""
    entry = _entry_file(folder)
    if entry.suffix == ".json":
        return tuple(_modern(key) for key in _read_index(entry))
    if entry.suffix != ".safetensors":
        return tuple(read_weights(folder))
    try:
        with safe_open(entry, framework="pt") as file:
            return tuple(_modern(key) for key in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _damaged(entry) from error


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 over all that decides what a checkpoint makes of a text: weights, config, tokenizer."""
    return _digest(folder, weight_files(folder))


def shape_digest(folder: Path) -> str:
    """As `checkpoint_digest`, of a folder whose weights don't matter: config and tokenizer, as there are."""
    return _digest(folder, [])


def _digest(folder: Path, weights: list[Path]) -> str:
    beside = [folder / name for name in (CONFIG_FILE, *TOKENIZER_FILES)]
    try:
        return sha256_of_folder([*weights, *(file for file in beside if file.is_file())])
    except OSError as error:
        what = f"the checkpoint can't be read ({error.strerror})"
        raise LongbioError(what, where=error.filename or folder) from error


def _fetch(name: str, weight_patterns: tuple[str, ...], *, offline: bool) -> Path:
    patterns = [CONFIG_FILE, *TOKENIZER_FILES, *weight_patterns]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=offline))
    except GatedRepoError:
        what, remedy = "the model is gated", "ask for access on its page and run `hf auth login`"
    except RepositoryNotFoundError:
        what = "there is no such folder here, nor a public model of this name on the Hub"
        remedy = "check the name, or run `hf auth login` for a private one"
    except HFValidationError:
        what, remedy = "there is no such folder, and this can't be a Hub name", "check the name"
    except LocalEntryNotFoundError:
        what = "there is no such folder, and the model is not in the local Hub cache"
        remedy = "check the name, and the connection unless you are offline on purpose"
    except _HUB_FAILURES as error:
        what = f"the model can't be fetched from the Hub ({type(error).__name__})"
        remedy = "check the connection and try again"
    raise LongbioError(what, where=name, remedy=remedy)


def _entry_file(folder: Path) -> Path:
    """The file to begin with: the weights themselves, or the index of their shards."""
    for name in (*SAFETENSORS_NAMES, *PICKLE_NAMES):
        if (folder / name).is_file():
            return folder / name
    raise LongbioError(
        "the folder holds no weights",
        where=folder,
        remedy=f"put {SAFETENSORS_NAMES[0]} or {PICKLE_NAMES[0]} there",
    )


def _read_index(path: Path) -> dict[str, str]:
    index = read_json(path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise LongbioError("the file holds no weight_map", where=path, remedy=_FETCH_AGAIN)

    for name in weight_map.values():
        # A shard stands beside its index: no path out of the folder.
        if not isinstance(name, str) or Path(name).name != name:
            raise LongbioError(f"{name!r} is no name of a shard", where=path, remedy=_FETCH_AGAIN)
    return weight_map


def _read_weight_file(path: Path) -> dict[str, torch.Tensor]:
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise LongbioError(f"the file can't be read ({error.strerror})", where=path) from error
    if beginning == _LFS_POINTER:
        what = "the file is a Git LFS pointer, not the weights"
        raise LongbioError(what, where=path, remedy="run `git lfs pull`")
    if path.suffix != ".safetensors":
        return _read_pickle(path, mapped=beginning.startswith(_ZIP_MAGIC))
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(path) from error


def _read_pickle(path: Path, *, mapped: bool) -> dict[str, torch.Tensor]:
    """`mapped`: the file is a zip archive; the pickles of torch 1.5 and before are not."""
    try:
        with warnings.catch_warnings():
            # A pickle protocol unlike torch's own is read or refused; a hint helps nobody.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise _damaged(path) from error
        what = "the file asks to run code, which longbio never does"
        raise LongbioError(what, where=path, remedy="use a safetensors version of the checkpoint") from None
    except Exception as error:
        # Broad on purpose: damaged bytes make torch's unpickler raise anything.
        raise _damaged(path) from error

    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in content.items()
    ):
        what = "the file holds something other than a table of tensors"
        raise LongbioError(what, where=path, remedy="save the model's state dict with save_pretrained")
    return {key: tensor.detach() for key, tensor in content.items()}


def _damaged(path: Path) -> LongbioError:
    what = "the file is truncated, damaged, or not what its name says"
    return LongbioError(what, where=path, remedy=_FETCH_AGAIN)


def _modern(key: str) -> str:
    for old, new in LEGACY_SUFFIXES.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key
