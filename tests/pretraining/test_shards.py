"""A corpus in tokens: the tokenizer's own, on disk whole or not at all, private."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from longbio.corpus.texts import Text
from longbio.errors import LongbioError
from longbio.pretraining import holding_out, shards
from longbio.pretraining.holding_out import held_out_documents, in_groups_of, near_duplicates
from longbio.pretraining.shards import TokenizedCorpus, build_shards, corpus_key, open_shards, tokenize_texts
from tests.tokenizer_kinds import KINDS, tokenizer_of

TEXTS = [Text(f"the patient takes {n} drugs, daily.", f"p{n % 4}") for n in range(40)]


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture
def tokenizer(tiny_bert_folder: Path):
    return AutoTokenizer.from_pretrained(tiny_bert_folder)


def test_ids_and_word_starts_are_the_tokenizers_own(tokenizer) -> None:
    text = "the patients, daily: drug"
    shard = tokenize_texts([Text(text, "p"), Text("", "p"), Text("drug", "q")], tokenizer)
    assert shard.ids.dtype == np.uint16
    assert shard.ids[:-1].tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    words = [tokenizer.convert_ids_to_tokens(int(i)) for i in shard.ids[shard.word_starts]]
    assert words == ["the", "patient", ",", "d", ":", "drug", "drug"]
    assert shard.lengths.tolist() == [len(shard.ids) - 1, 0, 1]
    assert shard.groups[0] == shard.groups[1] != shard.groups[2]


def test_a_tokenizer_that_truncates_does_not_here(minilm_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    assert tokenize_texts([Text("word " * 700, "p")], tokenizer).lengths.tolist() == [700]


def small_shards(texts, tokenizer, folder: Path) -> TokenizedCorpus:
    return build_shards(texts, tokenizer, folder, shard_tokens=150)


def test_what_is_on_disk_equals_what_is_in_memory(tokenizer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "TEXTS_AT_ONCE", 4)
    whole = TokenizedCorpus([tokenize_texts(TEXTS, tokenizer)])
    built = small_shards(TEXTS, tokenizer, tmp_path / "c")
    assert len(built.shards) > 2
    for corpus in (built, open_shards(tmp_path / "c")):
        assert (corpus.lengths == whole.lengths).all()
        assert (corpus.groups == whole.groups).all()
        for number in (0, 7, 39):
            for found, expected in zip(corpus.document(number), whole.document(number), strict=True):
                assert (found == expected).all()
        part = corpus.piece(11, 2, 5)
        assert part[0].tolist() == whole.document(11)[0][2:5].tolist()


def test_a_killed_run_goes_on_with_the_next_shard(tokenizer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "TEXTS_AT_ONCE", 4)
    whole = small_shards(TEXTS, tokenizer, tmp_path / "whole")

    def dying() -> Iterator[Text]:
        yield from TEXTS[:25]
        raise Killed

    with pytest.raises(Killed):
        small_shards(dying(), tokenizer, tmp_path / "killed")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("shard-*/*.npy")}
    assert before
    resumed = small_shards(TEXTS, tokenizer, tmp_path / "killed")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert (resumed.lengths == whole.lengths).all()
    assert all((resumed.document(n)[0] == whole.document(n)[0]).all() for n in range(40))
    assert len(small_shards([], tokenizer, tmp_path / "killed")) == 40


BUILD = """
import sys, time
from pathlib import Path
from transformers import AutoTokenizer
from longbio.corpus.texts import Text
from longbio.pretraining.shards import build_shards
model, folder = sys.argv[1:]
def slowly():
    for number in range(400):
        time.sleep(0.002)
        yield Text(f"the patient takes {number} drugs, daily.")
