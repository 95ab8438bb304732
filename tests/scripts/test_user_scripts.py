"""The scripts that users were promised, as users run them: on files, from another folder, and again."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
import transformers

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

pytestmark = pytest.mark.skipif(
    not (SCRIPTS.parent / ".venv" / "longbio-installed").is_file(),
    reason="the scripts would install a .venv first; scripts/test.sh has",
)


def run(script: str, *arguments: object, at: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / script, *map(str, arguments)],
        cwd=at,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def notes(count: int) -> list[Document]:
    """Every `drug N` is a mention; no two notes are alike."""
    draw = random.Random(0)
    made = []
    for number in range(count):
        text, spans = "", []
        for place in range(30):
            text += "".join(draw.choices("abcdefgh ", k=20)) + ", "
            spans.append(Span.of(len(text), len(text) + 6, "Drug"))
            text += f"drug {place % 10}. "
        made.append(Document(f"note-{number}", text, tuple(spans)))
    return made


def squad(documents: list[Document]) -> dict[str, object]:
    paragraphs = []
    for document in documents:
        start = document.spans[-1].start_char
        answer = {"text": document.text[start : start + 6], "answer_start": start}
        question = {"id": document.id, "question": "the drug", "answers": [answer]}
        paragraphs.append({"context": document.text, "qas": [question]})
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


def test_a_short_encoder_becomes_a_healed_long_one(tiny_bert_folder: Path, tmp_path: Path) -> None:
    config = transformers.BertConfig.from_pretrained(tiny_bert_folder, max_position_embeddings=512)
    transformers.BertModel(config).save_pretrained(tmp_path / "short")
    transformers.AutoTokenizer.from_pretrained(tiny_bert_folder).save_pretrained(tmp_path / "short")
    brat.write(notes(40), tmp_path / "notes")
    asked = ("convert_short_to_long.sh", "short", "notes", "out")
    sizes = {"HEAD_STEPS": "2", "STEPS": "2", "BATCH_TOKENS": "4096", "HELD_OUT": "0.2"}
    done = run(*asked, at=tmp_path, **sizes)
    assert done.returncode == 0, done.stdout + done.stderr
    transformers.LongformerForMaskedLM.from_pretrained(tmp_path / "out" / "healed")
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.safetensors")}
    again = run(*asked, at=tmp_path, **sizes)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(written) == 3
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert run("convert_short_to_long.sh", "only-one", at=tmp_path).returncode == 2


def test_long_notes_are_annotated(tiny_long_folder: Path, tmp_path: Path) -> None:
    for split, some in (("train", notes(8)), ("dev", notes(2)), ("test", notes(3))):
        brat.write(some, tmp_path / "corpus" / split)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "new.txt").write_text(notes(1)[0].text)
    sizes = ["recipe.max_steps=3", "seeds=[0]", "grid.learning_rates=[]"]
    settings = [word for size in sizes for word in ("--set", size)]
    asked = ("long_note_ner.sh", tiny_long_folder, "corpus", "notes", "out", *settings)
    done = run(*asked, at=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_json(tmp_path / "out" / "entities" / "results.json")["runs"][0]["steps"] == 3
    (found,) = read_documents(tmp_path / "out" / "annotations", "brat")
    assert found.text == notes(1)[0].text
    assert (tmp_path / "out" / "pages" / "index.html").is_file()
    assert run("long_note_ner.sh", at=tmp_path).returncode == 2


def test_questions_are_benchmarked(tiny_bert_folder: Path, tiny_long_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split, size in (("train", 6), ("dev", 2), ("test", 3)):
        write_json(tmp_path / "data" / f"{split}.json", squad(notes(size)))
    sizes = ["seeds=[0]", "learning_rates=[]", "chunk_tokens=64", "set=[recipe.max_steps=2,recipe.batch=2]"]
    settings = [word for size in sizes for word in ("--set", size)]
    settings += ["--arm", "chunks", "--arm", "whole"]
    done = run("qa_benchmark.sh", tiny_bert_folder, tiny_long_folder, "data", "out", *settings, at=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (task,) = read_json(tmp_path / "out" / "results.json")["tasks"]
    assert [arm["name"] for arm in task["arms"]] == ["chunks", "whole"]
    assert (tmp_path / "out" / "report.html").is_file()
    assert run("qa_benchmark.sh", at=tmp_path).returncode == 2
