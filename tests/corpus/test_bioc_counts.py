"""BioC that says more than a record holds, or would become blanks: counted with its place, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.errors import LongbioError


@pytest.mark.parametrize(("documents", "passages"), [(1, 40), (40, 1)])
def test_a_file_that_is_blanks_for_the_most_part_is_refused_in_one_line(
    documents: int, passages: int, tmp_path: Path
) -> None:
    offsets = [90_000 * number for number in range(1, passages + 1)]
    many = [
        {"id": str(number), "passages": [{"offset": offset, "text": "SECRET"} for offset in offsets]}
        for number in range(documents)
    ]
    file = tmp_path / "a.json"
    file.write_text(json.dumps(many))
    with pytest.raises(LongbioError, match=r"1,0[0-9]{2},[0-9]{3} characters lie between passages") as caught:
        read_documents(file)
    assert str(caught.value).startswith(f"{file}, line 1, document ")
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_what_is_passed_over_has_a_place(tmp_path: Path) -> None:
    annotations = [
        {"id": "1", "infons": {"type": "X", "ids": [1]}, "locations": [{"offset": 0, "length": 1}]},
        {"id": "2", "infons": {"type": "X"}, "text": "a", "locations": []},
    ]
    passage = {"offset": 0, "text": "a b", "annotations": annotations}
    relation = {"id": "R", "infons": {"type": "Is"}, "nodes": [{"refid": "1"}, {"refid": "2"}]}
    documents = [{"id": "0", "passages": []}, {"id": "1", "passages": [passage], "relations": [relation]}]
    file = tmp_path / "a.json"
    file.write_text(json.dumps(documents))
    reading = Reading()
    read_documents(file, reading=reading)
    assert reading.passed_over.places == dict.fromkeys(
        [
            "infons that hold more than a word",
            "annotations without a place",
            "relations of what was not read",
        ],
        f"{file}, line 1, document 2",
    )
