"""The task of entities: stretches, windows and merging, whatever the tokenizer makes of spaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.encoders.batches import IGNORED
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load, load_tokenizer
from longbio.tasks.ner import Entities, TaggedRows
from longbio.tasks.tags import encode, words_of
from longbio.tasks.task import Prediction, collate

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TASK = Entities(types=("Disease", "Drug"), sample_tokens=100, overlap=8)


def bert_format(max_tokens: int) -> InputFormat:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS), "."]
    tokenizer = transformers.BertTokenizer(vocab={piece: n for n, piece in enumerate(pieces)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=max_tokens), tokenizer)


def roberta_format(max_tokens: int) -> InputFormat:
    """Spaces and line ends are tokens without a character."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *LETTERS, ".", "Ġ", "Ċ"]
    tokenizer = transformers.RobertaTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
    return InputFormat.of(transformers.RobertaConfig(max_position_embeddings=max_tokens + 2), tokenizer)


MAKERS = {"bert": bert_format, "roberta": roberta_format}
SHORT = {name: make(24) for name, make in MAKERS.items()}
LONG = {name: make(1000) for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def one_hot(task: Entities, encoded: TaggedRows, tags: Any) -> Prediction:
    """What is decoded from a model that is sure of these tags of the document's tokens."""
    outputs = []
    for window, row in zip(encoded.windows, encoded.rows, strict=True):
        output = np.zeros((len(row.ids), len(task.labels.names())), dtype=np.float32)
        places = np.arange(row.text.start, row.text.stop)
        output[places, np.maximum(tags[window.tokens], 0)] = 9
        outputs.append(output)
    return task.decode(encoded, outputs)


def noted(words: list[str], spaces: list[str], mentions: list[tuple[int, int]]) -> Document:
    """A text of words, and mentions from one word to another."""
    text, places = "", []
    for word, space in zip(words, spaces, strict=False):
        places.append((len(text), len(text) + len(word)))
        text += word + space
    kinds = ("Drug", "Disease")
    spans = [
        Span.of(places[first][0], places[last][1], kinds[number % 2])
        for number, (first, last) in enumerate(mentions)
    ]
    return Document("a", text, tuple(spans), units=tuple(places))


@given(st.data())
def test_one_window_and_many_find_what_is_there(data: st.DataObject) -> None:
    """Whatever the words and the spaces between them, in words of the corpus or of the tokenizer."""
    family = data.draw(st.sampled_from([*MAKERS]))
    words = data.draw(st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=40))
    spaces = data.draw(st.lists(st.sampled_from([" ", "  ", "\n", " \n\n "]), min_size=40, max_size=40))
    borders = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    mentions = [(a, b - 1) for a, b in zip(borders[::2], borders[1::2], strict=False)]
    in_units = data.draw(st.booleans())
    if in_units:
        # Where a corpus comes in words a line is a sentence, and no mention is in two of them.
        spaces = [" " if any(a <= n < b for a, b in mentions) else each for n, each in enumerate(spaces)]
    document = noted(words, spaces, mentions)
    if not in_units:
        document = replace(document, units=())
    task = replace(TASK, sample_tokens=1000)
    found = []
    for inputs in (SHORT[family], LONG[family]):
        encoded = task.encode(document, inputs)
        tagged = encode(document, encoded.tokens, task.labels)
        assert tagged.lost == ()
        found.append(one_hot(task, encoded, tagged.tags).document.spans)
    assert found[0] == found[1] == document.spans


def test_a_mention_is_never_of_spaces_alone(family: str) -> None:
    """A model may tag the tokens that a byte-level tokenizer makes of line ends."""
    document = Document("a", "ab \n\n cd\n\n")
    for sure in (1, 2):
        encoded = TASK.encode(document, LONG[family])
        tags = np.full(len(encoded.tokens.ids), sure)
        for constrained in (True, False):
            found = one_hot(replace(TASK, constrained=constrained), encoded, tags).document
            assert [span.text_in(found.text).strip() for span in found.spans]
            for span in found.spans:
                assert span.text_in(found.text) == span.text_in(found.text).strip()
        heads = words_of(encoded.tokens).heads
        assert encoded.tokens.offsets[heads, 0].tolist() == [0, 6]


