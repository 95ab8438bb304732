"""Quotes that are lost: no row is swallowed in silence, none is made up; in TSV they may be characters."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.errors import LongbioError

SECRET = "SECRETNOTE"


def written(folder: Path, *lines: str, name: str = "a.csv") -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="")
    return folder / name


def read(file: Path) -> tuple[list[str], list[str]]:
    """Texts, and what was told."""
    told: list[str] = []
    reading = Reading(failed=lambda error: told.append(str(error)))
    texts = [document.text for document in read_documents(file, "table", reading=reading)]
    assert SECRET not in "".join(told)
    return texts, told


def stops(file: Path, said: str) -> None:
    with pytest.raises(LongbioError, match=said) as caught:
        read_documents(file, "table")
    assert SECRET not in str(caught.value)


def notes(count: int, broken: int, start: str = '"') -> list[str]:
    """A table of notes, one of which begins with a quote that isn't closed."""
    rows = [f"{number},note {number}" for number in range(count)]
    rows[broken] = f"{broken},{start}{SECRET}"
    return ["id,text", *rows]


def others(count: int, broken: int) -> list[str]:
    return [f"note {number}" for number in range(count) if number != broken]


@pytest.mark.parametrize("broken", [0, 1, 5, 18, 19])
def test_an_unclosed_quote_swallows_nothing(broken: int, tmp_path: Path) -> None:
    file = written(tmp_path, *notes(20, broken))
    texts, told = read(file)
    assert texts == others(20, broken)
    assert len(told) == 1
    assert f"the row that begins in line {broken + 2} can't be read" in told[0]
    stops(file, f"line {broken + 2} can't be read")


def test_the_next_quoted_row_comes_back_too(tmp_path: Path) -> None:
    lines = notes(20, 5)
    lines[9] = '8,"note, 8"'
    lines[12] = '11,"note\n11"'
    texts, told = read(written(tmp_path, *lines))
    assert texts[7] == "note, 8"
    assert texts[10] == "note\n11"
    assert (len(texts), len(told)) == (19, 1)


def test_two_lost_quotes_that_close_each_other_are_found(tmp_path: Path) -> None:
    lines = notes(20, 5)
    lines[13] = f'12,{SECRET}"'
    texts, told = read(written(tmp_path, *lines))
    assert [text for text in texts if SECRET not in text] == others(20, 5)[:11] + others(20, 5)[12:]
    assert len(told) == 1
    stops(tmp_path / "a.csv", "line 7 can't be read")


def test_lines_of_a_note_are_no_rows(tmp_path: Path) -> None:
    """They are told to be lost with it, and no note is made of them."""
    lines = [*notes(6, 5)[:-1], f'5,"He said:\n"{SECRET}", he said\n7 of 10, better\nfine"', "6,note 6"]
    texts, told = read(written(tmp_path, *lines))
    assert not any(SECRET in text or "better" in text for text in texts)
    assert texts[:5] == others(5, 9)
    assert texts[-1] == "note 6"
    assert "the row that begins in line 7 can't be read" in told[0]
    assert "and 3 lines behind it are lost with it" in told[0]


def test_the_note_behind_one_of_many_lines_comes_back(tmp_path: Path) -> None:
    rows = [f'{number},2101-01-0{number},"note {number},\nwell\n"' for number in range(1, 7)]
    rows[2] = f'3,2101-01-03,"{SECRET},\nwell,\n'
    texts, told = read(written(tmp_path, "id,date,text", *rows))
    assert texts == [f"note {number},\nwell\n" for number in (1, 2, 4, 5, 6)]
    assert len(told) == 1
    assert (
        "line 8 can't be read (a quote in it isn't closed), and 1 lines behind it are lost with it" in told[0]
    )


def test_what_cant_be_told_apart_is_counted_as_lost(tmp_path: Path) -> None:
    """A table of texts alone: any line may be a row."""
    file = written(tmp_path, "text", "one", f'"{SECRET}', "three, or more", "four")
    texts, told = read(file)
    assert texts == ["one"]
    assert len(told) == 1
    assert "line 3 can't be read" in told[0]
    assert "2 lines behind it are lost with it" in told[0]


def test_notes_over_many_lines_stay_whole(tmp_path: Path) -> None:
    """Also those that hold a table of their own."""
    text = 'Plan:\n1, rest\n2, aspirin "81 mg"\n\nNa,140\nK,4.1'
    quoted = text.replace('"', '""')
    file = written(tmp_path, "id,text,label", f'1,"{quoted}",x', f'2,"{quoted}",y', "3,short,x")
    assert [document.text for document in read_documents(file)] == [text, text, "short"]


def test_an_empty_quoted_cell_doesnt_end_it(tmp_path: Path) -> None:
    lines = ["id,text,label", "1,a,x", f'2,"{SECRET},x', '3,"",x', "4,b,x"]
    texts, told = read(written(tmp_path, *lines))
    assert (texts, len(told)) == (["a", "", "b"], 1)


def test_ragged_rows_are_told_one_by_one(tmp_path: Path) -> None:
    file = written(tmp_path, "id,text", "1,a", f"2,{SECRET},b", "3", "4,c")
    texts, told = read(file)
    assert texts == ["a", "c"]
    assert len(told) == 2
    assert "not as many cells" in told[0]


def tabs(*rows: str) -> list[str]:
    return [row.replace("|", "\t") for row in rows]


@pytest.mark.parametrize(
    "cell",
    [
        '"fever',
        'fever"',
        '"fever" and chills',
        'a 5" wound',
        "6' 2\" tall",
        '"fever", she said, "chills"',
        '"',
    ],
)
@pytest.mark.parametrize("columns", ["id|text", "id|text|label"])
def test_lone_quotes_in_tsv_are_characters(cell: str, columns: str, tmp_path: Path) -> None:
    label = "|x" if "label" in columns else ""
    lines = tabs(columns, f"1|one{label}", f"2|{cell}{label}", f"3|three{label}", f"4|{cell}{label}")
    file = written(tmp_path, *lines, name="a.tsv")
    assert [document.text for document in read_documents(file, "table")] == ["one", cell, "three", cell]


def test_a_lone_quote_in_the_first_row_of_tsv(tmp_path: Path) -> None:
    file = written(tmp_path, *tabs("text|label", '"no fever|well', "fever|ill", 'a "lone|ill'), name="a.tsv")
    assert [(d.text, d.labels) for d in read_documents(file, "table")] == [
        ('"no fever', ("well",)),
        ("fever", ("ill",)),
        ('a "lone', ("ill",)),
    ]


def test_quoted_tsv_stays_quoted(tmp_path: Path) -> None:
    note = "Labs:\nNa\t140\nK\t4.1\n"
    lines = tabs("id|text", "1|one", '2|"tab\tand ""quote"""', f'3|"{note}"', '4|"four"')
    file = written(tmp_path, *lines, name="a.tsv")
    assert [document.text for document in read_documents(file, "table")] == [
        "one",
        'tab\tand "quote"',
        note,
        "four",
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("line", ['"' * 9 + ",", 'a,"b', 'a,"b""', '"a"b,c', 'x\t"y'])
def test_a_file_of_nothing_but_quotes_takes_no_time(name: str, line: str, tmp_path: Path) -> None:
    file = written(
        tmp_path, "id,text".replace(",", "\t" if name == "a.tsv" else ","), *[line] * 10_000, name=name
    )
    start = time.process_time()
    read(file)
    assert time.process_time() - start < 3
