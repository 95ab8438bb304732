"""SQuAD: answers are characters of an untouched context; what isn't where it says is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError
from tests.corpus_splits import read_splits

CONTEXT = " Ünder 5 µg 🙂 the tarva held; the tarva broke.\r\n "


def answer(text: str, start: int | None = None) -> dict[str, Any]:
    return {"text": text, "answer_start": CONTEXT.index(text) if start is None else start}


def qa(name: str, *answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "question": f"What about {name}?", "answers": list(answers), **more}


def paragraph(*qas: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"context": CONTEXT, "qas": list(qas), **more}


def written(folder: Path, *articles: dict[str, Any], name: str = "train.json") -> Path:
    file = folder / name
    file.write_text(json.dumps({"version": "2.0", "data": list(articles)}, ensure_ascii=False), "utf-8")
    return file


def question(name: str, *answers: tuple[int, int]) -> Question:
    return Question(name, f"What about {name}?", answers)


def test_offsets_are_characters_and_the_context_is_never_stripped(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"title": "Hips", "paragraphs": [paragraph(qa("q1", answer("tarva")), qa("q2", answer("🙂")))]},
    )
    assert format_of(file) == format_of(tmp_path) == "squad"
    reading = Reading()
    assert read_documents(file, reading=reading) == [
        Document(
            "Hips/1", CONTEXT, questions=(question("q1", (18, 23)), question("q2", (12, 13))), group="Hips"
        )
    ]
    assert (reading.alignment.mentions, reading.alignment.faults) == (2, [])


def test_several_answers_are_kept_in_their_order(tmp_path: Path) -> None:
    given = (answer("tarva", 34), answer("tarva", 18), answer("the tarva"), answer("tarva", 18))
    (document,) = read_documents(written(tmp_path, {"paragraphs": [paragraph(qa("q", *given))]}))
    assert document.questions == (question("q", (34, 39), (18, 23), (14, 23), (18, 23)),)


def test_impossible_questions_have_no_answer(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {
            "paragraphs": [
                paragraph(
                    qa("plausible", is_impossible=True, plausible_answers=[answer("tarva")]),
                    qa("contrary", answer("tarva"), is_impossible=True),
                    qa("none"),
                    qa("some", answer("tarva"), is_impossible=False),
                )
            ]
        },
    )
    reading = Reading()
    (document,) = read_documents(file, reading=reading)
    assert [(each.id, each.is_impossible) for each in document.questions] == [
        ("plausible", True),
        ("contrary", True),
        ("none", True),
        ("some", False),
    ]
    assert reading.passed_over == {"answer to an impossible question": 1}


def test_misaligned_answers_are_counted_and_a_question_that_lost_all_is_left_out(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {
            "paragraphs": [
                paragraph(
                    qa("lost", answer("SECRET", 3), answer("tarva", 900), answer("", 3)),
                    qa("kept", answer("tarva", 17), answer("tarva", 18), answer("tarva", -31)),
                )
            ]
        },
    )
    reading = Reading()
    (document,) = read_documents(file, reading=reading, max_misaligned=1.0)
    assert document.questions == (question("kept", (18, 23)),)
    assert (reading.alignment.mentions, len(reading.alignment.faults)) == (6, 5)
    assert reading.passed_over == {"question whose answers are not where they say": 1}
    with pytest.raises(LongbioError, match="5 of 6 mentions") as caught:
        read_documents(file)
    assert "SECRET" not in str(caught.value)


def test_a_context_that_comes_again_is_a_document_a_paragraph(tmp_path: Path) -> None:
    titled = {"title": "Hips", "paragraphs": [paragraph(qa("a")), paragraph(qa("b"))]}
    numbered = {"paragraphs": [paragraph(qa("c"), document_id=7), paragraph(qa("d"), document_id="7")]}
    file = written(tmp_path, titled, {"paragraphs": [paragraph(qa("e"))]}, titled, numbered)
    assert [(d.id, d.group, [q.id for q in d.questions]) for d in read_documents(file)] == [
        ("Hips/1", "Hips", ["a"]),
        ("Hips/2", "Hips", ["b"]),
        ("train/1", None, ["e"]),
        ("Hips/3", "Hips", ["a"]),
        ("Hips/4", "Hips", ["b"]),
        ("7", None, ["c"]),
        ("7.2", None, ["d"]),
    ]


def test_a_question_without_an_id_is_named_by_its_document(tmp_path: Path) -> None:
    unnamed = {"question": "Why?", "answers": []}
    (document,) = read_documents(written(tmp_path, {"paragraphs": [paragraph(qa("a"), unnamed)]}))
    assert [each.id for each in document.questions] == ["a", "train/1/2"]


@pytest.mark.parametrize(
    ("article", "words"),
    [
        ({}, r"\.data\[0\]: there is no 'paragraphs'"),
        ({"paragraphs": ["SECRET"]}, r"\.data\[0\]\.paragraphs\[0\]: this is no object"),
        ({"paragraphs": [{"context": ["SECRET"], "qas": []}]}, "'context' is no text"),
        ({"paragraphs": [paragraph(qa("a", {"text": "SECRET", "answer_start": "7"}))]}, "no whole number"),
        ({"paragraphs": [paragraph(qa("a", {"text": "SECRET", "answer_start": True}))]}, "no whole number"),
        ({"paragraphs": [paragraph(qa("a", {"text": None, "answer_start": 1}))]}, "'text' is no text"),
    ],
)
def test_malformed_files_are_named_by_place(article: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = written(tmp_path, article)
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(file, "squad")
    assert str(caught.value).startswith(str(file))
    assert "SECRET" not in str(caught.value)


def test_predictions_are_what_the_official_script_takes(tmp_path: Path) -> None:
    questions = (question("q1", (18, 23), (0, 5)), question("q2"), question('"q"', (12, 13)))
    documents = [Document("a", CONTEXT, questions=questions), Document("b", "x"), Document("c", CONTEXT)]
    WRITERS["squad"](iter(documents), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "predictions.json").read_text("utf-8")) == {
        "q1": "tarva",
        "q2": "",
        '"q"': "🙂",
    }
    WRITERS["squad"]([], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == {}
    with pytest.raises(LongbioError, match="'q1' is there twice"):
        WRITERS["squad"](documents[:1] * 2, tmp_path)


def test_covid_qa_has_its_questions_and_all_offsets_hold(data_folder: Path, tmp_path: Path) -> None:
    reading = Reading()
    splits = read_splits(data_folder / "covid_qa", reading=reading, max_misaligned=0.0)
    assert {name: len(documents) for name, documents in splits.items()} == {
        "train": 103,
        "dev": 21,
        "test": 21,
    }
    assert {name: sum(len(d.questions) for d in documents) for name, documents in splits.items()} == {
        "train": 1_417,
        "dev": 203,
        "test": 375,
    }
    assert (reading.alignment.mentions, len(reading.alignment.faults), reading.passed_over) == (1_995, 0, {})

    # Every gold answer, written as a prediction, is the text that the file gives.
    WRITERS["squad"](splits["test"], tmp_path)
    predicted = json.loads((tmp_path / "predictions.json").read_text("utf-8"))
    data = json.loads((data_folder / "covid_qa" / "test.json").read_text("utf-8"))["data"]
    gold = {str(qa["id"]): qa["answers"] for a in data for p in a["paragraphs"] for qa in p["qas"]}
    assert predicted == {name: answers[0]["text"] for name, answers in gold.items()}
