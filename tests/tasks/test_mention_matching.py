"""Four ways to match: by hand, as nervaluate and seqeval count, and where we count otherwise."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from longbio.corpus.records import Span
from longbio.tasks.mention_matching import SCHEMES, Matches, add, entity_scores, match_entities
from longbio.tasks.metrics import count_entities, micro

THEIR_NAMES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}
COUNTS = ("correct", "incorrect", "partial", "missed", "spurious")


def of(*spans: tuple[int, int, str]) -> list[Span]:
    return [Span.of(*span) for span in spans]


def counted(gold: list[Span], predicted: list[Span]) -> dict[str, tuple[int, ...]]:
    tallies = match_entities(gold, predicted)
    return {scheme: tuple(getattr(tallies[scheme].micro, count) for count in COUNTS) for scheme in SCHEMES}


@pytest.mark.parametrize(
    ("predicted", "strict", "exact", "partial", "kind"),
    [
        (of((0, 4, "Drug")), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0)),
        (of((0, 4, "Test")), (0, 1, 0, 0, 0), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (0, 1, 0, 0, 0)),
        (of((0, 5, "Drug")), (0, 1, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (1, 0, 0, 0, 0)),
        (of((3, 9, "Test")), (0, 1, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 1, 0, 0, 0)),
        (of((4, 9, "Drug")), (0, 0, 0, 1, 1), (0, 0, 0, 1, 1), (0, 0, 0, 1, 1), (0, 0, 0, 1, 1)),
        ([], (0, 0, 0, 1, 0), (0, 0, 0, 1, 0), (0, 0, 0, 1, 0), (0, 0, 0, 1, 0)),
    ],
    ids=["the same", "other type", "other borders", "other type and borders", "beside it", "nothing"],
)
def test_one_mention(predicted, strict, exact, partial, kind) -> None:
    wanted = {"strict": strict, "exact": exact, "partial": partial, "type": kind}
    assert counted(of((0, 4, "Drug")), predicted) == wanted


def test_scores_worked_by_hand() -> None:
    gold = [of((0, 4, "Drug"), (10, 20, "Test")), of((5, 9, "Drug"))]
    predicted = [of((0, 4, "Drug"), (10, 15, "Test")), of((5, 9, "Test"), (30, 31, "Drug"))]
    scores = entity_scores(gold, predicted)

    # Four predicted, three true. Right: one; one and a half-wrong border; the wrong type.
    assert scores["strict"]["micro"] == pytest.approx(
        {
            "precision": 1 / 4,
            "recall": 1 / 3,
            "f1": 2 / 7,
            "correct": 1,
            "incorrect": 2,
            "partial": 0,
            "missed": 0,
            "spurious": 1,
        }
    )
    assert scores["exact"]["micro"]["f1"] == pytest.approx(4 / 7)
    assert scores["partial"]["micro"]["precision"] == pytest.approx(2.5 / 4)
    assert scores["partial"]["micro"]["f1"] == pytest.approx(5 / 7)
    assert scores["type"]["micro"]["f1"] == pytest.approx(4 / 7)

    # Drug alone: one right, one missed, one made up. Test alone: one overlaps, one made up.
    assert scores["strict"]["types"]["Drug"]["f1"] == pytest.approx(1 / 2)
    assert scores["strict"]["types"]["Test"]["f1"] == 0
    assert scores["strict"]["macro_f1"] == pytest.approx(1 / 4)
    assert scores["type"]["types"]["Test"]["f1"] == pytest.approx(2 / 3)
    assert scores["type"]["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert list(scores["type"]["types"]) == ["Drug", "Test"]
    assert json.loads(json.dumps(scores)) == scores


def test_nothing_scores_zero() -> None:
    for scores in entity_scores([[]], [[]]).values():
        assert scores["micro"]["f1"] == scores["macro_f1"] == 0
        assert scores["types"] == {}


def test_documents_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        entity_scores([[]], [[], []])


spans = st.builds(
    lambda start, length, label: Span.of(start, start + length, label),
    st.integers(0, 14),
    st.integers(1, 8),
    st.sampled_from("ABC"),
)
any_side = st.lists(spans, max_size=5)


@st.composite
def flat_side(draw: st.DrawFn) -> list[Span]:
    """Mentions in text order that share no character, some of them neighbours."""
    side, at = [], 0
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=6)):
        side.append(Span.of(at + gap, at + gap + length, draw(st.sampled_from("ABC"))))
        at += gap + length
    return side


documents = st.lists(st.tuples(flat_side(), flat_side()), min_size=1, max_size=3)


def as_entities(side: list[Span]) -> list[dict[str, object]]:
    """Ends are inclusive there."""
    return [{"label": s.label, "start": s.start_char, "end": s.end_char - 1} for s in side]


def nervaluate_of(gold: list[list[Span]], predicted: list[list[Span]]) -> dict:
    sides = [[as_entities(side) for side in sides] for sides in (gold, predicted)]
    return Evaluator(*sides, tags=list("ABC"), loader="dict").evaluate()


def assert_equal(ours: dict[str, float], theirs) -> None:
    assert {name: ours[name] for name in COUNTS} == {name: getattr(theirs, name) for name in COUNTS}
    for name in ("precision", "recall", "f1"):
        assert ours[name] == pytest.approx(getattr(theirs, name), abs=1e-12)


@settings(max_examples=400, deadline=None)
@given(documents)
def test_flat_documents_score_as_nervaluate_scores_them(pairs) -> None:
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    ours, theirs = entity_scores(gold, predicted), nervaluate_of(gold, predicted)
    for scheme, name in THEIR_NAMES.items():
        assert_equal(ours[scheme]["micro"], theirs["overall"][name])
        assert ours[scheme]["types"].keys() == theirs["entities"].keys()
        for label, scores in ours[scheme]["types"].items():
            assert_equal(scores, theirs["entities"][label][name])


def tags_of(side: list[Span]) -> list[str]:
    tags = ["O"] * 60
    for span in side:
        tags[span.start_char : span.end_char] = [f"I-{span.label}"] * (span.end_char - span.start_char)
        tags[span.start_char] = f"B-{span.label}"
    return tags


@settings(max_examples=200, deadline=None)
@given(documents)
def test_strict_is_what_seqeval_counts(pairs) -> None:
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    ours = entity_scores(gold, predicted)["strict"]
    tags = [[tags_of(spans) for spans in side] for side in (gold, predicted)]
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        theirs = score(*tags, mode="strict", scheme=IOB2, zero_division=0)
        assert ours["micro"][name] == pytest.approx(theirs)
    if ours["types"]:
        theirs = f1_score(*tags, average="macro", mode="strict", scheme=IOB2, zero_division=0)
        assert ours["macro_f1"] == pytest.approx(theirs)


@settings(max_examples=200, deadline=None)
@given(any_side, any_side, st.randoms(use_true_random=False))
def test_order_says_nothing_and_strict_is_entity_f1(gold, predicted, rng: random.Random) -> None:
    tallies = match_entities(gold, predicted)
    counts = micro(count_entities(gold, predicted))
    strict = tallies["strict"].micro
    assert strict.correct == counts.true_positives
    assert strict.as_dict()["f1"] == pytest.approx(counts.f1)
    assert tallies["strict"].types.keys() == count_entities(gold, predicted).keys()
    for tally in tallies.values():
        assert (tally.micro.gold, tally.micro.predicted) == (len(gold), len(predicted))
    assert match_entities(rng.sample(gold, len(gold)), rng.sample(predicted, len(predicted))) == tallies


def test_an_overlap_takes_nothing_from_the_same_mention() -> None:
    gold, predicted = of((0, 10, "A")), of((0, 5, "A"), (0, 10, "A"))
    assert nervaluate_of([gold], [predicted])["overall"]["strict"].correct == 0
    assert match_entities(gold, predicted)["strict"].micro == Matches(correct=1, spurious=1)


def test_twice_predicted_is_once_spurious() -> None:
    assert match_entities(of((0, 4, "A")), of((0, 4, "A"), (0, 4, "A")))["type"].micro == Matches(
        correct=1, spurious=1
    )


def test_one_character_of_a_very_long_mention_is_an_overlap() -> None:
    gold, predicted = of((0, 200, "A")), of((199, 210, "A"))
    assert nervaluate_of([gold], [predicted])["overall"]["partial"].partial == 0
    assert match_entities(gold, predicted)["partial"].micro == Matches(partial=1)


def test_a_gap_covers_nothing() -> None:
    gold = [Span(((0, 4), (10, 14)), "A")]
    assert counted(gold, of((4, 10, "A")))["partial"] == (0, 0, 0, 1, 1)
    assert counted(gold, of((0, 14, "A")))["partial"] == (0, 0, 1, 0, 0)
    assert counted(gold, of((0, 14, "A")))["strict"] == (0, 1, 0, 0, 0)
    assert counted(gold, gold)["strict"] == (1, 0, 0, 0, 0)


def test_type_takes_the_nearest_of_its_type() -> None:
    # The first overlap is of another type; of the two of its own the later has the nearer borders.
    gold = of((0, 2, "B"), (2, 4, "A"), (4, 10, "A"))
    tally = match_entities(gold, of((1, 10, "A")))["type"]
    assert tally.micro == Matches(correct=1, missed=2)
    after = match_entities(gold, of((1, 10, "A"), (10, 12, "A"), (2, 4, "A")))["type"]
    assert after.micro == Matches(correct=2, missed=1, spurious=1)


def test_the_nearest_may_be_the_only_one_of_a_later_prediction() -> None:
    # As in nervaluate: better pairs are not looked for once the nearest is taken.
    gold, predicted = of((0, 3, "A"), (3, 12, "A")), of((2, 9, "A"), (9, 12, "A"))
    tally = match_entities(gold, predicted)["type"]
    assert tally.micro == Matches(correct=1, missed=1, spurious=1)
    assert_equal(tally.micro.as_dict(), nervaluate_of([gold], [predicted])["overall"]["ent_type"])


@settings(max_examples=50, deadline=None)
@given(documents)
def test_documents_are_added(pairs) -> None:
    tallies = [match_entities(*pair)["partial"] for pair in pairs]
    assert add(tallies).as_dict() == entity_scores(*zip(*pairs, strict=True))["partial"]


def test_thirty_thousand_sentences_take_seconds() -> None:
    rng = random.Random(0)
    sides = [
        [
            of(*((5 * n, 5 * n + rng.randint(1, 5), rng.choice("ABCDE")) for n in range(2)))
            for _ in range(30_000)
        ]
        for _ in range(2)
    ]
    start = time.process_time()
    entity_scores(*sides)
    assert time.process_time() - start < 10


def test_a_long_document_takes_no_longer_than_its_mentions() -> None:
    rng = random.Random(0)
    gold, predicted = (
        [Span.of(7 * n, 7 * n + rng.randint(1, 9), rng.choice("ABCDE")) for n in range(20_000)]
        for _ in range(2)
    )
    start = time.process_time()
    match_entities(gold, predicted)
    assert time.process_time() - start < 10


def test_as_many_types_as_mentions_take_no_longer() -> None:
    """Such as identifiers of concepts, which some corpora have for types."""
    gold = [Span.of(2 * n, 2 * n + 1, f"C{n}") for n in range(20_000)]
    start = time.process_time()
    found = match_entities(gold, gold)
    assert time.process_time() - start < 5
    assert found["strict"].micro.correct == 20_000
