"""`longbio pretrain`: from files to checkpoints, and on from wherever it was killed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from PIL import Image

from longbio.artifacts import atomic_files
from longbio.artifacts.atomic_files import write_json
from longbio.artifacts.runs import RUN
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.loading import load, quiet
from longbio.errors import LongbioError
from longbio.pretraining import holding_out
from longbio.pretraining.curriculum import Curriculum
from longbio.pretraining.phase import training_settings
from longbio.pretraining.run import plan_of, pretrain
from longbio.settings import load_settings
from tests.commands import Command, begin

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"

PHASES = [
    {
        "name": "token",
        "sequence_tokens": 64,
        "batch_tokens": 128,
        "steps": 12,
        "learning_rate": 1e-2,
        "dropout": 0.1,
    },
    {
        "name": "word",
        "sequence_tokens": 128,
        "steps": 12,
        "learning_rate": 1e-2,
        "masking": {
            "strategy": "whole-word",
            "rate": {"start": 0.3, "end": 0.15},
            "corruption": {"mask": 1.0, "random": 0.0},
        },
    },
]


def notes(folder: Path, count: int = 120) -> Path:
    folder.mkdir(exist_ok=True)
    draw = random.Random(0)
    words = [
        "the",
        "patient",
        "takes",
        "drug",
        "daily",
        "and",
        "sleeps",
        "well;",
        "pain",
        "is",
        "worse",
        "at",
        "night,",
        "12",
        "mg",
    ]
    with (folder / "notes.jsonl").open("w") as file:
        for number in range(count):
            text = " ".join(draw.choices(words, k=draw.randint(1, 60)))
            file.write(json.dumps({"text": text, "patient": number // 2}) + "\n")
    return folder


def config(model: Path, tmp_path: Path, **changes) -> Path:
    settings = {
        "model": str(model),
        "out": str(tmp_path / "run"),
        "cache": str(tmp_path / "cache"),
        "corpora": {"notes": {"paths": [str(notes(tmp_path / "notes"))], "group_column": "patient"}},
        "validation": {"share": 0.2, "tokens": 2000, "lengths": [64, 128, 4096]},
        "phases": PHASES,
        "machine": {"save_steps": 3},
        "trackers": [],
    } | changes
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def metrics(run: Path) -> list[tuple[int, int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["phase"], line["step"], line["loss"]) for line in lines]


@pytest.fixture(scope="module")
def finished(tiny_long_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    pretrain(load_settings(Curriculum, config(tiny_long_folder, folder)))
    return folder / "run"


def test_every_phase_leaves_a_checkpoint_and_what_was_measured(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    first, second = results["phases"]
    assert set(first["bits_before"]) == {"64", "128"}
    assert first["bits_after"] == second["bits_before"]
    assert second["bits_after"]["128"] < first["bits_before"]["128"]
    corpus = results["corpora"]["notes"]
    assert corpus["documents"] == 120
    assert 0 < corpus["held_out"] < 60
    for name in ("v0.1-token", "v0.2-word"):
        assert load(finished / name, "mlm").config.model_type == "longformer"
        assert not (finished / f"{name}.training").exists()
    assert [(phase, step) for phase, step, _ in metrics(finished)] == [
        (phase, step) for phase in (1, 2) for step in range(1, 13)
    ]


def test_the_card_says_what_was_done_and_plain_transformers_loads_the_folder(finished: Path) -> None:
    card = (finished / "v0.2-word" / "README.md").read_text()
    assert "begun from `v0.1-token`" in card
    assert "whole-word" in card
    phase = json.loads((finished / "results.json").read_text())["phases"][1]
    before, after = phase["bits_before"]["128"], phase["bits_after"]["128"]
    assert phase["perplexity"]["128"] == pytest.approx(2**after)
    assert f"| 128 | {before:.3f} | {after:.3f} | {2**after:.1f} |" in card
    with quiet():
        model, info = transformers.AutoModelForMaskedLM.from_pretrained(
            finished / "v0.2-word", output_loading_info=True
        )
    assert not info["missing_keys"]
    assert type(model) is transformers.LongformerForMaskedLM


def test_metrics_say_rate_speed_and_padding(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["mask_rate"] for line in lines[:12]] == [0.15] * 12
    assert [lines[n]["mask_rate"] for n in (12, -1)] == pytest.approx([0.3, 0.15])
    for line in lines:
        assert line["tokens_per_second"] > 0
        assert line["peak_memory_mib"] > 0
        assert 0 <= line["padding"] < 0.1
        assert line["bits"] == pytest.approx(line["loss"] / 0.6931472)


def test_a_picture_of_the_curves_is_drawn(finished: Path) -> None:
    with Image.open(finished / "curves.png") as picture:
        assert picture.size == (1080, 720)
        assert len(picture.convert("RGB").getcolors(maxcolors=10**6)) > 50


def test_no_text_leaves_the_cache(finished: Path) -> None:
    for file in finished.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert b"sleeps well" not in data, file
            assert b"patient takes" not in data, file


def test_a_finished_run_does_nothing_and_another_is_refused(
    finished: Path, tiny_long_folder: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    file = finished.parent / "config.yaml"
    pretrain(load_settings(Curriculum, file, ["machine.save_steps=7"]))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")} == before
    with pytest.raises(LongbioError, match=r"another plan: phases\.0\.steps was 12 and is 13"):
        pretrain(load_settings(Curriculum, file, ["phases.0.steps=13"]))


@pytest.mark.parametrize("changed", ["model.safetensors", "tokenizer_config.json"])
def test_another_model_in_the_same_place_is_refused(
    changed: str, finished: Path, tiny_long_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    model = shutil.copytree(tiny_long_folder, tmp_path / "model")
    texts = shutil.copytree(finished.parent / "notes", tmp_path / "moved")
    asked = [f"model={model}", f"out={run}", f"corpora.notes.paths=[{texts}]"]
    # Moved, they are the same model and the same texts.
    config_file = finished.parent / "config.yaml"
    assert pretrain(load_settings(Curriculum, config_file, asked))["phases"]
    data = bytearray((model / changed).read_bytes())
    data[-1:] = bytes([data[-1] ^ 1]) if changed == "model.safetensors" else data[-1:] + b" "
    (model / changed).write_bytes(data)
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        pretrain(load_settings(Curriculum, config_file, asked))


def wait_for(condition: Callable[[], Any], command: Command) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert command.end(0) is None, command.said.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(
    finished: Path, tiny_long_folder: Path, tmp_path: Path
) -> None:
    file, run = config(tiny_long_folder, tmp_path), tmp_path / "run"
    moments = [
        lambda: list((run / "v0.1-token.training").glob("checkpoint-*/*")),  # while it saves
        lambda: (run / "metrics.jsonl").is_file() and len(metrics(run)) > 7,  # within a step
        lambda: (run / "v0.1-token").is_dir(),  # between phases
        lambda: metrics(run) and metrics(run)[-1][:2] >= (2, 8),
    ]
    draw = random.Random(str(time.time()))
    for moment in moments:
        command = begin(["pretrain", str(file)], tmp_path)
        wait_for(moment, command)
        time.sleep(draw.random() * 0.1)
        assert command.kill() == -signal.SIGKILL
    command = begin(["pretrain", str(file)], tmp_path)
    assert command.end() == 0, command.said.read_text()
    assert [m[:2] for m in metrics(run)] == [m[:2] for m in metrics(finished)]
    losses, undisturbed = ([m[2] for m in metrics(folder)] for folder in (run, finished))
    assert losses == pytest.approx(undisturbed, abs=1e-6)
    one, other = (json.loads((f / "results.json").read_text()) for f in (run, finished))
    for mine, theirs in zip(one["phases"], other["phases"], strict=True):
        assert mine["bits_after"] == pytest.approx(theirs["bits_after"], abs=1e-6)


def launched(file: str, prepare: Callable[..., Any], word: str) -> dict[str, str]:
    """What `accelerate launch` tells its processes, given one of our files."""
    asked = ["--config_file", str(CONFIGS.parent / "accelerate" / file), "script"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(asked))
    arguments.deepspeed_fields_from_accelerate_config = ""  # of interest to DeepSpeed's own files alone
    told = prepare(arguments)
    told = told[-1] if isinstance(told, tuple) else told
    return {name: value for name, value in told.items() if word in name}


def fsdp() -> dict[str, str]:
    return launched("fsdp2.yaml", prepare_multi_gpu_env, "FSDP") | {"ACCELERATE_USE_CPU": "1"}


def zero2() -> dict[str, str]:
    told = launched("zero2.yaml", prepare_deepspeed_cmd_env, "DEEPSPEED")
    return told | {"ACCELERATE_TORCH_DEVICE": "cpu"}


STOPPED = """
from accelerate import PartialState
from accelerate.utils import DistributedType
from longbio.training.trainer import Trainer

