"""Position tables: which row goes where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from longbio.conversion import build
from longbio.conversion.convert import Conversion, convert
from longbio.conversion.settings import ConversionSettings, How

POSITIONS = "embeddings.position_embeddings.weight"
PREFIX = {"longformer": "longformer.", "bigbird": "bert."}


def table_of(folder: Path, prefix: str) -> Tensor:
    state = load_file(folder / "model.safetensors")
    return state.get(prefix + POSITIONS, state.get(POSITIONS))


@pytest.mark.parametrize(
    ("family", "target", "source_row", "target_row"),
    [
        ("bert", "longformer", 0, 1),
        ("electra", "longformer", 0, 1),
        ("distilbert", "longformer", 0, 1),
        ("roberta", "longformer", 2, 2),
        ("xlm-roberta", "longformer", 2, 2),
        ("camembert", "longformer", 2, 2),
        ("bert", "bigbird", 0, 0),
        ("distilbert", "bigbird", 0, 0),
        ("roberta", "bigbird", 2, 0),
        ("camembert", "bigbird", 2, 0),
    ],
)
def test_rows_are_tiled_from_the_first_token_on(
    family: str,
    target: str,
    source_row: int,
    target_row: int,
    make_source: Callable[..., Path],
    converted: Callable[..., Conversion],
) -> None:
    old = table_of(make_source(family), "")[source_row:]
    long = converted(family, "encoder", target)
    new = table_of(long.folder, PREFIX[target])

    assert len(old) == 40
    assert new.shape == (target_row + 64, 32)
    for position in range(64):
        assert torch.equal(new[target_row + position], old[position % 40])


def test_special_rows_of_roberta_come_along_and_bert_gets_a_zero_row(
    make_source: Callable[..., Path], converted: Callable[..., Conversion]
) -> None:
    old = table_of(make_source("roberta"), "")
    new = table_of(converted("roberta", "encoder", "longformer").folder, "longformer.")
    assert torch.equal(new[:2], old[:2])
    assert old[:2].abs().min() > 0

    new = table_of(converted("bert", "encoder", "longformer").folder, "longformer.")
    assert (new[0] == 0).all()


def test_a_table_of_the_same_length_is_the_table_itself(
    make_source: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_source("bert")
    for how in ("tile", "interpolate"):
        settings = ConversionSettings(to="bigbird", max_tokens=40, block=4, random_blocks=1, positions=how)
        done = convert(source, tmp_path / how, settings=settings, verification=False)
        assert (table_of(done.folder, "bert.") - table_of(source, "")).abs().max() < 1e-6


def test_interpolation_keeps_the_ends_and_spreads_evenly() -> None:
    rows = torch.tensor([[0.0, 8.0], [1.0, 6.0], [5.0, 0.0]])
    stretched = build.stretch_positions(rows, 5, "interpolate")
    by_hand = torch.tensor([[0.0, 8.0], [0.5, 7.0], [1.0, 6.0], [3.0, 3.0], [5.0, 0.0]])
    assert torch.allclose(stretched, by_hand)


def test_tiling_repeats_and_cuts() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    assert build.stretch_positions(rows, 7, "tile").tolist() == [*rows.tolist(), *rows.tolist(), [0.0, 1.0]]


@pytest.mark.parametrize("how", ["tile", "interpolate"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stretched_rows_keep_their_dtype_and_share_no_storage(how: How, dtype: torch.dtype) -> None:
    rows = torch.randn(3, 4).to(dtype)
    for size in (3, 8):
        stretched = build.stretch_positions(rows, size, how)
        assert stretched.dtype == dtype
        assert stretched.is_contiguous()
        assert stretched.untyped_storage().data_ptr() != rows.untyped_storage().data_ptr()


def test_numbering_places_special_rows_before_the_first() -> None:
    rows, special = torch.ones(3, 2), torch.full((2, 2), 7.0)
    assert build.number_positions(rows, special, 2)[:, 0].tolist() == [7, 7, 1, 1, 1]
    assert build.number_positions(rows, special, 0)[:, 0].tolist() == [1, 1, 1]
    assert build.number_positions(rows, special[:0], 1)[:, 0].tolist() == [0, 1, 1, 1]
    assert build.number_positions(rows, special[:0], 3)[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
