"""Annotations in JSON lines, JSON and Parquet as tools spell them; nothing else is dropped."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question, Relation, Span
from longbio.errors import LongbioError

TEXT = "Tarva helps against fever."
DRUG, SIGN = Span.of(0, 5, "Drug"), Span.of(20, 25, "Sign")
UNREAD = "member {!r} that isn't read"


def lines(folder: Path, *rows: Any, name: str = "notes.jsonl") -> Path:
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder / name


def listed(folder: Path, *rows: Any, name: str = "notes.json") -> Path:
    (folder / name).write_text(json.dumps([*rows], indent=1), "utf-8")
    return folder / name


def parquet(folder: Path, *rows: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows]), folder / "notes.parquet")
    return folder / "notes.parquet"


def read(path: Path) -> tuple[list[Document], Reading]:
    reading = Reading()
    return read_documents(path, reading=reading), reading


OBJECTS = [{"start": 20, "end": 25, "label": "Sign"}, {"start": 0, "end": 5, "label": "Drug"}]
SPELLINGS: dict[str, dict[str, Any]] = {
    "doccano of old": {"labels": [[0, 5, "Drug"], [20, 25, "Sign"]]},
    "doccano": {
        "id": 3,
        "label": [[0, 5, "Drug"], [20, 25, "Sign"]],
        "Comments": [],
    },
    "doccano with relations": {
        "entities": [
            {"id": 1, "label": "Drug", "start_offset": 0, "end_offset": 5},
            {"id": 2, "label": "Sign", "start_offset": 20, "end_offset": 25},
        ],
        "relations": [],
    },
    "prodigy": {"spans": OBJECTS, "answer": "accept", "_task_hash": 1},
    "prodigy with ids": {"id": "7", "spans": OBJECTS},
    "spacy": {"ents": OBJECTS},
    "spacy's training data": {"entities": [[0, 5, "Drug"], [20, 25, "Sign"]]},
    "label studio's short json": {
        "label": [
            {"start": 0, "end": 5, "text": "Tarva", "labels": ["Drug"]},
            {"start": 20, "end": 25, "text": "fever", "labels": ["Sign"]},
        ]
    },
    "camels": {
        "annotations": [
            {"startOffset": 0, "endOffset": 5, "category": "Drug"},
            {"BeginOffset": 20, "EndOffset": 25, "Type": "Sign"},
        ]
    },
    "begin": {
        "mentions": [
            {"begin": 0, "end": 5, "type": "Drug"},
            {"offset": 20, "length": 5, "category": "Sign"},
        ]
    },
    "pieces": {
        "entities": [
            {"type": "Drug", "offsets": [[0, 5]], "text": ["Tarva"]},
            {"type": "Sign", "offsets": [[20, 25]], "text": ["fever"]},
        ]
    },
}


# Parquet has no lists of unlike things.
LIKE = ["doccano with relations", "prodigy", "spacy", "label studio's short json", "pieces"]
WRITTEN = [(name, write) for name in SPELLINGS for write in (lines, listed)] + [
    (name, parquet) for name in LIKE
]


@pytest.mark.parametrize(("name", "write"), WRITTEN)
def test_mentions_are_read_in_their_usual_spellings(name: str, write: Any, tmp_path: Path) -> None:
    file = write(tmp_path, {"text": TEXT, **SPELLINGS[name]})
    (document,), reading = read(file)
    assert (document.text, document.spans) == (TEXT, (DRUG, SIGN))
    assert document.labels is None
    assert (reading.alignment.mentions, reading.alignment.faults) == (2, [])
    assert reading.passed_over == {}


def test_a_column_of_parquet_holds_starts_and_ends_apart(tmp_path: Path) -> None:
    (document,), _ = read(
        parquet(
            tmp_path,
            {"text": TEXT, "entities": {"start": [20, 0], "end": [25, 5], "label": ["Sign", "Drug"]}},
        )
    )
    assert document.spans == (DRUG, SIGN)


@pytest.mark.parametrize("write", [lines, listed])
def test_spacys_pairs_of_a_text_and_entities(write: Any, tmp_path: Path) -> None:
    pair = [TEXT, {"entities": [[0, 5, "Drug"], [20, 25, "Sign"]]}]
    file = write(tmp_path, pair, ["nothing", {"entities": []}])
    documents, reading = read(file)
    assert [(each.text, each.spans) for each in documents] == [(TEXT, (DRUG, SIGN)), ("nothing", ())]
    assert reading.passed_over == {}


def test_an_annotators_file_with_its_classes(tmp_path: Path) -> None:
    content = {"classes": ["Drug"], "annotations": [[TEXT, {"entities": [[0, 5, "Drug"]]}]]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert [document.spans for document in read(tmp_path / "a.json")[0]] == [(DRUG,)]


def test_prodigys_rejected_tasks_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        {"text": str(number), "spans": [], "_task_hash": number, "answer": answer}
        for number, answer in enumerate(["accept", "reject", "ignore", None])
    ]
    documents, reading = read(lines(tmp_path, *rows))
    assert [document.text for document in documents] == ["0", "3"]
    assert reading.passed_over == {"task that was rejected or ignored": 2}
    assert reading.passed_over.places["task that was rejected or ignored"].endswith("line 2")
    # An answer alone is whatever it says.
    (document,), _ = read(lines(tmp_path, {"text": "x", "answer": "reject"}))
    assert document.text == "x"


def test_relations_of_doccano_and_of_prodigy(tmp_path: Path) -> None:
    doccano = SPELLINGS["doccano with relations"] | {
        "relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "treats"}]
    }
    prodigy = {
        "spans": OBJECTS,
        "relations": [
            {"head": 0, "child": 4, "head_span": OBJECTS[1], "child_span": OBJECTS[0], "label": "treats"},
        ],
    }
    documents, reading = read(lines(tmp_path, {"text": TEXT, **doccano}, {"text": TEXT, **prodigy}))
    assert [document.relations for document in documents] == [(Relation("treats", DRUG, SIGN),)] * 2
    assert reading.passed_over == {}
    lost = {
        "entities": doccano["entities"],
        "relations": [{"from_id": 1, "to_id": 9, "type": "t"}, {"from_id": 1}],
    }
    _, reading = read(lines(tmp_path, {"text": TEXT, **lost}))
    assert reading.passed_over == {"relation of what is no mention": 1, "relation without a type": 1}


def test_mentions_that_are_not_where_they_say_are_counted(tmp_path: Path) -> None:
    entities = [
        {"start": 1, "end": 6, "label": "Drug", "text": "SECRET"},
        {"start": 0, "end": 99, "label": "Drug"},
    ]
    with pytest.raises(LongbioError, match=r"line 1\.entities\[0\]: the text .* 2 of 2 mentions") as caught:
        read(lines(tmp_path, {"text": TEXT, "entities": entities}))
    assert "SECRET" not in str(caught.value)
    _, reading = read(lines(tmp_path, {"text": TEXT, "entities": [[0, 5, "Drug"], [20, 25, None], {"x": 1}]}))
    assert reading.passed_over == {"mention without start, end and type": 2}


def test_other_members_with_something_in_them_are_counted_with_their_place(tmp_path: Path) -> None:
    row = {"text": TEXT, "sents": [{"begin_token": 0}], "meta": {"source": "x"}, "empty": [], "n": 7}
    for file in (lines(tmp_path, row, row), listed(tmp_path, row, row)):
        documents, reading = read(file)
        assert [document.text for document in documents] == [TEXT, TEXT]
        assert reading.passed_over == {UNREAD.format("sents"): 2, UNREAD.format("meta"): 2}
    assert reading.passed_over.places[UNREAD.format("meta")] == f"{file}, .[0]"
    del row["empty"]
    _, reading = read(parquet(tmp_path, row, row))
    assert reading.passed_over == {UNREAD.format("sents"): 2, UNREAD.format("meta"): 2}


WORDS = {
    "id": "0",
    "tokens": ["Tarva", "helps", ",", "", "Ana"],
    "ner_tags": ["B-Drug", "O", "O", "O", "B-Name"],
}
NAMES = ["O", "B-Drug", "I-Drug", "B-Name"]
TAGGED = Document(
    "0",
    "Tarva helps ,  Ana",
    (Span.of(0, 5, "Drug"), Span.of(15, 18, "Name")),
    units=((0, 5), (6, 11), (12, 13), (15, 18)),
)
NUMBERS = {**WORDS, "ner_tags": [1, 0, 0, 0, 3]}
LABEL = {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}


@pytest.mark.parametrize("write", [lines, listed, parquet])
def test_words_and_tags(write: Any, tmp_path: Path) -> None:
    documents, reading = read(write(tmp_path, WORDS))
    assert documents == [TAGGED]
    assert reading.passed_over == {}


def test_words_stand_in_their_text_where_it_is_known(tmp_path: Path) -> None:
    text = " Tarva helps,\n\nAna"
    row = {
        **WORDS,
        "text": text,
        "tokens": ["Tarva", "helps", ",", "Ana"],
        "ner_tags": ["B-Drug", "O", "O", "B-Name"],
    }
    (document,), _ = read(lines(tmp_path, row))
    assert document.text == text
    assert [span.text_in(text) for span in document.spans] == ["Tarva", "Ana"]
    (other,), _ = read(lines(tmp_path, row | {"text": "something else"}))
    assert other.text == "Tarva helps , Ana"


def described(folder: Path, where: str) -> Path:
    """Numbers whose names stand in Parquet's own description, or in a file beside."""
    features = {"tokens": {"feature": {"dtype": "string", "_type": "Value"}}, "ner_tags": LABEL}
    if where == "parquet":
        table = pyarrow.Table.from_pylist([NUMBERS])
        content = json.dumps({"info": {"features": features}})
        pyarrow.parquet.write_table(
            table.replace_schema_metadata({"huggingface": content}), folder / "a.parquet"
        )
        return folder / "a.parquet"
    data = folder / "data"
    data.mkdir()
    if where == "dataset_info.json":
        (data / where).write_text(json.dumps({"features": features}))
    elif where == "dataset_infos.json":
        (folder / where).write_text(json.dumps({"default": {"features": features}}))
    elif where == "README.md":
        names = "".join(f"          '{number}': {name}\n" for number, name in enumerate(NAMES))
        (folder / where).write_text(
            "---\ndataset_info:\n  features:\n  - name: ner_tags\n    sequence:\n      class_label:\n"
            f"        names:\n{names}---\n# A corpus\n"
        )
    return lines(data, NUMBERS)


