"""Whole documents as rows: what is read, what isn't, and how windows become one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers

from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.errors import LongbioError
from longbio.tasks.pooling import Reading, pool_logits, pool_outputs, pooled_targets, whole_rows
from longbio.tasks.task import Sample

WORDS = [f"w{number}" for number in range(100)]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
MAX_TOKENS = 24


@pytest.fixture(scope="module")
def inputs() -> InputFormat:
    """A token for each word, so that rows can be read."""
    tokenizer = transformers.BertTokenizer(vocab={word: number for number, word in enumerate(TOKENS)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=MAX_TOKENS), tokenizer)


def read(size: int, inputs: InputFormat, reading: Reading, query: str | None = None):
    document = Document("a", " ".join(WORDS[:size]), query=query)
    whole = whole_rows(document, inputs, reading, ("cls", "query"))
    numbers = [[TOKENS[n] for n in row.ids[row.text]] for row in whole.rows]
    return whole, [[int(word[1:]) for word in row] for row in numbers]


@pytest.mark.parametrize("part", ["windows", "head", "head-tail"])
@pytest.mark.parametrize("size", [0, 1, 21, 22])
def test_what_fits_is_one_row_whatever_is_read_of_longer_texts(part, size, inputs: InputFormat) -> None:
    whole, rows = read(size, inputs, Reading(part=part))
    assert rows == [list(range(size))]
    assert whole.details() == {"tokens": size, "windows": 1, "unread_tokens": 0}


def test_the_head_is_read_and_the_rest_is_counted(inputs: InputFormat) -> None:
    whole, rows = read(60, inputs, Reading(part="head"))
    assert rows == [list(range(22))]
    assert whole.details() == {"tokens": 60, "windows": 1, "unread_tokens": 38}


@pytest.mark.parametrize("query", [None, "w90", "w90 w91"])
def test_head_and_tail_share_a_row(query: str | None, inputs: InputFormat) -> None:
    whole, rows = read(60, inputs, Reading(part="head-tail"), query)
    room = MAX_TOKENS - 2 - (0 if query is None else 1 + len(query.split()))
    tail = room // 2
    assert rows == [[*range(room - tail), *range(60 - tail, 60)]]
    assert len(whole.rows[0].ids) == MAX_TOKENS
    assert whole.num_unread == 60 - room


@pytest.mark.parametrize("overlap", [None, 0, 7, 1000])
@pytest.mark.parametrize("query", [None, "w90 w91 w92"])
def test_windows_leave_nothing_out(overlap: int | None, query: str | None, inputs: InputFormat) -> None:
    whole, rows = read(90, inputs, Reading(overlap=overlap), query)
    assert len(rows) > 4
    assert {number for row in rows for number in row} == set(range(90))
    assert whole.num_unread == 0
    shared = [len(set(one) & set(other)) for one, other in pairwise(rows)]
    assert min(shared) >= {None: 4, 0: 0, 7: 7, 1000: 9}[overlap]
    for row in whole.rows:
        assert len(row.ids) <= MAX_TOKENS
        asked = [] if query is None else query.split()
        assert [TOKENS[n] for n in row.ids[1 : 1 + len(asked)]] == asked
        assert row.is_global.sum() == 1 + len(asked)


def test_a_query_is_never_cut(inputs: InputFormat) -> None:
    half = " ".join(WORDS[:9])
    assert read(30, inputs, Reading(), half)[0].rows[0].ids[1:10].tolist() == list(range(5, 14))
    with pytest.raises(LongbioError, match="document a"):
        read(30, inputs, Reading(), half + " w1")


def test_an_empty_query_is_a_query(inputs: InputFormat) -> None:
    whole, _ = read(2, inputs, Reading(), "")
    assert whole.rows[0].ids.tolist() == [2, 3, 5, 6, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_pooled_by_hand(dtype: torch.dtype) -> None:
    """Rows of three samples; zeros that the sum starts from count neither in a mean nor a maximum."""
    logits = torch.tensor([[-1.0, -8], [-3, -4], [-5, 2], [6, 8], [0.5, -0.5]], dtype=dtype)
    samples = torch.tensor([0, 0, 0, 1, 2])
    mean, largest = (pool_logits(logits, samples, how) for how in ("mean", "max"))
    assert mean.dtype == largest.dtype == torch.float32
    torch.testing.assert_close(mean, torch.tensor([[-3.0, -10 / 3], [6, 8], [0.5, -0.5]]))
    assert largest.tolist() == [[-1, 2], [6, 8], [0.5, -0.5]]
    arrays = [row.float().numpy() for row in logits[:3]]
    np.testing.assert_allclose(pool_outputs(arrays, "mean"), mean[0].numpy(), rtol=1e-6)
    assert pool_outputs(arrays, "max").tolist() == largest[0].tolist()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_gradients_reach_the_rows_that_were_pooled(pooling) -> None:
    logits = torch.tensor([[1.0], [3.0], [5.0]], requires_grad=True)
    pool_logits(logits, torch.tensor([0, 0, 1]), pooling).sum().backward()
    assert logits.grad is not None
    assert logits.grad[:, 0].tolist() == ([0.5, 0.5, 1] if pooling == "mean" else [0, 1, 1])


def test_rows_know_their_sample(inputs: InputFormat) -> None:
    rows = [read(size, inputs, Reading())[0].rows for size in (30, 0, 60)]
    samples = [Sample(each, (np.array(0),)) for each in rows]
    assert pooled_targets(samples)["row_samples"].tolist() == [0] * 2 + [1] + [2] * len(rows[2])
    assert pooled_targets([replace(samples[1])])["row_samples"].tolist() == [0]


@pytest.mark.parametrize("samples", [[0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 2, 3]])
def test_windows_are_weighed_by_their_last_number(samples: list[int]) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    rows_of = torch.tensor(samples)
    found = pool_logits(logits, rows_of, "attention")
    for sample in set(samples):
        rows = logits[rows_of == sample]
        wanted = (rows[:, 2].softmax(0)[:, None] * rows[:, :2]).sum(0)
        torch.testing.assert_close(found[sample], wanted)
        alone = pool_outputs(list(rows.detach().numpy()), "attention")
        np.testing.assert_allclose(alone, wanted.detach().numpy(), rtol=1e-6)
    found.square().sum().backward()
    # A window that stands alone has nothing to be weighed against.
    moves = (logits.grad[:, 2].abs() > 1e-9).tolist()
    assert moves == [samples.count(sample) > 1 for sample in samples]


def test_far_weights_do_not_overflow() -> None:
    outputs = [np.array([1.0, 1000.0]), np.array([5.0, -1000.0])]
    assert pool_outputs(outputs, "attention").tolist() == [1.0]
