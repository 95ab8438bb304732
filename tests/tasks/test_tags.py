"""What tags give back, by the tokenizers of all families: the rest is counted, each mention once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.encoders.token_windows import tokenize
from longbio.tasks import tags
from tests.tokenizer_kinds import KINDS, tokenizer_of

ODD = "aZ5é9 \n\t\r,.-(µ°²\u0301\u200d\u200b\ufe0f\u00ad\x0c\x0b\x85\x93\ufffd肺한\U0001f9ec\u0645ßİ½ﬁ"


@st.composite
def annotated(draw: st.DrawFn) -> Document:
    text = draw(st.text(alphabet=ODD, max_size=40))
    place = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    spans = []
    for first, last in draw(st.lists(place, max_size=6)):
        if first < last:
            label = draw(st.sampled_from(["Disease", "Drug"]))
            middle = (first + last) // 2
            pieces = ((first, middle), (middle + 1, last)) if draw(st.booleans()) else ((first, last),)
            if all(start < end for start, end in pieces):
                spans.append(Span(pieces, label))
    words = [(start, end) for start, end in _blocks(text) if draw(st.booleans())]
    return Document("a", text, tuple(sorted(spans)), units=tuple(words))


def _blocks(text: str) -> list[tuple[int, int]]:
    """What stands between spaces."""
    borders = [-1, *(n for n, character in enumerate(text) if character.isspace()), len(text)]
    return [(a + 1, b) for a, b in pairwise(borders) if a + 1 < b]


def given_back(document: Document, tokenizer: Any) -> tuple[list[Span], list[Span]]:
    """Mentions that come back as they are, and those that are counted as lost."""
    labels = tags.Labels(("Disease", "Drug"))
    tokens = tags.tokens_of(document, tokenizer)
    tagged = tags.encode(document, tokens, labels)
    words = tags.words_of(tokens)
    first_words = tags.first_words_of(document, words)
    found = [s for s, _ in tags.decode(tagged.tags[words.heads], words, labels, first_words)]
    rest = list(found)
    back = []
    for span in document.spans:
        if span in rest:
            rest.remove(span)
            back.append(span)
    return back, [span for span, _ in tagged.lost]


@pytest.mark.parametrize("kind", KINDS)
def test_recovered_and_counted_are_all(kind: str) -> None:
    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(annotated())
    def holds(document: Document) -> None:
        back, lost = given_back(document, tokenizer_of(kind))
        assert sorted(back + lost) == sorted(document.spans)

    holds()


SENTENCE = "Took aspirin, 10mg (metoprolol/HCTZ); no fevers, s/p CABG."
MENTIONS = ("aspirin", "10", "mg", "metoprolol", "HCTZ", "fevers", "s/p CABG")


def spans_of(text: str, mentions: tuple[str, ...], label: str = "Drug") -> tuple[Span, ...]:
    return tuple(Span.of(text.index(m), text.index(m) + len(m), label) for m in mentions)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_the_texts_whatever_the_tokenizer(kind: str) -> None:
    """By the tokenizer's own words XLM-R would have `aspirin,` and BERT `10mg`."""
    document = Document("a", SENTENCE, tuple(sorted(spans_of(SENTENCE, MENTIONS))))
    assert given_back(document, tokenizer_of(kind)) == (list(document.spans), [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("heart failure\x0caspirin daily", ("heart failure", "aspirin")),
        ("heart failure\x85aspirin\x0bdaily", ("heart failure", "aspirin")),
        ("failure\x93aspirin\x94", ("failure", "aspirin")),
        ("on cafe\u0301 then", ("cafe\u0301",)),
        ("on aspirin\u200d, then", ("aspirin\u200d",)),
        ("on aspirin\u200b then", ("aspirin\u200b",)),
        ("on aspirin\ufe0f\u200d. then", ("aspirin\ufe0f\u200d",)),
    ],
)
def test_odd_characters_neither_glue_nor_fall_off(kind: str, text: str, mentions: tuple[str, ...]) -> None:
    document = Document("a", text, spans_of(text, mentions))
    assert given_back(document, tokenizer_of(kind)) == (list(document.spans), [])


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_hold_the_marks_of_their_last_letter(kind: str) -> None:
    """Answers are read off tokens."""
    text = "on cafe\u0301 then"
    offsets = tokenize(text, tokenizer_of(kind)).offsets
    assert 8 in offsets[:, 1].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("glue", "\x93\x0c\x00\ufffd")
def test_tokens_hold_nothing_that_tokenizers_delete(kind: str, glue: str) -> None:
    offsets = tokenize(f"failure{glue}aspirin{glue}", tokenizer_of(kind)).offsets
    covered = {place for start, end in offsets.tolist() for place in range(start, end)}
    assert covered == {*range(7), *range(8, 15)}


def test_a_mention_that_does_not_come_back_takes_no_words_from_one_that_does() -> None:
    text = "no fevers now"
    within, whole = Span.of(0, 8, "Disease"), Span.of(3, 9, "Disease")
    labels = tags.Labels(("Disease",))
    document = Document("a", text, (within, whole))
    tagged = tags.encode(document, tokenize(text, tokenizer_of("uncased WordPiece")), labels)
    assert tagged.lost == ((within, tags.WITHIN_WORD),)


def test_reasons_are_told_apart_with_a_place() -> None:
    text = "fevers and chest pain\ufffd"
    spans = (
        Span.of(0, 5, "Disease"),
        Span(((0, 6), (17, 21)), "Disease"),
        Span.of(11, 21, "Disease"),
        Span.of(17, 21, "Disease"),
        Span.of(21, 22, "Disease"),
    )
    found = tags.ceiling([Document("n", text, spans)], tokenizer_of("uncased WordPiece"))
    assert found.lost == {
        tags.WITHIN_WORD: 1,
        tags.IN_PIECES: 1,
        tags.OVERLAPPING: 1,
        tags.WITHOUT_TOKEN: 1,
    }
    assert found.lost.places[tags.OVERLAPPING] == "n, character 17"
    assert found.counts.true_positives == 1
    assert found.counts.false_negatives == 4


def test_mentions_of_types_that_are_not_learned_are_lost_too() -> None:
    spans = (Span.of(0, 5, "Disease"), Span.of(6, 13, "Drug"))
    labels = tags.Labels(("Drug",))
    found = tags.ceiling([Document("n", "fever aspirin", spans)], tokenizer_of("XLM-R"), labels)
    assert (found.lost, found.lost.places) == ({tags.UNLEARNED: 1}, {tags.UNLEARNED: "n"})
    assert (found.counts.true_positives, found.counts.false_negatives) == (1, 1)


CORPORA = {
    "ncbi_disease_pubtator/test.txt": 0.995,
    "bc5cdr_pubtator/test.txt": 0.995,
    "craft/test": 0.955,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_ceilings_on_real_corpora(kind: str, corpus: str, data_folder: Path) -> None:
    """By the tokenizers' own words CRAFT's was 0.931, and with XLM-R's BC5CDR's 0.63."""
    documents = read_documents(data_folder / corpus)[:100]
    found = tags.ceiling(documents, tokenizer_of(kind))
    assert found.counts.f1 >= CORPORA[corpus], found
    assert found.counts.true_positives + found.lost.total() == sum(len(each.spans) for each in documents)
