"""n2c2 2018, track 2: BRAT with drugs, their attributes as mentions, and relations to the drug."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Relation, Span
from longbio.corpus.writers import WRITERS

TEXT = """Admission Date: [**2151-7-16**]

MEDICATIONS ON DISCHARGE:
1. TARVA 5 mg p.o. q.d.
2. Insulin sliding
scale for high sugars.
"""


def mention(number: int, label: str, *pieces: str) -> tuple[str, Span]:
    """A T line, and its span, of pieces that each stand once in the text, with a line end between."""
    fragments = tuple((TEXT.index(piece), TEXT.index(piece) + len(piece)) for piece in pieces)
    offsets = ";".join(f"{start} {end}" for start, end in fragments)
    column = " ".join(pieces).replace("\n", " ")
    return f"T{number}\t{label} {offsets}\t{column}\n", Span.of(fragments[0][0], fragments[-1][1], label)


DRUG_LINE, DRUG = mention(1, "Drug", "TARVA")
STRENGTH_LINE, STRENGTH = mention(2, "Strength", "5 mg")
ROUTE_LINE, ROUTE = mention(3, "Route", "p.o.")
SCALE_LINE, SCALE = mention(4, "Drug", "Insulin sliding", "scale")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = (
        DRUG_LINE,
        STRENGTH_LINE,
        "R1\tStrength-Drug Arg1:T2 Arg2:T1\n",
        ROUTE_LINE,
        "R2\tRoute-Drug Arg1:T3 Arg2:T1\n",
        SCALE_LINE,
    )
    (tmp_path / "100035.txt").write_text(TEXT)
    (tmp_path / "100035.ann").write_text("".join(lines))
    return tmp_path


def test_relations_go_from_the_attribute_to_the_drug(folder: Path) -> None:
    assert format_of(folder) == "brat"
    reading = Reading()
    (document,) = read_documents(folder, reading=reading)
    assert document == Document(
        "100035",
        TEXT,
        (DRUG, STRENGTH, ROUTE, SCALE),
        relations=(Relation("Route-Drug", ROUTE, DRUG), Relation("Strength-Drug", STRENGTH, DRUG)),
    )
    assert (reading.alignment.mentions, reading.alignment.faults, reading.passed_over) == (4, [], {})


def test_a_drug_over_a_line_end_is_one_mention(folder: Path) -> None:
    (document,) = read_documents(folder)
    assert document.spans[-1] == SCALE
    assert SCALE.text_in(document.text) == "Insulin sliding\nscale"


def test_capitalised_mentions_are_compared_as_they_stand(folder: Path) -> None:
    (document,) = read_documents(folder)
    assert document.spans[0].text_in(document.text) == "TARVA"
    (folder / "100035.ann").write_text(DRUG_LINE.replace("TARVA", "tarva"))
    reading = Reading()
    (document,) = read_documents(folder, reading=reading, max_misaligned=1.0)
    assert (document.spans, len(reading.alignment.faults)) == ((), 1)


def test_it_comes_back_equal(folder: Path, tmp_path: Path) -> None:
    documents = read_documents(folder)
    WRITERS["brat"](documents, tmp_path / "again")
    assert read_documents(tmp_path / "again") == documents
