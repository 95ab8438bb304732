from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors.torch import save_file

from longbio.artifacts import checkpoints
from longbio.artifacts.checkpoints import (
    locate,
    read_config,
    read_weights,
    weight_files,
)
from longbio.errors import LongbioError

Weights = dict[str, torch.Tensor]


def random_weights() -> Weights:
    generator = torch.Generator().manual_seed(0)
    return {
        "encoder.weight": torch.randn(7, 5, generator=generator),
        "encoder.LayerNorm.weight": torch.randn(5, generator=generator),
        "encoder.LayerNorm.bias": torch.randn(5, generator=generator).half(),
    }


def write_safetensors(folder: Path, weights: Weights) -> None:
    save_file(weights, folder / "model.safetensors")


def write_sharded_safetensors(folder: Path, weights: Weights) -> None:
    _write_shards(folder, weights, "model-{}-of-00003.safetensors", save_file)


def write_zip_pickle(folder: Path, weights: Weights) -> None:
    torch.save(weights, folder / "pytorch_model.bin")


def write_old_pickle(folder: Path, weights: Weights) -> None:
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def write_sharded_pickle(folder: Path, weights: Weights) -> None:
    _write_shards(folder, weights, "pytorch_model-{}-of-00003.bin", torch.save)


def _write_shards(folder: Path, weights: Weights, pattern: str, save: Callable[[Weights, Path], Any]) -> None:
    weight_map = {}
    for number, (key, tensor) in enumerate(weights.items(), start=1):
        name = pattern.format(f"{number:05}")
        save({key: tensor}, folder / name)
        weight_map[key] = name
    stem = pattern.partition("-")[0] + Path(pattern).suffix
    (folder / f"{stem}.index.json").write_text(json.dumps({"weight_map": weight_map}))


WRITERS = [
    write_safetensors,
    write_sharded_safetensors,
    write_zip_pickle,
    write_old_pickle,
    write_sharded_pickle,
]


@pytest.mark.parametrize("write", WRITERS)
def test_weights_come_back_bit_for_bit(tmp_path: Path, write: Callable[[Path, Weights], None]) -> None:
    written = random_weights()
    write(tmp_path, written)

    read = read_weights(tmp_path)

    assert read.keys() == written.keys()
    for key, tensor in written.items():
        assert read[key].dtype == tensor.dtype
        assert torch.equal(read[key], tensor), key


def test_safetensors_are_preferred_to_pickles(tmp_path: Path) -> None:
    write_zip_pickle(tmp_path, {"from": torch.zeros(1)})
    write_sharded_safetensors(tmp_path, random_weights())
    assert {path.suffix for path in weight_files(tmp_path)} == {".safetensors"}
    assert len(weight_files(tmp_path)) == 3

    write_safetensors(tmp_path, random_weights())
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_old_layer_norm_names_become_todays(tmp_path: Path) -> None:
    write_safetensors(
        tmp_path,
        {
            "a.LayerNorm.gamma": torch.ones(2),
            "a.LayerNorm.beta": torch.zeros(2),
            "LayerNorm.gamma": torch.full((2,), 2.0),
            "a.gamma": torch.full((2,), 3.0),
        },
    )

    read = read_weights(tmp_path)

    assert {key: tensor[0].item() for key, tensor in read.items()} == {
        "a.LayerNorm.weight": 1.0,
        "a.LayerNorm.bias": 0.0,
        "LayerNorm.weight": 2.0,
        "a.gamma": 3.0,
    }


def test_parameters_come_back_as_plain_tensors(tmp_path: Path) -> None:
    torch.save({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "pytorch_model.bin")

    (tensor,) = read_weights(tmp_path).values()

    assert not tensor.requires_grad


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def save_zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def save_old(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def load_unsafely(path: Path) -> None:
    torch.load(path, weights_only=False)


def save_plain(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def load_plain(path: Path) -> None:
    pickle.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("save", "load", "what"),
    [
        (save_zip, load_unsafely, "the file asks to run code"),
        (save_old, load_unsafely, "the file asks to run code"),
        (save_plain, load_plain, "not what its name says"),
    ],
)
def test_pickled_code_is_refused_and_never_runs(
    tmp_path: Path, save: Callable[[Any, Path], None], load: Callable[[Path], None], what: str
) -> None:
    marker, path = tmp_path / "it-ran", tmp_path / "pytorch_model.bin"
    save({"a": Malicious(marker)}, path)

    with pytest.raises(LongbioError, match=rf"pytorch_model\.bin: .*{what}"):
        read_weights(tmp_path)
    assert not marker.exists()

    # The trap was live: a careless loader springs it.
    load(path)
    assert marker.exists()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kept_share", [0.0, 0.02, 0.5, 0.98])
def test_truncated_weights_are_named(
    tmp_path: Path, write: Callable[[Path, Weights], None], kept_share: float
) -> None:
    write(tmp_path, {"a": torch.ones(500), "b": torch.ones(500)})
    victim = weight_files(tmp_path)[-1]
    content = victim.read_bytes()
    victim.write_bytes(content[: int(len(content) * kept_share)])

    with pytest.raises(LongbioError, match=f"{victim.name}: the file is truncated, damaged"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"<html>404</html>" * 50, b"\x00" * 999, b"PK\x03\x04" * 99])
def test_rubbish_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(LongbioError, match=f"{name}: the file is truncated, damaged"):
        read_weights(tmp_path)


def test_no_flipped_byte_of_a_pickle_escapes(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    write_old_pickle(tmp_path, {"a": torch.ones(2), "b": torch.ones(3)})
    good = path.read_bytes()

    refused = 0
    for position in range(0, len(good), 2):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            read_weights(tmp_path)
        except LongbioError:
            refused += 1

    assert refused > len(good) // 4


@pytest.mark.parametrize(("write", "mapped"), [(write_zip_pickle, True), (write_old_pickle, False)])
def test_pickles_are_mapped_into_memory_where_the_format_allows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, Weights], None],
    mapped: bool,
) -> None:
    options: list[dict[str, Any]] = []
    load = torch.load

    def noting(*arguments: Any, **named: Any) -> Any:
        options.append(named)
        return load(*arguments, **named)

    write(tmp_path, random_weights())
    monkeypatch.setattr(torch, "load", noting)
    read_weights(tmp_path)

    assert [named["mmap"] for named in options] == [mapped]


