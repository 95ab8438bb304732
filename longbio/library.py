"""What `import longbio` offers: the rooms' functions with plain arguments, for a notebook or a script.

Every function does what the command of its name does. Settings of a run are given as in a configuration:

    longbio.finetune("entities", model="clinical-long", data="my-corpus", out="runs/ner", seeds=[0])
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longbio.corpus import readers
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question
from longbio.errors import LongbioError
from longbio.progress import hush_deepspeed
from longbio.settings import as_overrides, load_settings, settings_file

if TYPE_CHECKING:
    from longbio.prediction.predictor import Model
    from longbio.tasks.task import Prediction

Config = str | Path | Mapping[str, Any]
"""The name of a preset (`longbio configs` lists them), a YAML file, or its content."""


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings and bars of the libraries beneath."""
    hush_deepspeed()
    from longbio.encoders.loading import quiet

    with quiet(), warnings.catch_warnings(action="ignore"):
        yield


@_quietly()
def convert(
    source: str | Path,
    out: str | Path,
    *,
    to: Literal["longformer", "bigbird"] = "longformer",
    max_tokens: int = 4096,
    window: int = 512,
    block: int = 64,
    random_blocks: int = 3,
    positions: Literal["tile", "interpolate"] = "tile",
    lowercase: bool | None = None,
    verify: bool = True,
    text: str | None = None,
    kernel: str = "auto",
    force: bool = False,
) -> dict[str, Any]:
    """Turn a short encoder into a long one, and prove that it equals its source where both see the same.

    Args:
        source: a checkpoint folder, or a name on the Hugging Face hub.
        out: the folder to make; when it is there already, made of the same, nothing is done.
        to: the family of the long model.
        max_tokens: that it reads.
        window: Longformer, the whole attention window, half of it to each side.
        block: BigBird, tokens of a block.
        random_blocks: BigBird, random blocks that each block sees.
        positions: how new positions begin.
        lowercase: whether a WordPiece tokenizer lower-cases; None to find out.
        verify: prove it.
        text: on which bits per masked token are measured; embedded notes when None.
        kernel: of attention, that is proven.
        force: replace what stands in `out`.

    Returns:
        What is saved as `conversion.json`: settings, what was made up, and the checks.

    Raises:
        LongbioError: the source can't be read or expressed, `out` holds something else, or a check failed.

    Example:
        >>> report = longbio.convert("short", "long", max_tokens=256, window=32)
        >>> report["verification"]["passed"]
        True
    """
    from longbio.conversion.convert import convert as make
    from longbio.conversion.settings import ConversionSettings

    settings = ConversionSettings(to, max_tokens, window, block, random_blocks, positions, lowercase)
    return make(
        source, out, settings=settings, verification=verify, text=text, kernel=kernel, force=force
    ).report


@_quietly()
def pretrain(config: Config, **settings: Any) -> dict[str, Any]:
    """Continue masked-LM training through the phases of a curriculum; goes on where it stopped.

    Args:
        config: a preset's name (`heal`), a file, or a mapping.
        settings: that replace those of `config`. Of a mapping within, only the keys that it has are
            changed. A key with dots reaches within, a number picks from a list:
            `**{"phases.0.steps": 100}`.

    Returns:
        What is saved as `results.json`: of each phase bits per masked token before and after.

    Raises:
        LongbioError: a setting is wrong, `out` holds another run, a corpus holds no text.

    Example:
        >>> results = longbio.pretrain(
        ...     "head", model="short", out="runs/head", cache="cache", corpora={"open": {"paths": ["notes"]}},
        ...     validation={"share": 0.3, "lengths": [64]}, machine={"precision": "float32"},
        ...     **{"phases.0.steps": 2, "phases.0.sequence_tokens": 64, "phases.0.batch_tokens": 128})
        >>> sorted(results["phases"][0])
        ['bits_after', 'bits_before', 'filled', 'name', 'perplexity']
    """
    from longbio.pretraining.curriculum import Curriculum
    from longbio.pretraining.run import pretrain as run

    return run(load_settings(Curriculum, _source(config, "pretrain"), as_overrides(settings)))


