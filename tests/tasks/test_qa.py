"""Questions: rows that hold their answers, answers that come back, and when none is given."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Question
from longbio.encoders.input_format import InputFormat
from longbio.errors import LongbioError
from longbio.tasks.answers import best_pairs
from longbio.tasks.qa import Answers, AskedRows
from longbio.tasks.task import Prediction, collate

LETTERS = "abcdefghijklmnopqrstuvwxyz"
HIGH = 50.0


def bert_format() -> InputFormat:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS), "."]
    tokenizer = transformers.BertTokenizer(vocab={piece: n for n, piece in enumerate(pieces)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=32), tokenizer)


def roberta_format() -> InputFormat:
    """Two separators, and spaces and line ends that are tokens without a character."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *LETTERS, ".", "Ġ", "Ċ"]
    tokenizer = transformers.RobertaTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
    return InputFormat.of(transformers.RobertaConfig(max_position_embeddings=34), tokenizer)


FORMATS = {"bert": bert_format(), "roberta": roberta_format()}


@pytest.fixture(params=FORMATS)
def inputs(request: pytest.FixtureRequest) -> InputFormat:
    return FORMATS[request.param]


def asked(text: str, *answers: tuple[int, int], question: str = "what") -> Document:
    return Document("a", text, questions=(Question("q", question, answers),))


def silent(encoded: AskedRows, level: float = 0.0) -> list[Any]:
    """Outputs that say the same of every token."""
    return [np.full((len(row.ids), 2), level) for row in encoded.rows]


def one_hot(task: Answers, document: Document, inputs: InputFormat) -> Prediction:
    """What is decoded from a model that says what `samples` would teach it."""
    encoded = task.encode(document, inputs)
    outputs = silent(encoded)
    with pytest.MonkeyPatch.context() as patch:
        # The very same rows: those of a text that repeats itself are equal.
        patch.setattr(Answers, "encode", lambda *given: encoded)
        samples = task.samples(document, inputs, PassedOver())
    labels = {id(sample.rows[0]): sample.labels[0] for sample in samples}
    for row, output in zip(encoded.rows, outputs, strict=True):
        first, last = labels[id(row)]
        output[first, 0] = output[last, 1] = HIGH
    return task.decode(encoded, outputs)


def test_labels_stand_at_the_answer_in_every_window_that_holds_it(inputs: InputFormat) -> None:
    text = "ab cd. " * 40 + "the answer is hidden. " + "ef gh. " * 40
    start = text.index("answer")
    document = asked(text, (start, start + len("answer is")))
    task = Answers(negatives=None)
    encoded = task.encode(document, inputs)
    assert len(encoded.rows) >= 10
    samples = task.samples(document, inputs, PassedOver())
    assert len(samples) == len(encoded.rows)
    found = 0
    for sample in samples:
        (row,), (first, last) = sample.rows, sample.labels[0]
        pieces = inputs.tokenizer.convert_ids_to_tokens(row.ids[first : last + 1].tolist())
        said = "".join(piece.removeprefix("##").replace("Ġ", "") for piece in pieces)
        if first:
            assert said == "answeris"
            assert row.text.start <= first <= last < row.text.stop
            found += 1
        else:
            assert last == 0
    assert found >= 1
    # The answer of no other window is taught.
    size = len(inputs.tokens("answer is").ids)
    plain = inputs.tokens(text)
    place = int(np.searchsorted(plain.offsets[:, 1], start, side="right"))
    wanted = sum(w.tokens.start <= place and place + size <= w.tokens.stop for w in encoded.windows[0])
    assert found == wanted


def test_half_an_answer_is_none(inputs: InputFormat) -> None:
    """Wherever the borders of windows fall, those that hold both of its words are taught, no others."""
    x, y = inputs.tokenizer.convert_tokens_to_ids(["x", "y"])
    for before in range(30):
        text = "a " * before + "x y" + " a" * 30
        document = asked(text, (2 * before, 2 * before + 3), question="b")
        for sample in Answers(negatives=None).samples(document, inputs, PassedOver()):
            (row,), (first, last) = sample.rows, sample.labels[0]
            if {x, y} <= set(row.ids.tolist()):
                # A space is part of the word behind it, where it is a token.
                assert x in row.ids[[first, first + 1]]
                assert row.ids[last] == y
            else:
                assert (first, last) == (0, 0)


