"""Extractive question answering over whole documents: the answer is a stretch of the text.

Each window of a document is read behind the question, which is never cut. What is best over all
windows is the answer; the score of no answer is the lowest that a window gives it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Question
from longbio.encoders.batches import IGNORED
from longbio.encoders.input_format import InputFormat, Row, default_overlap
from longbio.encoders.roles import Role
from longbio.encoders.token_windows import Tokens, Window, windows_of
from longbio.errors import LongbioError
from longbio.tasks.answers import (
    answer_scores,
    best_null_threshold,
    best_pairs,
    nbest_probabilities,
    offset_f1,
    place_of_tokens,
    score_answer,
    tokens_of_answer,
)
from longbio.tasks.evidence import Evidence, of_means
from longbio.tasks.task import Array, Prediction, Sample, Task

NULL = 0
"""Where a row says that it holds no answer: its first token."""


@dataclass(frozen=True, eq=False)
class AskedRows:
    """A document, the tokens of its text, its windows behind each of its questions, and the rows of all
    questions, one after the other."""

    document: Document
    tokens: Tokens
    windows: tuple[tuple[Window, ...], ...]
    rows: tuple[Row, ...]


Candidate = tuple[tuple[int, int], float]
"""(start_char, end_char) of a possible answer, and its score: the sum of its start's and its end's logit."""


@dataclass(frozen=True)
class Answers(Task[AskedRows]):
    """Extractive question answering.

    Args:
        overlap: tokens that neighbouring windows share at least; 128, or a quarter of what a very
            short model reads, when None.
        max_answer_tokens: of an answer.
        negatives: windows without an answer that are learned from, for each question; those with
            one all are. None for all.
        null_answers: a question may have none (SQuAD 2.0); else the best piece of text is given.
        null_threshold: how much better no answer has to be than the best one; tuned on development
            documents.
        num_best: answers that are kept with their probabilities.
        first_window: read no more of a document than fits the model; answers beyond are missed.
        temperature: by which scores are divided before they become probabilities.
        global_tokens: what every token sees, in a model that has global attention.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}
    head: ClassVar[str] = "qa"
    finds: ClassVar[str] = "answers"
    looks_for: ClassVar[str] = "a question with an answer"

    kind: Literal["qa"] = "qa"
    overlap: int | None = None
    max_answer_tokens: int = 64
    negatives: int | None = 2
    null_answers: bool = False
    null_threshold: float = 0.0
    num_best: int = 20
    first_window: bool = False
    temperature: float = 1.0
    global_tokens: tuple[Role, ...] = ("cls", "query")

    def __post_init__(self) -> None:
        if self.max_answer_tokens < 1 or self.num_best < 1:
            raise ValueError("max_answer_tokens and num_best are at least 1")
        if self.temperature <= 0:
            raise ValueError("a temperature is above 0")
        if min(self.negatives or 0, self.overlap or 0) < 0:
            raise ValueError("negatives and an overlap are 0 or more")

    @property
    def measure(self) -> str:
        return "answer F1"

    def has_example(self, document: Document) -> bool:
        """A question with an answer; without one, where there need be none."""
        return any(question.answers or self.null_answers for question in document.questions)

    def warnings(self, documents: Sequence[Document]) -> list[str]:
        """Questions without an answer, where the best piece of text is given to each."""
        questions = [question for document in documents for question in document.questions]
        impossible = sum(question.is_impossible for question in questions)
        if self.null_answers or not impossible:
            return []
        return [
            f"{impossible:,} of {len(questions):,} questions have no answer, and each scores 0, since"
            " task.null_answers is false; set it to true"
        ]

    def check(self, documents: Sequence[Document], inputs: InputFormat) -> None:
        """Each question has an id of its own, by which its answer is found, and leaves room for its text."""
        ids = Counter(question.id for document in documents for question in document.questions)
        if ids.total() > len(ids):
            name, times = ids.most_common(1)[0]
            raise LongbioError(
                f"question {name} is there {times} times", where="data", remedy="give each an id of its own"
            )
        for document in documents:
            for question in document.questions:
                inputs.refuse_long_query(inputs.tokens(question.text), f"question {question.id}")

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        """Windows with an answer, and some without; of several answers the first that is whole."""
        encoded = self.encode(document, inputs)
        rows = iter(encoded.rows)
        samples = []
        for question, windows in zip(document.questions, encoded.windows, strict=True):
            spans = _token_spans(question, encoded.tokens, left_out)
            where = f"question {question.id}"
            positives: list[Sample] = []
            negatives: list[Sample] = []
            for window in windows:
                row = next(rows)
                place = _place(window, row, spans)
                kind = negatives if place == (NULL, NULL) else positives
                kind.append(Sample((row,), (np.array(place),)))
            if self.negatives is not None and len(negatives) > self.negatives:
                draw = np.random.default_rng(zlib.crc32(question.id.encode()))
                chosen = draw.permutation(len(negatives))[: self.negatives]
                left_out.note(
                    "windows without an answer, beyond `negatives`", where, len(negatives) - len(chosen)
                )
                negatives = [negatives[number] for number in sorted(chosen)]
            is_cut = bool(question.answers) and not positives
            left_out.note("answers that no window holds whole", where, is_cut)
            samples += positives + negatives
        return samples

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        """`labels` (B, 2): the row's positions of the answer's first and last token, 0 for none."""
        return {"labels": torch.from_numpy(np.stack([sample.labels[0] for sample in samples]))}

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats of the first and of the last token, summed over rows."""
        starts, ends = batch["labels"].unbind(-1)
        real = batch["attention_mask"].bool()
        return sum_of(outputs.start_logits, starts, real) + sum_of(outputs.end_logits, ends, real)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        real = batch["attention_mask"].bool()
        learned = batch["labels"][:, 0] != IGNORED
        return [
            (_without_padding(logits, real), learned) for logits in (outputs.start_logits, outputs.end_logits)
        ]

    def encode(self, document: Document, inputs: InputFormat) -> AskedRows:
        """The document's windows behind each question.

        Raises:
            LongbioError: a question is longer than half of what the model reads.
        """
        tokens = inputs.tokens(document.text, self.global_tokens)
        rows: list[Row] = []
        windows = []
        for question in document.questions:
            query = inputs.tokens(question.text)
            inputs.refuse_long_query(query, f"question {question.id}")
            room = inputs.room(query)
            overlap = default_overlap(room) if self.overlap is None else min(self.overlap, room // 2)
            num_read = min(len(tokens.ids), room) if self.first_window else len(tokens.ids)
            of_question = windows_of(0, num_read, max_tokens=room + 2, overlap=overlap)
            windows.append(tuple(of_question))
            rows += [inputs.row(tokens, window.tokens, query, self.global_tokens) for window in of_question]
        return AskedRows(document, tokens, tuple(windows), tuple(rows))

    def decode(self, encoded: AskedRows, outputs: Sequence[Array]) -> Prediction:
        """The best answer to each question over all windows, with what else came near."""
        rest = iter(zip(encoded.rows, outputs, strict=True))
        questions, details = [], []
        for question, windows in zip(encoded.document.questions, encoded.windows, strict=True):
            read = [(window, *next(rest)) for window in windows]
            best = self._candidates(read, encoded.tokens.offsets)
            null = min(float(output[NULL].sum()) for _, _, output in read)
            unread = len(encoded.tokens.ids) - windows[-1].owned.stop
            detail = self._details(question, best, null, encoded.document.text)
            detail |= {"windows": len(windows), "unread_tokens": unread}
            answer = self.chosen(detail)
            questions.append(replace(question, answers=() if answer is None else (answer,)))
            details.append(detail)
        document = replace(encoded.document, questions=tuple(questions))
        return Prediction(document, {"tokens": len(encoded.tokens.ids), "questions": details})

    def _candidates(self, read: Sequence[tuple[Window, Row, Array]], offsets: Array) -> list[Candidate]:
        """The best pieces of text over some windows, each once, the best first."""
        best: dict[tuple[int, int], float] = {}
        for window, row, output in read:
            is_space = offsets[window.tokens, 0] == offsets[window.tokens, 1]
            logits = np.where(is_space[:, None], -np.inf, output[row.text])
            for first, last, score in best_pairs(
                logits[:, 0], logits[:, 1], self.max_answer_tokens, self.num_best
            ):
                shift = window.tokens.start
                place = int(offsets[first + shift, 0]), int(offsets[last + shift, 1])
                best[place] = max(score, best.get(place, -np.inf))
        return sorted(best.items(), key=lambda item: (-item[1], item[0]))[: self.num_best]

    def chosen(self, detail: Mapping[str, Any]) -> tuple[int, int] | None:
        """(start_char, end_char) of the answer given, from what is kept of a question; None for none."""
        if not detail["best"] or (self.null_answers and detail["null_minus_best"] > self.null_threshold):
            return None
        return detail["best"][0]["start_char"], detail["best"][0]["end_char"]

    def _details(
        self, question: Question, best: Sequence[Candidate], null: float, text: str
    ) -> dict[str, Any]:
        scores = [score for _, score in best] + ([null] if self.null_answers else [])
        probabilities = nbest_probabilities([score / self.temperature for score in scores])
        return {
            "id": question.id,
            "null_minus_best": null - best[0][1] if best else None,
            "null_probability": probabilities.pop() if self.null_answers else None,
            "best": [
                {"start_char": start, "end_char": end, "text": text[start:end], "probability": probability}
                for ((start, end), _), probability in zip(best, probabilities, strict=True)
            ],
        }

    def at_temperature(self, temperature: float) -> Answers:
        return replace(self, temperature=temperature)

    def tune(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Answers:
        """With the null threshold that gives the best F1."""
        if not self.null_answers:
            return self
        margins, answered, unanswered = [], [], []
        for document, question, detail in _pair_questions(gold, predictions):
            if detail["best"]:
                answers = _texts(document, question)
                margins.append(detail["null_minus_best"])
                answered.append(score_answer(answers, detail["best"][0]["text"]).f1)
                unanswered.append(score_answer(answers, "").f1)
        return replace(self, null_threshold=best_null_threshold(margins, answered, unanswered)[0])

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Exact match and F1 by the rules of SQuAD, from 0 to 1, of the answers that this task's null
        threshold leaves, whatever it was when they were found."""
        pairs = [
            (document, question, self.chosen(detail))
            for document, question, detail in _pair_questions(gold, predictions)
        ]
        answers = [_texts(document, question) for document, question, _ in pairs]
        chosen = [document.text[slice(*place)] if place else "" for document, _, place in pairs]
        scores = answer_scores(answers, chosen)
        places = [offset_f1(question.answers, place) for _, question, place in pairs]
        return {
            "main": scores["overall"]["f1"],
            **scores,
            "f1_of_characters": sum(places) / max(1, len(places)),
        }

    def _f1(self, document: Document, question: Question, detail: Mapping[str, Any]) -> float:
        place = self.chosen(detail)
        chosen = document.text[slice(*place)] if place else ""
        return score_answer(_texts(document, question), chosen).f1

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        f1 = [
            [self._f1(*asked) for asked in _pair_questions([document], [prediction])]
            for document, prediction in zip(gold, predictions, strict=True)
        ]
        return of_means([sum(scores) for scores in f1], [len(scores) for scores in f1])

    def confidences_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[float, bool]]:
        for document, question, detail in _pair_questions([gold], [predicted]):
            if self.chosen(detail) is not None:
                best = detail["best"][0]
                is_exact = score_answer(_texts(document, question), best["text"]).exact_match == 1
                yield best["probability"], is_exact

    def places_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[int, float]]:
        """A question is where its first accepted answer begins, and as well answered as its F1."""
        for document, question, detail in _pair_questions([gold], [predicted]):
            if question.answers:
                yield question.answers[0][0], self._f1(document, question, detail)

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        """No answer anywhere, or all where the same character is."""
        details = [detail for prediction in predictions for detail in prediction.details["questions"]]
        answers = {place[0] if place else None for place in map(self.chosen, details)}
        return len(answers) <= 1


