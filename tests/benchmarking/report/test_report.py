"""The report says what the numbers allow and nothing else, in three formats, whatever names hold."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.benchmarking import report
from longbio.benchmarking import report_tables as tables
from longbio.benchmarking import report_words as words
from longbio.benchmarking.figures import PALETTE, looks, smooth
from longbio.corpus.records import Document, Question, Span

Results = dict[str, Any]


class Page(HTMLParser):
    """Its tags with their attributes, and its text without style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """With one space between words."""
        return " ".join(" ".join(self.pieces).split())


def against(difference: float, low: float, high: float, p_holm: float | None) -> dict[str, float | None]:
    return {"difference": difference, "low": low, "high": high, "p": p_holm, "p_holm": p_holm}


def written(
    results: Results, folder: Path, examples: list[report.Example] | None = None
) -> tuple[str, str, str]:
    report.write(folder, results, examples)
    return read(folder)


def read(folder: Path) -> tuple[str, str, str]:
    html, md, table = ((folder / f"report.{ending}").read_text() for ending in ("html", "md", "csv"))
    return html, md, table


def without_charts(results: Results) -> Results:
    """Which take most of the time."""
    nothing = {"by_length": [], "by_position": None, "losses": [], "reliability": None}
    for task in results["tasks"]:
        task["arms"] = [arm | nothing for arm in task["arms"]]
    return results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sample: Results) -> Path:
    """With the report of the sample."""
    out = tmp_path_factory.mktemp("report")
    report.write(out, sample)
    return out


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "expected"),
    [
        (0.012, 0.050, 0.004, "better"),
        (-0.050, -0.012, 0.004, "worse"),
        (0.012, 0.050, 0.05, "unclear"),
        (0.0, 0.050, 0.001, "unclear"),
        (-0.050, 0.0, 0.001, "unclear"),
        (-0.01, 0.05, 0.001, "unclear"),
        (0.012, 0.050, None, "unclear"),
        (None, None, 0.001, "unclear"),
    ],
)
def test_clear_is_what_the_interval_and_p_both_say(
    low: float | None, high: float | None, p_holm: float | None, expected: str
) -> None:
    found = {"difference": 0.03, "low": low, "high": high, "p": p_holm, "p_holm": p_holm}
    assert words.verdict(found) == expected


@pytest.mark.parametrize(
    ("found", "said", "cell"),
    [
        (
            {"low": 0.01, "high": 0.06, "p": 0.25, "p_holm": 0.25, "units": 3, "over": "documents"},
            "the interval leaves out zero, but with 3 documents no p can be below 0.25",
            "not told apart by 3 documents",
        ),
        (
            {"low": -0.06, "high": -0.01, "p": 0.0625, "p_holm": 0.1875, "units": 5, "over": "groups"},
            "the interval leaves out zero, but with 5 groups no p can be below 0.0625",
            "not told apart by 5 groups",
        ),
        (
            {"low": 0.01, "high": 0.06, "p": 0.02, "p_holm": 0.06, "units": 12, "over": "documents"},
            "the interval leaves out zero, but p is below 0.05 only before Holm's correction over the tasks",
            "not told apart: interval and p differ",
        ),
        (
            {"low": 0.01, "high": 0.06, "p": 0.07, "p_holm": 0.07, "units": 12, "over": "documents"},
            "the interval leaves out zero, but p isn't below 0.05: models that are alike may differ as much",
            "not told apart: interval and p differ",
        ),
        (
            {"low": -0.01, "high": 0.06, "p": 0.01, "p_holm": 0.02, "units": 12, "over": "documents"},
            "p is below 0.05, but the interval holds zero",
            "not told apart: interval and p differ",
        ),
        (
            {"low": -0.01, "high": 0.06, "p": 0.5, "p_holm": 1.0, "units": 3, "over": "documents"},
            None,
            "not told apart",
        ),
        (
            {"low": 0.01, "high": 0.06, "p": 0.01, "p_holm": 0.01, "units": 9, "over": "documents"},
            None,
            "better",
        ),
    ],
)
def test_where_interval_and_p_differ_it_is_said_why(
    found: dict[str, Any], said: str | None, cell: str, results: Results
) -> None:
    """Three documents can't reach p < 0.25, whatever they say."""
    task = results["tasks"][0]
    task["arms"][1]["against_baseline"] = {"difference": 0.03, **found}
    sentence = words.sentence(task["arms"][1], task, results)
    assert words.doubt(task["arms"][1]["against_baseline"]) == said
    assert said is None or f" after Holm, {said}" in sentence
    assert tables.overview(results).rows[1][1].endswith(f", {cell})")


