"""`verify` must fail: the conversion is broken on purpose, one place at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from longbio.attention import kernels
from longbio.conversion import build, verify
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.sources import Source, read_source
from longbio.conversion.verify import Check
from longbio.encoders.families import TARGETS, Renames
from longbio.encoders.longformer import LongformerSelfAttention
from longbio.errors import LongbioError

Make = Callable[..., Path]
HERE = "here"


@pytest.fixture
def failures(
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    plain_in_process: None,
    without_bits: None,
) -> Callable[..., list[str]]:
    """failures(target, ...) -> the checks that failed, by the first words of their names."""

    def run(target: str, family: str = "bert", head: str = "pretraining") -> list[str]:
        with pytest.raises(LongbioError, match="verification failed"):
            convert(make_source(family, head), tmp_path / "long", settings=small[target])
        assert [file.name for file in tmp_path.iterdir()] == ["long.failed"]
        report = json.loads((tmp_path / "long.failed" / "conversion.json").read_text())
        failed = [c["name"] for c in report["verification"]["checks"] if c["passed"] is False]
        assert failed
        return [name.split(",")[0] for name in failed]

    return run


def rewire(monkeypatch: pytest.MonkeyPatch, target: str, changes: dict[str, str]) -> None:
    """Let native names (by a part of them) come from another canonical weight."""
    right = TARGETS[target]

    def changed(table: Renames, prefix: str = "") -> Renames:
        return tuple(
            (ours, next((new for part, new in changes.items() if part in prefix + ours), theirs))
            for ours, theirs in table
        )

    encoder, pooler = changed(right.encoder, right.prefix), changed(right.pooler, right.prefix)
    wrong = replace(right, encoder=encoder, pooler=pooler, head=changed(right.head))
    assert wrong != right
    monkeypatch.setitem(TARGETS, target, wrong)


RENAMES = {
    "query and key": {"self.query.*": "layer.{i}.key.*", "self.key.*": "layer.{i}.query.*"},
    "key and value": {"self.key.*": "layer.{i}.value.*", "self.value.*": "layer.{i}.key.*"},
    "LayerNorms": {
        "attention.output.LayerNorm": "layer.{i}.output_norm.*",
        "}.output.LayerNorm": "layer.{i}.attention_norm.*",
    },
    "output and value": {
        "attention.output.dense": "layer.{i}.value.*",
        "self.value.*": "layer.{i}.attention_output.*",
    },
}


@pytest.mark.parametrize("which", sorted(RENAMES))
def test_a_wrong_rename(
    which: str, target: str, failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewire(monkeypatch, target, RENAMES[which])
    failed = failures(target)
    assert {"hidden states", "pooler", "masked-LM logits"} <= set(failed)


@pytest.mark.parametrize("which", ["query", "key", "value"])
def test_a_wrong_rename_of_a_global_projection(
    which: str, failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a global token shows it, and only against the source."""
    others = {"query": "key", "key": "value", "value": "query"}
    changes = {f"self.{which}_global": f"layer.{{i}}.{others[which]}.*"}
    rewire(monkeypatch, "longformer", changes)
    assert "hidden states" in failures("longformer")