begin, save = PartialState.__init__, Trainer._save_checkpoint
def stopped(self, *rest):
    assert is_divided(self)
    save(self, *rest)
    if self.state.global_step == STOP_AT:
        raise SystemExit
Trainer._save_checkpoint = stopped
"""

FSDP_ON_CPU = """
# accelerate shards on accelerators alone; torch does on CPUs too.
def as_accelerator(self, *rest, **named):
    is_first = not PartialState._shared_state
    begin(self, *rest, **named)
    if is_first:
        self.distributed_type = DistributedType.MULTI_GPU
PartialState.__init__ = as_accelerator
is_divided = lambda self: all(hasattr(weight, "full_tensor") for weight in self.model.parameters())
"""

ZERO_ON_CPU = """
# accelerate leaves CPUs to gloo alone; DeepSpeed works on them too. Its own collectives between
# CPUs would be compiled first.
import deepspeed
deepspeed.ops.__compatible_ops__.clear()
PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
PartialState.__init__ = lambda self, cpu=False, **named: begin(self, **named)
is_divided = lambda self: type(self.optimizer.optimizer).__name__ == "DeepSpeedZeroOptimizer"
"""


def stopped_and_resumed(on_cpu: str) -> list[str]:
    return [f"STOP_AT = {step}{STOPPED}{on_cpu}" for step in (2, 0)]


def in_two_processes(file: Path, port: int, code: str, **variables: str) -> None:
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    commands = [
        begin(["pretrain", str(file)], file.parent, code, RANK=rank, LOCAL_RANK=rank, **world, **variables)
        for rank in ("0", "1")
    ]
    ends = [command.end() for command in commands]
    assert ends == [0, 0], "\n".join(command.said.read_text() for command in commands)


@pytest.mark.parametrize(
    ("port", "codes", "variables"),
    [
        (29631, [""], {"ACCELERATE_USE_CPU": "1"}),
        (29632, stopped_and_resumed(FSDP_ON_CPU), fsdp()),
        (29633, stopped_and_resumed(ZERO_ON_CPU), zero2()),
    ],
    ids=["ddp", "fsdp2, resumed", "deepspeed, resumed"],
)
def test_two_processes_do_what_one_does(
    port: int, codes: list[str], variables: dict[str, str], tiny_long_folder: Path, tmp_path: Path
) -> None:
    phases = [PHASES[0] | {"steps": 4, "dropout": 0.0}]
    alone = config(tiny_long_folder, tmp_path, phases=phases)
    pretrain(load_settings(Curriculum, alone))
    (tmp_path / "two").mkdir()
    file = config(
        tiny_long_folder, tmp_path / "two", phases=phases, machine={"device_batch": 1, "save_steps": 2}
    )
    for code in codes:
        in_two_processes(file, port, code, **variables)
    mine, theirs = metrics(tmp_path / "two" / "run"), metrics(tmp_path / "run")
    assert [m[2] for m in mine] == pytest.approx([m[2] for m in theirs], abs=1e-5)
    one, other = (
        load(folder / "run" / "v0.1-token", "mlm").state_dict() for folder in (tmp_path, tmp_path / "two")
    )
    for name, weight in one.items():
        assert (weight - other[name]).abs().max() < 2e-3, name


def test_deepspeed_that_divides_the_weights_is_refused(tiny_long_folder: Path, tmp_path: Path) -> None:
    told = zero2() | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3", "MASTER_ADDR": "127.0.0.1"}
    world = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "29634"}
    code = f"STOP_AT = 0{STOPPED}{ZERO_ON_CPU}"
    file = config(tiny_long_folder, tmp_path)
    command = begin(["pretrain", str(file)], tmp_path, code, **world, **told)
    code, output = command.end(), command.said.read_text()
    assert code == 1, output
    assert "ZeRO stage 3" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("phases.0.maskng=1", "unknown setting phases.0.maskng; did you mean masking"),
        ("phases.0.masking={rat: 0.2}", "did you mean rate"),
        ("machine.kernle=auto", "did you mean kernel"),
        ("phases.0.masking.strategy=words", "phases.0.masking.strategy"),
        ("phases.1.sequence_tokens=512", "512 tokens"),
        ("corpora.notes.paths=[nowhere]", "no such file"),
        ("corpora.notes={}", "either paths or hub"),
        ("phases=[]", "phases"),
        ("phases.1.name=token", "names of their own"),
        ("phases.0.mixture={other: 1}", "the corpora are notes"),
        ("validation.share=0.0000001", "holds none of 60 documents or groups out .* set it to 0.02 or more"),
        ("model=nowhere/at/all", "nowhere/at/all: .* can't be read"),
        ("machine.device_batch=0", "above 0"),
        ("machine.kernel=stock", "packed"),
        ("phases.0.learning_rate=.nan", "finite"),
        ("validation.lengths=[2]", "validation.lengths"),
        ("validation.lengths=[512]", "no length"),
        ("seed=-1", "seed"),
    ],
)
def test_mistakes_are_said_in_one_line(
    override: str, words: str, tiny_long_folder: Path, tmp_path: Path
) -> None:
    file = config(tiny_long_folder, tmp_path)
    with pytest.raises(LongbioError, match=words):
        pretrain(load_settings(Curriculum, file, [override]))


def test_a_start_that_failed_does_not_bind_the_next_one(tiny_long_folder: Path, tmp_path: Path) -> None:
    file = config(tiny_long_folder, tmp_path, phases=[PHASES[0] | {"steps": 1}])
    for mistake in ("model=nowhere/at/all", "phases.0.sequence_tokens=512"):
        with pytest.raises(LongbioError):
            pretrain(load_settings(Curriculum, file, [mistake, "phases.0.batch_tokens=null"]))
    assert pretrain(load_settings(Curriculum, file))["phases"][0]["name"] == "token"


def test_what_is_held_out_of_the_first_corpus_is_left_out_of_the_others(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    paths = [str(notes(tmp_path / "notes"))]
    corpora = {name: {"paths": paths, "group_column": "patient"} for name in ("one", "two")}
    file = config(tiny_long_folder, tmp_path, corpora=corpora, phases=[PHASES[0] | {"steps": 1}])
    found = pretrain(load_settings(Curriculum, file))["corpora"]
    assert found["one"] == found["two"]
    assert found["two"]["held_out"] > 0


def test_a_validation_corpus_of_its_own_drops_what_is_almost_in_it(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    corpus = notes(tmp_path / "notes")
    lines = (corpus / "notes.jsonl").read_text().splitlines()
    longest = max(lines, key=len)
    changed = json.loads(longest)["text"] + " as before"
    (tmp_path / "held.jsonl").write_text(json.dumps({"text": changed}) + "\n")
    file = config(
        tiny_long_folder,
        tmp_path,
        validation={"corpus": {"paths": [str(tmp_path / "held.jsonl")]}, "lengths": [64]},
        phases=[PHASES[0] | {"steps": 1}],
    )
    results = pretrain(load_settings(Curriculum, file))
    found = results["corpora"]["notes"]
    # Not of the same group, for it names none, but almost the same.
    assert (found["held_out"], found["near_duplicates_dropped"]) == (0, 1)


def test_a_second_start_reads_no_corpus_again(
    tiny_long_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.jsonl").write_text(json.dumps({"text": "the drug"}) + "\n")
    corpora = {
        "notes": {"paths": [str(notes(tmp_path / "notes"))], "group_column": "patient"},
        "other": {"paths": [str(tmp_path / "other.jsonl")]},
    }
    # As MiniLM's does; it may not change the name of what was tokenised.
    shutil.copytree(tiny_long_folder, tmp_path / "model")
    told = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    cut = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(told | {"truncation": cut}))

    def start(out: str, **changes) -> dict:
        changes |= {"phases": [PHASES[0] | {"steps": 1}], "corpora": corpora, "out": str(tmp_path / out)}
        file = config(tmp_path / "model", tmp_path, **changes)
        return pretrain(load_settings(Curriculum, file))["corpora"]

    first = start("one")
    notes_file = tmp_path / "notes" / "notes.jsonl"
    before = notes_file.stat().st_mtime_ns

    def again(*_: object) -> None:
        raise AssertionError

    hashed = atomic_files.sha256_of

    def of_models_alone(path: Path) -> str:
        assert path.suffix != ".jsonl"
        return hashed(path)

    with monkeypatch.context() as patched:
        patched.setattr(holding_out, "near_duplicates", again)
        patched.setattr(atomic_files, "sha256_of", of_models_alone)
        patched.setattr(sys.modules[__name__], "notes", lambda folder: folder)
        assert start("two") == first
        assert notes_file.stat().st_mtime_ns == before
        with pytest.raises(AssertionError):
            start("three", seed=1)


def test_corpora_stay_what_they_were_while_a_run_goes_on(tiny_long_folder: Path, tmp_path: Path) -> None:
    paths = [str(notes(tmp_path / "notes"))]
    (tmp_path / "other.jsonl").write_text(json.dumps({"text": "the drug"}) + "\n")
    corpora = {"one": {"paths": paths}, "two": {"paths": [str(tmp_path / "other.jsonl")]}}
    changes = {"phases": [phase | {"steps": 1} for phase in PHASES]}
    file = config(tiny_long_folder, tmp_path, corpora=corpora, **changes)
    pretrain(load_settings(Curriculum, file))
    swapped = config(tiny_long_folder, tmp_path, corpora=dict(reversed(corpora.items())), **changes)
    settings = yaml.safe_load(swapped.read_text())
    settings["corpora"] = dict(reversed(corpora.items()))
    swapped.write_text(yaml.safe_dump(settings, sort_keys=False))
    with pytest.raises(LongbioError, match="corpora is in another order"):
        pretrain(load_settings(Curriculum, swapped))
    with (tmp_path / "other.jsonl").open("a") as more:
        more.write(json.dumps({"text": "the patient"}) + "\n")
    file = config(tiny_long_folder, tmp_path, corpora=corpora, **changes)
    with pytest.raises(LongbioError, match=r"texts\.two has changed"):
        pretrain(load_settings(Curriculum, file))


def test_what_is_measured_on_stays_what_it_was_too(tiny_long_folder: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held.jsonl"
    held_out.write_text(json.dumps({"text": "the drug is worse at night"}) + "\n")
    validation = {"corpus": {"paths": [str(held_out)]}, "lengths": [64]}
    phases = [PHASES[0] | {"steps": 1}]
    file = config(tiny_long_folder, tmp_path, validation=validation, phases=phases)
    pretrain(load_settings(Curriculum, file))
    held_out.write_text(json.dumps({"text": "another text"}) + "\n")
    with pytest.raises(LongbioError, match=r"texts\.validation has changed"):
        pretrain(load_settings(Curriculum, file))


def test_a_model_that_learns_no_masked_words_is_refused_before_the_corpus_is_read(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bert_folder, tmp_path / "mpnet")
    settings = json.loads((tmp_path / "mpnet" / "config.json").read_text())
    (tmp_path / "mpnet" / "config.json").write_text(json.dumps(settings | {"model_type": "mpnet"}))
    with pytest.raises(LongbioError, match="of type mpnet"):
        pretrain(load_settings(Curriculum, config(tmp_path / "mpnet", tmp_path)))
    assert not (tmp_path / "cache").exists()


def test_what_was_measured_before_a_kill_is_not_measured_again(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "run" / "v0.1-token.training"
    work.mkdir(parents=True)
    (work / "bits-before.json").write_text(json.dumps({"64": 1.5, "128": 2.5}))
    curriculum = load_settings(
        Curriculum, config(tiny_long_folder, tmp_path, phases=[PHASES[0] | {"steps": 1}])
    )
    write_json(tmp_path / "run" / RUN, plan_of(curriculum, tiny_long_folder))
    assert pretrain(curriculum)["phases"][0]["bits_before"]["64"] == 1.5


def test_a_dataset_of_datasets_is_read_too(tiny_long_folder: Path, tmp_path: Path) -> None:
    folder = notes(tmp_path / "hub")
    changes = {"corpora": {"hub": {"hub": str(folder)}}, "phases": [PHASES[0] | {"steps": 1}]}
    results = pretrain(load_settings(Curriculum, config(tiny_long_folder, tmp_path, **changes)))
    assert results["corpora"]["hub"]["documents"] == 120
    notes(tmp_path / "hub", 130)
    changes["out"] = str(tmp_path / "again")
    results = pretrain(load_settings(Curriculum, config(tiny_long_folder, tmp_path, **changes)))
    assert results["corpora"]["hub"]["documents"] == 130


@pytest.mark.parametrize("trackers", [["tensorboard"], []])
def test_tensorboard_is_told_and_can_be_left_out(
    trackers: list[str], tiny_long_folder: Path, tmp_path: Path
) -> None:
    file = config(tiny_long_folder, tmp_path, trackers=trackers, phases=[PHASES[0] | {"steps": 1}])
    pretrain(load_settings(Curriculum, file))
    assert bool(list((tmp_path / "run").glob("tensorboard/token/events*"))) == bool(trackers)


def test_random_weights_begin_in_the_shape_of_a_model(tiny_long_folder: Path, tmp_path: Path) -> None:
    file = config(tiny_long_folder, tmp_path, random_weights=True, phases=[PHASES[0] | {"steps": 1}])
    pretrain(load_settings(Curriculum, file))
    source, made = (load(folder) for folder in (tiny_long_folder, tmp_path / "run" / "v0.0-random"))
    assert made.config.hidden_size == source.config.hidden_size
    weight = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(source.state_dict()[weight], made.state_dict()[weight])


@pytest.mark.parametrize("family", ["bigbird", "bert"])
def test_other_families_learn_too(family: str, tiny_bert_folder: Path, tmp_path: Path) -> None:
    phase = PHASES[0] | {"learning_rate": 1e-6, "steps": 1}
    file = config(tiny_bert_folder, tmp_path, random_weights=True, phases=[phase])
    pretrain(load_settings(Curriculum, file))
    source = tmp_path / "run" / "v0.1-token"
    if family == "bigbird":
        sizes = ConversionSettings("bigbird", 256, 32, 16, 1, "tile")
        convert(source, tmp_path / "long", settings=sizes, verification=False)
        source = tmp_path / "long"
    (tmp_path / "next").mkdir()
    phases = [PHASES[0] | {"name": "next", "steps": 20}]
    file = config(source, tmp_path / "next", phases=phases, validation={"share": 0.2, "lengths": [64]})
    (phase,) = pretrain(load_settings(Curriculum, file))["phases"]
    assert phase["bits_after"]["64"] < phase["bits_before"]["64"] - 1


@pytest.mark.parametrize("name", sorted(file.name for file in CONFIGS.glob("*.yaml")))
def test_the_presets_are_whole_and_say_how_to_run_them(name: str) -> None:
    curriculum = load_settings(Curriculum, CONFIGS / name)
    assert f"longbio pretrain configs/pretrain/{name}" in (CONFIGS / name).read_text()
    assert all(training_settings(phase, curriculum.machine, 0).passes(1) for phase in curriculum.phases)
