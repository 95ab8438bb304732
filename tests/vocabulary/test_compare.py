"""Tokenizers are compared on the same hidden words, and by the character."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longbio.corpus.texts import Text
from longbio.encoders.batches import IGNORED
from longbio.encoders.loading import load, load_tokenizer
from longbio.errors import LongbioError
from longbio.vocabulary import compare as comparing
from longbio.vocabulary import extend as extending
from longbio.vocabulary.compare import CompareSettings, compare
from longbio.vocabulary.injection import inject
from longbio.vocabulary.new_rows import ExtendSettings
from longbio.vocabulary.passages import Passage, bits_per_character, mask_words, passages_of, room_of

TEXTS = [Text(f"the patient takes warfarin daily and sleeps {'well ' * (n % 4)}; " * 6) for n in range(20)]


@pytest.fixture(scope="module")
def tokenizers(minilm_folder: Path):
    old = load_tokenizer(minilm_folder)
    return old, inject(old, ["metoprolol", "bronchoconstriction", "##oprolol"]).tokenizer


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["metoprolols", "the", "bronchoconstriction,", "bisoprolol", "(naïve)", "5"])
        | st.text("abcé-", min_size=1, max_size=8),
        min_size=1,
        max_size=40,
    ),
    seed=st.integers(0, 5),
)
def test_the_same_words_are_hidden_whatever_the_pieces(tokenizers, words: list[str], seed: int) -> None:
    passage = Passage(3, " ".join(words))
    one, other = (mask_words(passage, tokenizer, 512, seed) for tokenizer in tokenizers)
    assert one.characters == other.characters
    hidden = [
        "".join(
            tokenizer.convert_ids_to_tokens(label).removeprefix("##")
            for label in masked.labels
            if label != IGNORED
        )
        for tokenizer, masked in zip(tokenizers, (one, other), strict=True)
    ]
    assert hidden[0] == hidden[1]


def test_characters_that_the_normaliser_deletes_part_words(tokenizers) -> None:
    passage = Passage(0, "the\x93metoprolol\x94the", (4, 14), hides_term=True)
    assert [mask_words(passage, tokenizer, 512, 0).characters for tokenizer in tokenizers] == [10, 10]
    assert room_of(tokenizers[0], 6)("no\x93" * 60) == len("no\x93no\x93no\x93no")


def test_a_term_is_hidden_alone_or_shown_and_rates_are_met(tokenizers) -> None:
    old, _ = tokenizers
    text = "he took metoprolol daily " * 200
    masked = [mask_words(Passage(n, text), old, 10_000, 0) for n in range(20)]
    share = sum(each.characters for each in masked) / (20 * len(text.replace(" ", "")))
    assert share == pytest.approx(0.15, abs=0.02)
    beside = set()
    for number in range(30):
        sentence = Passage(number, "he took metoprolol daily", (8, 18))
        alone = mask_words(replace(sentence, hides_term=True), old, 64, 0)
        pieces = old.convert_ids_to_tokens([label for label in alone.labels if label != IGNORED])
        assert pieces == old.tokenize("metoprolol")
        assert alone.characters == len("metoprolol")
        assert alone.ids.count(old.mask_token_id) == len(pieces)
        beside |= {label for label in mask_words(sentence, old, 64, 0).labels if label != IGNORED}
    assert old.convert_ids_to_tokens(sorted(beside)) == sorted(
        ["he", "took", "daily"], key=old.convert_tokens_to_ids
    )


def test_passages_end_with_words_and_bits_are_by_the_character(tiny_mlm: Path) -> None:
    passages = passages_of(TEXTS, 7, 100)
    assert passages == passages_of(iter(TEXTS), 7, 100)
    assert [passage.number for passage in passages] == list(range(7))
    assert all(25 <= len(passage.text) <= 100 and not passage.text.endswith(" ") for passage in passages)
    numbered = [Text(f"{n:03} " * 300) for n in range(40)]
    drawn = Counter(passage.text[:3] for passage in passages_of(numbered, 200, 100))
    assert drawn.total() == 200
    assert len(drawn) > 35
    assert [p.text for p in passages_of([Text("a short one of a few words")], 5, 100)] == [
        "a short one of a few words"
    ]
    model, tokenizer = load(tiny_mlm, "mlm"), load_tokenizer(tiny_mlm)
    for weight in model.parameters():
        weight.requires_grad_(False).zero_()
    # All pieces as likely: a letter, which here is a piece, costs the logarithm of the vocabulary.
    bits = bits_per_character(
        model, [Passage(0, "zzzz zzzz zzzz", (0, 14), hides_term=True)], tokenizer, max_tokens=64
    )
    assert 2**bits == pytest.approx(model.config.vocab_size, rel=1e-3)


@pytest.fixture(scope="module")
def tiny_mlm(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoModelForMaskedLM

    from longbio.encoders.loading import quiet

    folder = tmp_path_factory.mktemp("compare") / "mlm"
    with quiet():
        AutoModelForMaskedLM.from_pretrained(tiny_bert_folder).save_pretrained(folder)
    load_tokenizer(tiny_bert_folder).save_pretrained(folder)
    return folder


def test_passages_end_where_the_old_tokenizer_has_room(tokenizers) -> None:
    old, new = tokenizers
    texts = [Text("WBC-12.3* RBC-3.45* metoprolol " * 60)]
    (cut,) = passages_of(texts, 1, 5000, room_of(old, 128))
    one, other = (mask_words(cut, tokenizer, 128, 0) for tokenizer in (old, new))
    assert 120 < len(one.ids) <= 128
    assert one.characters == other.characters > 0


def test_a_character_of_two_bytes_is_one(byte_pairs) -> None:
    passage = Passage(0, "the ménière", (4, 11), hides_term=True)
    byte_pairs.cls_token, byte_pairs.sep_token = "<s>", "</s>"
    for tokenizer in (byte_pairs, inject(byte_pairs, ["ménière"]).tokenizer):
        assert mask_words(passage, tokenizer, 64, 0).characters == len("ménière")


def test_only_new_words_count_as_new_terms(tiny_mlm: Path, tmp_path: Path) -> None:
    plan = CompareSettings(
        methods=("mean",), seeds=(0,), steps=1, batch=1, characters=40, held_out=2, sentence_characters=40
    )
    unseen = [Text("the drug and the patient, again and again and once more")]
    with pytest.raises(LongbioError, match="0 sentences with terms"):
        compare(tiny_mlm, tmp_path / "run", ["warfarin", "drug", "the"], TEXTS, unseen, settings=plan)
    assert not (tmp_path / "run").exists()


def test_a_kill_in_the_probe_keeps_the_extension(tiny_mlm: Path, tmp_path: Path, monkeypatch) -> None:
    plan = CompareSettings(
        methods=("mean",), seeds=(0,), steps=1, batch=1, characters=40, held_out=2, sentence_characters=40
    )
    unseen = [Text("and the patient takes warfarin again and again and once more")]

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        probe = comparing._probe
        patched.setattr(comparing, "_probe", lambda *a: killed() if "mean" in a[-1] else probe(*a))
        with pytest.raises(KeyboardInterrupt):
            compare(tiny_mlm, tmp_path / "run", ["warfarin"], TEXTS, unseen, settings=plan)
    monkeypatch.setattr(extending, "_extend", killed)
    compare(tiny_mlm, tmp_path / "run", ["warfarin"], TEXTS, unseen, settings=plan)
    assert not list(tmp_path.glob("**/*.probe"))
    assert sorted(path.name for path in tiny_mlm.parent.iterdir()) == [tiny_mlm.name]


def test_a_comparison_is_written_drawn_and_goes_on(tiny_mlm: Path, tmp_path: Path, monkeypatch) -> None:
    plan = CompareSettings(
        methods=("random", "mean"),
        seeds=(0, 1),
        steps=4,
        every=2,
        batch=2,
        characters=60,
        held_out=6,
        sentence_characters=40,
        extend=ExtendSettings(layers=(0, 1)),
    )
    unseen = [Text("again warfarin and the patient who sleeps daily, and takes warfarin again, well " * 3)]
    results = compare(tiny_mlm, tmp_path / "run", ["warfarin", "##aily"], TEXTS, unseen, settings=plan)
    assert set(results["methods"]) == {"unextended", "random", "mean"}
    assert [len(runs) for runs in results["runs"].values()] == [2, 2, 2]
    assert set(results["runs"]["mean"][0]["curve"]) == {"0", "2", "4"}
    tokens = results["shape"]["tokens_per_document"]
    assert tokens["after"] < tokens["before"]
    assert results["shape"]["context_gained"] == pytest.approx(
        4096 * (tokens["before"] / tokens["after"] - 1)
    )
    assert results["shape"]["pieces_per_term"] == {"before": 8, "after": 1}
    assert "| unextended |" in (tmp_path / "run" / comparing.TABLE).read_text()
    with Image.open(tmp_path / "run" / comparing.PLOT) as picture:
        assert picture.size == (1440, 456)
    assert not [path for path in (tmp_path / "run").iterdir() if path.is_dir()]

    def again(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(comparing, "_probe", again)
    terms = ["warfarin", "##aily"]
    assert compare(tiny_mlm, tmp_path / "run", terms, TEXTS, unseen, settings=plan)["runs"] == results["runs"]
    with pytest.raises(LongbioError, match="another plan: terms has changed"):
        compare(tiny_mlm, tmp_path / "run", ["warfarin"], TEXTS, unseen, settings=plan)
    moved = shutil.copytree(tiny_mlm, tmp_path / "moved")
    assert compare(moved, tmp_path / "run", terms, TEXTS, unseen, settings=plan)["runs"] == results["runs"]
    weights = moved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        compare(moved, tmp_path / "run", terms, TEXTS, unseen, settings=plan)
    assert json.loads((tmp_path / "run" / comparing.RESULTS).read_text())["runs"] == results["runs"]
    with pytest.raises(LongbioError, match="passages of unseen text"):
        compare(tiny_mlm, tmp_path / "other", ["warfarin"], TEXTS, [Text("short")], settings=plan)