@pytest.mark.parametrize("where", ["parquet", "dataset_info.json", "dataset_infos.json", "README.md"])
def test_numbers_of_tags_have_their_names(where: str, tmp_path: Path) -> None:
    assert read(described(tmp_path, where))[0] == [TAGGED]


def test_numbers_without_names_are_counted(tmp_path: Path) -> None:
    (document,), reading = read(described(tmp_path, "nowhere"))
    assert (document.text, document.spans) == (TAGGED.text, ())
    assert reading.passed_over == {"row whose 'ner_tags' are numbers without names": 1}


def test_words_and_tags_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="line 1: there are 5 words and 1 tags"):
        read(lines(tmp_path, WORDS | {"ner_tags": ["O"]}))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"ner_tags": LABEL}}))
    with pytest.raises(LongbioError, match="line 1: tag 9 is none of the 4 that have names"):
        read(lines(tmp_path, WORDS | {"ner_tags": [1, 0, 0, 0, 9]}))


CONTEXT = "Tarva helps. Tarva harms."
SQUAD = {
    "id": "q1",
    "title": "Drugs",
    "context": CONTEXT,
    "question": "What helps?",
    "answers": {"text": ["Tarva", "Tarva helps"], "answer_start": [0, 0]},
}
ASKED = Document("q1", CONTEXT, questions=(Question("q1", "What helps?", ((0, 5), (0, 11))),), group="Drugs")


