"""A checkpoint gets new rows, and nothing that was in it changes."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import get_args

import psutil
import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertTokenizer,
    ElectraConfig,
    ElectraForMaskedLM,
)

from longbio.artifacts import runs
from longbio.artifacts.atomic_files import write_bytes_atomically
from longbio.artifacts.checkpoints import read_weights
from longbio.artifacts.runs import Run
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.corpus.texts import Corpus, Text
from longbio.encoders.loading import load, load_tokenizer, quiet
from longbio.errors import LongbioError
from longbio.progress import Silence
from longbio.vocabulary import distil, initialise, new_rows
from longbio.vocabulary import extend as extending
from longbio.vocabulary.contexts import Context
from longbio.vocabulary.distil import DistilSettings
from longbio.vocabulary.encoded_contexts import (
    NEVER_USED,
    NO_CONTEXT,
    NOWHERE,
    STEP,
    encode,
    span_states,
    why_without,
)
from longbio.vocabulary.extend import REPORT, extend
from longbio.vocabulary.injection import inject
from longbio.vocabulary.new_rows import ExtendSettings

TEXTS = [
    Text(f"the patient takes warfarin daily for arthritis {'again ' * (n % 5)}and sleeps") for n in range(12)
]
TERMS = ["warfarin", "##itis", "nowhere", "drug"]


@pytest.fixture(scope="session")
def tiny_mlm_folder(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT with a masked-LM head, tied as they are."""
    folder = tmp_path_factory.mktemp("tiny_mlm") / "mlm"
    shutil.copytree(tiny_bert_folder, folder)
    torch.manual_seed(1)
    with quiet():
        model = AutoModelForMaskedLM.from_pretrained(tiny_bert_folder)
    model.cls.predictions.bias.data.normal_()
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", get_args(initialise.Method))
def test_old_rows_and_all_other_weights_are_as_they_were(
    method: initialise.Method, tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    settings = ExtendSettings(method, layers=(0, 1), distil=DistilSettings(epochs=2))
    report = extend(tiny_mlm_folder, tmp_path / "out", TERMS, TEXTS, settings=settings)
    assert [each["piece"] for each in report["pieces"]] == ["warfarin", "##itis", "nowhere"]
    assert report["refused"] == {"already in the vocabulary": 1}
    with_contexts = method in initialise.NEEDS_CONTEXTS
    assert report["without_contexts"] == (["nowhere"] if with_contexts else [])
    assert report["pieces"] == json.loads((tmp_path / "out" / REPORT).read_text())["pieces"]
    tokenizer = AutoTokenizer.from_pretrained(tiny_mlm_folder)
    new = AutoTokenizer.from_pretrained(tmp_path / "out")
    for each in report["pieces"]:
        assert new.get_vocab()[each["piece"]] == each["id"]
        assert each["asked"]
        word = each["piece"].removeprefix("##")
        assert [piece.removeprefix("##") for piece in each["replaces"]] == list(word)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"`{method}`" in card
    assert "3 pieces more" in card
    assert ("1 pieces had no context" in card) == with_contexts
    assert not any(each["piece"] in card for each in report["pieces"])
    before, after = read_weights(tiny_mlm_folder), read_weights(tmp_path / "out")
    assert set(before) == set(after)
    count = report["old_tokens"]
    grown = {name for name in before if before[name].shape != after[name].shape}
    assert grown == {"bert.embeddings.word_embeddings.weight", "cls.predictions.bias"}
    for name in before:
        assert torch.equal(before[name], after[name][:count] if name in grown else after[name]), name
    rows = after["bert.embeddings.word_embeddings.weight"][count:]
    assert rows.isfinite().all()
    assert len({tuple(row.tolist()) for row in rows}) == 3
    bias = before["cls.predictions.bias"]
    of_warfarin = torch.tensor(tokenizer("warfarin", add_special_tokens=False)["input_ids"])
    assert after["cls.predictions.bias"][count] == pytest.approx(float(bias[of_warfarin].mean()))


@pytest.mark.parametrize(
    ("context_tokens", "because"),
    [
        (64, {NEVER_USED: ["warf"], NOWHERE: ["nowhere"]}),
        # A context of eight has no room for the eight pieces of warfarin and the two at its ends.
        (8, {NO_CONTEXT: ["warfarin"], NEVER_USED: ["warf"], NOWHERE: ["nowhere"]}),
    ],
)
def test_why_a_piece_has_no_context(
    context_tokens: int, because: dict[str, list[str]], tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    settings = ExtendSettings(layers=(0,), context_tokens=context_tokens)
    terms = ["warfarin", "warf", "nowhere", "daily", "sleeps"]
    report = extend(tiny_mlm_folder, tmp_path / "out", terms, TEXTS, settings=settings)
    assert report["without_contexts_because"] == because
    assert sorted(report["without_contexts"]) == sorted(p for some in because.values() for p in some)
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"1 {reason}" in card for reason in because)


def test_steps_between_letters_and_a_word_are_no_terms_that_are_missing(byte_pairs) -> None:
    injected = inject(byte_pairs, ["warfarin"])
    steps = [piece for piece in injected.pieces if not piece.is_asked]
    assert steps
    found = why_without(steps, {" warfarin": 3}, injected.tokenizer)
    assert found == {STEP: [piece.piece for piece in steps]}


def test_plain_transformers_reads_it(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    extend(tiny_mlm_folder, tmp_path / "out", TERMS, settings=ExtendSettings("mean"))
    with quiet():
        model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("the warfarin", return_tensors="pt")
    assert tokenizer.tokenize("the warfarin") == ["the", "warfarin"]
    assert model(**ids).logits.shape == (1, 4, model.config.vocab_size)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    old = load(tiny_mlm_folder, "mlm")
    ids = tokenizer("the drug", return_tensors="pt")
    assert torch.allclose(model(**ids).logits[..., :-3], old(**ids).logits, atol=1e-6)


@pytest.mark.parametrize("method", ["mean", "contextual"])
def test_extending_then_converting_is_converting_then_extending(
    method: initialise.Method, tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    settings = ExtendSettings(method, layers=(0, 1, 2))

    def long(source: Path, name: str) -> Path:
        sizes = ConversionSettings(max_tokens=256, window=128)
        convert(source, tmp_path / name, settings=sizes, verification=False)
        return tmp_path / name

    extend(tiny_mlm_folder, tmp_path / "extended", TERMS, TEXTS, settings=settings)
    extend(long(tiny_mlm_folder, "long"), tmp_path / "one", TERMS, TEXTS, settings=settings)
    one, other = read_weights(tmp_path / "one"), read_weights(long(tmp_path / "extended", "other"))
    assert set(one) == set(other)
    for name in one:
        assert torch.allclose(one[name], other[name], atol=1e-5), name
    texts = "the patient takes warfarin"
    assert load_tokenizer(tmp_path / "one")(texts) == load_tokenizer(tmp_path / "other")(texts)


def test_a_run_that_is_refused_leaves_nothing(
    tiny_mlm_folder: Path, tiny_bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(words: str, source: Path = tiny_mlm_folder, terms=TERMS, texts=TEXTS, **changes) -> None:
        how = ExtendSettings(**{"layers": (0, 1), **changes})
        with pytest.raises(LongbioError, match=words):
            extend(source, tmp_path / "out", terms, texts, settings=how)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".*begun/*.safetensors"))

    refused("no term can become a piece", terms=["drug", ""])
    refused("no.* of any piece: 3 don't occur in the corpus", texts=[Text("else")])
    refused("masked-LM head", tiny_bert_folder, method="token-distillation")
    refused("0 contexts of 64 tokens", contexts=0)
    refused("of 65 tokens can't be read", context_tokens=65)
    refused(r"of layers \(0, 3\) not all are there: the model has 2", layers=(0, 3))
    refused("its rows have 16 numbers and its states 32", narrow_electra(tmp_path / "electra"))
    with monkeypatch.context() as patched:
        little = psutil.virtual_memory()._replace(available=2**16)
        patched.setattr(psutil, "virtual_memory", lambda: little)
        refused("pieces and their contexts need about 0.0 GiB of memory")
    (tmp_path / "broken.txt.gz").write_bytes(gzip.compress(b"the warfarin " * 1000)[:-20])
    refused("broken.txt.gz", texts=Corpus((tmp_path / "broken.txt.gz",)))
    (tmp_path / "latin.txt").write_bytes("the warfarin naïve".encode("latin-1"))
    refused("latin.txt", texts=Corpus((tmp_path / "latin.txt",)))
    untied = tmp_path / "untied"
    shutil.copytree(tiny_mlm_folder, untied)
    config = json.loads((untied / "config.json").read_text())
    (untied / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    refused("not tied", untied)


def test_states_are_those_of_the_whole_encoder_at_the_span(tiny_mlm_folder: Path) -> None:
    old = load_tokenizer(tiny_mlm_folder)
    new = inject(old, ["##itis"])
    text = "the arthritis of the patient"
    context = Context(0, text, 4, 13)
    (encoded,) = encode({new.pieces[0].id: [context]}, old, new.tokenizer, max_tokens=64)[new.pieces[0].id]
    assert old.convert_ids_to_tokens(list(encoded.ids))[slice(*encoded.span)] == ["##i", "##t", "##i", "##s"]
    assert old.convert_ids_to_tokens(list(encoded.ids))[slice(*encoded.word)][0] == "a"
    assert new.tokenizer.convert_ids_to_tokens(list(encoded.new_word))[-1] == "##itis"
    model = load(tiny_mlm_folder)
    whole = model(**old(text, return_tensors="pt"), output_hidden_states=True).hidden_states
    expected = ((whole[0] + whole[2]) / 2)[0, slice(*encoded.span)].mean(0)
    longer = Context(0, "so " * 9 + text, 31, 40)
    (other,) = encode({new.pieces[0].id: [longer]}, old, new.tokenizer, max_tokens=64)[new.pieces[0].id]
    found = span_states(model, [encoded, other], (0, 2), old.pad_token_id)
    assert torch.allclose(found[0], expected, atol=1e-5)
    assert len(model.encoder.layer) == 2


def test_contexts_are_cut_around_their_word(tiny_mlm_folder: Path) -> None:
    old = load_tokenizer(tiny_mlm_folder)
    new = inject(old, ["zzz"])
    text = "a b c d e f zzz g h i j k"
    contexts = [Context(0, text, 12, 15), Context(0, text[12:], 0, 3), Context(0, text[:15], 12, 15)]
    found = encode({new.pieces[0].id: contexts}, old, new.tokenizer, max_tokens=10)[new.pieces[0].id]
    assert [" ".join(old.convert_ids_to_tokens(list(each.ids))[1:-1]) for each in found] == [
        "e f z ##z ##z g h i",
        "z ##z ##z g h i j k",
        "b c d e f z ##z ##z",
    ]


def test_a_context_may_hold_characters_that_the_normaliser_deletes(tiny_mlm_folder: Path) -> None:
    old = load_tokenizer(tiny_mlm_folder)
    new = inject(old, ["zzz"])
    context = Context(0, "a\x93zzz\x94b c", 2, 5)
    (found,) = encode({new.pieces[0].id: [context]}, old, new.tokenizer, max_tokens=10)[new.pieces[0].id]
    assert " ".join(old.convert_ids_to_tokens(list(found.ids))[1:-1]) == "a z ##z ##z b c"


def test_rows_have_the_moments_they_are_drawn_with() -> None:
    draw = torch.Generator().manual_seed(0)
    mixing = torch.randn(8, 8, generator=draw)
    old = torch.randn(20_000, 8, generator=draw) @ mixing + 3
    rows = initialise.gaussian_rows(old, 20_000, seed=1)
    assert torch.allclose(rows.mean(0), old.mean(0), atol=0.15)
    assert torch.allclose(
        torch.cov(rows.T), torch.cov(old.T), atol=0.06 * float(torch.cov(old.T).diagonal().max())
    )
    random = initialise.random_rows(old, 20_000, std=0.02, seed=1)
    assert float(random.std()) == pytest.approx(0.02, rel=0.02)
    assert torch.equal(random, initialise.random_rows(old, 20_000, std=0.02, seed=1))
    scaled = initialise.calibrate(rows, old, "norm")
    assert torch.allclose(scaled.norm(dim=1), old.norm(dim=1).median().expand(20_000), rtol=1e-4)
    assert torch.equal(initialise.calibrate(rows, old, "none"), rows)
    assert torch.equal(
        initialise.mean_of_contexts(
            [
                (torch.tensor([[1.0], [5.0]]), torch.tensor([0, 1])),
                (torch.tensor([[3.0]]), torch.tensor([0])),
            ],
            2,
        ),
        torch.tensor([[2.0], [5.0]]),
    )


def test_distillation_brings_the_states_nearer(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    distances = []
    for epochs in (0, 30):
        settings = ExtendSettings(
            "token-distillation", distil=DistilSettings(epochs=epochs, learning_rate=0.3, mlm_weight=0.0)
        )
        out = tmp_path / str(epochs)
        extend(tiny_mlm_folder, out, ["warfarin"], TEXTS, settings=settings)
        teacher, student = (load(folder).requires_grad_(False) for folder in (tiny_mlm_folder, out))
        old, new = load_tokenizer(tiny_mlm_folder), load_tokenizer(out)
        text = TEXTS[0].text
        wanted = teacher(**old(text, return_tensors="pt")).last_hidden_state[0, -8:]
        found = student(**new(text, return_tensors="pt")).last_hidden_state[0, -8:]
        distances.append(float((wanted - found).square().mean()))
    assert distances[1] < distances[0]


@pytest.mark.parametrize("method", ["contextual", "token-distillation"])
def test_a_killed_run_goes_on_and_ends_the_same(
    method: initialise.Method, tiny_mlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExtendSettings(method, layers=(0, 1), distil=DistilSettings(epochs=3, batch_tokens=100))
    monkeypatch.setattr(new_rows, "CONTEXTS_AT_ONCE", 5)
    monkeypatch.setattr(distil, "KEPT_EVERY", 4)
    extend(tiny_mlm_folder, tmp_path / "whole", TERMS, TEXTS, settings=settings)

    class Killed(Exception):
        """Stands for a kill."""

    def stop_after(count: int):
        kept = iter(range(count))

        def counted(path: Path, content: bytes) -> None:
            if next(kept, None) is None:
                raise Killed
            write_bytes_atomically(path, content)

        return counted

    searched = []
    find = new_rows.find_contexts
    monkeypatch.setattr(new_rows, "find_contexts", lambda *a, **k: searched.append(1) or find(*a, **k))
    for _ in range(3):
        with monkeypatch.context() as patched:
            stop = stop_after(1)
            for module in (runs, distil):
                patched.setattr(module, "write_bytes_atomically", stop)
            with pytest.raises(Killed):
                extend(tiny_mlm_folder, tmp_path / "killed", TERMS, TEXTS, settings=settings)
    work = tmp_path / ".killed.begun"
    assert work.stat().st_mode & 0o077 == 0
    extend(tiny_mlm_folder, tmp_path / "killed", TERMS, TEXTS, settings=settings)
    assert len(searched) == 1
    assert not work.exists()
    one, other = read_weights(tmp_path / "whole"), read_weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_words_that_split_differently_are_counted(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    texts = [Text("warfarin warfarins drug"), Text("warfarins")]
    settings = ExtendSettings("mean")
    report = extend(tiny_mlm_folder, tmp_path / "out", ["warfarin"], texts, settings=settings)
    assert report["corpus"] == {
        "words": 4,
        "tokens_before": 8 + 9 + 1 + 9,
        "tokens_after": 1 + 2 + 1 + 2,
        "other_words_changed": 1,
        "other_words_changed_occurrences": 2,
        "words_that_became_unknown": 0,
    }


def test_what_bpe_cuts_differently_is_not_what_was_asked_for(byte_pairs) -> None:
    injected = inject(byte_pairs, ["metolox"])
    counts = {" metolox": 5, " metoloxs": 2, " the": 1, "metolox": 3}
    found = extending.segmentation(counts, byte_pairs, injected)
    assert found["other_words_changed"] == 1
    assert found["other_words_changed_occurrences"] == 2


def test_words_that_become_unknown_are_counted() -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", "##cd", "##c"]
    old = BertTokenizer(vocab={piece: n for n, piece in enumerate(vocabulary)})
    found = extending.segmentation({"abcd": 4, "abc": 2}, old, inject(old, ["abc"]))
    assert found["words_that_became_unknown"] == 1


def test_contexts_are_made_up_for_where_a_word_is_cut_otherwise(byte_pairs) -> None:
    new = inject(byte_pairs, ["metolox"]).tokenizer
    piece = new.convert_tokens_to_ids("Ġmetolox")
    texts = ["\nmetolox", "the metolox", "(metolox", "a metolox"]
    contexts = [Context(n, text, text.index("met"), len(text)) for n, text in enumerate(texts)]
    byte_pairs.cls_token, byte_pairs.sep_token = "<s>", "</s>"
    found = encode({piece: contexts}, byte_pairs, new, max_tokens=32, most=2)
    assert len(found[piece]) == 2


def test_another_tokenizer_and_other_weights_take_nothing_up(
    tiny_mlm_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_mlm_folder, model)
    plans = []
    scratch = Run.scratch
    monkeypatch.setattr(Run, "scratch", lambda out, plan: plans.append(plan) or scratch(out, plan))
    vocabulary = load_tokenizer(model).get_vocab()
    for lower in (True, False):
        BertTokenizer(vocab=vocabulary, do_lower_case=lower).save_pretrained(model)
        extend(model, tmp_path / str(lower), ["warfarin"], settings=ExtendSettings("mean"))
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    extend(model, tmp_path / "other", ["warfarin"], settings=ExtendSettings("mean"))
    assert len({json.dumps(plan) for plan in plans}) == 3


def test_refused_terms_are_named_to_the_user_and_not_published(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    terms = ["warfarin", "john smith"]
    told = []

    class Told(Silence):
        def end(self, result: str) -> None:
            told.append(result)

    extend(tiny_mlm_folder, tmp_path / "out", terms, settings=ExtendSettings("mean"), tell=Told())
    assert "john smith" in " ".join(told)
    assert list(json.loads((tmp_path / "out" / REPORT).read_text())["refused"].values()) == [1]
    assert not any("john" in file.read_text(errors="ignore") for file in (tmp_path / "out").iterdir())


def test_spare_rows_are_used_and_are_not_called_old(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    model = load(tiny_mlm_folder, "mlm")
    count = max(load_tokenizer(tiny_mlm_folder).get_vocab().values()) + 1
    model.resize_token_embeddings(count + 8)
    model.save_pretrained(tmp_path / "spare")
    load_tokenizer(tiny_mlm_folder).save_pretrained(tmp_path / "spare")
    report = extend(tmp_path / "spare", tmp_path / "out", ["warfarin"], settings=ExtendSettings("mean"))
    assert report["old_tokens"] == count == report["pieces"][0]["id"]
    before, after = (
        read_weights(tmp_path / name)["bert.embeddings.word_embeddings.weight"] for name in ("spare", "out")
    )
    assert before.shape == after.shape
    assert torch.equal(before[:count], after[:count])


def test_layer_zero_is_the_embeddings(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    extend(tiny_mlm_folder, tmp_path / "out", ["warfarin"], TEXTS, settings=ExtendSettings(layers=(0,)))
    assert (tmp_path / "out" / REPORT).is_file()


def narrow_electra(folder: Path) -> Path:
    """Its rows are half as wide as its states."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"warfin", *(f"##{c}" for c in "warfin")]
    BertTokenizer(vocab={piece: n for n, piece in enumerate(vocabulary)}).save_pretrained(folder)
    config = ElectraConfig(
        vocab_size=len(vocabulary), embedding_size=16, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    ElectraForMaskedLM(config).save_pretrained(folder)
    return folder