def test_few_patients_are_said_where_documents_are_many(results: Results) -> None:
    task = results["tasks"][0]
    task["documents"]["test"] = 500
    arm = task["arms"][1]
    arm["against_baseline"] = arm["against_baseline"] | {"units": 4, "over": "groups"}
    few = next(said for said in words.limits(results) if said.startswith("Few test documents"))
    assert "CRAFT (4 groups), COVID-QA (12 documents)" in few


def test_a_score_has_its_own_interval_beside_it(results: Results) -> None:
    task = results["tasks"][0]
    task["arms"][0]["interval"] = {"value": 0.7, "low": 0.64, "high": 0.75, "over": "groups", "units": 9}
    table = tables.arms_table(task, results)
    assert table.header[1] == "entity F1, mean ± sd [95%]"
    assert table.rows[0][1].endswith(" [64.0, 75.0]")
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(results))))
    assert (rows[0]["score_low"], rows[0]["score_high"]) == ("0.64", "0.75")


def test_sentences_are_these(results: Results) -> None:
    assert words.answers(results)[:2] == [
        (
            "CRAFT",
            "longformer beats 512-token chunks by 3.1 points of entity F1 [1.2, 5.0], p = 0.004 after Holm,"
            " at 1.2× the cost.",
        ),
        (
            "COVID-QA",
            "longformer loses to 512-token chunks by 2.4 points of F1 [0.7, 4.1], p < 0.001 after Holm,"
            " at 1.2× the cost.",
        ),
    ]
    assert words.answers(results)[2][1] == (
        "longformer and 512-token chunks can't be told apart: +0.6 points of macro F1 [−1.4, 2.6],"
        " p = 1.00 after Holm, at 1.2× the cost."
    )


def test_a_sentence_says_what_is_missing(results: Results) -> None:
    task = results["tasks"][2]
    collapsed = next(arm for arm in task["arms"] if arm["collapsed"])
    assert words.sentence(collapsed, task, results).endswith(
        "p = 0.004 after Holm (the healed Longformer's weights on chunks of 512 tokens, merged:"
        " 1 of 3 seeds collapsed)."
    ), "its training wasn't timed, so nothing is said of its cost"
    bigbird = next(arm for arm in task["arms"] if arm["name"] == "bigbird")
    assert words.sentence(bigbird, task, results) == (
        "bigbird was not compared with 512-token chunks: 55.0 macro F1."
    )
    task["arms"] = [bigbird]
    assert words.answers(results)[2][1] == (
        "bigbird was not compared with 512-token chunks, which has no result here: 55.0 macro F1."
    )


shares = st.floats(-1, 1, allow_nan=False)


@settings(max_examples=300, deadline=None)
@given(difference=shares, ends=st.tuples(shares, shares), p=st.floats(0, 1))
def test_nobody_beats_anybody_by_chance(difference: float, ends: tuple[float, float], p: float) -> None:
    low, high = sorted(ends)
    arm = {"name": "long", "mean": 0.5, "seeds": [0], "collapsed": 0}
    arm |= {"cost": {"training_seconds": 1.0, "prediction_seconds": 1.0}}
    task = {"name": "t", "measure": "F1", "arms": [arm | {"name": "chunks"}, arm]}
    arm["against_baseline"] = against(difference, low, high, p)
    said = words.sentence(arm, task, {"baseline": "chunks"})
    is_clear = p < 0.05 and (low > 0 or high < 0)
    assert ("can't be told apart" in said) is not is_clear
    assert bool(re.search(" beats | loses to ", said)) is is_clear
    shown_p = re.search(r"p (=|<) ([\d.]+)", said)
    assert shown_p is not None
    assert (p < 0.05) == (float(shown_p[2]) < 0.05), "rounding doesn't carry p over the border"