def test_the_question_is_global_and_whole_in_every_row(inputs: InputFormat) -> None:
    rows = Answers().encode(asked("ab cd. " * 40, question="what is it"), inputs).rows
    question = inputs.tokens("what is it").ids.tolist()
    for row in rows:
        assert len(row.ids) <= inputs.max_tokens == 32
        assert row.ids[1 : 1 + len(question)].tolist() == question
        assert np.flatnonzero(row.is_global).tolist() == [*range(1 + len(question))]
        frame = row.ids[1 + len(question) : row.text.start].tolist()
        assert frame == [inputs.tokenizer.sep_token_id] * inputs.separators
    none = Answers(global_tokens=()).encode(asked("ab"), inputs).rows
    assert not none[0].is_global.any()


@given(st.data())
def test_answers_come_back_as_they_were(data: st.DataObject) -> None:
    """Whatever the text and its spaces, the words that are taught are the characters that are found."""
    inputs = FORMATS[data.draw(st.sampled_from([*FORMATS]))]
    words = data.draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=60))
    spaces = data.draw(st.lists(st.sampled_from([" ", "  ", "\n", " \n\n "]), min_size=60, max_size=60))
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 1, len(words) - 1)))
    text, places = "", []
    for word, space in zip(words, spaces, strict=False):
        places.append((len(text), len(text) + len(word)))
        text += word + space
    answer = (places[first][0], places[last][1])
    document = asked(text, answer)
    # Windows share more tokens than an answer has.
    task = Answers(negatives=None, overlap=12)
    if len(inputs.tokens(text[slice(*answer)]).ids) <= 9:
        found = one_hot(task, document, inputs)
        assert found.document.questions[0].answers == (answer,)
        assert found.document.text == text
        assert task.score([document], [found])["overall"]["exact_match"] == 1
        assert task.score([document], [found])["f1_of_characters"] == 1


def test_spaces_are_no_answer() -> None:
    """A byte-level tokenizer has tokens for spaces, which have no character of their own."""
    inputs = FORMATS["roberta"]
    document = asked("ab \n\n cd")
    encoded = Answers().encode(document, inputs)
    offsets = encoded.tokens.offsets
    empty = np.flatnonzero(offsets[:, 0] == offsets[:, 1])
    assert len(empty)
    outputs = silent(encoded)
    outputs[0][encoded.rows[0].text.start + empty] = HIGH
    best = Answers().decode(encoded, outputs).details["questions"][0]["best"]
    assert all(each["text"] and each["text"] == each["text"].strip() for each in best)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=12),
    st.integers(1, 14),
    st.integers(1, 200),
)
def test_best_pairs_are_those_of_a_search_through_all(
    scores: list[tuple[int, int]], max_length: int, count: int
) -> None:
    """Small whole numbers: many pairs are equal."""
    starts, ends = np.array(scores, dtype=np.float32).reshape(-1, 2).T
    every = [
        (first, last, float(starts[first] + ends[last]))
        for first, last in itertools.product(range(len(scores)), repeat=2)
        if 0 <= last - first < max_length
    ]
    wanted = sorted(every, key=lambda pair: (-pair[2], pair[0], pair[1]))[:count]
    assert best_pairs(starts, ends, max_length, count) == wanted


def test_impossible_tokens_are_in_no_pair() -> None:
    low = -np.inf
    assert best_pairs(np.array([low, 1.0]), np.array([2.0, 0.0]), 2, 9) == [(1, 1, 1.0)]
    assert best_pairs(np.array([low, low]), np.array([2.0, 0.0]), 2, 9) == []


@pytest.mark.parametrize("surest", [0, 1])
def test_an_answer_in_two_windows_has_the_score_of_the_surer(surest: int, inputs: InputFormat) -> None:
    document = asked("a " * 60)
    task = Answers(num_best=3)
    encoded = task.encode(document, inputs)
    first, second = encoded.windows[0][:2]
    shared = range(second.tokens.start, first.tokens.stop)
    # A token of its own, not of a space.
    place = next(n for n in shared if np.diff(encoded.tokens.offsets[n]))
    outputs = silent(encoded, -HIGH)
    for number, window in enumerate((first, second)):
        row = encoded.rows[number]
        outputs[number][row.text.start + place - window.tokens.start] = 3.0 if number == surest else 1.0
    outputs[2][0] = 4.0
    best = task.decode(encoded, outputs).details["questions"][0]
    assert best["best"][0]["start_char"] == encoded.tokens.offsets[place, 0]
    assert best["null_minus_best"] == pytest.approx(-2 * HIGH - 6)


