"""Invented notes: repeatable, of the promised lengths, and with labels that headings decide."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from tokenizers import Tokenizer

from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.synthetic import ENTITY_TYPES, SPLITS, names, nomenclature, synthesize
from longbio.corpus.synthetic.builder import NoteBuilder, parse
from longbio.corpus.writers import WRITERS

REPOSITORY = Path(__file__).resolve().parents[2]

# The types that only a heading tells from another, and that other one.
TWINS = {"Allergy": "Drug", "FamilyHistory": "Disease"}


@cache
def notes(split: str, num_notes: int = 100, seed: int = 0) -> list[Document]:
    return synthesize(num_notes, split=split, seed=seed)


def every_span() -> Iterator[tuple[Document, Span]]:
    return ((note, span) for split in SPLITS for note in notes(split) for span in note.spans)


def fingerprint(documents: list[Document]) -> str:
    told = ", ".join(f"Document(id={d.id!r}, text={d.text!r}, spans={d.spans!r})" for d in documents)
    return sha256(f"[{told}]".encode()).hexdigest()


def headings(note: Document) -> list[tuple[int, str]]:
    """(start_char, heading) of every section: the line after each blank one, and the first."""
    return [(m.start(1), m[1]) for m in re.finditer(r"(?:\A|\n\n)(.+)\n", note.text)]


# One result on every machine


def test_a_note_depends_on_seed_split_and_place_alone() -> None:
    assert synthesize(3) == notes("train")[:3]
    assert synthesize(2, split="test") == notes("test")[:2]
    assert synthesize(0) == []

    # Beginnings, for notes of other lengths differ anyway.
    beginnings = {note.text[:300] for seed in (0, 1) for split in SPLITS for note in notes(split, 3, seed)}
    assert len(beginnings) == 2 * len(SPLITS) * 3


def test_the_hash_seed_of_the_process_changes_nothing() -> None:
    script = (
        "from hashlib import sha256; from longbio.corpus.synthetic import synthesize;"
        "print(sha256(repr(synthesize(3, split='dev')).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    here = repr(synthesize(3, split="dev"))
    assert result.stdout.strip() == sha256(here.encode()).hexdigest()


def test_the_notes_of_seed_0_stay_the_same() -> None:
    """Any change of wording changes them, and with them every score measured on them: say so."""
    assert fingerprint(synthesize(2))[:16] == "530d85f79edca62f"


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="'validation' is none of train, dev, test"):
        synthesize(1, split="validation")


# Names


@pytest.mark.parametrize("kind", ["drugs", "diseases", "surnames", "first_names"])
def test_splits_share_no_name(kind: str) -> None:
    of_split = {split: [n.lower() for n in getattr(names(split), kind)] for split in SPLITS}
    for split, pool in of_split.items():
        assert len(pool) == len(set(pool)) >= 40, split
    assert sum(map(len, of_split.values())) == len(set().union(*of_split.values()))


def test_no_invented_word_of_one_split_is_written_in_another() -> None:
    """Stems are split, not whole names: "acute tarvic colitis" keeps "tarvic fever" out as well."""
    ordinary = words_of(
        *nomenclature.DISEASE_KINDS,
        *nomenclature.COURSES,
        *nomenclature.ORGAN_ADJECTIVES,
        *nomenclature.ORGANS,
        *nomenclature.EPONYM_ENDINGS,
        "of the",
    )
    for split in SPLITS:
        pools = names(split)
        invented = words_of(*pools.drugs, *pools.diseases, *pools.surnames, *pools.first_names)
        invented -= ordinary
        assert len(invented) > 300
        for other in set(SPLITS) - {split}:
            assert not invented & words_of(*(note.text for note in notes(other)))


def words_of(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


def test_mentions_carry_the_names_of_their_split() -> None:
    for split in SPLITS:
        drugs = set(names(split).drugs)
        diseases = {disease.lower() for disease in names(split).diseases}
        surnames = set(names(split).surnames)
        for note in notes(split):
            for span in note.spans:
                words = span.text_in(note.text)
                match span.label:
                    case "Drug" | "Allergy":
                        assert words.lower() in drugs
                    case "Disease" | "FamilyHistory":
                        assert words.lower() in diseases
                    case "Person":
                        assert surnames & set(re.findall(r"\w+", words))


# Lengths


def test_lengths_in_words() -> None:
    """The proxy of the next test where its tokenizer isn't at hand: about 1.64 pieces a word."""
    for split in SPLITS:
        num_words = [len(note.text.split()) for note in notes(split)]
        assert 1_750 < mean(num_words) < 2_050
        assert 0.33 < sum(count > 2_450 for count in num_words) / len(num_words) < 0.40
        assert 300 < min(num_words) < 700
        assert 3_200 < max(num_words) < 3_900


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("split", SPLITS)
def test_lengths_in_word_pieces(split: str, seed: int, minilm_folder: Path) -> None:
    pieces = [count_pieces(note.text, minilm_folder) for note in notes(split, 100, seed)]
    assert 2_800 <= mean(pieces) <= 3_300
    assert 0.33 <= sum(count > 4_096 for count in pieces) / len(pieces) <= 0.40
    assert min(pieces) >= 500
    assert max(pieces) <= 6_500


def test_some_sections_outgrow_a_short_window(minilm_folder: Path) -> None:
    lengths: dict[str, list[int]] = defaultdict(list)
    for note in notes("train"):
        starts = [*headings(note), (len(note.text), "")]
        for (start, heading), (end, _) in pairwise(starts):
            for word in ("allerg", "family"):
                if word in heading.lower():
                    lengths[word].append(count_pieces(note.text[start:end], minilm_folder))

    for word in ("allerg", "family"):
        assert len(lengths[word]) == len(notes("train"))
        share = sum(length > 300 for length in lengths[word]) / len(lengths[word])
        assert 0.05 < share < 0.3


