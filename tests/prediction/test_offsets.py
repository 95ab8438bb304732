"""Whatever is in a note: what is marked are the characters that stand there on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.predictor import Model, Predictor
from longbio.tasks.task import Prediction

Reader = Callable[..., Model]

ODD = {
    "empty": b"",
    "spaces": b" \r\n\t ",
    "carriage returns": b"the\r\ndrug 7\r\rdrug 8\n",
    "control": b"a\x00\x01\x07 drug 7 \x0b\x0c\x1b[31m drug 8 \x7f",
    "emoji": "🤒 drug 7 👩‍⚕️👩🏽‍⚕️ drug 8 🩺".encode(),
    "combining": "e\u0301 drug 7 ǅ ﬁ ß İ drug 8 \u0600".encode(),
    "right to left": "שלום drug 7 \u202edrug 8\u202c".encode(),
    "byte-order mark": b"\xef\xbb\xbfdrug 7\r\ndrug 8",
    "separators": "drug 7\u2028drug 8\u2029\u0085\xa0".encode(),
    "no word": "\ufffd\ufeff\u200b".encode(),
}


@pytest.mark.parametrize("output", ["jsonl", "brat"])
def test_odd_notes(output: str, reader_of: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in ODD.items():
        (folder / f"{name}.txt").write_bytes(content)
    out = tmp_path / "out"
    annotate(reader_of(), Notes(folder), out, output=output)
    found = read_documents(out / "predictions.jsonl" if output == "jsonl" else out)
    assert sorted(document.id for document in found) == sorted(ODD)
    for document in found:
        content = ODD[document.id]
        assert document.text.encode() == content
        # Characters without width belong to the one before them.
        mentions = [
            document.text[span.start_char : span.end_char].rstrip("\u202c") for span in document.spans
        ]
        assert mentions == (["drug 7", "drug 8"] if b"drug" in content else []), document.id
    if output == "brat":
        assert all((out / f"{name}.txt").read_bytes() == content for name, content in ODD.items())


@pytest.mark.parametrize(("encoding", "mark"), [("latin-1", "µ"), ("cp1252", "€"), ("utf-16", "🤒")])
def test_other_encodings(encoding: str, mark: str, reader_of: Reader, tmp_path: Path) -> None:
    text = f"{mark}\r\n{mark} drug 7 {mark}"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    annotate(reader_of(), Notes(tmp_path / "a.txt", reading=Reading(encoding)), tmp_path / "out")
    document = read_documents(tmp_path / "out" / "predictions.jsonl")[0]
    assert document.text == text
    assert [span.text_in(text) for span in document.spans] == ["drug 7"]
    assert document.spans[0].start_char == text.index("drug")


def test_a_control_character_inside_a_mention_is_part_of_it(reader_of: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"the drug\x077 the")
    annotate(reader_of(), Notes(tmp_path / "a.txt"), tmp_path / "out")
    document = read_documents(tmp_path / "out" / "predictions.jsonl")[0]
    assert [span.text_in(document.text) for span in document.spans] == ["drug\x077"]


# All but what the tagger goes by, and what can't be written.
AROUND = st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="drugDRUG"), max_size=30)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(AROUND, min_size=1, max_size=12))
@pytest.mark.parametrize("length", ["short", "long"])
def test_any_text(length: str, reader_of: Reader, pieces: list[str]) -> None:
    text, places = "", []
    for number, piece in enumerate(pieces):
        text += f"{piece} "
        places.append((len(text), len(text) + 6))
        text += f"drug {number % 10} "
    model = reader_of("ner", length)
    predictor = PREDICTORS.setdefault(length, Predictor(model))
    found = predictor.outcomes([Document("a", text)])[0]
    assert isinstance(found, Prediction)
    assert [(span.start_char, span.end_char) for span in found.document.spans] == places
    assert found.document.text == text


PREDICTORS: dict[str, Predictor] = {}

LONG_NOTE = """
import json, sys
from pathlib import Path
import torch
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.predictor import Model
from longbio.tasks.ner import Entities

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024

torch.set_num_threads(1)
home, peaks = Path(sys.argv[2]), []
for words in (200, 200_000):
    note = home / f"{words}.txt"
    note.write_text("the patient drug 7 " * (words // 4))
    model = Model(Path(sys.argv[1]), Entities(types=("Drug",)), batch_tokens=2048)
    annotate(model, Notes(note), home / f"out {words}")
    peaks.append(peak())
row = json.loads((home / "out 200000" / "predictions.jsonl").read_text())
del row["prediction"]["probabilities"]
last = row["spans"][-1]["fragments"][0]
print(json.dumps({"peaks": peaks, "mentions": len(row["spans"]), "last": last, **row["prediction"]}))
"""

BOUND_MIB = 400
"""Of what 200,000 words may take more than 200: 2 KB a word."""


def test_a_note_of_200_000_words_takes_little_memory(reader_of: Reader, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LONG_NOTE, str(reader_of("ner", "long").folder), str(tmp_path)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    end = 50_000 * len("the patient drug 7 ") - 1
    assert (told["tokens"], told["unread_tokens"], told["mentions"]) == (200_000, 0, 50_000)
    assert told["last"] == [end - len("drug 7"), end]
    assert told["windows"] > 800
    short, long = told["peaks"]
    print(short, long)
    assert long - short < BOUND_MIB