@pytest.mark.parametrize(
    ("value", "signed", "expected"),
    [
        (0.0312, False, "3.1"),
        (-0.0312, False, "−3.1"),
        (0.0312, True, "+3.1"),
        (0.0004, False, "0.04"),
        (-0.00004, False, "−0.004"),
        (0.0, True, "0.0"),
        (-1e-9, True, "0.000"),
        (0.706, False, "70.6"),
        (None, True, "–"),
    ],
)
def test_scores_are_hundredths_with_one_decimal(value: float | None, signed: bool, expected: str) -> None:
    assert words.points(value, signed=signed) == expected


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0004, "p < 0.001"),
        (0.0494, "p = 0.049"),
        (0.0496, "p = 0.0496"),
        (0.04999999, "p = 0.0499"),
        (0.05, "p = 0.050"),
        (0.2345, "p = 0.23"),
        (None, "no p-value"),
    ],
)
def test_p_keeps_its_side_of_the_border(p: float | None, expected: str) -> None:
    assert words.chance(p) == expected


def test_whole_documents_come_first_whatever_their_place(results: Results) -> None:
    task = results["tasks"][0]
    task["arms"].reverse()
    assert [arm["name"] for arm in words.rivals(task, results)][:2] == ["bigbird", "longformer"]
    task["arms"][2]["recipe"]["max_tokens"] = 512
    assert task["arms"][2]["name"] == "bigbird"
    assert words.rivals(task, results)[0]["name"] == "longformer"


def test_the_cost_is_all_seconds_of_both(results: Results) -> None:
    long, chunks = results["tasks"][0]["arms"][1], results["tasks"][0]["arms"][0]
    long["cost"] |= {"training_seconds": 1300.0, "prediction_seconds": 100.0}
    chunks["cost"] |= {"training_seconds": 900.0, "prediction_seconds": 100.0}
    assert words.cost_ratio(long, chunks) == "1.4×"
    chunks["cost"]["prediction_seconds"] = None
    assert words.cost_ratio(long, chunks) is None


def test_all_three_files_hold_the_same(results: Results, folder: Path) -> None:
    html, md, table = read(folder)
    text = Page(html).text
    plain_md = re.sub(r"\\([\\`*<&])", r"\1", md)
    for task, said in words.answers(results):
        assert f"{task}: {said}" in text
        assert f"**{task}**: {said}" in plain_md
    for said in words.limits(results):
        assert said in text
        assert said in plain_md
    failure = results["failed"][0]["what"]
    assert f"COVID-QA, bigbird: {failure}" in text
    assert f"COVID-QA, bigbird: {failure}" in plain_md

    lines = list(csv.DictReader(io.StringIO(table)))
    scores = [
        (task["name"], arm["name"], str(seed), score)
        for task in results["tasks"]
        for arm in task["arms"]
        for seed, score in zip(arm["seeds"], arm["scores"], strict=True)
    ]
    assert len(scores) == 42
    assert [
        (line["task"], line["arm"], line["seed"], float(line["score"]))
        for line in lines
        if not line["failed"]
    ] == scores
    assert [(line["task"], line["arm"], line["failed"]) for line in lines if line["failed"]] == [
        ("COVID-QA", "bigbird", failure)
    ]
    long = next(line for line in lines if line["arm"] == "longformer")
    assert float(long["p_holm"]) == 0.004
    assert float(long["peak_memory_mb"]) == 2800
    assert float(long["score_4096_up"]) == results["tasks"][0]["arms"][1]["by_length"][-1]["main"]
    assert float(long["last_loss"]) == results["tasks"][0]["arms"][1]["losses"][0][-1]


