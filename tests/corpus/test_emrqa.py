"""emrQA: lines become a text, paraphrases questions, and answers are found on their lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question
from longbio.errors import LongbioError

LINES = [
    "Discharge medications :\n",
    "  Aspirin 5 mg , aspirin\t81 mg daily .\n",
    "\n",
    "Follow up with cardiology .",
]
TEXT = "".join(LINES)


def single(text: str, start: Any, evidence: str = "", evidence_start: Any = None) -> dict[str, Any]:
    return {
        "answer_entity_type": "single",
        "answer_start": start,
        "text": text,
        "evidence": evidence,
        "evidence_start": evidence_start,
    }


COMPLEX = {
    "answer_entity_type": "complex",
    "answer_start": [[2, 0], [2, 4]],
    "text": ["Aspirin", "aspirin"],
    "evidence": ["Aspirin 5 mg", "aspirin 81 mg"],
    "evidence_start": [2, 2],
}


def written(folder: Path, qas: list[dict[str, Any]], lines: list[str] | str = LINES) -> Path:
    file = folder / "train.json"
    note = {"note_id": "7", "context": lines, "qas": qas}
    file.write_text(json.dumps({"data": [{"title": "medication", "paragraphs": [note]}]}))
    return file


def qa(
    *answers: dict[str, Any], wordings: tuple[str, ...] = ("Which dose?",), name: Any = "q"
) -> dict[str, Any]:
    return {"id": name, "question": list(wordings), "answers": list(answers)}


def found(folder: Path, *answers: dict[str, Any]) -> list[str]:
    (document,) = read_documents(written(folder, [qa(*answers)]), "emrqa", max_misaligned=1.0)
    return [TEXT[a:b] for each in document.questions for a, b in each.answers]


def test_every_paraphrase_is_a_question(tmp_path: Path) -> None:
    file = written(tmp_path, [qa(single("5 mg", [2, 1]), wordings=("Which dose?", "How much?"))])
    assert format_of(file) == format_of(tmp_path) == "emrqa"
    start = TEXT.index("5 mg")
    answers = ((start, start + 4),)
    assert read_documents(file) == [
        Document(
            "7",
            TEXT,
            questions=(Question("q-0", "Which dose?", answers), Question("q-1", "How much?", answers)),
        )
    ]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["a\n", "b\n"], "a\nb\n"),
        (["a", " b "], "a\n b "),
        (["a\r\n", "b", "c\n"], "a\r\nb\nc\n"),
        ([], ""),
    ],
)
def test_lines_are_joined_with_a_line_feed_unless_they_end_with_one(
    lines: list[str], text: str, tmp_path: Path
) -> None:
    assert read_documents(written(tmp_path, [], lines), "emrqa")[0].text == text


def test_lines_count_from_1_and_the_token_tells_which_of_two(tmp_path: Path) -> None:
    second = TEXT.index("aspirin\t81")
    (document,) = read_documents(
        written(tmp_path, [qa(single("aspirin", [2, 4]), single("aspirin", [2, 9]))])
    )
    # At token 4; and where the token is another, the first of the line, whatever its case.
    assert document.questions[0].answers == ((second, second + 7), (26, 33))
    assert found(tmp_path, single("Discharge", [2, 0])) == []


def test_case_and_white_space_do_not_matter(tmp_path: Path) -> None:
    assert found(tmp_path, single("ASPIRIN 81  mg", [2, 4])) == ["aspirin\t81 mg"]


def test_evidence_is_the_answer_where_there_is_no_text_on_its_line(tmp_path: Path) -> None:
    whole = "Aspirin 5 mg , aspirin\t81 mg daily ."
    assert found(tmp_path, single("", [2, ""], whole, 2)) == [whole]
    assert found(tmp_path, single("statin", [2, 3], "aspirin 81 mg", 2)) == ["aspirin\t81 mg"]
    assert found(tmp_path, single("", "", "", 4)) == [LINES[3]]
    assert found(tmp_path, single("", "", "daily . follow UP", 2)) == ["daily .\n\nFollow up"]
    assert found(tmp_path, single("5 mg", "", "nothing", 2)) == ["5 mg"]


@pytest.mark.parametrize(
    "lost",
    [
        single("statin", [2, 3], "Follow up", 2),
        single("statin", [9, 0]),
        single("statin", [0, 0], "Discharge", 0),
        single("", "", "", 3),
        single("", "", "", None),
    ],
    ids=["evidence elsewhere", "no such line", "line 0", "empty line", "no line"],
)
def test_what_is_on_no_line_is_counted_and_its_question_left_out(
    lost: dict[str, Any], tmp_path: Path
) -> None:
    reading = Reading()
    (document,) = read_documents(written(tmp_path, [qa(lost)]), reading=reading, max_misaligned=1.0)
    assert document == Document("7", TEXT)
    assert (reading.alignment.mentions, len(reading.alignment.faults)) == (1, 1)
    assert reading.passed_over == {"question whose answers are not where they say": 1}


def test_complex_answers_are_passed_over_and_counted(tmp_path: Path) -> None:
    reading = Reading()
    file = written(tmp_path, [qa(COMPLEX, name="lost"), qa(COMPLEX, single("5 mg", [2, 1])), qa(name="none")])
    (document,) = read_documents(file, reading=reading)
    assert [(each.id, len(each.answers)) for each in document.questions] == [("q-0", 1), ("none-0", 0)]
    assert reading.passed_over["complex answer"] == 2
    assert reading.alignment.mentions == 1


def test_ids_that_are_lists_or_missing_give_way_to_the_note(tmp_path: Path) -> None:
    (document,) = read_documents(written(tmp_path, [qa(name=[["template", "form"]]), qa(name=None)]))
    assert [each.id for each in document.questions] == ["7/1-0", "7/2-0"]


@pytest.mark.parametrize(
    ("qas", "lines", "words"),
    [
        ([], ["a", 5], "line 2 of the context is no text"),
        ([{"question": [5], "answers": []}], ["a"], r"qas\[0\]: 'question' is no list of texts"),
        # Evidence of the wrong type: that is the test.
        ([qa(single("a", [1, 0], evidence={"SECRET": 1}))], ["a"], "'text' or 'evidence' is no text"),  # type: ignore[arg-type]
    ],
)
def test_malformed_files_are_named_by_place(
    qas: list[dict[str, Any]], lines: list[str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(written(tmp_path, qas, lines), "emrqa")
    assert "SECRET" not in str(caught.value)


def test_a_context_may_be_one_text(tmp_path: Path) -> None:
    qas = [qa(single("5 mg", [2, 1]), single("cardiology", [4, 3]))]
    (whole,) = read_documents(written(tmp_path, qas))
    file = written(tmp_path, qas, TEXT)
    assert format_of(file) == "emrqa"
    assert read_documents(file) == [whole]
    assert read_documents(written(tmp_path, [], "a\x0bb\n\n"))[0].text == "a\x0bb\n\n"


def test_an_answer_over_two_lines_is_that_answer(tmp_path: Path) -> None:
    assert found(tmp_path, single("81 mg daily . follow up", [2, 5], "Aspirin 5 mg", 2)) == [
        "81 mg daily .\n\nFollow up"
    ]
    assert found(tmp_path, single("medications : Aspirin", [1, 1])) == ["medications :\n  Aspirin"]


def test_a_token_that_is_not_where_it_says_is_counted(tmp_path: Path) -> None:
    reading = Reading()
    assert found(tmp_path, single("pirin", [2, 4])) == ["pirin"]  # behind a bracket, say
    answers = [single("aspirin", [2, token]) for token in (4, 0, 9, 99, "")]
    (document,) = read_documents(written(tmp_path, [qa(*answers)]), reading=reading)
    assert [TEXT[a:b] for a, b in document.questions[0].answers] == ["aspirin", *["Aspirin"] * 4]
    assert reading.passed_over == {"token that isn't where its answer is": 2}
    assert reading.passed_over.places["token that isn't where its answer is"].endswith("answers[2]")
    reading = Reading()
    read_documents(written(tmp_path, [qa(single("statin", [2, 3], "5 mg", 2))]), reading=reading)
    assert reading.passed_over == {"answer that isn't on its line, for which its evidence is taken": 1}
