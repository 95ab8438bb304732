"""torch.compile of whole encoders: what is prepared beforehand leaves one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from longbio.attention.pattern import SparsePattern
from longbio.encoders.kernel_model import computing_dtype
from longbio.encoders.prepared_batch import batch_pattern, prepare

Batch = dict[str, Any]
Near = Callable[..., None]
MakeOurs = Callable[..., Any]
LAYERS = {
    "longformer": {"num_hidden_layers": 2, "attention_window": [8, 16]},
    "big_bird": {"num_hidden_layers": 2},
}
ONE_LAYER = {
    "longformer": {"num_hidden_layers": 1, "attention_window": [8]},
    "big_bird": {"num_hidden_layers": 1},
}
"""Compiling takes seconds."""


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def compiler() -> CompileCounterWithBackend:
    """Counts graphs, and compiles forward and backward as far as code generation."""
    return CompileCounterWithBackend("aot_eager")


def masks(family: str, lengths: tuple[int, ...], num_tokens: int = 110, share: float = 0.05) -> Batch:
    real = torch.arange(num_tokens) < torch.tensor(lengths)[:, None]
    made = {"input_ids": torch.randint(5, 60, real.shape) * real, "attention_mask": real.long()}
    if family == "longformer":
        made["global_attention_mask"] = (torch.rand(real.shape) < share).long()
    return made


def with_pattern(batch: Batch, documents: Tensor | None = None) -> Batch:
    shape = tuple(batch["input_ids"].shape)
    pattern = batch_pattern(
        batch["attention_mask"], batch.get("global_attention_mask"), documents, shape, torch.device("cpu")
    )
    return {"input_ids": batch["input_ids"], "attention_mask": pattern}


def prepared(model: Any, batch: Batch) -> Batch:
    """The batch, its pattern ready for this model."""
    pattern: SparsePattern = batch["attention_mask"]
    dtype = computing_dtype(model.embeddings.word_embeddings.weight)
    prepare(pattern, model.rules, model.kernel, dtype=dtype, dropout=0.0)
    return batch


def step(model: Any, batch: Batch) -> Tensor:
    output = model(**batch, output_hidden_states=True)
    weight = torch.randn(output.last_hidden_state.shape, generator=torch.Generator().manual_seed(7))
    states = torch.stack(output.hidden_states)
    ((output.last_hidden_state * weight).sum() + output.pooler_output.sum() + states.sum()).backward()
    return output.last_hidden_state


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_one_graph_forward_and_backward(
    kernel: str,
    family: str,
    make_ours: MakeOurs,
    compiler: CompileCounterWithBackend,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    eager = make_ours(family, kernel=kernel, **ONE_LAYER[family]).train()
    ours = copy.deepcopy(eager)
    batch = prepared(eager, with_pattern(masks(family, (110, 40))))
    wanted = step(eager, batch)
    found = step(torch.compile(ours, fullgraph=True, backend=compiler), batch)
    assert compiler.frame_count == 1
    assert_near(found, wanted)
    assert assert_same_gradients(ours, eager) > 15


def test_many_global_tokens(
    make_ours: MakeOurs,
    compiler: CompileCounterWithBackend,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    eager = make_ours("longformer", **ONE_LAYER["longformer"])
    ours = copy.deepcopy(eager)
    batch = prepared(eager, with_pattern(masks("longformer", (110, 90), share=0.6)))
    wanted = step(eager, batch)
    found = step(torch.compile(ours, fullgraph=True, backend=compiler), batch)
    assert compiler.frame_count == 1
    assert_near(found, wanted)
    assert assert_same_gradients(ours, eager) > 15


def test_packed_documents(
    family: str,
    make_ours: MakeOurs,
    compiler: CompileCounterWithBackend,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    eager = make_ours(family, **LAYERS[family])
    ours = copy.deepcopy(eager)
    documents = (torch.arange(110) // 37).expand(2, -1)
    batch = with_pattern(masks(family, (110, 100)), documents)
    wanted = step(eager, batch)  # a first call prepares the pattern as well
    found = step(torch.compile(ours, fullgraph=True, backend=compiler), batch)
    assert compiler.frame_count == 1
    assert_near(found, wanted)
    assert assert_same_gradients(ours, eager) > 30


def test_no_masks_at_all(
    family: str,
    make_ours: MakeOurs,
    compiler: CompileCounterWithBackend,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    eager = make_ours(family, **ONE_LAYER[family])
    ours = copy.deepcopy(eager)
    batch = {"input_ids": masks(family, (110, 110))["input_ids"]}
    wanted = step(eager, batch)
    found = step(torch.compile(ours, fullgraph=True, backend=compiler), batch)
    assert compiler.frame_count == 1
    assert_near(found, wanted)
    assert assert_same_gradients(ours, eager) > 15


def test_plain_masks_break_the_graph_once(
    family: str,
    make_ours: MakeOurs,
    compiler: CompileCounterWithBackend,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    """Before the layers, where the pattern is made; all of them are in the graph behind it."""
    eager = make_ours(family, **LAYERS[family])
    ours = copy.deepcopy(eager)
    batch = masks(family, (110, 40))
    wanted = step(eager, batch)
    found = step(torch.compile(ours, backend=compiler), batch)
    assert compiler.frame_count <= 2
    calls = [str(node.target) for graph in compiler.graphs for node in graph.graph.nodes]
    assert sum("longbio.blocked" in call for call in calls) == 2
    assert_near(found, wanted)
    assert assert_same_gradients(ours, eager) > 30


def test_masked_lm(
    family: str, make_ours: MakeOurs, compiler: CompileCounterWithBackend, assert_near: Near
) -> None:
    """With the labels' positions given there is nothing to ask the device either."""
    model = make_ours(family, "mlm", **ONE_LAYER[family])
    batch = with_pattern(masks(family, (110, 40)))
    labels = torch.where(torch.rand(2, 110) < 0.15, batch["input_ids"], -100)
    given = {**batch, "labels": labels, "label_positions": (labels.flatten() != -100).nonzero().flatten()}
    with torch.no_grad():
        wanted = model(**given)
        found = torch.compile(model, fullgraph=True, backend=compiler)(**given)
    assert compiler.frame_count == 1
    assert_near(found.loss, wanted.loss)
    assert_near(found.logits, wanted.logits)


def test_other_batches_make_no_graphs_of_their_own(
    family: str, make_ours: MakeOurs, assert_near: Near
) -> None:
    """Torch gives up after eight; a batch has another number of real and of global tokens each time."""
    compiler = CompileCounterWithBackend("eager")
    model = make_ours(family, **ONE_LAYER[family])
    compiled = torch.compile(model, fullgraph=True, backend=compiler)
    draw = torch.Generator().manual_seed(0)
    for _ in range(10):
        first, second = torch.randint(30, 110, (2,), generator=draw).tolist()
        batch = prepared(model, with_pattern(masks(family, (first, second))))
        with torch.no_grad():
            assert_near(compiled(**batch)[0], model(**batch)[0])
    assert compiler.frame_count <= 4