def test_markdown_has_no_markup_of_names(folder: Path) -> None:
    shown = [line for line in read(folder)[1].splitlines() if not line.startswith("    ")]
    awkward = [line for line in shown if "script" in line]
    assert len(awkward) > 20
    assert not [
        line for line in awkward if re.search(r"(?<!\\)(</?script|[`*]c?[`*])", line.replace("**", ""))
    ]


def test_an_arm_that_can_not_be_compared_keeps_its_line(results: Results, tmp_path: Path) -> None:
    results["failed"].append(
        {"task": "CRAFT", "arm": results["tasks"][0]["arms"][4]["name"], "what": "other documents"}
    )
    html = written(without_charts(results), tmp_path)[0]
    assert f"CRAFT, {results['failed'][1]['arm']}: other documents" in Page(html).text
    names = [row[0] for row in tables.arms_table(results["tasks"][0], results).rows]
    assert names == [arm["name"] for arm in results["tasks"][0]["arms"]]


def test_every_number_of_the_tables_stands_in_markdown(folder: Path) -> None:
    md = read(folder)[1]
    rows = [line for line in md.splitlines() if line.startswith("| longformer |")]
    assert (
        "| 73.1 ± 1.9 | 71.1 | 0 of 3 | +3.1 [1.2, 5.0] | 0.004 | 1.2× | 18 min + 84 s | 3,417 | 2.8 GB |"
        in rows[1]
    )
    assert "| 2,048–4,096 | 15 | 61.0 | 67.1 |" in md
    assert "| 4,096+ | 180 | 50.0 | 63.1 |" in md
    assert (
        "| minilm-longformer | 400 | rate 0.0001, batch 16 | lr0.0001-batch16-epochs3: 70.0; lr0.0003-" in md
    )


def test_the_page_fetches_nothing_and_runs_nothing(results: Results, folder: Path) -> None:
    html = read(folder)[0]
    tags = Page(html).tags
    assert not {tag for tag, _ in tags} & {
        "script",
        "iframe",
        "img",
        "object",
        "embed",
        "audio",
        "video",
        "base",
    }
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#") or attributes[name] == "data:,"
    assert not re.search(r"@import|url\((?!#)", html)
    assert results["title"] in Page(html).text


def test_drawings_have_names_and_ids_of_their_own(folder: Path) -> None:
    html = read(folder)[0]
    tags = Page(html).tags
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    spoken = [each["aria-label"] for each in drawings if each.get("role") == "img"]
    assert len(spoken) == 4 + 4 + 3, "answers have no positions in classification"
    assert len(spoken) + sum(each.get("aria-hidden") == "true" for each in drawings) == len(drawings)
    assert "longformer: 73.1 at < 512 tokens, 65.1 at 4,096+." in spoken[0]
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', html))
    assert used
    assert {a or b for a, b in used} <= set(ids)
    assert not re.search(r"#00fe", html), "every colour is the page's"


def test_the_same_results_give_the_same_bytes(results: Results, folder: Path, tmp_path: Path) -> None:
    assert written(results, tmp_path) == read(folder)


def test_one_seed_and_few_documents_are_called_so(results: Results) -> None:
    results["seeds"] = [0]
    said = " ".join(words.limits(results))
    assert "There was one seed." in said
    assert "COVID-QA (12 documents)" in said
    assert "CRAFT (" not in said
    assert "Not all arms had the same" not in said
    results["tasks"][0]["arms"][2]["steps"] = 100
    assert "as many settings tried: CRAFT." in " ".join(words.limits(results))


def test_a_task_that_nobody_learned_says_so_first(results: Results) -> None:
    task = results["tasks"][0]
    assert words.unlearned(task) is None
    for arm, mean in zip(task["arms"], (0.011, 0.002, 0.065, 0.0, 0.004), strict=True):
        arm["mean"] = mean
    best = task["arms"][2]["name"]
    said = dict(words.answers(results))[task["name"]]
    assert said.startswith("No arm learned this task, so differences say little: the best, ")
    assert f", {best}, has 6.5 {task['measure']}. " in said
    task["arms"][2]["mean"] = 0.1
    assert words.unlearned(task) is None
    task["arms"][2]["collapsed"] = 2
    assert words.unlearned(task) is None, "one of three seeds stood"
    task["arms"][2]["collapsed"] = 3
    assert words.unlearned(task) is not None