def test_a_git_lfs_pointer_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")

    with pytest.raises(LongbioError, match="Git LFS pointer"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": 3}, {"a": {"b": torch.ones(2)}}])
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")

    with pytest.raises(LongbioError, match="something other than a table of tensors"):
        read_weights(tmp_path)


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="the folder holds no weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize("write", [write_sharded_safetensors, write_sharded_pickle])
def test_a_missing_shard_is_named(tmp_path: Path, write: Callable[[Path, Weights], None]) -> None:
    write(tmp_path, random_weights())
    victim = weight_files(tmp_path)[1]
    victim.unlink()

    with pytest.raises(LongbioError, match=f"{victim.name}: a file of the weights is missing"):
        read_weights(tmp_path)


def test_a_tensor_missing_from_its_shard_is_named(tmp_path: Path) -> None:
    write_sharded_safetensors(tmp_path, random_weights())
    victim = weight_files(tmp_path)[0]
    save_file({"other": torch.ones(1)}, victim)

    with pytest.raises(LongbioError, match=r"the tensor encoder\.weight is missing"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "index", [{}, [], {"weight_map": {}}, {"weight_map": {"a": "../outside.safetensors"}}]
)
def test_a_damaged_index_is_named(tmp_path: Path, index: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(LongbioError, match=r"model\.safetensors\.index\.json: "):
        weight_files(tmp_path)


def test_config_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert read_config(tmp_path) == {"model_type": "bert"}

    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(LongbioError, match="holds no JSON object"):
        read_config(tmp_path)


def test_a_folder_wins_over_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "organisation" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert locate("organisation/model") == Path("organisation/model")


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(LongbioError, match="is a file"):
        locate(str(tmp_path / "config.json"))


@pytest.mark.parametrize("source", ["./missing", "/missing", "a/b/c", "", "~/missing-longbio"])
def test_a_path_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    def no_network(*arguments: Any, **options: Any) -> str:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(checkpoints, "snapshot_download", no_network)

    if source == "":
        assert locate(source) == Path()
        return
    with pytest.raises(LongbioError, match="there is no such folder"):
        locate(source)


def test_the_real_hub_client_says_when_the_cache_lacks_a_model(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=r"nobody/nothing-longbio: .* not in the local Hub cache"):
        locate("nobody/nothing-longbio", offline=True)


@pytest.mark.parametrize(("weights", "calls"), [("model.safetensors", 1), ("pytorch_model.bin", 2)])
def test_pickles_are_fetched_only_without_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, calls: int
) -> None:
    asked: list[list[str]] = []

    def fake(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        assert name == "organisation/model"
        assert local_files_only
        asked.append(allow_patterns)
        if weights in allow_patterns:
            (tmp_path / weights).touch()
        return str(tmp_path)

    monkeypatch.setattr(checkpoints, "snapshot_download", fake)

    assert locate("organisation/model", offline=True) == tmp_path
    assert len(asked) == calls
    assert "pytorch_model.bin" not in asked[0]
    assert all("config.json" in patterns for patterns in asked)


class BrokenConnection(checkpoints.HfHubHTTPError.__bases__[0]):  # type: ignore[misc]  # a base known at run time
    pass


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("several\nlines"),
        HFValidationError("several\nlines"),
        ConnectionError("several\nlines"),
        BrokenConnection("several\nlines"),
    ],
)
def test_every_hub_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(*arguments: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr(checkpoints, "snapshot_download", failing)

    with pytest.raises(LongbioError, match="organisation/model: ") as caught:
        locate("organisation/model")
    assert "\n" not in str(caught.value)
