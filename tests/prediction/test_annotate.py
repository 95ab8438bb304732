"""Notes in, annotations out: what is written, for whom, and that nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longbio.artifacts.runs import RUN, Run
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question, Span
from longbio.corpus.writers import jsonl
from longbio.errors import LongbioError
from longbio.prediction import annotate as annotation
from longbio.prediction import journal, lots, outputs, predictor
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.predictor import Model

Reader = Callable[..., Model]


def write(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def notes_of(count: int) -> dict[str, str]:
    return {
        f"n{n:02}": "the patient, " * (n % 7) + f"drug {n % 10} and drug {n}.\n" * 3 for n in range(count)
    }


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def tree(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}


@pytest.fixture(autouse=True)
def small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "LOT_NOTES", 2)


def test_json_lines_are_documents_with_what_the_model_says(reader_of: Reader, tmp_path: Path) -> None:
    texts = notes_of(5) | {"z empty": ""}
    found = annotate(reader_of(), Notes(write(tmp_path / "in", texts)), tmp_path / "out")
    assert (found["notes"], found["failed"], found["finished_before"]) == (6, 0, False)

    documents = read_documents(tmp_path / "out" / "predictions.jsonl")
    assert [(d.id, d.text) for d in documents] == list(texts.items())
    mentions = [[span.text_in(d.text) for span in d.spans] for d in documents if d.text]
    assert mentions == [[f"drug {n % 10}", f"drug {n}"] * 3 for n in range(5)]
    assert found["found"] == 30

    rows = {row["id"]: row["prediction"] for row in lines(tmp_path / "out" / "predictions.jsonl")}
    assert rows["z empty"] == {
        "model": found["model"][:16],
        "task": "ner",
        "temperature": 1.0,
        "windows": 1,
        "tokens": 0,
        "unread_tokens": 0,
        "probabilities": [],
    }
    assert len(rows["n03"]["probabilities"]) == 6
    assert all(0.5 < each < 1 for each in rows["n03"]["probabilities"])


def test_a_long_note_says_how_many_windows_it_was_read_in(reader_of: Reader, tmp_path: Path) -> None:
    notes = Notes(write(tmp_path / "in", {"a": "the patient, " * 100 + "drug 7"}))
    for length in ("short", "long"):
        annotate(reader_of("ner", length), notes, tmp_path / length)
    rows = [lines(tmp_path / length / "predictions.jsonl")[0] for length in ("short", "long")]
    assert rows[0]["prediction"]["windows"] > rows[1]["prediction"]["windows"] > 1
    assert [row["prediction"]["tokens"] for row in rows] == [302, 302]
    assert [row["spans"][0]["text"] for row in rows] == ["drug 7", "drug 7"]


def test_answers_to_questions_of_the_file_and_of_the_notes(reader_of: Reader, tmp_path: Path) -> None:
    asked = (Question("dose", "which the"), Question("why", "the patient"))
    document = Document("a", "the drug and 7 the", questions=(Question("own", "patient?"),))
    jsonl.write([document, replace(document, id="b", questions=())], tmp_path / "in")
    found = annotate(reader_of("qa"), Notes(tmp_path / "in", questions=asked), tmp_path / "out")
    rows = lines(tmp_path / "out" / "predictions.jsonl")
    names = [[question["id"] for question in row["questions"]] for row in rows]
    assert names == [["own", "a/dose", "a/why"], ["b/dose", "b/why"]]
    answers = {answer["text"] for row in rows for q in row["questions"] for answer in q["answers"]}
    assert answers == {"drug and 7"}
    assert found["found"] == 5
    first = rows[1]["prediction"]["questions"][1]
    assert (first["id"], first["windows"], first["unread_tokens"]) == ("b/why", 1, 0)
    assert first["best"][0]["text"] == "drug and 7"
    assert 0 < first["best"][0]["probability"] < 1


def test_hundreds_of_questions_are_read_a_few_at_a_time(
    reader_of: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = write(tmp_path / "in", {"a": "the drug 7 " * 20})
    asked = tuple(Question(str(n), "the patient" + "?" * n) for n in range(7))
    annotate(reader_of("qa"), Notes(notes, questions=asked), tmp_path / "whole")
    monkeypatch.setattr(predictor, "LOT_CHARS", 450)
    seen = []
    predict = predictor.predict
    monkeypatch.setattr(
        predictor,
        "predict",
        lambda network, inputs, task, documents, **rest: predict(
            network, inputs, task, (seen.append(len(d.questions)) or d for d in documents), **rest
        ),
    )
    annotate(reader_of("qa"), Notes(notes, questions=asked), tmp_path / "parts")
    assert seen == [2, 2, 2, 1]
    rows = [lines(tmp_path / out / "predictions.jsonl") for out in ("whole", "parts")]
    assert rows[0] == rows[1]


def test_a_note_of_which_nothing_is_asked_is_an_error(reader_of: Reader, tmp_path: Path) -> None:
    notes = Notes(write(tmp_path / "in", {"a": "the drug"}))
    with pytest.raises(LongbioError, match="no question is asked of the note; give --questions"):
        annotate(reader_of("qa"), notes, tmp_path / "out")


def test_classes_of_a_table(reader_of: Reader, tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text('MRN,NOTE\n7,"the patient\nhas drug 7"\n8,\n')
    reading = Reading(columns={"id": "MRN", "text": "NOTE"})
    notes = Notes(tmp_path / "notes.csv", reading=reading)
    annotate(reader_of("classification"), notes, tmp_path / "out")
    rows = lines(tmp_path / "out" / "predictions.jsonl")
    assert [(row["id"], row["text"]) for row in rows] == [("7", "the patient\nhas drug 7"), ("8", "")]
    for row in rows:
        probabilities = row["prediction"]["probabilities"]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert row["labels"] == [max(probabilities, key=probabilities.__getitem__)]
        assert (row["prediction"]["windows"], row["prediction"]["unread_tokens"]) == (1, 0)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
@pytest.mark.parametrize("output", ["jsonl", "brat", "html"])
def test_what_is_written_is_its_owners_alone(
    output: str, umask: int, reader_of: Reader, tmp_path: Path
) -> None:
    notes, model = Notes(write(tmp_path / "in", notes_of(3))), reader_of()
    (tmp_path / "out").mkdir(mode=0o755)
    before = os.umask(umask)
    try:
        annotate(model, notes, tmp_path / "out", output=output)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    out = tmp_path / "out"
    for path in [out, *out.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("output", ["jsonl", "brat", "html"])
def test_stopped_anywhere_it_goes_on_and_ends_with_the_same_bytes(
    output: str, reader_of: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever write a process dies in, before or after it: half a stream, no progress, no index."""
    folder = write(tmp_path / "in", notes_of(7) | {"x:é": "drug 3", "N06": "drug 4"})
    for name in ("broken", "z"):
        (folder / f"{name}.txt").write_bytes(b"\xff")
    notes, model, out = Notes(folder), reader_of(), tmp_path / "out"
    annotate(model, notes, tmp_path / "whole", output=output, on_error="skip")
    whole = tree(tmp_path / "whole")
    assert len(lines(tmp_path / "whole" / "failed.jsonl")) == 2

    countdown = [0]
    write_bytes, fsync = outputs.write_bytes_atomically, os.fsync

    def dying(act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            countdown[0] -= 1
            if countdown[0] == 0:
                raise Killed
            act(*arguments)
            countdown[0] -= 1
            if countdown[0] == 0:
                raise Killed

        return run

    monkeypatch.setattr(outputs, "write_bytes_atomically", dying(write_bytes))
    monkeypatch.setattr(journal, "write_json", dying(journal.write_json))
    monkeypatch.setattr(journal.os, "fsync", dying(fsync))
    deaths = 0
    for at in (*range(1, 14), 10_000):
        countdown[0] = at
        try:
            annotate(model, notes, out, output=output, on_error="skip")
            break
        except Killed:
            deaths += 1
    assert deaths > 5
    assert tree(out) == whole


def test_what_is_done_is_not_done_again(
    reader_of: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write(tmp_path / "in", notes_of(4)), tmp_path / "out"
    seen: list[str] = []
    predict = predictor.predict

    def watched(network: Any, inputs: Any, task: Any, documents: Any, **rest: Any) -> Any:
        documents = list(documents)
        seen.extend(document.id for document in documents)
        return predict(network, inputs, task, documents, **rest)

    monkeypatch.setattr(predictor, "predict", watched)
    told: list[tuple[int, int]] = []
    annotate(reader_of(), Notes(folder), out, on_note=lambda *done: told.append(done))
    assert [notes for notes, _ in told] == [0, 2, 4]
    before, written = tree(out), (out / journal.PROGRESS).stat().st_mtime_ns
    again = annotate(reader_of(), Notes(folder), out)
    assert again["finished_before"]
    assert (out / journal.PROGRESS).stat().st_mtime_ns == written
    assert seen == ["n00", "n01", "n02", "n03"]
    assert tree(out) == before

    write(folder, {"n04": "drug 4"})
    more = annotate(reader_of(), Notes(folder), out)
    assert (more["notes"], more["finished_before"]) == (5, False)
    assert seen[4:] == ["n04"]
    assert [row["id"] for row in lines(out / "predictions.jsonl")] == sorted({*seen})


@pytest.mark.parametrize("change", ["text", "name", "gone"])
def test_other_notes_are_refused(change: str, reader_of: Reader, tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", notes_of(4)), tmp_path / "out"
    annotate(reader_of(), Notes(folder), out)
    before = tree(out)
    if change == "text":
        (folder / "n02.txt").write_text("drug 8")
    elif change == "name":
        (folder / "n02.txt").rename(folder / "n02b.txt")
    else:
        (folder / "n03.txt").unlink()
    with pytest.raises(LongbioError, match="the notes have changed"):
        annotate(reader_of(), Notes(folder), out)
    assert tree(out) == before


def test_another_plan_another_folder_and_a_second_process_are_refused(
    reader_of: Reader, tmp_path: Path
) -> None:
    notes, out = Notes(write(tmp_path / "in", notes_of(2))), tmp_path / "out"
    annotate(reader_of(), notes, out)
    with pytest.raises(LongbioError, match='another plan: format was "jsonl" and is "html"'):
        annotate(reader_of(), notes, out, output="html")
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        annotate(reader_of("ner", "long"), notes, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(LongbioError, match="something else"):
        annotate(reader_of(), notes, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    wrong = replace(reader_of("ner", "long"), kernel="magic")
    with pytest.raises(LongbioError, match="magic"):
        annotate(wrong, notes, tmp_path / "again")
    annotate(reader_of(), notes, tmp_path / "again")  # nothing was done there
    with Run.open(out, {}), pytest.raises(LongbioError, match="another process"):
        annotate(reader_of(), notes, out)


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_another_model_in_the_same_place_is_refused(changed: str, reader_of: Reader, tmp_path: Path) -> None:
    notes, out, model = Notes(write(tmp_path / "in", notes_of(2))), tmp_path / "out", reader_of()
    model = replace(model, folder=shutil.copytree(model.folder, tmp_path / "model"))
    annotate(reader_of(), notes, out)
    assert annotate(model, notes, out)["finished_before"], "moved, it is the same model"
    data = bytearray((model.folder / changed).read_bytes())
    data[-1:] = bytes([data[-1] ^ 1]) if changed == "model.safetensors" else data[-1:] + b" "
    (model.folder / changed).write_bytes(data)
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        annotate(model, notes, out)


def test_a_shortened_file_is_not_gone_on_with(reader_of: Reader, tmp_path: Path) -> None:
    notes, out = Notes(write(tmp_path / "in", notes_of(2))), tmp_path / "out"
    annotate(reader_of(), notes, out)
    os.truncate(out / "predictions.jsonl", 10)
    with pytest.raises(LongbioError, match="has 10 bytes and had"):
        annotate(reader_of(), notes, out)


def test_mistakes_are_told_before_a_folder_is_made(reader_of: Reader, tmp_path: Path) -> None:
    notes, out = Notes(write(tmp_path / "in", notes_of(1))), tmp_path / "out"
    for wrong, words in (
        (replace(notes, path=tmp_path / "nowhere"), "no such file"),
        (replace(notes, format_name="docx"), "no format 'docx'"),
        (replace(notes, reading=Reading("utf-99")), "no encoding 'utf-99'"),
    ):
        with pytest.raises(LongbioError, match=words):
            annotate(reader_of(), wrong, out)
    assert not out.exists()


def test_known_mentions_are_replaced_and_needn_t_be_right(reader_of: Reader, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a": "drug 1", "b": "drug 2"})
    (folder / "a.ann").write_text("T1\tX 0 4\tfever\n")
    (folder / "b.ann").write_text("T1\tX 0 4\tdrug\n")
    annotate(reader_of(), Notes(folder), tmp_path / "out")
    found = read_documents(tmp_path / "out" / "predictions.jsonl")
    assert [document.spans for document in found] == [(Span.of(0, 6, "Drug"),)] * 2


def test_a_lot_is_cut_by_notes_and_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "LOT_CHARS", 10)
    sizes = (1, 1, 1, 30, 4, 6, 1)
    cut = list(lots.lots_of([Document(str(n), "x" * size) for n, size in enumerate(sizes)], ""))
    assert [[len(d.text) for d in lot.documents] for lot in cut] == [[1, 1], [1], [30], [4, 6], [1]]
    again = list(lots.lots_of(cut[2].items + cut[3].items + cut[4].items, cut[1].digest))
    assert again == cut[2:]


def test_the_plan_holds_no_text(reader_of: Reader, tmp_path: Path) -> None:
    notes = Notes(write(tmp_path / "in", {"a": "drug"}), questions=(Question("q", "Mr Secret?"),))
    annotate(reader_of("qa"), notes, tmp_path / "out")
    for name in (RUN, journal.PROGRESS):
        assert "Secret" not in (tmp_path / "out" / name).read_text()
        assert "drug" not in (tmp_path / "out" / name).read_text()
    assert annotation.MODEL_DIGITS >= 12


def test_a_note_that_failed_keeps_its_name(
    reader_of: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that goes on, which can't know who failed, would name the notes behind it otherwise."""
    rows = [{"id": "a", "text": "fail"}, {"id": "a", "text": "drug 3"}]
    (tmp_path / "notes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    predictions = predictor.Predictor._predictions

    def failing(self: predictor.Predictor, documents: Any) -> Any:
        if any(document.text == "fail" for document in documents):
            raise LongbioError("this one")
        return predictions(self, documents)

    monkeypatch.setattr(predictor.Predictor, "_predictions", failing)
    notes = Notes(tmp_path / "notes.jsonl")
    result = annotate(reader_of(), notes, tmp_path / "out", output="brat", on_error="skip")
    assert (result["notes"], result["failed"]) == (2, 1)
    assert sorted(file.name for file in (tmp_path / "out").glob("*.txt")) == ["a.2.txt"]


def test_what_was_passed_over_is_in_the_result_and_stays_in_the_folder(
    reader_of: Reader, tmp_path: Path
) -> None:
    notes = write(tmp_path / "in", {"a": "no drug 1 today", "b": "drug 2"})
    (notes / "scan.pdf").write_bytes(b"%PDF")
    for _ in ("done", "done before"):
        found = annotate(reader_of(), Notes(notes), tmp_path / "out")
        assert found["data"]["passed_over"] == {".pdf file": 1}
        assert found["data"]["passed_over_at"] == {".pdf file": str(notes / "scan.pdf")}
        progress = json.loads((tmp_path / "out" / "progress.json").read_text())
        assert progress["data"] == found["data"]