@_quietly()
def extend_vocabulary(
    model: str | Path,
    out: str | Path,
    terms: Iterable[str],
    texts: Iterable[str] = (),
    *,
    init: Literal["random", "gaussian", "mean", "contextual", "token-distillation"] | None = None,
    contexts: int = 25,
    context_tokens: int = 64,
    layers: Sequence[int] | None = None,
    calibrate: bool = True,
    seed: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Give a checkpoint words of its own; all that was in it stays as it was.

    Args:
        model: a checkpoint folder, short or long.
        out: the folder to make.
        terms: words, and pieces that begin with `##` for WordPiece.
        texts: in which the terms are found.
        init: how new rows begin; `contextual` where there are texts, else `mean`.
        contexts: of each term.
        context_tokens: of each context.
        layers: whose states are averaged by `contextual`, 0 for the embeddings; 0 to 3 when None, as far
            as they are there.
        calibrate: make new rows as long as the old ones.
        seed: of every draw.
        force: replace what stands in `out`.

    Returns:
        What is saved as `extension.json`.

    Raises:
        LongbioError: the model can't be extended, or no term can be a piece.

    Example:
        >>> report = longbio.extend_vocabulary("short", "extended", ["metformin"])
        >>> [piece["piece"] for piece in report["pieces"]]
        ['metformin']
    """
    from longbio.corpus.texts import Text
    from longbio.vocabulary.extend import extend
    from longbio.vocabulary.new_rows import ExtendSettings

    corpus = [Text(text) for text in texts]
    settings = ExtendSettings(
        method=init or ("contextual" if corpus else "mean"),
        layers=None if layers is None else tuple(layers),
        contexts=contexts,
        context_tokens=context_tokens,
        calibration="norm" if calibrate else "none",
        seed=seed,
    )
    return extend(Path(model), Path(out), list(terms), corpus, settings=settings, force=force)


@_quietly()
def finetune(config: Config, **settings: Any) -> dict[str, Any]:
    """Fine-tune for a task and score it, with a grid and several seeds; goes on where it stopped.

    Args:
        config: a preset's name (`entities`, `craft`), a file, or a mapping.
        settings: see `pretrain`; `data` may be the corpus' folder alone.

    Returns:
        What is saved as `results.json`: the recipe, the scores of each seed, their mean and spread.

    Raises:
        LongbioError: a setting is wrong, `out` holds another run, documents or the model can't be read.

    Example:
        >>> results = longbio.finetune(
        ...     "entities", model="long", data="corpus", out="run1", seeds=[0], grid={"learning_rates": []},
        ...     recipe={"learning_rate": 1e-3, "max_steps": 2, "batch": 2})
        >>> results["test"]["runs"]
        1
    """
    from longbio.finetuning.run import finetune as run
    from longbio.finetuning.settings import Finetuning

    if isinstance(settings.get("data"), str | Path):
        settings["data"] = {"path": settings["data"]}
    return run(load_settings(Finetuning, _source(config, "finetune"), as_overrides(settings)))


@_quietly()
def evaluate(
    model: str | Path,
    documents: str | Path | Iterable[Document],
    out: str | Path | None = None,
    *,
    batch_tokens: int = 4096,
    kernel: str = "auto",
    device: str | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """Score a fine-tuned model on annotated documents.

    Args:
        model: a fine-tuned model's folder, or a run of `finetune`, of which the first seed's is taken.
        documents: a file or a folder in any format, or documents.
        out: a folder to make for scores and predictions; None to leave nothing.
        batch_tokens: of a forward pass.
        kernel: of attention.
        device: `cpu`, `cuda`; None for the GPU, where there is one.
        dtype: of the weights, `bfloat16`; None for what they are stored in.

    Returns:
        `scores` (`main` is the one to choose by), their 95% `interval`, and scores by length and position.

    Raises:
        LongbioError: the documents can't be read or scored, or the model can't be loaded.

    Example:
        >>> report = longbio.evaluate("run1", "corpus/test")
        >>> 0 <= report["scores"]["main"] <= 1
        True
    """
    from longbio.finetuning import evaluate as evaluation

    folder, reading, format_name = evaluation.fine_tuned(Path(model)), Reading(), "jsonl"
    if isinstance(documents, str | Path):
        format_name = readers.format_of(Path(documents))
        documents = readers.read_documents(Path(documents), format_name, reading=reading)
    ready = evaluation.model_of(folder, None, kernel, batch_tokens, device, dtype)
    known = evaluation.examples_for(ready.task, list(documents), "the documents", format_name)
    if out is None:
        return evaluation.score(ready, known, reading=reading)[0]
    return evaluation.evaluate(ready, known, Path(out), format_name=format_name, reading=reading)


@_quietly()
def predict(
    model: str | Path,
    texts: str | Document | Iterable[str | Document],
    *,
    questions: Iterable[str | Question] = (),
    batch_tokens: int = 4096,
    kernel: str = "auto",
    device: str | None = None,
    dtype: str | None = None,
) -> Iterator[Prediction]:
    """Find entities, answers or classes in texts of any length, in characters of the original.

    Args:
        model: a fine-tuned model's folder, or a run of `finetune`, of which the first seed's is taken.
        texts: one or many, read as they are needed, some 64 at a time.
        questions: that are asked of every text, of a model of answers.
        batch_tokens, kernel, device, dtype: see `evaluate`.

    Yields:
        Of each text, in their order, a prediction: `mentions`, `answers` or `classes` with probabilities,
        and `document`, whose spans, answers or labels are the model's. A notebook shows it marked.

    Raises:
        LongbioError: the model can't be loaded, or a text can't be read by it.

    Example:
        >>> for found in longbio.predict("run1", ["the patient takes drug 1."]):
        ...     for mention in found.mentions:
        ...         assert found.text[mention.start_char:mention.end_char] == mention.text
    """
    from longbio.finetuning.evaluate import fine_tuned, model_of

    ready = model_of(fine_tuned(Path(model)), None, kernel, batch_tokens, device, dtype)
    asked = tuple(
        Question(f"q{number}", question) if isinstance(question, str) else question
        for number, question in enumerate(questions, start=1)
    )
    if asked and ready.task.kind != "qa":
        raise LongbioError(f"a model of {ready.task.kind} takes no questions", where="questions")
    return _predict(ready, [texts] if isinstance(texts, str | Document) else texts, asked)


def _predict(
    model: Model, texts: Iterable[str | Document], questions: tuple[Question, ...]
) -> Iterator[Prediction]:
    from longbio.prediction.lots import Failure, lots_of
    from longbio.prediction.predictor import outcomes_of

    documents = (
        replace(document, questions=document.questions + questions)
        for number, text in enumerate(texts)
        for document in (Document(f"text-{number}", text) if isinstance(text, str) else text,)
    )
    for _, outcomes in outcomes_of(model, lots_of(documents, "")):
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                raise outcome.error()
            yield outcome


@_quietly()
def benchmark(config: Config, **settings: Any) -> dict[str, Any]:
    """Run models on tasks with several seeds and compare them; goes on where it stopped.

    Args:
        config: a preset's name (`open-long`), a file, or a mapping, whose paths begin in the working folder.
        settings: see `pretrain`.

    Returns:
        What is saved as `results.json` beside `report.html`.

    Raises:
        LongbioError: a setting is wrong, or the folder can't be written to.

    Example:
        >>> results = longbio.benchmark({
        ...     "title": "Long or chunks?", "out": "runs/bench", "models": {"short": "short", "long": "long"},
        ...     "baseline": "short", "data": ".", "seeds": [0],
        ...     "tasks": [{"name": "drugs", "config": "entities", "data": "corpus"}],
        ...     "set": ["grid={}", "recipe.max_steps=2", "recipe.batch=2"]})
        >>> results["failed"]
        []
    """
    from longbio.benchmarking.run import benchmark as run
    from longbio.benchmarking.settings import load_benchmark

    return run(load_benchmark(_source(config, "benchmark"), as_overrides(settings)))


def read_documents(
    path: str | Path,
    format_name: str | None = None,
    *,
    encoding: str = "utf-8",
    columns: Mapping[str, str] | None = None,
) -> list[Document]:
    """Read documents with whatever is known about them, in any format that longbio reads.

    Args:
        path: a file or a folder.
        format_name: `brat`, `bioc`, `jsonl`, ...; found out when None.
        encoding: of the files.
        columns: of a table, by the field of `Document` that each holds: `{"text": "NOTE_TEXT"}`.

    Raises:
        LongbioError: there is nothing to read, or a file is broken.

    Example:
        >>> documents = longbio.read_documents("corpus/train")
        >>> documents[0].spans[0].text_in(documents[0].text)
        'drug 0'
    """
    reading = Reading(encoding, dict(columns or {}))
    return readers.read_documents(Path(path), format_name, reading=reading)


def _source(config: Config, command: str) -> Path | Mapping[str, Any]:
    return config if isinstance(config, Mapping) else settings_file(config, command)
