"""Samples depend on their number alone, and no document of a batch sees another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from longbio.attention.pattern import SparsePattern
from longbio.encoders.batches import IGNORED
from longbio.encoders.loading import load
from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import Masking, Schedule, Vocabulary
from longbio.pretraining.masked_samples import Collator, MaskedSamples, Part, Sample
from longbio.pretraining.packing import Frame, pack_row, plan
from tests.pretraining.test_packing import corpus_of

FRAME = Frame(first=2, last=3, padding=0)
VOCABULARY = Vocabulary(4, np.arange(5, 60))


def samples(count: int = 60, weights: tuple[float, ...] = (1.0,), **options) -> MaskedSamples:
    parts = []
    for number, weight in enumerate(weights):
        corpus = corpus_of([9 + 5 * number, 30, 17, 4, 50])
        parts.append(Part(corpus, plan(corpus.lengths, np.arange(5), 40), weight))
    return MaskedSamples(parts, FRAME, VOCABULARY, options.pop("masking", Masking()), count=count, **options)


def same(one: Sample, other: Sample) -> bool:
    return len(one.labels) == len(other.labels) and bool(
        (one.corrupted == other.corrupted).all() and (one.labels == other.labels).all()
    )


def test_a_sample_depends_on_its_number_and_on_nothing_else() -> None:
    forwards, backwards = samples(seed=1), samples(seed=1)
    last_first = [backwards[n] for n in reversed(range(60))][::-1]
    assert all(same(forwards[n], last_first[n]) for n in range(60))
    assert not all(same(forwards[n], samples(seed=2)[n]) for n in range(60))
    assert not all(same(forwards[n], samples(seed=1, phase=2)[n]) for n in range(60))


def test_every_epoch_holds_every_sequence_once_in_another_order_with_other_masks() -> None:
    made = samples(seed=0)
    size = len(made.parts[0].plan)
    first, second = ([made[n] for n in range(e * size, (e + 1) * size)] for e in range(2))

    def contents(epoch: list[Sample]) -> list[bytes]:
        return [sample.packed.ids.tobytes() for sample in epoch]

    assert sorted(contents(first)) == sorted(contents(second))
    assert len(set(contents(first))) == size
    by_content = dict(zip(contents(second), second, strict=True))
    assert not all(same(sample, by_content[key]) for key, sample in zip(contents(first), first, strict=True))


def test_a_mixture_is_drawn_by_its_weights() -> None:
    made = samples(count=4000, weights=(1.0, 3.0), seed=0)
    assert made.part_of.mean() == pytest.approx(0.75, abs=0.03)
    size = len(made.parts[1].plan)
    own = [n for n in range(200) if made.part_of[n] == 1][:size]
    assert len({made[n].packed.ids.tobytes() for n in own}) == size


def test_the_rate_follows_the_sample() -> None:
    made = samples(count=3000, masking=Masking(rate=Schedule(0.4, 0.1)), seed=0)

    def rate(numbers: range) -> float:
        found = [made[n] for n in numbers]
        return sum((s.labels != IGNORED).sum() for s in found) / sum(s.packed.ordinary.sum() for s in found)

    assert rate(range(200)) == pytest.approx(0.39, abs=0.02)
    assert rate(range(2800, 3000)) == pytest.approx(0.11, abs=0.02)


def batch_of_texts(folder: Path, block: int = 1) -> tuple[list[list[int]], Sample]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = ["the patient takes a drug", "drugs, daily", "p.o. b.i.d. the drug 12"]
    alone = [tokenizer(text)["input_ids"] for text in texts]
    corpus = corpus_of([len(ids) - 2 for ids in alone])
    corpus.shards[0].ids[:] = [i for ids in alone for i in ids[1:-1]]
    made = plan(corpus.lengths, np.arange(3), 192 if block > 1 else 64, block)
    assert len(made) == 1
    frame = Frame.of(tokenizer)
    sequence = pack_row(corpus, made.pieces(0), frame, block)
    order = [alone[n] for n in made.pieces(0)[:, 0].tolist()]
    labels = np.where(sequence.ordinary, sequence.ids, IGNORED)
    return order, Sample(sequence, sequence.ids, labels)


@pytest.mark.parametrize("family", ["bert", "longformer", "big_bird", "roberta", "electra"])
def test_a_packed_document_loses_what_it_loses_alone(
    family: str, tiny_bert_folder: Path, tiny_long_folder: Path, make_short, make_bigbird
) -> None:
    block = 16 if family == "big_bird" else 1
    if family == "bert":
        model = load(tiny_bert_folder, "mlm", new_head=True)
    elif family == "longformer":
        model = load(tiny_long_folder, "mlm")
    else:
        model = make_bigbird(block) if family == "big_bird" else make_short(family)
    alone, sample = batch_of_texts(tiny_bert_folder, block)
    collate = Collator(model.config.model_type, padding_id=0)
    batch = collate([sample, sample])
    with torch.no_grad():
        together = summed_loss(model, batch)
        apart = sum(
            summed_loss(
                model, {"input_ids": torch.tensor([ids]), "labels": torch.tensor([[-100, *ids[1:-1], -100]])}
            )
            for ids in alone
        )
    assert together.item() == pytest.approx(2 * float(apart), rel=1e-5)


def test_long_families_get_a_pattern_and_the_places_of_labels(tiny_bert_folder: Path) -> None:
    alone, sample = batch_of_texts(tiny_bert_folder)
    batch = Collator("longformer", 0, global_cls=True)([sample, sample])
    pattern = batch["attention_mask"]
    assert isinstance(pattern, SparsePattern)
    firsts = np.cumsum([0, *(len(ids) for ids in alone[:-1])]).tolist()
    width = batch["input_ids"].shape[1]
    assert pattern.global_positions.tolist() == [*firsts, *(width + place for place in firsts)]
    flat = batch["labels"].flatten()
    assert (flat[batch["label_positions"]] != IGNORED).all()
    assert len(batch["label_positions"]) == (flat != IGNORED).sum()
    assert not Collator("big_bird", 0, global_cls=True)([sample])["attention_mask"].has_globals
    plain = Collator("distilbert", 0)([sample, sample])
    assert plain["attention_mask"].shape == plain["input_ids"].shape