def test_words_of_the_corpus_are_tagged_whole(family: str) -> None:
    """`ab.cd` is three words to a tokenizer, and one to this corpus."""
    document = Document("a", "x ab.cd", (Span.of(2, 7, "Drug"),), units=((0, 1), (2, 7)))
    encoded = TASK.encode(document, LONG[family])
    assert len(words_of(encoded.tokens).heads) == 2
    assert len(words_of(TASK.encode(replace(document, units=()), LONG[family]).tokens).heads) == 4
    tags = encode(document, encoded.tokens, TASK.labels).tags
    assert tags[tags != IGNORED].tolist() == [0, 3]
    assert one_hot(TASK, encoded, tags).document.spans == document.spans


@pytest.mark.parametrize("size", [0, 1, 22, 23, 98, 99, 250])
def test_every_word_is_learned_once_in_one_window_or_many(family: str, size: int) -> None:
    document = noted(["abc"] * size, [" "] * size, [(n, n) for n in range(0, size, 5)])
    learned = []
    for inputs in (SHORT[family], LONG[family]):
        samples = TASK.samples(document, inputs, PassedOver())
        tags = [labels[labels != IGNORED] for sample in samples for labels in sample.labels]
        learned.append(np.concatenate(tags).tolist())
        for sample in samples:
            assert all(len(row.ids) <= inputs.max_tokens for row in sample.rows)
    encoded = TASK.encode(document, LONG[family])
    wanted = encode(document, encoded.tokens, TASK.labels).tags
    assert learned[0] == learned[1] == wanted[wanted != IGNORED].tolist()
    assert len(learned[0]) == size


def test_the_tags_of_a_row_stand_at_its_words() -> None:
    """Every 5th word is a mention, and the only one with a z."""
    words = ["z" if n % 5 == 0 else "ab" for n in range(60)]
    document = noted(words, [" "] * 60, [(n, n) for n in range(0, 60, 5)])
    inputs = SHORT["bert"]
    z = inputs.tokenizer.convert_tokens_to_ids("z")
    samples = TASK.samples(document, inputs, PassedOver())
    assert len(samples) > 1
    for sample in samples:
        for row, labels in zip(sample.rows, sample.labels, strict=True):
            known = labels != IGNORED
            assert ((row.ids == z) == (labels > 0))[known].all()


