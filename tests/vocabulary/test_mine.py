"""Terms are ranked by the tokens they cost, counted over documents, and never numbers or marks."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longbio.corpus.texts import Text
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.vocabulary import text_lots
from longbio.vocabulary.from_scratch import train_vocabulary
from longbio.vocabulary.injection import inject
from longbio.vocabulary.mine import Candidate, mine, read_terms, read_vocabulary, write_terms


@pytest.fixture
def tokenizer(tiny_bert_folder: Path):
    """Knows 'drug', 'the', 'patient' and '##s'; all other words are cut into letters."""
    return load_tokenizer(tiny_bert_folder)


def letters(word: str) -> tuple[str, ...]:
    return (word[0], *(f"##{letter}" for letter in word[1:]))


def test_characters_that_the_normaliser_deletes_part_words(tokenizer) -> None:
    mined = mine([Text("ibuprofen\x0cwarfarin\x85ibuprofen")], tokenizer, min_documents=1)
    assert [(each.term, each.count) for each in mined.candidates] == [("ibuprofen", 2), ("warfarin", 1)]


def test_words_are_ranked_by_the_tokens_they_cost(tokenizer) -> None:
    texts = [
        Text("The patient: warfarin, Warfarin and warfarin."),
        Text("ibuprofenum; mg x9999 [** Jones **]"),
    ]
    mined = mine(texts, tokenizer, min_documents=1)
    assert mined.candidates == (
        Candidate("warfarin", 3, letters("warfarin")),
        Candidate("ibuprofenum", 1, letters("ibuprofenum")),
        Candidate("and", 1, letters("and")),
        Candidate("mg", 1, letters("mg")),
    )
    assert mined.candidates[0].saved_tokens == 21
    # the patient : . ; and one comma are punctuation or known; x9999 is no term.
    assert mined.left_out == {"fewer than 2 pieces now": 2, "more than letters": 5}
    assert mined.num_words == 13
    assert mined.num_tokens == sum([24, 11, 3, 2, 1, 1, 1, 1, 1, 1, 5])


def test_a_term_occurs_in_different_documents_or_of_different_patients(tokenizer) -> None:
    texts = [Text("often often often"), Text("rarely once"), Text("rarely")]
    assert [c.term for c in mine(texts, tokenizer, min_documents=2).candidates] == ["rarely"]
    patients = [Text("often", "a"), Text("often", "a"), Text("rarely", "a"), Text("rarely", "b")]
    assert [c.term for c in mine(patients, tokenizer, min_documents=2).candidates] == ["rarely"]
    assert mine([], tokenizer).pieces_per_word == 0.0


@pytest.mark.parametrize("processes", [1, 2])
def test_the_number_of_processes_and_of_lots_changes_nothing(processes: int, tokenizer, monkeypatch) -> None:
    texts = [Text(f"warfarin{'um' * (n % 3)} daily", str(n // 2)) for n in range(40)]
    once = mine(texts, tokenizer, min_documents=5)
    monkeypatch.setattr(text_lots, "CHARACTERS_AT_ONCE", 60)
    assert mine(texts, tokenizer, min_documents=5, processes=processes) == once


def test_another_vocabulary_is_ranked_on_the_corpus(tokenizer) -> None:
    texts = [Text("arthritis and hepatitis, the drug"), Text("arthritis")]
    pieces = ["arthritis", "##titis", "##itis", "the", "drug", "[unused1]", "##).", "warfarin", "x"]
    mined = mine(texts, tokenizer, min_documents=1, from_vocabulary=pieces)
    assert mined.candidates == (
        Candidate("arthritis", 2, letters("arthritis")),
        Candidate("##titis", 1, tuple(f"##{letter}" for letter in "titis")),
    )
    assert mined.left_out == {
        "more than letters": 2,
        "already in the vocabulary": 3,
        "in too few documents": 2,
    }
    with pytest.raises(LongbioError, match="casing"):
        mine(texts, tokenizer, from_vocabulary=["Arthritis", "Hepatitis", "the"])


def test_terms_are_written_to_be_reviewed_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "terms.jsonl"
    write_terms(
        file, [Candidate("warfarin", 3, ("war", "##farin")), Candidate("##itis", 2, ("##it", "##is"))]
    )
    assert json.loads(file.read_text().splitlines()[0]) == {
        "term": "warfarin", "count": 3, "pieces": ["war", "##farin"], "saves": 3,
    }  # fmt: skip
    assert read_terms(file) == ["warfarin", "##itis"]
    file.write_text("warfarin\n##itis\n")
    assert read_terms(file) == ["warfarin", "##itis"]
    file.write_text('{"term": "a"}\n{"word": "b"}\n')
    with pytest.raises(LongbioError, match="line 2 holds no term"):
        read_terms(file)
    for term in ("null", '["a"]', "3"):
        file.write_text(f'{{"term": {term}}}\n')
        with pytest.raises(LongbioError, match="line 1 holds no term"):
            read_terms(file)
    file.write_bytes(b'\xef\xbb\xbf{"term": "a"}\nwar\x0cfarin\nas\xe2\x80\xa8pirin\n')
    assert read_terms(file) == ["a", "war\x0cfarin", "as\u2028pirin"]
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(LongbioError, match="can't be read"):
        read_vocabulary(file)


def test_a_vocabulary_from_scratch(tmp_path: Path) -> None:
    texts = [Text("warfarin warfarins and Warfarin, again"), Text("")]
    count = train_vocabulary(texts, tmp_path / "own", size=200)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "own")
    assert len(tokenizer) == count
    assert tokenizer.tokenize("Warfarins") == ["warfarins"] or tokenizer.tokenize("Warfarin") == ["warfarin"]
    assert tokenizer("warfarin")["input_ids"][0] == tokenizer.cls_token_id
    cased = tmp_path / "cased"
    train_vocabulary(texts, cased, size=200, lower=False)
    assert AutoTokenizer.from_pretrained(cased).tokenize("Warfarin") != tokenizer.tokenize("warfarin")
    with pytest.raises(LongbioError, match="no words"):
        train_vocabulary([Text(" ")], tmp_path / "none")
    with pytest.raises(LongbioError, match="10 pieces are wanted, and 10 characters take two each"):
        train_vocabulary(texts, tmp_path / "few", size=10)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_vocabulary_from_scratch_is_always_the_same(processes: int, tmp_path: Path) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 7))) for _ in range(300)]
    texts = [Text(" ".join(draw.choices(words, k=200))) for _ in range(20)]
    learned = []
    for name in ("one", "other"):
        train_vocabulary(texts, tmp_path / name, size=150, processes=processes)
        learned.append(AutoTokenizer.from_pretrained(tmp_path / name).get_vocab())
    assert learned[0] == learned[1]
    assert len(learned[0]) == 150
    assert max(map(len, learned[0])) > 3


def test_byte_level_words_are_proposed_as_people_write_them(byte_pairs) -> None:
    texts = [Text("Medications:\nmetolox 5 mg, the metolox\n(metoxol) held, ménière")]
    mined = mine(texts, byte_pairs, min_documents=1)
    assert [c.term for c in mined.candidates if c.term.startswith("m")] == ["ménière", "metolox", "mg"]
    assert mined.left_out["without a space before"] > 2
    asked = mine(texts, byte_pairs, min_documents=1, from_vocabulary=["Ġmetolox", "ĠmÃ©niÃ¨re", "Ġthe"])
    assert {c.term: c.count for c in asked.candidates} == {"metolox": 1, "ménière": 1}
    assert not inject(byte_pairs, [c.term for c in asked.candidates]).refused
    unigram = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram([("a", -1.0)], unk_id=0)))
    with pytest.raises(LongbioError, match="Unigram"):
        mine(texts, unigram)