def sum_of(logits_BT: Tensor, places_B: Tensor, real_BT: Tensor) -> Tensor:
    """Cross-entropy in nats of places in rows, padding left out, summed over the rows."""
    logits_BT = _without_padding(logits_BT, real_BT)
    return cross_entropy(logits_BT, places_B, ignore_index=IGNORED, reduction="sum")


def _without_padding(logits_BT: Tensor, real_BT: Tensor) -> Tensor:
    return logits_BT.float().masked_fill(~real_BT, float("-inf"))


def _pair_questions(
    gold: Sequence[Document], predictions: Sequence[Prediction]
) -> Iterator[tuple[Document, Question, dict[str, Any]]]:
    """Each true question with what was said to it."""
    for document, prediction in zip(gold, predictions, strict=True):
        for question, detail in zip(document.questions, prediction.details["questions"], strict=True):
            yield document, question, detail


def _token_spans(question: Question, tokens: Tokens, left_out: PassedOver) -> list[tuple[int, int]]:
    """First and last token of each answer; counts those without, and those that tokens don't give back."""
    where = f"question {question.id}"
    spans = [tokens_of_answer(answer, tokens) for answer in question.answers]
    left_out.note("answers without a token", where, spans.count(None))
    pairs = zip(spans, question.answers, strict=True)
    inexact = [span for span, answer in pairs if span and place_of_tokens(span, tokens) != answer]
    left_out.note("answers that begin or end within a token", where, len(inexact))
    return [span for span in spans if span is not None]


def _texts(document: Document, question: Question) -> list[str]:
    return [document.text[start:end] for start, end in question.answers]


def _place(window: Window, row: Row, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Where in a row the first answer that is whole in it begins and ends."""
    for first, last in spans:
        if window.tokens.start <= first and last < window.tokens.stop:
            shift = row.text.start - window.tokens.start
            return first + shift, last + shift
    return NULL, NULL