def test_what_has_not_run_is_named(results: Results, tmp_path: Path) -> None:
    assert words.unfinished(results) is None, "a cell that failed isn't one that is open"
    del results["tasks"][0]["arms"][1]
    assert words.unfinished(results) == "CRAFT (longformer)"
    assert "Not finished: CRAFT (longformer)." in Page(written(without_charts(results), tmp_path)[0]).text


def test_it_is_written_when_everything_failed_and_when_nothing_was_measured(
    results: Results, tmp_path: Path
) -> None:
    unmeasured = {"tried": [], "cost": dict.fromkeys(results["tasks"][0]["arms"][0]["cost"])}
    unmeasured |= {"standard_deviation": None, "seeds": [0], "scores": [0.5], "recipe": {}}
    results["tasks"] = without_charts(results)["tasks"][:1]
    results["tasks"][0]["arms"] = [arm | unmeasured for arm in results["tasks"][0]["arms"][:2]]
    html = written(results, tmp_path)[0]
    assert "<svg role" not in html
    assert "None" not in Page(html).text
    assert "nan" not in Page(html).text
    results["tasks"] = []
    text = Page(written(results, tmp_path)[0]).text
    assert "Failed: 1 run" in text


def test_one_length_for_all_is_no_curve(results: Results) -> None:
    task = results["tasks"][0]
    assert len(tables.ranges_table(task, "by_length").rows) == 5
    for arm in task["arms"]:
        arm["by_length"] = arm["by_length"][:1]
    assert tables.ranges_table(task, "by_length") is None


def test_settings_are_said_in_words(results: Results) -> None:
    results["tasks"][0]["arms"][0]["recipe"] |= {"epochs": 100.0, "max_steps": 1500}
    assert tables.tried_table(results["tasks"][0]).rows[0][3] == (
        "rate 0.0001, batch 16, 100 epochs, at most 1,500 steps"
    )


def test_the_overview_grows_downwards(results: Results) -> None:
    for task in results["tasks"]:
        task["arms"] = task["arms"][:2]
    table = tables.overview(results)
    assert table.header == ("task", "512-token chunks (baseline)", "longformer")
    assert table.rows[1] == ("COVID-QA, F1", "38.0", "35.6 (−2.4, worse)")


def test_models_made_first_have_a_table_and_curves(results: Results, tmp_path: Path) -> None:
    phases = [{"name": "p", "bits_before": {"512": 8.74}, "bits_after": {"512": 5.5}}]
    made = {"start": "start", "new_words": None, "steps": 200, "phases": phases, "target_bits": 4.0}
    made |= {"bits": np.linspace(8, 4, 200).tolist(), "steps_to_target": None}
    results["pretraining"] = [made | {"name": "scratch"}, made | {"name": "new", "new_words": "mean"}]
    results["pretraining"][1]["steps_to_target"] = 1234
    html, md, _ = written(without_charts(results), tmp_path)
    assert "| scratch | start | 200 | 8.74 → 5.50 | not reached |" in md
    assert "| new | start, new words by mean | 200 | 8.74 → 5.50 | 1,234 |" in md
    assert "Models made first" in Page(html).text
    spoken = [attributes.get("aria-label") or "" for tag, attributes in Page(html).tags if tag == "svg"]
    assert any("scratch: from 7.98 to 4.01." in said for said in spoken)