def test_a_wrong_rename_of_the_head(
    target: str, failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewire(monkeypatch, target, HEAD_SWAP[target])
    assert failures(target) == ["pooler", "masked-LM logits"]


HEAD_SWAP = {
    "longformer": {"lm_head.dense": "pooler.*", "pooler.dense": "head.dense.*"},
    "bigbird": {"transform.dense": "pooler.*", "bert.pooler": "head.dense.*"},
}


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("shift", [1, -1])
def test_positions_off_by_one(
    shift: int,
    family: str,
    target: str,
    failures: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = build.number_positions
    monkeypatch.setattr(build, "number_positions", lambda *a: honest(*a).roll(shift, 0))
    assert "hidden states" in failures(target, family, "mlm")


def test_positions_numbered_as_in_the_source(
    failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old converters' mistake: BERT's row 0 stays row 0, where a Longformer never looks."""
    honest = build.number_positions

    def unshifted(rows: Tensor, special_rows: Tensor | None, first_row: int) -> Tensor:
        return torch.cat([honest(rows, special_rows, 0), rows[-first_row:]])

    monkeypatch.setattr(build, "number_positions", unshifted)
    assert "hidden states" in failures("longformer")


GLOBAL_SWAPS = [("query_global", "query"), ("key_global", "key"), ("value_global", "value")]
GLOBAL_SWAPS += [("key_global", "value_global")]


@pytest.mark.parametrize(("first", "second"), GLOBAL_SWAPS)
def test_local_and_global_projections_exchanged_in_our_encoder(
    first: str, second: str, failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LongformerSelfAttention.forward

    def exchanged(self: Any, *arguments: Any, **options: Any) -> Any:
        one, two = getattr(self, first), getattr(self, second)
        setattr(self, first, two)
        setattr(self, second, one)
        try:
            return honest(self, *arguments, **options)
        finally:
            setattr(self, first, one)
            setattr(self, second, two)

    monkeypatch.setattr(LongformerSelfAttention, "forward", exchanged)
    assert "plain transformers" in failures("longformer")


def test_shared_storage_never_reaches_the_disk(
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tensor, "clone", lambda self, **_: self)
    with pytest.raises(RuntimeError, match="share memory"):
        convert(make_source("bert"), tmp_path / "long", settings=small["longformer"], verification=False)
    assert list(tmp_path.iterdir()) == []


def edit_weights(folder: Path, edit: Callable[[dict[str, Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def after_writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], Any]], None]:
    """after_writing(edit): damage what was written before it is verified."""

    def install(edit: Callable[[Path], Any]) -> None:
        honest = build.write

        def write(folder: Path, *arguments: Any) -> list[str]:
            made_up = honest(folder, *arguments)
            edit(folder)
            return made_up

        monkeypatch.setattr(build, "write", write)

    return install


def set_to(part: str, value: float) -> Callable[[Path], None]:
    def edit(state: dict[str, Tensor]) -> None:
        names = [name for name in state if part in name]
        assert names
        for name in names:
            state[name] = torch.full_like(state[name], value)

    return lambda folder: edit_weights(folder, edit)


@pytest.mark.parametrize(
    ("part", "value", "check"),
    [
        ("pooler", 0.0, "pooler"),
        ("predictions.bias|lm_head.bias", 0.0, "masked-LM logits"),
        ("embeddings.token_type", 0.0, "hidden states"),
        ("embeddings.LayerNorm.bias", 0.0, "hidden states"),
        ("layer.1.output.dense.bias", 0.0, "hidden states"),
        ("layer.0.attention.self.query.bias", float("nan"), "hidden states"),
    ],
)
def test_a_weight_that_was_lost(
    part: str,
    value: float,
    check: str,
    target: str,
    failures: Callable[..., list[str]],
    after_writing: Callable[..., None],
) -> None:
    part = part.split("|")[target == "longformer"] if "|" in part else part
    after_writing(set_to(part, value))
    assert check in failures(target)


def test_global_projections_that_were_lost(
    failures: Callable[..., list[str]], after_writing: Callable[..., None]
) -> None:
    after_writing(set_to("value_global", 0.0))
    assert "hidden states" in failures("longformer")


@pytest.mark.parametrize(
    "changes",
    [{"layer_norm_eps": 1e-1}, {"hidden_act": "relu"}, {"num_attention_heads": 4}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_setting_that_was_lost(
    changes: dict[str, Any],
    target: str,
    failures: Callable[..., list[str]],
    after_writing: Callable[..., None],
) -> None:
    after_writing(lambda folder: edit_config(folder, **changes))
    assert "hidden states" in failures(target)


def test_padding_id_that_was_lost(
    failures: Callable[..., list[str]], after_writing: Callable[..., None]
) -> None:
    def edit(folder: Path) -> None:
        edit_config(folder, pad_token_id=0, max_position_embeddings=66)

    after_writing(edit)
    assert "hidden states" in failures("longformer", "roberta", "mlm")


def test_a_changed_tokenizer(
    target: str, failures: Callable[..., list[str]], after_writing: Callable[..., None]
) -> None:
    def edit(folder: Path) -> None:
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["normalizer"]["strip_accents"] = False
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["b"], vocabulary["c"] = vocabulary["c"], vocabulary["b"]
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    after_writing(edit)
    assert failures(target) == ["token ids of 10 clinical strings"]


def test_a_tokenizer_that_cuts(
    failures: Callable[..., list[str]], after_writing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut on both sides the ids are equal; that the long note is whole is judged too."""
    monkeypatch.setattr(verify.proof_cases, "embedded_text", lambda: "pain " * 900)
    assert failures("longformer") == ["token ids of 10 clinical strings"]


def test_a_kernel_that_forgets_global_keys(
    failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(query: Tensor, key: Tensor, value: Tensor, pattern: Any, *, dropout: float = 0.0) -> Tensor:
        near = replace(pattern, global_BT=torch.zeros_like(pattern.global_BT), host=None, cache={})
        return honest.attend(query, key, value, near, dropout=dropout)

    honest = kernels.KERNELS["blocked"]
    monkeypatch.setitem(kernels.KERNELS, "blocked", replace(honest, attend=forgetful))
    assert "kernel auto" in failures("longformer")


def test_a_kernel_that_forgets_random_blocks(
    failures: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(query: Tensor, key: Tensor, value: Tensor, pattern: Any, *, dropout: float = 0.0) -> Tensor:
        counts = pattern.counts_BHNN.tril(1).triu(-1)
        near = replace(pattern, counts_BHNN=counts, host=None, cache={})
        return honest.attend(query, key, value, near, dropout=dropout)

    honest = kernels.KERNELS["blocked"]
    monkeypatch.setitem(kernels.KERNELS, "blocked", replace(honest, attend=forgetful))
    assert "kernel auto" in failures("bigbird")


def test_a_folder_that_plain_transformers_cannot_load(
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    without_bits: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The subprocess is a real one here, and its last line is what is told."""
    honest = verify.native.plain_transformers

    def emptied(folder: Path, *arguments: Any) -> Any:
        edit_weights(folder, lambda state: state.pop("lm_head.dense.weight"))
        return honest(folder, *arguments)

    monkeypatch.setattr(verify.native, "plain_transformers", emptied)
    with pytest.raises(LongbioError, match="verification failed: plain transformers, without longbio"):
        convert(make_source("bert", "mlm"), tmp_path / "long", settings=small["longformer"])
    report = (tmp_path / "long.failed" / "conversion.json").read_text()
    assert "misses lm_head.dense.weight" in report


class TestBits:
    """Check 5, on figures made up: random weights predict nothing."""

    @pytest.fixture
    def checks(
        self, make_source: Make, converted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., list[Check]]:
        def run(source_bits: float, long_bits: float, random_bits: float, head: str = "mlm") -> list[Check]:
            figures: Iterator[float] = iter((source_bits, long_bits, random_bits))
            tables = []

            def bits(model: Any, *_: Any, **__: Any) -> float:
                tables.append(model.base_model.embeddings.position_embeddings.weight.detach().clone())
                return next(figures)

            monkeypatch.setattr(verify, "bits_per_masked_token", bits)
            folder = converted("bert", head, "longformer").folder
            source: Source = read_source(HERE, make_source("bert", head))
            settings = ConversionSettings(max_tokens=64, window=16)
            found = list(verify.same_use_of_positions(source, folder, settings, "auto", "the pain " * 90))
            if head == "mlm":
                # Random rows where the source had none, and there only.
                changed = (tables[1] != tables[2]).any(dim=1).nonzero().flatten().tolist()
                assert changed == list(range(41, 65))
            return found

        return run

    def test_close_to_the_source_passes(self, checks: Callable[..., list[Check]]) -> None:
        assert checks(2.0, 2.1, 6.0)[-1].passed is True

    def test_close_to_random_fails(self, checks: Callable[..., list[Check]]) -> None:
        last = checks(2.0, 4.5, 6.0)[-1]
        assert last.passed is False
        assert last.value == "62%"

    def test_positions_that_tell_nothing_judge_nothing(self, checks: Callable[..., list[Check]]) -> None:
        assert checks(2.0, 2.09, 2.05)[-1].passed is None

    def test_without_a_head_nothing_is_measured(self, checks: Callable[..., list[Check]]) -> None:
        assert [check.passed for check in checks(0, 0, 0, head="encoder")] == [None]


def test_nan_is_no_match() -> None:
    nan, one = torch.tensor([float("nan")]), torch.ones(1)
    for pair in ((nan, one), (one, nan), (nan, nan)):
        assert verify._largest_difference([pair]) == float("inf")
    assert verify._largest_difference([(one, one), (one * 3, one)]) == 2.0


def test_the_tokenizer_of_a_source_is_compared_uncut(
    own_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    plain_in_process: None,
    without_bits: None,
) -> None:
    source = own_source("bert")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.backend_tokenizer.enable_truncation(8)
    tokenizer.backend_tokenizer.save(str(source / "tokenizer.json"))
    done = convert(source, tmp_path / "long", settings=small["longformer"])
    assert done.report["verification"]["passed"]