def count_pieces(text: str, minilm_folder: Path) -> int:
    return len(tokenizer(minilm_folder).encode(text, add_special_tokens=False).ids)


@cache
def tokenizer(minilm_folder: Path) -> Tokenizer:
    loaded = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


# Mentions


def test_every_type_is_there_and_none_else() -> None:
    counts = Counter(span.label for _, span in every_span())
    assert set(counts) == set(ENTITY_TYPES)
    assert min(counts.values()) > 3 * 300
    assert 150 < counts.total() / 300 < 250


def test_mentions_are_sorted_apart_and_nothing_but_the_entity() -> None:
    for split in SPLITS:
        for note in notes(split):
            for one, other in pairwise(note.spans):
                assert one.end_char < other.start_char

    edges = re.compile(r"\w(.*\w)?")
    inside = re.compile(r"[\w .,'/-]+")
    for note, span in every_span():
        words = span.text_in(note.text)
        assert edges.fullmatch(words), words
        assert inside.fullmatch(words), words
        assert "  " not in words
        # A mention never starts or ends inside a longer word.
        around = note.text[span.start_char - 1] + note.text[span.end_char]
        assert not re.search(r"\w", around), words


def test_a_dose_has_a_unit_and_a_date_a_year() -> None:
    for note, span in every_span():
        words = span.text_in(note.text)
        if span.label == "Dosage":
            assert re.fullmatch(r"[\d.,]+ ?(mg|mcg|µg|g|units|mL|mg/kg)", words), words
        if span.label == "Date":
            assert re.search(r"\b(19|20)\d\d\b", words), words


def test_every_year_of_the_text_is_in_a_date() -> None:
    """What is said outside a slot is no mention, so no template may spell out a year.

    Volumes, such as "2000 mL", look like years and are none.
    """
    for split in SPLITS:
        for note in notes(split):
            dates = [span for span in note.spans if span.label == "Date"]
            covered = {i for span in dates for i in range(span.start_char, span.end_char)}
            years = re.finditer(r"\b(19[5-9]\d|20[0-4]\d)\b(?! mL)", note.text)
            assert all(year.start() in covered for year in years)


def test_notes_survive_the_disk(tmp_path: Path) -> None:
    WRITERS["brat"](notes("dev"), tmp_path)
    assert read_documents(tmp_path) == notes("dev")


# The heading decides


def test_headings_are_short_and_hold_no_mention() -> None:
    for split in SPLITS:
        for note in notes(split):
            places = headings(note)
            assert len(places) >= 10
            starts = {start for start, _ in places}
            for start, heading in places:
                assert len(heading.split()) <= 5, heading
                assert not any(start <= s.start_char < start + len(heading) for s in note.spans)
            # Only sections open with a blank line before them.
            assert note.text.count("\n\n") == len(starts) - 1


def test_the_heading_decides() -> None:
    for split in SPLITS:
        for note in notes(split):
            starts = [*headings(note), (len(note.text), "")]
            for (start, heading), (end, _) in pairwise(starts):
                labels = {s.label for s in note.spans if start < s.start_char < end}
                under_allergies = "allerg" in heading.lower()
                under_family = "family" in heading.lower()
                assert ("Drug" if under_allergies else "Allergy") not in labels
                assert ("Disease" if under_family else "FamilyHistory") not in labels


@pytest.mark.parametrize(("label", "twin"), TWINS.items())
def test_nothing_but_the_heading_decides(label: str, twin: str) -> None:
    """Most statements under the heading are made under others too, and there as often."""
    statements = Counter[tuple[str, str]]()
    for note in notes("train"):
        for start, end, skeleton in skeletons(note):
            here = {s.label for s in note.spans if start <= s.start_char < end}
            statements.update((kind, skeleton) for kind in here & {label, twin})

    under = {skeleton: n for (kind, skeleton), n in statements.items() if kind == label}
    shared = {s: n for s, n in under.items() if statements[twin, s] > 0}
    assert sum(shared.values()) / sum(under.values()) > 0.6
    assert sum(statements[twin, s] for s in shared) > sum(shared.values())


def skeletons(note: Document) -> Iterator[tuple[int, int, str]]:
    """(start_char, end_char, words) of every list entry, with twin types for its mentions."""
    for match in re.finditer(r"(?:(?<=\n)|(?<=; ))(?:[-*] |\d+[.)] )?(.+?)(?=\.?\n|; )", note.text):
        pieces, last = [], match.start(1)
        for span in note.spans:
            if match.start(1) <= span.start_char < match.end(1):
                pieces += [
                    note.text[last : span.start_char],
                    f"<{TWINS.get(span.label, span.label)}>",
                ]
                last = span.end_char
        words = "".join(pieces) + note.text[last : match.end(1)]
        yield match.start(1), match.end(1), re.sub(r"\d+", "0", words).lower()


# The builder


def test_a_builder_moves_the_mentions_of_another() -> None:
    head, tail = NoteBuilder(), NoteBuilder()
    head.write("took ")
    tail.mention("tarva", "Drug")
    tail.write(" daily")
    head.extend(tail)
    head.mention("hip", "Site")
    assert head.document("a") == Document(
        "a", "took tarva dailyhip", (Span.of(5, 10, "Drug"), Span.of(16, 19, "Site"))
    )


@pytest.mark.parametrize("words", ["", " tarva", "tarva ", "tar\nva"])
def test_a_builder_refuses_what_is_no_mention(words: str) -> None:
    with pytest.raises(ValueError, match="no mention"):
        NoteBuilder().mention(words, "Drug")


def test_templates_are_words_and_slots() -> None:
    assert parse("{drug} was held.") == (("", "drug"), (" was held.", None))