@pytest.mark.parametrize("write", [lines, listed, parquet])
def test_squad_as_datasets_has_it(write: Any, tmp_path: Path) -> None:
    none = {**SQUAD, "id": "q2", "answers": {"text": [], "answer_start": []}}
    documents, reading = read(write(tmp_path, SQUAD, none))
    assert documents == [
        ASKED,
        Document("q2", CONTEXT, questions=(Question("q2", "What helps?"),), group="Drugs"),
    ]
    assert reading.passed_over == {}
    assert reading.alignment.mentions == 2


def test_squad_under_data_and_with_a_list_of_answers(tmp_path: Path) -> None:
    row = {
        **SQUAD,
        "answers": [{"text": "Tarva", "answer_start": 0}, {"text": "Tarva helps", "answer_start": 0}],
    }
    (tmp_path / "a.json").write_text(json.dumps({"version": "1", "data": [row]}))
    assert read(tmp_path / "a.json")[0] == [ASKED]


def test_a_question_that_loses_its_answers_is_left_out_and_none_is_asked(tmp_path: Path) -> None:
    row = {**SQUAD, "answers": {"text": ["harms"], "answer_start": [3]}}
    reading = Reading()
    (document,) = read_documents(lines(tmp_path, row), reading=reading, max_misaligned=1.0)
    assert (document.questions, document.query) == ((), None)
    assert reading.passed_over == {"question whose answers are not where they say": 1}


