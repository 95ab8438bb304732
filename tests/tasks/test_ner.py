"""Tags and mentions: what goes in comes out, and what can't is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from seqeval.metrics import f1_score
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from longbio.corpus.records import Document, Span
from longbio.corpus.synthetic import synthesize
from longbio.encoders.batches import IGNORED
from longbio.encoders.token_windows import Tokens, tokenize
from longbio.tasks import tags
from longbio.tasks.metrics import count_entities, micro
from longbio.tasks.ner import Entities
from longbio.tasks.task import Prediction

LABELS = tags.Labels(("Disease", "Drug"))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Words are split at spaces and punctuation, and then into single letters."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-()/µ%\"'&+=<>[]*’"
    pieces = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def mentions(of_tokens: np.ndarray, tokens: Tokens, labels: tags.Labels) -> tuple[Span, ...]:
    words = tags.words_of(tokens)
    return tuple(span for span, _ in tags.decode(of_tokens[words.heads], words, labels))


def round_trip(document: Document, tokenizer: PreTrainedTokenizerFast, labels: tags.Labels = LABELS):
    tokens = tokenize(document.text, tokenizer)
    tagged = tags.encode(document, tokens, labels)
    return mentions(np.maximum(tagged.tags, 0), tokens, labels), tagged


def test_mentions_survive_tagging(tokenizer) -> None:
    text = "Metoprolol for severe heart failure, then aspirin aspirin."
    spans = (
        Span.of(0, 10, "Drug"),
        Span.of(15, 35, "Disease"),
        Span.of(42, 49, "Drug"),
        Span.of(50, 57, "Drug"),
    )
    found, tagged = round_trip(Document("a", text, spans), tokenizer)
    assert found == spans
    assert tagged.lost == ()


def test_only_the_first_token_of_a_word_is_tagged(tokenizer) -> None:
    _, tagged = round_trip(Document("a", "ab cd", (Span.of(0, 5, "Drug"),)), tokenizer)
    assert tagged.tags.tolist() == [3, IGNORED, 4, IGNORED]


def test_what_no_tag_can_express_is_counted(tokenizer) -> None:
    text = "left and right kidney failure"
    longest, inner = Span.of(9, 29, "Disease"), Span.of(15, 21, "Disease")
    broken = Span(((0, 4), (15, 21)), "Disease")
    found, tagged = round_trip(Document("a", text, (broken, longest, inner)), tokenizer)
    assert found == (longest,)
    assert len(tagged.lost) == 2


def test_an_inside_without_a_beginning_starts_a_mention(tokenizer) -> None:
    tokens = tokenize("a b c d", tokenizer)
    assert mentions(np.array([2, 2, 4, 3]), tokens, LABELS) == (
        Span.of(0, 3, "Disease"),
        Span.of(4, 5, "Drug"),
        Span.of(6, 7, "Drug"),
    )


def test_an_empty_document_has_no_mentions(tokenizer) -> None:
    found, tagged = round_trip(Document("a", "", ()), tokenizer)
    assert found == ()
    assert len(tagged.tags) == 0


def test_an_unknown_type_is_an_error(tokenizer) -> None:
    document = Document("a", "x", (Span.of(0, 1, "Gene"),))
    with pytest.raises(ValueError, match="'Gene' is not among"):
        tags.encode(document, tokenize("x", tokenizer), LABELS)


def test_label_names() -> None:
    assert LABELS.names() == {0: "O", 1: "B-Disease", 2: "I-Disease", 3: "B-Drug", 4: "I-Drug"}


def test_synthetic_notes_are_wholly_taggable(tokenizer) -> None:
    documents = synthesize(2, split="dev")
    labels = tags.Labels.of(documents)
    for document in documents:
        found, tagged = round_trip(document, tokenizer, labels)
        assert tagged.lost == ()
        assert found == document.spans


def test_micro_f1_is_that_of_seqeval(tokenizer) -> None:
    """On tags with noise: our scores over characters equal seqeval's over tags."""
    document = synthesize(1, split="dev")[0]
    labels = tags.Labels.of([document])
    tokens = tokenize(document.text, tokenizer)
    gold = tags.encode(document, tokens, labels).tags
    heads = tags.words_of(tokens).heads
    noisy = gold.copy()
    draw = np.random.default_rng(0)
    wrong = heads[draw.random(len(heads)) < 0.1]
    noisy[wrong] = draw.integers(len(labels.names()), size=len(wrong))

    names = labels.names()
    ours = micro(count_entities(document.spans, mentions(noisy, tokens, labels))).f1
    theirs = f1_score([[names[tag] for tag in gold[heads]]], [[names[tag] for tag in noisy[heads]]])
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(theirs)


def test_tokens_know_their_words(tokenizer) -> None:
    tokens: Tokens = tokenize("ab c", tokenizer)
    assert tokens.words.tolist() == [0, 0, 1]
    assert tags.words_of(tokens).heads.tolist() == [0, 2]


def test_confusion_of_mentions_that_share_their_place() -> None:
    """Nested mentions of two types at one place: what was found is not mistaken for the other."""
    place, other = (0, 5), (6, 9)
    gold = [Span.of(*place, "A"), Span.of(*place, "B"), Span.of(*other, "A")]
    for found, confusion in (
        ([Span.of(*place, "A")], {"A": {"A": 1, "none": 1}, "B": {"none": 1}}),
        ([Span.of(*place, "C"), Span.of(*place, "B")], {"A": {"C": 1, "none": 1}, "B": {"B": 1}}),
        (
            [Span.of(*other, "B"), Span.of(1, 2, "A")],
            {"A": {"B": 1, "none": 1}, "B": {"none": 1}, "none": {"A": 1}},
        ),
    ):
        document = Document("a", "ab cd efg", tuple(gold))
        said = replace(document, spans=tuple(found))
        scores = Entities(types=("A", "B", "C")).score([document], [Prediction(said)])
        assert scores["confusion"] == confusion
