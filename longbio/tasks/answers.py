"""Answers to questions, scored by the rules of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018).

Answers are compared as bags of words after their case, punctuation and articles are taken away. Several
accepted answers: the one that fits best counts. No accepted answer: only an empty answer is right.

The rules are SQuAD's to the letter, so that scores compare. So only ASCII punctuation goes, `5–10 mg`
keeps its dash, and it goes without a space: `5-10` becomes `510`. And `hepatitis A` ends up as
`hepatitis`, its A being an article.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from longbio.encoders.token_windows import Tokens

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How well one question was answered, from 0 to 1: whether by an accepted answer, and F1 of the words."""

    exact_match: float
    f1: float


def normalize(answer: str) -> str:
    """An answer without case, ASCII punctuation, articles and extra spaces, in this order."""
    bare = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def score_answer(gold: Sequence[str], predicted: str) -> AnswerScore:
    """Score the answer given (empty for none) by the accepted ones (none where the text has no answer)."""
    # An accepted answer of which nothing is left, such as "the", is none (as SQuAD 2.0 has it).
    accepted = [words for words in (normalize(answer).split() for answer in gold) if words] or [[]]
    guess = normalize(predicted).split()
    return AnswerScore(float(guess in accepted), max(_f1(words, guess) for words in accepted))


def answer_scores(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> dict[str, dict[str, float]]:
    """Score the answers to a set of questions.

    Args:
        gold: accepted answers of each question; none where the text has no answer.
        predicted: the answer given to each, in the same order; empty for none. ValueError for another number.

    Returns:
        `overall`, and `has_answer` and `no_answer` where there are such questions: the means of `exact_match`
        and `f1` and the `count` of questions, ready for JSON.
    """
    scores = [score_answer(answers, answer) for answers, answer in zip(gold, predicted, strict=True)]
    answerable = [score for score, answers in zip(scores, gold, strict=True) if answers]
    others = [score for score, answers in zip(scores, gold, strict=True) if not answers]
    parts = {"overall": scores, "has_answer": answerable, "no_answer": others}
    return {name: _means(part) for name, part in parts.items() if part or name == "overall"}


def best_null_threshold(
    margins: Sequence[float], answered: Sequence[float], unanswered: Sequence[float]
) -> tuple[float, float]:
    """Above which margin no answer is given, so that development questions score best; and the mean score
    there.

    Thresholds are tried between neighbouring margins, beyond both ends, and at 0. Of equally good ones the
    nearest to 0 is taken, the lower of two; (0, 0) without questions.

    Args:
        margins: of each question, the score of no answer minus that of the best answer.
        answered: what each question scores when its best answer is given, F1 or another.
        unanswered: what it scores when none is: 1 where the text has no answer, else 0.

    Raises:
        ValueError: the three differ in length, or a margin is not finite.
    """
    if not len(margins) == len(answered) == len(unanswered):
        raise ValueError("margins and scores are not of the same questions")
    if not np.isfinite(margins).all():
        raise ValueError("margins are not finite")
    if not len(margins):
        return 0.0, 0.0

    order = np.argsort(margins, kind="stable")
    ordered = np.asarray(margins, dtype=float)[order]
    kept = np.concatenate([[0], np.cumsum(np.asarray(answered, dtype=float)[order])])
    left = np.concatenate([[0], np.cumsum(np.asarray(unanswered, dtype=float)[order])])

    levels = np.unique(ordered)
    between = (levels[1:] + levels[:-1]) / 2
    thresholds = np.concatenate([[0, levels[0] - 1], between, [levels[-1] + 1]])
    answers = np.searchsorted(ordered, thresholds, side="right")
    totals = np.round(kept[answers] + left[-1] - left[answers], 9)
    best = thresholds[totals == totals.max()]
    threshold = min(best.tolist(), key=lambda value: (abs(value), value))
    return float(threshold), float(totals.max() / len(ordered))


def nbest_probabilities(scores: Sequence[float]) -> list[float]:
    """The probability of each answer among those that were kept, no answer being one of them, by their
    logits: -inf for an impossible one; ValueError for NaN, infinity, or -inf alone."""
    if not len(scores):
        return []
    values: NDArray[Any] = np.asarray(scores, dtype=float)
    if not np.isfinite(values.max()):
        raise ValueError("scores are NaN, infinite, or -inf for all answers")
    return [float(share) for share in softmax(values)]


def offset_f1(gold: Sequence[tuple[int, int]], predicted: tuple[int, int] | None) -> float:
    """F1 of the characters of an answer by its place: the same words elsewhere count nothing.

    Args:
        gold: (start_char, end_char) of the accepted answers, the best of which counts; none where there is
            none.
        predicted: (start_char, end_char) of the answer given; None for none.
    """
    if predicted is None or not gold:
        return float(predicted is None and not gold)
    start, end = predicted
    return max(
        2 * max(0, min(end, last) - max(start, first)) / (end - start + last - first) for first, last in gold
    )


def _f1(accepted: Sequence[str], predicted: Sequence[str]) -> float:
    if not accepted or not predicted:
        return float(accepted == predicted)
    common = (Counter(accepted) & Counter(predicted)).total()
    return 2 * common / (len(accepted) + len(predicted))


def _means(scores: Sequence[AnswerScore]) -> dict[str, float]:
    count = len(scores)
    return {
        "exact_match": sum(score.exact_match for score in scores) / count if count else 0.0,
        "f1": sum(score.f1 for score in scores) / count if count else 0.0,
        "count": count,
    }


def best_pairs(
    starts: NDArray[Any], ends: NDArray[Any], max_length: int, count: int
) -> list[tuple[int, int, float]]:
    """The pairs of first and last token with the highest sums: (first, last, sum), of equal ones the earlier.

    Args:
        starts: (N,) scores.
        ends: (N,) scores.
        max_length: tokens from first to last, both included.
        count: how many pairs.
    """
    if not len(starts):
        return []
    length = min(max_length, len(starts))
    padded = np.concatenate([ends.astype(np.float64), np.full(length - 1, -np.inf)])
    sums = starts.astype(np.float64)[:, None] + np.lib.stride_tricks.sliding_window_view(padded, length)
    flat = sums.ravel()
    count = min(count, int(np.isfinite(flat).sum()))
    if not count:
        return []
    # Of equal sums the earlier: by value first, then by place.
    threshold = -np.partition(-flat, count - 1)[count - 1]
    chosen = np.flatnonzero(flat >= threshold)
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))][:count]
    return [(int(n // length), int(n // length + n % length), float(flat[n])) for n in chosen]


def tokens_of_answer(answer: tuple[int, int], tokens: Tokens) -> tuple[int, int] | None:
    """The first and the last token that an answer touches."""
    start_char, end_char = answer
    first = int(np.searchsorted(tokens.offsets[:, 1], start_char, side="right"))
    last = int(np.searchsorted(tokens.offsets[:, 0], end_char, side="left")) - 1
    return (first, last) if first <= last else None


def place_of_tokens(answer: tuple[int, int], tokens: Tokens) -> tuple[int, int]:
    """(start_char, end_char) of what stands from a first to a last token."""
    first, last = answer
    return int(tokens.offsets[first, 0]), int(tokens.offsets[last, 1])