@pytest.mark.parametrize("null_answers", [False, True])
def test_probabilities_sum_to_one_and_fall(inputs: InputFormat, null_answers: bool) -> None:
    draw = np.random.default_rng(0)
    task = Answers(null_answers=null_answers, num_best=7, max_answer_tokens=4)
    document = asked("ab cd ef. " * 20)
    encoded = task.encode(document, inputs)
    assert len(encoded.rows) > 2
    outputs = [draw.normal(size=(len(row.ids), 2)) for row in encoded.rows]
    detail = task.decode(encoded, outputs).details["questions"][0]
    shares = [each["probability"] for each in detail["best"]]
    assert len(shares) == 7
    assert shares == sorted(shares, reverse=True)
    assert len({(each["start_char"], each["end_char"]) for each in detail["best"]}) == 7
    assert sum(shares) + (detail["null_probability"] or 0) == pytest.approx(1)
    assert (detail["null_probability"] is None) == (not null_answers)
    for each in detail["best"]:
        assert document.text[each["start_char"] : each["end_char"]] == each["text"]


def margin(task: Answers, document: Document, inputs: InputFormat, null_minus_best: float) -> Prediction:
    """The first token of the text is the best answer, and no answer is so much better."""
    encoded = task.encode(document, inputs)
    outputs = silent(encoded, -HIGH)
    for row, output in zip(encoded.rows, outputs, strict=True):
        output[row.text.start] = 0.0
        output[0, 0], output[0, 1] = null_minus_best, 0.0
    return task.decode(encoded, outputs)


def test_no_answer_wins_above_its_threshold_and_only_where_it_may(inputs: InputFormat) -> None:
    task = Answers(null_answers=True, null_threshold=1.0)
    document = asked("a b")
    assert margin(task, document, inputs, 1.0).document.questions[0].answers == ((0, 1),)
    assert margin(task, document, inputs, 1.5).document.questions[0].answers == ()
    always = replace(task, null_answers=False)
    assert margin(always, document, inputs, 1.5).document.questions[0].answers == ((0, 1),)


def test_one_window_without_doubt_is_enough(inputs: InputFormat) -> None:
    """No answer is as likely as the window says that believes in it least."""
    task = Answers(null_answers=True)
    encoded = task.encode(asked("ab cd. " * 30), inputs)
    outputs = silent(encoded, -HIGH)
    for output in outputs:
        output[0] = 9.0
    outputs[1][0] = 2.0
    outputs[1][encoded.rows[1].text.start + 1] = 3.0
    detail = task.decode(encoded, outputs).details["questions"][0]
    assert detail["null_minus_best"] == pytest.approx(4 - 6)


def test_scores_are_those_of_the_tuned_threshold(inputs: InputFormat) -> None:
    """Predictions needn't be made again for it: what `learn` reports is what `evaluate` would find."""
    task = Answers(null_answers=True)
    gold = [asked("x y", (0, 1)), asked("x y"), asked("x y", (0, 1))]
    margins = (2.0, 4.0, -1.0)
    found = [margin(task, d, inputs, m) for d, m in zip(gold, margins, strict=True)]
    assert task.score(gold, found)["overall"]["exact_match"] == pytest.approx(2 / 3)
    tuned = task.tune(gold, found)
    assert 2 <= tuned.null_threshold < 4
    again = [margin(tuned, d, inputs, m) for d, m in zip(gold, margins, strict=True)]
    assert tuned.score(gold, found) == tuned.score(gold, again)
    assert tuned.score(gold, found)["main"] == 1
    assert Answers().tune(gold, found) == Answers()


def test_the_loss_is_cross_entropy_over_what_is_no_padding(inputs: InputFormat) -> None:
    task = Answers()
    texts = (asked("ab cd ef", (3, 5)), asked("a", (0, 1)))
    samples = [sample for each in texts for sample in task.samples(each, inputs, PassedOver())]
    batch = collate(task, inputs, samples)
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, *batch["input_ids"].shape, generator=draw)
    outputs = type("Output", (), {"start_logits": logits[0], "end_logits": logits[1]})()
    by_hand = torch.zeros(())
    for number, sample in enumerate(samples):
        size = len(sample.rows[0].ids)
        for side in (0, 1):
            place = torch.tensor([int(sample.labels[0][side])])
            by_hand += cross_entropy(logits[side, number : number + 1, :size], place)
    torch.testing.assert_close(task.summed_loss(outputs, batch), by_hand)

    softmaxes = task.logits(outputs, batch)
    assert len(softmaxes) == 2
    for values, learned in softmaxes:
        assert values.shape == batch["input_ids"].shape
        assert learned.tolist() == [True, True]
        assert torch.isneginf(values).equal(batch["attention_mask"] == 0)