tokenizer = AutoTokenizer.from_pretrained(model)
print("in", flush=True)
sys.stdin.readline()
corpus = build_shards(slowly(), tokenizer, Path(folder), shard_tokens=1000)
print(len(corpus), sum(len(corpus.document(n)[0]) for n in range(len(corpus))), flush=True)
"""


def test_two_builds_of_one_corpus_make_it_once(tiny_bert_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tiny_bert_folder), str(tmp_path / "c")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for each in both:
        assert each.stdout.readline() == "in\n"
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    (one, _), (other, _) = (each.communicate(timeout=60) for each in both)
    assert [each.returncode for each in both] == [0, 0]
    assert one == other
    assert one.startswith("400 ")


def test_what_another_build_made_meanwhile_is_taken(
    tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = shards.hold_lock

    @contextmanager
    def waited(folder: Path, *, wait: bool) -> Iterator[None]:
        assert wait
        with monkeypatch.context() as patched:
            patched.setattr(shards, "hold_lock", honest)
            small_shards(TEXTS, tokenizer, folder)
        yield

    monkeypatch.setattr(shards, "hold_lock", waited)
    made = small_shards((pytest.fail("read again") for _ in "x"), tokenizer, tmp_path / "corpus")
    assert len(made) == len(TEXTS)


def test_the_owner_alone_can_read_it(tokenizer, tmp_path: Path) -> None:
    small_shards(TEXTS, tokenizer, tmp_path / "c")
    assert (tmp_path / "c").stat().st_mode & 0o077 == 0


def test_no_text_and_damage_are_said(tokenizer, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no text"):
        small_shards([Text("", "p")], tokenizer, tmp_path / "empty")
    small_shards(TEXTS, tokenizer, tmp_path / "c")
    file = next((tmp_path / "c").glob("shard-*/ids.npy"))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(LongbioError, match="damaged"):
        open_shards(tmp_path / "c")


def test_the_key_is_of_contents_tokenizer_and_settings(tokenizer, minilm_folder: Path) -> None:
    key = corpus_key(["a", "b"], tokenizer, "")
    other = AutoTokenizer.from_pretrained(minilm_folder)
    assert key == corpus_key(["a", "b"], tokenizer, "")
    assert key != corpus_key(["b", "a"], tokenizer, "")
    assert key != corpus_key(["a", "b"], tokenizer, "group")
    assert key != corpus_key(["a", "b"], other, "")


def corpus_of(documents: list[list[int]], groups: list[int]) -> TokenizedCorpus:
    ids = np.array([i for document in documents for i in document], dtype=np.uint16)
    lengths = np.array([len(document) for document in documents])
    return TokenizedCorpus(
        [shards.Shard(ids, np.ones(len(ids), dtype=bool), lengths, np.array(groups, dtype=np.uint64))]
    )


def test_groups_stay_together_and_the_share_is_met() -> None:
    draw = np.random.default_rng(0)
    groups = draw.integers(0, 2**63, size=2000).repeat(2)
    corpus = corpus_of([[int(draw.integers(1000)) for _ in range(30)] for _ in groups], groups.tolist())
    made, again, other = (held_out_documents(corpus.groups, 0.1, seed) for seed in (0, 0, 1))
    assert (made == again).all()
    assert set(made) != set(other)
    assert len(made) / 4000 == pytest.approx(0.1, abs=0.02)
    is_theirs = in_groups_of(corpus, corpus, made)
    assert (np.flatnonzero(is_theirs) == made).all()
    elsewhere = corpus_of([[1], [2]], [int(groups[made[0]]), 5])
    assert in_groups_of(elsewhere, corpus, made).tolist() == [True, False]


def test_a_text_without_a_group_is_its_own_wherever_it_lay(tokenizer) -> None:
    shard = tokenize_texts([Text("one"), Text("two"), Text("one"), Text("one", "p")], tokenizer)
    first, second, third, fourth = shard.groups.tolist()
    assert first == third
    assert len({first, second, fourth}) == 3


def test_near_duplicates_of_held_out_documents_are_found() -> None:
    draw = np.random.default_rng(0)
    original = draw.integers(0, 5000, size=400).tolist()
    edited = [*original[:150], 7, 8, 9, *original[150:]]
    unlike = draw.integers(0, 5000, size=400).tolist()
    quoting = [*original[:120], *unlike]
    corpus = corpus_of([edited, unlike, quoting, original[:200], [], original[:5]], [0] * 6)
    held_out = corpus_of([unlike[:30], original], [0] * 2)
    found = near_duplicates(corpus, np.arange(6), held_out, np.arange(2))
    # The first note that is held out stands word for word in the second and the third.
    assert found.tolist() == [True, True, True, True, False, False]
    without = near_duplicates(corpus, np.arange(6), held_out, np.arange(1, 2))
    assert without.tolist() == [True, False, False, True, False, False]
    assert not near_duplicates(corpus, np.arange(6), held_out, np.arange(0)).any()


def test_a_copy_is_found_whatever_else_its_text_stands_in() -> None:
    draw = np.random.default_rng(0)
    a, b, c, x, y = (draw.integers(0, 5000, size=200).tolist() for _ in range(5))
    held_out = corpus_of([a + x, b + y, a + b + c], [0] * 3)
    corpus = corpus_of([a + b + c, a + b + c + [7], x + y, c + y[:100]], [0] * 4)
    found = near_duplicates(corpus, np.arange(4), held_out, np.arange(3))
    assert found.tolist() == [True, True, True, True]
    # The text of a form is counted for some of the documents it stands in, a copy always found.
    form = a + b
    many = corpus_of([form + draw.integers(0, 5000, size=9).tolist() for _ in range(80)], [0] * 80)
    last = many.document(79)[0].tolist()
    assert near_duplicates(corpus_of([last], [0]), np.arange(1), many, np.arange(80)).all()


def test_a_copy_is_found_though_all_it_holds_is_counted_for_others() -> None:
    draw = np.random.default_rng(0)
    note = draw.integers(0, 5000, size=650).tolist()
    # Overlapping parts, each in more documents than a shingle is counted for, and in none of them alone.
    parts = [note[start : start + 200] for start in range(0, 451, 150)]
    others = [part + draw.integers(5000, 9000, size=120).tolist() for part in parts for _ in range(70)]
    held_out = corpus_of([*others, note], [0] * 281)
    assert near_duplicates(corpus_of([note], [0]), np.arange(1), held_out, np.arange(281)).all()


def test_what_stands_everywhere_is_counted_for_a_few() -> None:
    draw = np.random.default_rng(0)
    form = draw.integers(0, 5000, size=100).tolist()
    held_out = corpus_of([form + draw.integers(0, 5000, size=9).tolist() for _ in range(200)], [0] * 200)
    hashes, owners, _ = holding_out._owners(held_out, np.arange(200))
    assert np.unique(hashes, return_counts=True)[1].max() == holding_out.MOST_OWNERS
    assert len(hashes) == len(owners)


def test_texts_without_a_token_are_nobodys_copies() -> None:
    assert not near_duplicates(
        corpus_of([[], []], [0, 0]), np.arange(2), corpus_of([[]], [0]), np.arange(1)
    ).any()


@pytest.mark.parametrize("tokens", [12, 14, 20, 100])
def test_a_held_out_note_within_a_longer_one_is_found(tokens: int) -> None:
    for seed in range(20):
        draw = np.random.default_rng(seed)
        long = draw.integers(0, 5000, size=600).tolist()
        note = long[300 : 300 + tokens]
        altered = [*note[: tokens // 2], 7000, *note[tokens // 2 + 1 :]]
        held_out = corpus_of([note], [0])
        corpus = corpus_of([long, long[:300] + altered + long[300 + tokens :]], [0] * 2)
        found = near_duplicates(corpus, np.arange(2), held_out, np.arange(1))
        # One word of a hundred is little, of a short note much.
        assert found.tolist()[0]
        assert tokens == 100 or not found[1]


def test_forms_hide_no_note_that_stands_in_a_longer_one() -> None:
    draw = np.random.default_rng(0)
    form, beginning, end = (draw.integers(0, 5000, size=200).tolist() for _ in range(3))
    filled = [form + draw.integers(5000, 9000, size=40).tolist() for _ in range(80)]
    held_out = corpus_of([*filled, form], [0] * 81)
    # The last that is filled in is no more among those that the form's text is counted for.
    corpus = corpus_of([beginning + filled[79] + end, beginning + form + end, beginning + end], [0] * 3)
    assert near_duplicates(corpus, np.arange(3), held_out, np.arange(80)).tolist()[0]
    found = near_duplicates(corpus, np.arange(3), held_out, np.arange(81))
    assert found.tolist() == [True, True, False]


def test_text_that_looks_like_special_tokens_is_text(tokenizer) -> None:
    shard = tokenize_texts([Text("the [MASK] drug [SEP] [CLS] [PAD]")], tokenizer)
    assert not set(shard.ids.tolist()) & set(tokenizer.all_special_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_words_are_the_texts(kind: str) -> None:
    """By its own words XLM-R would mask `aspirin,` as a whole, and BERT `failure\x0caspirin`."""
    text = "aspirin, failure\x0caspirin"
    tokenizer = tokenizer_of(kind)
    shard = tokenize_texts([Text(text)], tokenizer)
    begins = np.flatnonzero(shard.word_starts)
    words = [
        tokenizer.decode(ids, skip_special_tokens=True).replace("##", "").replace(" ", "")
        for ids in np.split(shard.ids, begins[1:])
    ]
    assert words == ["aspirin", ",", "failure", "aspirin"]
