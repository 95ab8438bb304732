from __future__ import annotations

import pytest

from longbio.encoders.roles import section_headings


def headings(text: str) -> list[str]:
    found = section_headings(text)
    assert all(text[start:end] == text[start:end].strip() for start, end in found)
    return [text[start:end] for start, end in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Allergies:\nPenicillin, rash.\n", ["Allergies"]),
        ("Seen today.\nFamily history:\nMother had asthma.\n", ["Family history"]),
        ("Seen today.\nALLERGIES\nPenicillin.\n", ["ALLERGIES"]),
        ("Seen today.\n\nPast Medical History\nAsthma.\n", ["Past Medical History"]),
        ("Seen today.\r\n\r\nPast Medical History\r\nAsthma.\r\n", ["Past Medical History"]),
        ("Summary\nShe was well.", ["Summary"]),
        ("  \t Allergies :  \nnone known", ["Allergies"]),
        ("Allergies:\nNone\n\nMedication:\naspirin 100 mg\n", ["Allergies", "Medication"]),
        ("Évolution:\nfavorable", ["Évolution"]),
        ("Seen today.\n \nPlan\nRest.", ["Plan"]),
    ],
)
def test_headings(text: str, expected: list[str]) -> None:
    assert headings(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        "x\n\nThe patient was seen today.\n",
        "x\nThe patient was seen today\nand went home",
        "x\nAllergies: penicillin\n",
        "x\nallergies:\nnone\n",
        "x\n\n12.5 mg daily\n",
        "x\n\nWas she well?\n",
        "x\n\nThis line goes on for more words than any heading has\nand on",
        "x\n\nElectroencephalographically pseudohypoparathyroidism-associated\n",
    ],
)
def test_lines_that_are_none(text: str) -> None:
    assert headings(text) == []