def test_negatives_are_drawn_the_same_way_each_time_and_counted(inputs: InputFormat) -> None:
    document = asked("ab cd. " * 60, (0, 2))
    left_out = PassedOver()
    task = Answers(negatives=2)
    samples = task.samples(document, inputs, left_out)
    every = task.encode(document, inputs).rows
    places = [sample.labels[0].tolist() for sample in samples]
    assert places.count([0, 0]) == 2
    assert left_out["windows without an answer, beyond `negatives`"] == len(every) - len(samples)
    again = task.samples(document, inputs, PassedOver())
    assert [s.rows[0].ids.tolist() for s in samples] == [s.rows[0].ids.tolist() for s in again]


def test_an_answer_that_no_window_holds_is_counted(inputs: InputFormat) -> None:
    text = "a " * 100
    left_out = PassedOver()
    samples = Answers(negatives=0).samples(asked(text, (0, 199)), inputs, left_out)
    assert samples == []
    assert left_out["answers that no window holds whole"] == 1
    Answers().samples(asked("a   b", (2, 3)), inputs, left_out)
    assert left_out["answers without a token"] == 1


@pytest.mark.parametrize("null_answers", [False, True])
def test_an_empty_text_has_no_answer(inputs: InputFormat, null_answers: bool) -> None:
    task = Answers(null_answers=null_answers)
    document = asked("")
    encoded = task.encode(document, inputs)
    assert len(encoded.rows) == 1
    found = task.decode(encoded, silent(encoded))
    assert found.document.questions[0].answers == ()
    assert task.tune([document], [found]) == task
    assert task.score([document], [found])["main"] == 1


def test_a_document_without_questions_has_no_rows(inputs: InputFormat) -> None:
    document = Document("a", "ab cd")
    task = Answers(null_answers=True)
    encoded = task.encode(document, inputs)
    assert encoded.rows == ()
    assert task.samples(document, inputs, PassedOver()) == []
    found = task.decode(encoded, [])
    assert found.details["questions"] == []
    assert task.tune([document], [found]) == task
    assert task.score([document], [found])["main"] == 0


def test_several_questions_keep_their_rows_apart(inputs: InputFormat) -> None:
    text = "ab cd. " * 20 + "ef"
    questions = (Question("1", "what", ((0, 2),)), Question("2", "where is", ((140, 142),)))
    document = Document("a", text, questions=questions)
    found = one_hot(Answers(negatives=None), document, inputs)
    assert [q.answers for q in found.document.questions] == [q.answers for q in questions]
    assert not Answers().has_collapsed([found])
    same = replace(document, questions=(questions[0], replace(questions[1], answers=((0, 2),))))
    assert Answers().has_collapsed([one_hot(Answers(negatives=None), same, inputs)])


def test_a_long_question_is_refused_by_its_name(inputs: InputFormat) -> None:
    with pytest.raises(LongbioError, match="question q") as caught:
        Answers().encode(asked("ab", question="secret " * 4), inputs)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"max_answer_tokens": 0}, {"num_best": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Answers(**wrong)  # type: ignore[arg-type]  # of one type, mypy can't know for which setting


def test_answers_beyond_the_first_window_are_missed(inputs: InputFormat) -> None:
    text = "ab " * 4 + "needle " + "cd " * 60 + "thread"
    task = Answers(first_window=True, negatives=None)
    for word, is_found in (("needle", True), ("thread", False)):
        start = text.index(word)
        document = asked(text, (start, start + len(word)))
        encoded = task.encode(document, inputs)
        assert len(encoded.rows) == 1
        left_out = PassedOver()
        task.samples(document, inputs, left_out)
        assert left_out["answers that no window holds whole"] == (not is_found)
        found = one_hot(task, document, inputs)
        assert (found.document.questions[0].answers == document.questions[0].answers) == is_found
        assert found.details["questions"][0]["unread_tokens"] > 0
    assert (
        Answers()
        .decode(Answers().encode(document, inputs), silent(Answers().encode(document, inputs)))
        .details["questions"][0]["unread_tokens"]
        == 0
    )


def test_a_temperature_moves_probabilities_alone(inputs: InputFormat) -> None:
    document = asked("ab cd ef gh " * 20, (3, 5))
    found = {t: one_hot(Answers(negatives=None).at_temperature(t), document, inputs) for t in (0.5, 1.0, 8.0)}
    assert len({each.document for each in found.values()}) == 1
    surest = [each.details["questions"][0]["best"][0]["probability"] for each in found.values()]
    assert surest == sorted(surest, reverse=True)
    assert surest[0] > surest[-1]
