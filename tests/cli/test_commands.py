"""The command line: exit codes, one line for a mistake, JSON when asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from longbio.artifacts.locks import hold_lock
from longbio.cli import main
from longbio.corpus.records import Document, Span
from tests.corpus_splits import read_splits


def run(arguments: list[str], capsys, monkeypatch) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["longbio", *arguments])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def convert_arguments(source: Path, out: Path, *more: str) -> list[str]:
    sizes = ["--max-tokens", "128", "--window", "16", "--no-verify"]
    return ["convert", str(source), str(out), *sizes, *more]


def test_convert_writes_a_folder_and_does_nothing_the_second_time(
    tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    code, out, _ = run(convert_arguments(tiny_bert_folder, tmp_path / "long"), capsys, monkeypatch)
    assert code == 0
    assert "is written, not verified" in out
    before = (tmp_path / "long" / "model.safetensors").stat().st_mtime_ns
    code, out, _ = run(convert_arguments(tiny_bert_folder, tmp_path / "long"), capsys, monkeypatch)
    assert code == 0
    assert "already" in out
    assert (tmp_path / "long" / "model.safetensors").stat().st_mtime_ns == before


def test_convert_as_json(tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    arguments = convert_arguments(tiny_bert_folder, tmp_path / "long", "--json")
    code, out, _ = run(arguments, capsys, monkeypatch)
    assert code == 0
    assert json.loads(out)["settings"]["max_tokens"] == 128


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--window", "15"], "even"),
        (["--window", "512"], "--max-tokens"),
        (["--to", "bigbird", "--block", "64"], "full attention"),
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--to", "foo"], "--to: 'foo' can't be used; choose longformer or bigbird"),
        (["--positions", "foo"], "--positions: 'foo' can't be used; choose tile or interpolate"),
        (["--kernel", "foo"], "kernel: there is no kernel 'foo'; the kernels are auto, reference"),
        pytest.param(
            ["--kernel", "flash"],
            "kernel: kernel 'flash' can't run here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there it runs"),
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    arguments: list[str], words: str, tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    asked = convert_arguments(tiny_bert_folder, tmp_path / "long", *arguments)
    code, _, err = run(asked, capsys, monkeypatch)
    assert code == 1
    assert err.startswith("longbio: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_code_2(capsys, monkeypatch) -> None:
    assert run(["convert"], capsys, monkeypatch)[0] == 2
    assert run(["nonsense"], capsys, monkeypatch)[0] == 2
    assert run(["convert", "a", "b", "--target", "mamba"], capsys, monkeypatch)[0] == 2


def test_doctor_names_kernels(capsys, monkeypatch) -> None:
    code, out, _ = run(["doctor", "--json"], capsys, monkeypatch)
    assert code == 0
    found = json.loads(out)
    assert list(found["kernels"]) == ["reference", "blocked", "flex", "flash", "xformers"]
    assert found["kernels"]["blocked"] == dict.fromkeys(found["auto"])
    code, out, _ = run(["doctor"], capsys, monkeypatch)
    assert code == 0
    assert all(name in out for name in [*found["kernels"], "stock", *found["auto"].values()])


def tagger(source: Path, documents: list[Document], out: Path) -> None:
    """A random model with a head for the entity types of some documents."""
    from transformers import AutoTokenizer

    from longbio.encoders.loading import load
    from longbio.tasks.tags import Labels

    names = Labels.of(documents).names()
    model = load(source, "ner", id2label=names, label2id={v: k for k, v in names.items()})
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(source).save_pretrained(out)


def test_synthesize_predict_evaluate(tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, _, _ = run(["synthesize", str(tmp_path / "notes"), "--notes", "2"], capsys, monkeypatch)
    assert code == 0
    splits = read_splits(tmp_path / "notes")
    assert {name: len(documents) for name, documents in splits.items()} == {"train": 2, "dev": 1, "test": 1}

    tagger(tiny_bert_folder, splits["train"], tmp_path / "ner")
    test, found = tmp_path / "notes" / "test", tmp_path / "found"
    asked = ["predict", str(tmp_path / "ner"), str(test), "--out", str(found), "--format", "brat"]
    code, out, _ = run(asked, capsys, monkeypatch)
    assert code == 0
    assert (found / f"{splits['test'][0].id}.ann").is_file()
    code, out, _ = run([*asked, "--json"], capsys, monkeypatch)
    assert code == 0
    assert json.loads(out)["finished_before"]
    scored = tmp_path / "scored"
    code, out, _ = run(
        ["evaluate", str(tmp_path / "ner"), str(test), "--out", str(scored), "--json"], capsys, monkeypatch
    )
    assert code == 0
    scores = json.loads(out)
    micro = scores["scores"]["strict"]["micro"]
    assert micro["correct"] + micro["incorrect"] + micro["missed"] == len(splits["test"][0].spans)
    assert json.loads((scored / "scores.json").read_text()) == scores


def test_two_dont_synthesize_into_one_folder(tmp_path: Path, capsys, monkeypatch) -> None:
    with hold_lock(tmp_path / "notes"):
        code, _, told = run(["synthesize", str(tmp_path / "notes"), "--notes", "1"], capsys, monkeypatch)
    assert code == 1
    assert "another process is writing there" in told


def test_predict_tells_of_notes_that_failed(
    tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    tagger(tiny_bert_folder, [Document("a", "x", (Span.of(0, 1, "Drug"),))], tmp_path / "ner")
    notes, out = tmp_path / "notes.csv", tmp_path / "out"
    notes.write_text("MRN,NOTE\n1,the drug\n2,Mr,Secret\n3,a drug\n")
    asked = ["predict", str(tmp_path / "ner"), str(notes), "--out", str(out)]
    columns = ["--column", "id=MRN", "--column", "text=NOTE"]
    code, _, err = run([*asked, *columns], capsys, monkeypatch)
    assert code == 1
    assert "line 3 can't be read (it has not as many cells" in err
    for _ in range(2):
        code, _, err = run([*asked, *columns, "--on-error", "skip"], capsys, monkeypatch)
        assert code == 1
        assert err == f"longbio: {out / 'failed.jsonl'}: 1 of 3 notes failed; what could be read is done\n"
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 2
    assert "Secret" not in (out / "failed.jsonl").read_text() + err

    code, _, err = run([*asked, "--column", "NOTE"], capsys, monkeypatch)
    assert code == 1
    assert "FIELD=COLUMN" in err
    code, _, err = run([*asked, "--questions", str(notes)], capsys, monkeypatch)
    assert code == 1
    assert "a model of ner takes no questions" in err
    assert run([*asked, "--format", "docx"], capsys, monkeypatch)[0] == 2
    assert run([*asked, "--on-error", "cry"], capsys, monkeypatch)[0] == 2
    assert run([*asked, "--processes", "0"], capsys, monkeypatch)[0] == 2


def test_predict_calibrates_on_labelled_documents(
    tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    dev, notes = tmp_path / "dev", tmp_path / "a.txt"
    dev.mkdir()
    (dev / "d.txt").write_text("the drug")
    (dev / "d.ann").write_text("T1\tDrug 4 8\tdrug\n")
    notes.write_text("the drug")
    tagger(tiny_bert_folder, [Document("a", "x", (Span.of(0, 1, "Drug"),))], tmp_path / "ner")
    asked = ["predict", str(tmp_path / "ner"), str(notes), "--out", str(tmp_path / "out")]
    code, out, err = run([*asked, "--calibrate", str(dev), "--json"], capsys, monkeypatch)
    assert code == 0, err
    result = json.loads(out)
    assert 0.05 <= result["temperature"] <= 20
    assert result["temperature"] != 1
    code, _, err = run([*asked, "--calibrate", str(notes)], capsys, monkeypatch)
    assert code == 1
    assert f"{notes}: none of the 1 documents, read as text, has a mention" in err
    assert (result["notes"], result["failed"]) == (1, 0)


def test_finetune_and_evaluate(tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    for split in ("train", "dev", "test"):
        rows = "".join(f"the patient has {n % 2}\tc{n % 2}\n" for n in range(8))
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{rows}")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"task: {{kind: classification}}\nmodel: {tiny_bert_folder}\nout: {tmp_path / 'run'}\n"
        "data: {path: elsewhere}\nrecipe: {learning_rate: 1e-3, batch: 4, max_steps: 2}\n"
    )
    asked = ["finetune", str(plan), "--data", str(tmp_path), "--set", "seeds=[1]"]
    code, out, err = run([*asked, "--json"], capsys, monkeypatch)
    assert code == 0, err
    results = json.loads(out)
    assert [each["seed"] for each in results["runs"]] == [1]
    code, out, _ = run(asked, capsys, monkeypatch)
    assert "one seed: no spread" in out

    model, scored = tmp_path / "run" / "seed-1" / "model", tmp_path / "scored"
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "note.txt").write_text("the patient")
    bare = ["evaluate", str(model), str(tmp_path / "bare"), "--out", str(scored)]
    code, _, err = run(bare, capsys, monkeypatch)
    assert code == 1
    assert "none of the 1 documents, read as text, has a label that is learned" in err
    assert not scored.exists()
    again = ["evaluate", str(model), str(tmp_path / "test.tsv"), "--out", str(scored), "--json"]
    code, out, err = run([*again, "--task", "classification"], capsys, monkeypatch)
    assert code == 0, err
    assert json.loads(out)["scores"] == results["runs"][0]["test"]["scores"]
    assert json.loads(out)["data"]["passed_over"] == {}
    code, _, err = run([*again, "--task", "qa"], capsys, monkeypatch)
    assert code == 1
    assert "fine-tuned for classification, not qa" in err
    code, _, err = run([*again, "--column", "labels"], capsys, monkeypatch)
    assert code == 1
    assert "a column is named as FIELD=COLUMN" in err
    code, _, err = run([*asked, "--set", "recipe.lerning_rate=1"], capsys, monkeypatch)
    assert code == 1
    assert "did you mean learning_rate?" in err


def test_words_are_mined_extended_and_compared(
    tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    AutoModelForMaskedLM.from_pretrained(tiny_bert_folder).save_pretrained(tmp_path / "mlm")
    AutoTokenizer.from_pretrained(tiny_bert_folder).save_pretrained(tmp_path / "mlm")
    code, _, _ = run(["synthesize", str(tmp_path / "notes"), "--notes", "5"], capsys, monkeypatch)
    model, notes, unseen = (str(tmp_path / name) for name in ("mlm", "notes/train", "notes/test"))
    terms = str(tmp_path / "terms.jsonl")
    asked = ["vocab", "mine", model, notes, "--size", "20", "--min-documents", "2", "--out", terms]
    code, out, _ = run(asked, capsys, monkeypatch)
    assert code == 0
    assert "Names of people" in out
    assert len(Path(terms).read_text().splitlines()) == 20
    code, _, err = run(asked, capsys, monkeypatch)
    assert code == 1
    assert "it is there already" in err
    code, _, err = run([*asked[:-1], str(tmp_path / "nowhere" / "terms.jsonl")], capsys, monkeypatch)
    assert "its folder is not there" in err
    (tmp_path / "odd.txt").write_text("[/x]\n[bold]\nwarfarinx\n")
    asked = ["vocab", "extend", model, str(tmp_path / "odd"), "--terms", str(tmp_path / "odd.txt")]
    code, out, _ = run(asked, capsys, monkeypatch)
    assert code == 0
    assert "[/x], [bold]" in out

    given = ["--terms", terms, "--corpus", notes, "--contexts", "2"]
    asked = ["vocab", "extend", model, str(tmp_path / "more"), *given, "--layers", "0,1", "--json"]
    code, out, _ = run(asked, capsys, monkeypatch)
    assert code == 0
    report = json.loads(out)
    assert len(report["pieces"]) == 20
    assert report["corpus"]["tokens_after"] < report["corpus"]["tokens_before"]
    assert len(AutoTokenizer.from_pretrained(tmp_path / "more")) == report["old_tokens"] + 20 - 1

    few = ["--methods", "mean", "--seeds", "1", "--steps", "1", "--held-out", "4"]
    same = ["vocab", "compare", model, str(tmp_path / "run"), *given, "--unseen", notes, *few]
    code, _, err = run(same, capsys, monkeypatch)
    assert code == 1
    assert "used for learning and for measuring" in err
    asked = ["vocab", "compare", model, str(tmp_path / "run"), *given, "--unseen", unseen, *few]
    code, out, err = run(asked, capsys, monkeypatch)
    assert code == 0, err
    assert "unextended" in out
    code, _, err = run([*asked, "--methods", "magic"], capsys, monkeypatch)
    assert code == 1
    assert "no method 'magic'" in err


def test_no_note_text_in_an_error(tmp_path: Path, tiny_bert_folder: Path, capsys, monkeypatch) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("Mr Secret has nothing.")
    (notes / "a.ann").write_text("T1\tPerson 0 x\tMr Public\n")
    tagger(tiny_bert_folder, [Document("a", "x", (Span.of(0, 1, "Drug"),))], tmp_path / "ner")
    asked = ["predict", str(tmp_path / "ner"), str(notes), "--out", str(tmp_path / "out")]
    code, _, err = run(asked, capsys, monkeypatch)
    assert code == 1
    assert "a.ann" in err
    assert "Secret" not in err
    assert "Public" not in err


def test_importing_longbio_is_quick_and_loads_no_torch() -> None:
    code = "import sys, longbio; assert 'torch' not in sys.modules; print(longbio.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_benchmark_as_a_command(tiny_bert_folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """A cell in a process of its own; one that can't run makes exit code 1 and stops nothing."""
    for split in ("train", "dev", "test"):
        rows = "".join(f"the patient has {n % 2}\tc{n % 2}\n" for n in range(8))
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{rows}")
    (tmp_path / "plan.yaml").write_text(
        "task: {kind: classification}\nmodel: NONE\nout: NOWHERE\ndata: {path: NOWHERE}\n"
        "recipe: {learning_rate: 1e-3, batch: 4, max_steps: 2}\n"
    )
    suite, out = tmp_path / "suite.yaml", tmp_path / "out"
    suite.write_text(
        f"title: Tiny\nout: {out}\nmodels: {{tiny: {tiny_bert_folder}, lost: nowhere/at/all}}\n"
        "baseline: tiny\ntasks: [{name: classes, config: plan.yaml}]\n"
    )
    asked = ["benchmark", str(suite), "--data", str(tmp_path)]
    code, said, err = run([*asked, "--arm", "tiny", "--json"], capsys, monkeypatch)
    assert code == 0, err
    assert json.loads(said) == json.loads((out / "results.json").read_text())
    assert [arm["name"] for arm in json.loads(said)["tasks"][0]["arms"]] == ["tiny"]
    code, said, err = run(asked, capsys, monkeypatch)
    assert code == 1
    assert "nowhere/at/all" in said
    assert "✗ compare: 1 of 2 cells are finished, 1 failed" in said
    assert not any("✓" in line and "fail" in line for line in said.splitlines())
    assert (out / "report.html").is_file()
    code, _, err = run([*asked, "--arm", "tinny"], capsys, monkeypatch)
    assert code == 1
    assert err.strip() == "longbio: --arm: there is no 'tinny'; did you mean 'tiny'?"