@pytest.mark.parametrize("write", [lines, parquet])
def test_answers_to_an_impossible_question_are_passed_over(write: Any, tmp_path: Path) -> None:
    (document,), reading = read(write(tmp_path, {**SQUAD, "is_impossible": True}))
    assert document.questions == (Question("q1", "What helps?"),)
    assert reading.passed_over == {"answer to an impossible question": 2}


def test_questions_to_one_text_stay_together_where_there_is_no_title(tmp_path: Path) -> None:
    rows = [{key: value for key, value in SQUAD.items() if key != "title"} | {"id": name} for name in "ab"]
    first, second = read(lines(tmp_path, *rows))[0]
    assert first.group == second.group is not None
    assert CONTEXT not in str(first.group)


def test_answers_without_a_start_are_counted_and_the_question_stays_a_query(tmp_path: Path) -> None:
    (document,), reading = read(lines(tmp_path, {**SQUAD, "answers": {"text": ["Tarva"]}}))
    assert (document.query, document.questions) == ("What helps?", ())
    assert reading.passed_over == {UNREAD.format("answers"): 1}


def task(number: int, *annotations: Any, text: str = TEXT) -> dict[str, Any]:
    return {"id": number, "annotations": [*annotations], "data": {"text": text, "subject_id": 4}}


def marked(name: str, start: int, end: int, label: str) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end], "labels": [label]}
    return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def test_label_studios_export(tmp_path: Path) -> None:
    result = [
        marked("a", 0, 5, "Drug"),
        marked("b", 20, 25, "Sign"),
        {"type": "choices", "value": {"choices": ["well"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["treats"]},
        {"type": "rating", "value": {"rating": 3}},
    ]
    file = listed(
        tmp_path,
        task(1, {"was_cancelled": True, "result": []}, {"result": result}, {"result": []}),
        task(2, {"was_cancelled": True, "result": result}),
        task(3, {"result": []}, {"result": result, "ground_truth": True}),
        task(4),
    )
    assert format_of(file) == format_of(tmp_path) == "label_studio"
    documents, reading = read(file)
    whole = Document(
        "1", TEXT, (DRUG, SIGN), relations=(Relation("treats", DRUG, SIGN),), labels=("well",), group="4"
    )
    assert [document.id for document in documents] == ["1", "3", "4"]
    assert documents[0] == whole
    assert documents[1].spans == (DRUG, SIGN)
    assert reading.passed_over == {
        "task that was cancelled": 1,
        "annotation of a task that has another": 2,
        "result of the type 'rating'": 2,
        "task without an annotation": 1,
    }


def test_a_list_of_notes(tmp_path: Path) -> None:
    file = listed(tmp_path, {"id": 1, "note": "one", "label": "x"}, {"id": 2, "note": "two", "label": "y"})
    assert format_of(file) == format_of(tmp_path) == "json"
    assert read(file)[0] == [Document("1", "one", labels=("x",)), Document("2", "two", labels=("y",))]
    assert [document.text for document in read(listed(tmp_path, "one", "two"))[0]] == ["one", "two"]
    assert [
        document.text for document in read(lines(tmp_path, {"text": "a"}, {"text": "b"}, name="b.json"))[0]
    ] == ["a", "b"]
    zipped = tmp_path / "c.json.gz"
    zipped.write_bytes(gzip.compress(json.dumps([{"text": "a"}]).encode()))
    assert [document.text for document in read(zipped)[0]] == ["a"]


def test_a_broken_note_of_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    file = listed(tmp_path, {"text": "SECRET"}, 7)
    with pytest.raises(LongbioError, match=r"\.\[1\] is no JSON object") as caught:
        read(file)
    assert "SECRET" not in str(caught.value)
    told: list[LongbioError] = []
    documents = read_documents(file, reading=Reading(failed=told.append))
    assert (len(documents), len(told)) == (1, 1)


def test_columns_of_annotations_can_be_named(tmp_path: Path) -> None:
    reading = Reading(columns={"spans": "marks", "text": "body"})
    (document,) = read_documents(lines(tmp_path, {"body": TEXT, "marks": [[0, 5, "Drug"]]}), reading=reading)
    assert document.spans == (DRUG,)
    with pytest.raises(LongbioError, match="there is no column 'marks'"):
        read_documents(lines(tmp_path, {"body": TEXT}), reading=reading)