def test_the_score_over_tasks_stands_with_the_answers(results: Results, tmp_path: Path) -> None:
    results["score"] = {"name": "BLURB score", "arms": {"longformer": 0.8123, "bigbird": 0.8}}
    html, md, _ = written(without_charts(results), tmp_path)
    assert "BLURB score: longformer 81.2, bigbird 80.0." in Page(html).text
    overview = md[md.index("## Overview") : md.index("## CRAFT")]
    assert (
        "| longformer | 73.1 (+3.1, better) | 35.6 (−2.4, worse) | 55.6 (+0.6, not told apart) | 81.2 |"
        in overview
    )
    assert "| bigbird | 67.6 (−2.4, worse) | failed | 55.0 | 80.0 |" in overview


MARK = r'<mark class="(\w+) t\d"[^>]*>(.*?)<sup>'
NOTE = "Given <b>aspirin</b> & ibuprofen daily."
GOLD = Document("note-1", NOTE, spans=(Span.of(9, 16, "Drug"), Span.of(23, 32, "Drug")))
FOUND = Document("note-1", NOTE, spans=(Span.of(9, 16, "Drug"), Span.of(33, 38, "Dosage")))


def test_mentions_are_shown_side_by_side(results: Results, tmp_path: Path) -> None:
    html = written(without_charts(results), tmp_path, [("CRAFT", GOLD, {"longformer": FOUND})])[0]
    true, long = re.findall(r'<pre class="note"[^>]*>(.*?)</pre>', html, re.DOTALL)
    assert re.findall(MARK, true) == [("hit", "aspirin"), ("hit", "ibuprofen")]
    assert re.findall(MARK, long) == [("hit", "aspirin"), ("missed", "ibuprofen"), ("wrong", "daily")]
    assert "Given &lt;b&gt;" in long


def test_answers_and_classes_are_shown_in_a_table(results: Results, tmp_path: Path) -> None:
    text = "It spread in Wuhan in 2019."
    asked = Document("paper", text, questions=(Question("q", "Where & when?", ((13, 18),)),))
    answered = Document("paper", text, questions=(Question("q", "Where & when?", ((22, 26),)),))
    judged = Document("trial", text, labels=("increased",))
    examples: list[report.Example] = [
        ("COVID-QA", asked, {"longformer": answered, "bigbird": Document("paper", text)}),
        ("Evidence", judged, {"longformer": Document("trial", text, labels=("decreased",))}),
    ]
    page = Page(written(without_charts(results), tmp_path, examples)[0])
    assert "Where & when? Wuhan 2019 no answer" in page.text
    assert "the whole text increased decreased" in page.text


def test_without_examples_no_text_is_shown(results: Results, tmp_path: Path) -> None:
    html, md, table = written(without_charts(results), tmp_path)
    assert "No document's text is shown." in html
    assert "<mark" not in html
    html, md, table = written(without_charts(results), tmp_path, [("CRAFT", GOLD, {"longformer": FOUND})])
    assert "No document's text is shown." not in html
    assert "ibuprofen" in html
    assert "ibuprofen" not in md + table, "which have no room for it"


def test_losses_are_means_of_neighbours_and_seeds() -> None:
    xs, ys = smooth([[4.0, 2.0, 1.0], [2.0]])
    assert (list(xs), list(ys)) == ([1, 2, 3], [3.0, 2.0, 1.0])
    xs, ys = smooth([list(np.arange(800.0))])
    assert len(xs) == 80
    assert (xs[0], ys[0]) == (5.5, 4.5), "the mean of the first ten steps"
    assert smooth([]) == ((), ())


def luminance(colour: str) -> float:
    """Relative luminance by WCAG."""
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_lines_stand_out_from_both_pages() -> None:
    for on_white, on_black in PALETTE:
        assert (1 + 0.05) / (luminance(on_white) + 0.05) >= 4.5
        assert (luminance(on_black) + 0.05) / (luminance("#14181d") + 0.05) >= 4.5


def test_no_two_arms_look_alike() -> None:
    arms = [f"arm {n}" for n in range(30)]
    assert len(set(looks(arms, "arm 7").values())) == 30


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "–"), (0.42, "0.4 s"), (59.6, "60 s"), (720, "12 min"), (11_520, "3.2 h")],
)
def test_times_are_short(seconds: float | None, expected: str) -> None:
    assert tables.duration(seconds) == expected