def test_the_word_with_most_context_decides() -> None:
    """Windows that disagree: the owner of a token is heard."""
    encoded = TASK.encode(Document("a", "a " * 60), SHORT["bert"])
    assert len(encoded.windows) > 2
    outputs = []
    for number, row in enumerate(encoded.rows):
        output = np.zeros((len(row.ids), 5), dtype=np.float32)
        output[:, 3 if number % 2 else 0] = 5
        outputs.append(output)
    found = TASK.decode(encoded, outputs).document.spans
    wanted = [n for window in encoded.windows[1::2] for n in range(window.owned.start, window.owned.stop)]
    assert [span.start_char // 2 for span in found] == wanted


def test_constrained_tags_make_sense() -> None:
    """An I-Drug behind a B-Disease: alone a mention of its own, together one of the two types."""
    encoded = TASK.encode(Document("a", "a b"), LONG["bert"])
    output = np.zeros((4, 5), dtype=np.float32)
    output[1, 1], output[1, 3], output[2, 4] = 2.0, 1.5, 3.0
    free = replace(TASK, constrained=False).decode(encoded, [output]).document.spans
    assert free == (Span.of(0, 1, "Disease"), Span.of(2, 3, "Drug"))
    assert TASK.decode(encoded, [output]).document.spans == (Span.of(0, 3, "Drug"),)


def test_a_mention_ends_with_its_sentence_where_a_corpus_comes_in_words(family: str) -> None:
    """As seqeval reads tags: behind the border of a sentence an I begins another mention."""
    for break_, wanted in (("\n", [(0, 3), (4, 7)]), (" ", [(0, 7)])):
        document = noted(["a", "b", "c", "d"], [" ", break_, " ", ""], [])
        encoded = TASK.encode(document, LONG[family])
        tags = np.full(len(encoded.tokens.ids), 4)
        tags[0] = 3
        for constrained in (True, False):
            found = one_hot(replace(TASK, constrained=constrained), encoded, tags).document.spans
            assert [(span.start_char, span.end_char) for span in found] == wanted


def test_a_sentence_does_not_pull_a_mention_into_the_one_before() -> None:
    document = noted(["a", "b"], ["\n", ""], [])
    encoded = TASK.encode(document, LONG["bert"])
    output = np.zeros((4, 5), dtype=np.float32)
    output[1, 0], output[1, 3], output[2, 3], output[2, 4] = 5, 4, 5, 9
    assert TASK.decode(encoded, [output]).document.spans == (Span.of(2, 3, "Drug"),)


def test_the_loss_by_hand(family: str) -> None:
    document = noted(["ab", "c", "d"] * 20, [" "] * 60, [(1, 2), (30, 31)])
    samples = TASK.samples(document, SHORT[family], PassedOver())
    batch = collate(TASK, SHORT[family], samples)
    shape = batch["input_ids"].shape
    logits = torch.randn(*shape, 5, generator=torch.Generator().manual_seed(0))
    outputs = type("Output", (), {"logits": logits})()
    by_hand, count = torch.zeros(()), 0
    rows = [labels for sample in samples for labels in sample.labels]
    for number, labels in enumerate(rows):
        for place in np.flatnonzero(labels != IGNORED).tolist():
            by_hand += cross_entropy(logits[number, place], torch.tensor(labels[place]))
            count += 1
    assert count == 60
    torch.testing.assert_close(TASK.summed_loss(outputs, batch), by_hand)
    ((softmax, learned),) = TASK.logits(outputs, batch)
    assert softmax.shape == (*shape, 5)
    assert int(learned.sum()) == 60


def test_mentions_without_a_tag_are_counted_and_missed() -> None:
    inner, outer = Span.of(0, 2, "Drug"), Span.of(0, 5, "Drug")
    broken = Span(((6, 8), (12, 14)), "Drug")
    document = Document("a", "ab cd ef gh ij", (inner, outer, broken))
    left_out = PassedOver()
    TASK.samples(document, LONG["bert"], left_out)
    assert left_out == {"mentions in several pieces": 1, "mentions that overlap a longer one": 1}
    assert set(left_out.places.values()) == {"a, character 6", "a, character 0"}
    encoded = TASK.encode(document, LONG["bert"])
    tags = encode(document, encoded.tokens, TASK.labels).tags
    found = one_hot(TASK, encoded, tags)
    assert found.document.spans == (outer,)
    scores = TASK.score([document], [found])["strict"]["micro"]
    assert (scores["precision"], scores["recall"]) == (1, pytest.approx(1 / 3))


def test_what_was_known_is_not_handed_on() -> None:
    span = Span.of(0, 2, "Drug")
    document = Document(
        "a", "ab", (span,), relations=(Relation("x", span, span),), attributes=(Attribute(span, "n"),)
    )
    encoded = TASK.encode(document, LONG["bert"])
    found = one_hot(TASK, encoded, np.zeros(len(encoded.tokens.ids), dtype=int))
    assert found.document == Document("a", "ab")
    assert TASK.has_collapsed([found])
    assert not TASK.has_collapsed([found, Prediction(document)])


@pytest.mark.parametrize("units", [(), ((0, 1),)])
def test_a_text_without_words_has_no_mentions(family: str, units: tuple[tuple[int, int], ...]) -> None:
    for text in ("", " \n "):
        document = Document("a", text, units=units)
        samples = TASK.samples(document, SHORT[family], PassedOver())
        assert all((labels == IGNORED).all() for sample in samples for labels in sample.labels)
        encoded = TASK.encode(document, SHORT[family])
        found = one_hot(TASK, encoded, np.ones(len(encoded.tokens.ids), dtype=int))
        assert found.document.spans == ()


def test_types_are_those_of_the_training_documents() -> None:
    documents = [Document("a", "ab cd", (Span.of(3, 5, "Drug"), Span.of(0, 2, "Disease")))]
    learned = Entities().learned_from(documents)
    assert learned.types == ("Disease", "Drug")
    assert learned.config_changes()["id2label"][3] == "B-Drug"
    assert Entities(types=("Drug",)).learned_from(documents).types == ("Drug",)


def test_a_type_that_is_not_learned_is_counted_and_missed() -> None:
    document = Document("a", "ab cd", (Span.of(0, 2, "Drug"), Span.of(3, 5, "Gene")))
    left_out = PassedOver()
    (sample,) = TASK.samples(document, LONG["bert"], left_out)
    assert sample.labels[0].tolist() == [IGNORED, 3, IGNORED, 0, IGNORED, IGNORED]
    assert left_out["mentions of types that aren't learned"] == 1
    found = Prediction(replace(document, spans=document.spans[:1]))
    assert TASK.score([document], [found])["strict"]["micro"]["recall"] == 0.5


def test_an_overlap_beyond_a_short_model_is_half_of_it() -> None:
    """One setting serves a long model and the short one beside it."""
    encoded = replace(TASK, overlap=64).encode(Document("a", "a " * 60), SHORT["bert"])
    starts = [window.tokens.start for window in encoded.windows]
    assert 5 < np.diff(starts).max() <= 11


def test_what_is_learned_from_at_once_does_not_limit_what_is_read(tiny_long_folder: Path) -> None:
    """A long model reads a whole note, however short the samples it learned from."""
    inputs = InputFormat.of(load(tiny_long_folder).config, load_tokenizer(tiny_long_folder))
    document = Document("a", "the patient " * 100)
    task = Entities(types=("Drug",), sample_tokens=64)
    assert len(task.encode(document, inputs).rows) == 1
    assert len(task.samples(document, inputs, PassedOver())) == 4


@pytest.mark.parametrize("size", [10, 22, 23, 60])
def test_the_first_window_alone_is_read_and_learned(family: str, size: int) -> None:
    """What lies beyond has no tag, no mention, and is counted; a mention on the border ends there."""
    document = noted(["ab"] * size, [" "] * size, [(0, size - 1)])
    task, inputs = replace(TASK, first_window=True), SHORT[family]
    encoded = task.encode(document, inputs)
    assert len(encoded.rows) == 1
    num_tokens = len(encoded.tokens.ids)
    heads = words_of(encoded.tokens).heads
    read = int((heads < inputs.max_tokens - 2).sum())
    tags = np.where(np.arange(num_tokens) == heads[0], 3, 4)
    found = one_hot(task, encoded, tags)
    (span,) = found.document.spans
    assert span.text_in(document.text).split() == ["ab"] * read
    assert found.details["unread_tokens"] == max(0, num_tokens - (inputs.max_tokens - 2))
    left_out = PassedOver()
    samples = task.samples(document, inputs, left_out)
    assert left_out["tokens that no row holds"] == found.details["unread_tokens"]
    assert sum((labels != IGNORED).sum() for sample in samples for labels in sample.labels) == read


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_mention_is_as_sure_as_its_least_sure_word(temperature: float) -> None:
    task = TASK.at_temperature(temperature)
    encoded = task.encode(Document("a", "a b c"), LONG["bert"])
    output = np.zeros((5, 5), dtype=np.float32)
    output[1, 3], output[2, 4], output[3, 1] = 4.0, 2.0, 6.0
    found = task.decode(encoded, [output])
    assert found.document.spans == (Span.of(0, 3, "Drug"), Span.of(4, 5, "Disease"))
    wanted = [np.exp(z / temperature) / (4 + np.exp(z / temperature)) for z in (2.0, 6.0)]
    assert found.details["probabilities"] == pytest.approx(wanted)
