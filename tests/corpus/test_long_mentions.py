"""2,000 mentions that each span a whole note of 200 KB, and say another word: no note is read 2,000 times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbio.corpus.readers import read_documents
from longbio.corpus.readers.locating import Solid
from longbio.corpus.reading import Reading

TEXTS = {
    "words": "fever and é " * 17_000,
    "letters": "é" + "a" * 200_000,
    "blanks": "é" + " " * 200_000 + "a",
    "ascii": "fever and so " * 15_500,
}
MENTIONS = 2_000


def brat(folder: Path, text: str) -> str:
    (folder / "a.txt").write_text(text, "utf-8")
    lines = (f"T{n}\tSign 0 {len(text)}\ttarva\n" for n in range(MENTIONS))
    (folder / "a.ann").write_text("".join(lines), "utf-8")
    return "brat"


def pubtator(folder: Path, text: str) -> str:
    lines = (f"1\t0\t{len(text) + 1}\ttarva\tSign\n" for _ in range(MENTIONS))
    (folder / "a.pubtator").write_text(f"1|t|{text}\n1|a|\n{''.join(lines)}", "utf-8")
    return "pubtator"


def bioc(folder: Path, text: str) -> str:
    annotations = [
        {
            "id": str(n),
            "infons": {"type": "Sign"},
            "text": "tarva",
            "locations": [{"offset": 0, "length": len(text)}],
        }
        for n in range(MENTIONS)
    ]
    passage = {
        "offset": 0,
        "text": text,
        "infons": {},
        "annotations": annotations,
        "relations": [],
        "sentences": [],
    }
    content = {"documents": [{"id": "1", "infons": {}, "passages": [passage], "relations": []}]}
    (folder / "a.json").write_text(json.dumps(content), "utf-8")
    return "bioc"


def i2b2(folder: Path, text: str) -> str:
    tags = "".join(
        f'<EVENT id="E{n}" start="1" end="{len(text) - 1}" text="tarva" type="TEST" />\n'
        for n in range(MENTIONS)
    )
    (folder / "a.xml").write_text(
        "<?xml version='1.0' encoding='UTF-8'?><ClinicalNarrativeTemporalAnnotation>"
        f"<TEXT><![CDATA[{text}]]></TEXT><TAGS>{tags}</TAGS></ClinicalNarrativeTemporalAnnotation>",
        "utf-8",
    )
    return "i2b2_2012"


def rows(folder: Path, text: str) -> str:
    spans = [{"start": 0, "end": len(text), "label": "Sign", "text": "tarva"} for _ in range(MENTIONS)]
    (folder / "a.jsonl").write_text(json.dumps({"text": text, "entities": spans}), "utf-8")
    return "table"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("write", [brat, pubtator, bioc, i2b2, rows])
def test_they_are_left_out_at_once(write: Callable[[Path, str], str], text: str, tmp_path: Path) -> None:
    name = write(tmp_path, TEXTS[text])
    reading, start = Reading(), time.process_time()
    (document,) = read_documents(tmp_path, name, reading=reading, max_misaligned=1)
    seconds = time.process_time() - start
    assert document.spans == ()
    assert (reading.alignment.mentions, len(reading.alignment.faults)) == (MENTIONS, MENTIONS)
    assert seconds < 1


@given(st.text(alphabet="ab é\t\n\x1c\x85\u2003", max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_the_words_of_a_stretch_are_those_of_its_text(text: str, a: int, b: int) -> None:
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    solid, words = Solid(text), text[start:end].split()
    assert solid.words(start, end) == words
    assert solid.length(start, end) == sum(map(len, words))
    assert solid.says([(start, end)], " ".join(words))
    assert not solid.says([(start, end)], " ".join([*words, "c"]))
