"""Every family to both targets: the proof of `verify`, and one of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from longbio.conversion.convert import Conversion, convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.loading import load, quiet

Make = Callable[..., Path]
Converted = Callable[..., Conversion]

SOURCES = [
    ("bert", "encoder"),
    ("bert", "mlm"),
    ("bert", "pretraining"),
    ("bert", "ner"),
    ("roberta", "encoder"),
    ("roberta", "mlm"),
    ("xlm-roberta", "encoder"),
    ("xlm-roberta", "mlm"),
    ("camembert", "encoder"),
    ("camembert", "mlm"),
    ("electra", "encoder"),
    ("electra", "mlm"),
    ("electra", "pretraining"),
    ("distilbert", "encoder"),
    ("distilbert", "mlm"),
]
FIRST_ROW = {"roberta": 2, "xlm-roberta": 2, "camembert": 2}
WITH_POOLER = {("bert", "encoder"), ("bert", "pretraining")}
WITH_POOLER |= {(family, "encoder") for family in FIRST_ROW}
EXACT_TOKENS = {"longformer": 9, "bigbird": 28}


def stock(kind: Any, folder: Path) -> Any:
    with quiet():
        return kind.from_pretrained(folder).float().eval()


def batches(vocab_size: int, longest: int, num_types: int, first_row: int) -> list[dict[str, Tensor]]:
    """Rows of unequal lengths, padded right (positions as the model counts) and left (given)."""
    draw = torch.Generator().manual_seed(3)
    lengths = torch.tensor([longest, longest // 2, 1])[:, None]
    column = torch.arange(longest)
    pad = 1 if first_row == 2 else 0

    made = []
    for side in ("right", "left"):
        mask = (column < lengths) if side == "right" else (column >= longest - lengths)
        # 7 and above: nothing that a family counts as padding.
        ids = torch.randint(7, vocab_size, mask.shape, generator=draw).masked_fill(~mask, pad)
        batch = {"input_ids": ids, "attention_mask": mask.long()}
        if side == "left":
            batch["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        if num_types > 1:
            batch["token_type_ids"] = torch.randint(num_types, mask.shape, generator=draw)
        made.append(batch)
    return made


def at_rows(batch: dict[str, Tensor], first_row: int) -> dict[str, Tensor]:
    if "position_ids" not in batch:
        return batch
    return batch | {"position_ids": batch["position_ids"] + first_row}


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0)).item()


@pytest.mark.parametrize(("family", "head"), SOURCES)
@torch.no_grad()
def test_result_equals_its_source(
    family: str, head: str, target: str, make_source: Make, converted: Converted
) -> None:
    source, out = make_source(family, head), converted(family, head, target).folder
    source_row = FIRST_ROW.get(family, 0)
    target_row = (2 if family in FIRST_ROW else 1) if target == "longformer" else 0
    has_head = head == "mlm" or (family, head) == ("bert", "pretraining")

    short = stock(transformers.AutoModel, source)
    with_head = stock(transformers.AutoModelForMaskedLM, source) if has_head else None
    num_types = getattr(short.config, "type_vocab_size", 1)
    cases = batches(short.config.vocab_size, EXACT_TOKENS[target], num_types, source_row)

    for kernel in ("stock", "blocked"):
        long, long_head = load(out, kernel=kernel), load(out, "mlm", kernel=kernel)
        for batch in cases:
            real = batch["attention_mask"].bool()
            theirs, ours = at_rows(batch, source_row), at_rows(batch, target_row)
            wanted, given = short(**theirs), long(**ours)
            assert largest_difference(given.last_hidden_state[real], wanted.last_hidden_state[real]) < 1e-5
            if (family, head) in WITH_POOLER:
                first = real[:, 0]
                assert largest_difference(given.pooler_output[first], wanted.pooler_output[first]) < 1e-5
            if with_head is not None:
                logits = long_head(**ours).logits[real]
                assert largest_difference(logits, with_head(**theirs).logits[real]) < 1e-5


@pytest.mark.usefixtures("plain_in_process", "without_bits")
@pytest.mark.parametrize(("family", "head"), SOURCES)
def test_verification_passes(
    family: str,
    head: str,
    target: str,
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
) -> None:
    done = convert(make_source(family, head), tmp_path / "long", settings=small[target])
    verification = done.report["verification"]
    judged = {check["name"]: check["passed"] for check in verification["checks"]}
    started = [name.split(",")[0] for name in judged]

    assert verification["passed"] is True
    for name in ("hidden states", "kernel auto", "plain transformers", "token ids of 10 clinical strings"):
        assert name in started
        assert judged[next(full for full in judged if full.startswith(name))] is True
    assert ("pooler" in started) == ((family, head) in WITH_POOLER)
    has_head = head == "mlm" or (family, head) == ("bert", "pretraining")
    assert ("masked-LM logits" in started) == has_head


@pytest.mark.usefixtures("without_bits")
@pytest.mark.parametrize(("family", "target"), [("bert", "bigbird"), ("roberta", "longformer")])
def test_verification_passes_in_a_python_without_longbio(
    family: str, target: str, make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    done = convert(make_source(family, "mlm"), tmp_path / "long", settings=small[target])
    names = [check["name"] for check in done.report["verification"]["checks"] if check["passed"]]
    assert any(name.startswith("plain transformers, without longbio") for name in names)


@pytest.mark.usefixtures("plain_in_process", "without_bits")
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_interpolated_positions_are_proven_against_the_same_rows(
    family: str, target: str, make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    settings = ConversionSettings(**{**vars(small[target]), "positions": "interpolate"})
    done = convert(make_source(family, "mlm"), tmp_path / "long", settings=settings)
    assert done.report["verification"]["passed"]


def test_folder_has_encoder_pooler_and_head_in_one(target: str, converted: Converted) -> None:
    out = converted("bert", "pretraining", target).folder
    for task in ("features", "mlm"):
        with quiet():
            kind = {"features": transformers.AutoModel, "mlm": transformers.AutoModelForMaskedLM}[task]
            _, loading = kind.from_pretrained(out, output_loading_info=True)
        assert loading["missing_keys"] == set()


def test_untied_decoder_comes_along(
    target: str, make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = make_source("bert", "mlm", tie_word_embeddings=False)
    state = load_file(source / "model.safetensors")
    assert not torch.equal(
        state["cls.predictions.decoder.weight"], state["bert.embeddings.word_embeddings.weight"]
    )

    convert(source, tmp_path / "long", settings=small[target], verification=False)
    short, long = stock(transformers.AutoModelForMaskedLM, source), load(tmp_path / "long", "mlm")
    assert long.config.tie_word_embeddings is False
    batch = {"input_ids": torch.randint(7, short.config.vocab_size, (2, 9))}
    with torch.no_grad():
        assert largest_difference(long(**batch).logits, short(**batch).logits) < 1e-5


@pytest.mark.usefixtures("plain_in_process", "without_bits")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_what_it_is(
    dtype: torch.dtype, target: str, make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = make_source("bert", "mlm", dtype=dtype)
    done = convert(source, tmp_path / "long", settings=small[target])
    assert done.report["verification"]["passed"]
    assert {weight.dtype for weight in load_file(done.folder / "model.safetensors").values()} == {dtype}
    assert load(done.folder).dtype == dtype


def test_bin_weights_give_the_same_tensors(
    target: str, own_source: Make, converted: Converted, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert", "mlm")
    state = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    torch.save(state, source / "pytorch_model.bin")

    convert(source, tmp_path / "long", settings=small[target], verification=False)
    ours = load_file(tmp_path / "long" / "model.safetensors")
    theirs = load_file(converted("bert", "mlm", target).folder / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_pooler_and_head_of_a_union_both_come_along(
    target: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    """RoBERTa's own classes save either; a union of both is what longbio itself writes."""
    source = own_source("roberta", "mlm")
    state = load_file(source / "model.safetensors")
    draw = torch.Generator().manual_seed(5)
    state["roberta.pooler.dense.weight"] = 0.2 * torch.randn(32, 32, generator=draw)
    state["roberta.pooler.dense.bias"] = 0.2 * torch.randn(32, generator=draw)
    save_file(state, source / "model.safetensors", metadata={"format": "pt"})

    done = convert(source, tmp_path / "long", settings=small[target])
    names = [check["name"].split(",")[0] for check in done.report["verification"]["checks"]]
    assert done.report["made_up"] == (
        [] if target == "longformer" else ["token types: the second is a copy of the first"]
    )
    assert {"hidden states", "pooler", "masked-LM logits"} <= set(names)
