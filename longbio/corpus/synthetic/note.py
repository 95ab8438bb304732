"""Notes put together: how long each is, and which sections it has in which order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

from longbio.corpus.records import Document
from longbio.corpus.synthetic import sections
from longbio.corpus.synthetic.builder import NoteBuilder
from longbio.corpus.synthetic.case import invent_case
from longbio.corpus.synthetic.nomenclature import names
from longbio.corpus.synthetic.scribe import Scribe

ENTITY_TYPES = (
    "Drug",
    "Allergy",
    "Disease",
    "FamilyHistory",
    "Person",
    "Dosage",
    "Procedure",
    "Date",
)

# Lengths are meant in word pieces of an uncased BERT vocabulary and measured in characters, for
# no tokenizer is at hand here. Counted on 900 notes.
CHARS_PER_PIECE = 3.7
# A section of size 1.0 belongs to a note of so many word pieces.
ORDINARY_PIECES = 3_000

# (share of the notes that are shorter, word pieces), straight lines between. The jump keeps clear
# of 4,096, so that the share of notes above it stays the same when an estimate is a little off.
LENGTHS = ((0.0, 650), (0.635, 3_350), (0.635, 4_270), (1.0, 5_550))
# Lists grow with the note up to here; what is longer than that has more days, not more entries.
MOST_SIZE = 1.25
GOLDEN_RATIO = 0.618033988749895

Section = Callable[[Scribe, float], None]
# Sections, each with the least size of a note that has it.
Table = tuple[tuple[Section, float], ...]

# What comes before the hospital course.
OPENING: Table = (
    (sections.admission_details, 0.0),
    (sections.chief_complaint, 0.0),
    (sections.present_illness, 0.0),
    (sections.past_medical_history, 0.0),
    (sections.past_surgical_history, 0.3),
    (sections.allergies, 0.0),
    (sections.home_medications, 0.0),
    (sections.family_history, 0.0),
    (sections.outside_records, 0.6),
    (sections.social_history, 0.3),
    (sections.review_of_systems, 0.5),
    (sections.examination, 0.3),
    (sections.laboratory_data, 0.4),
    (sections.reconciliation, 0.7),
)
# What stands in between, before the days of the stay.
MIDDLE: Table = ((sections.hospital_course, 0.0),)
# What comes after them.
CLOSING: Table = (
    (sections.procedures, 0.3),
    (sections.discharge_diagnoses, 0.5),
    (sections.discharge_medications, 0.0),
    (sections.condition, 0.3),
    (sections.follow_up, 0.0),
    (sections.plan, 0.4),
    (sections.signature, 0.0),
)


def synthesize(num_notes: int, *, split: str = "train", seed: int = 0) -> list[Document]:
    """Writes discharge summaries about invented people.

    A note is decided by `seed`, `split` and its place in the list alone: on every machine, and
    however many notes are asked for. Splits share their phrasings and no name of a drug, disease
    or person. About 2,800-3,300 word pieces a note in the mean, from 500 to 6,500, more than a
    third of the notes above 4,096; a mention every 15 word pieces or so.

    Args:
        num_notes: how many.
        split: "train", "dev" or "test".
        seed: which corpus.

    Returns:
        The notes, sorted by id. Labels are `ENTITY_TYPES`; no mentions overlap.

    Raises:
        ValueError: there is no such split.
    """
    return [_note(index, split=split, seed=seed) for index in range(num_notes)]


def _note(index: int, *, split: str, seed: int) -> Document:
    rng = Random(f"{seed}/{split}/{index}")
    num_pieces = _num_pieces(index, split=split, seed=seed)
    size = num_pieces / ORDINARY_PIECES
    scribe = Scribe(invent_case(names(split), rng, scale=size), rng)

    # The middle fills what the beginning and the end, both written first, leave of the length.
    opening = _write(scribe, _shuffled_a_little(OPENING, rng), size)
    closing = _write(scribe, CLOSING, size)
    middle = _write(scribe, MIDDLE, size)
    day = 0
    num_chars = num_pieces * CHARS_PER_PIECE
    while sum(part.num_chars for part in opening + middle + closing) < num_chars:
        day = min(day + rng.randint(1, 2), scribe.case.num_days)
        day_section = sections.consultation if rng.random() < 0.2 else sections.progress_note
        day_section(scribe, day)
        middle.append(scribe.builder)

    note = NoteBuilder()
    for part in opening + middle + closing:
        if note.num_chars > 0:
            note.write("\n")
        note.extend(part)
    return note.document(f"synthetic-{split}-{seed}-{index:05d}")


def _write(scribe: Scribe, table: Table, size: float) -> list[NoteBuilder]:
    """The sections of a table that a note of this size has room for, written."""
    parts = []
    for section, least_size in table:
        if size >= least_size:
            section(scribe, min(size, MOST_SIZE))
            parts.append(scribe.builder)
    return parts


def _shuffled_a_little(table: Table, rng: Random) -> Table:
    """The table with some neighbours swapped and its first three sections where they are."""
    order = list(table)
    for place in range(3, len(order) - 1):
        if rng.random() < 0.25:
            order[place], order[place + 1] = order[place + 1], order[place]
    return tuple(order)


def _num_pieces(index: int, *, split: str, seed: int) -> float:
    """The intended length of a note in word pieces.

    Steps of the golden ratio fill the unit interval evenly from any start, so that even a few
    notes are distributed as `LENGTHS` says, though none knows about the others.
    """
    share = (Random(f"{seed}/{split}/lengths").random() + index * GOLDEN_RATIO) % 1.0
    for (low_share, low), (high_share, high) in pairwise(LENGTHS):
        if low_share <= share < high_share:
            return low + (high - low) * (share - low_share) / (high_share - low_share)
    raise AssertionError(f"a share of {share} is outside the unit interval")
