from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from longbio.attention import blocked, kernels, reference
from longbio.attention.dense import attend_from_global
from longbio.attention.pattern import SparsePattern


@pytest.mark.parametrize("globals_", ["few", "all"])
def test_global_queries_see_every_real_token(
    globals_: str,
    tensors: Callable[..., tuple[Tensor, ...]],
    window_pattern: Callable[..., SparsePattern],
) -> None:
    pattern = window_pattern(63, 4, globals_)
    rows = pattern.global_rows()
    assert rows is not None
    index, real = rows
    query, key, value, _ = tensors(63)
    chosen = query.gather(2, index[:, None, :, None].expand(-1, 2, -1, 16))
    output = attend_from_global(chosen, key, value, pattern)
    assert output.isfinite().all()
    gradients = torch.autograd.grad(output, (key, value), torch.ones_like(output))
    assert all(gradient.isfinite().all() for gradient in gradients)

    for row in range(5):
        seen = pattern.valid_BT[row].nonzero().flatten()
        for column in real[row].nonzero().flatten().tolist():
            for head in range(2):
                scores = key[row, head, seen].double() @ chosen[row, head, column].double() / 4
                wanted = scores.softmax(0) @ value[row, head, seen].double()
                assert (output[row, head, column] - wanted).abs().max() < 1e-5


def test_dropout_of_global_rows(
    tensors: Callable[..., tuple[Tensor, ...]], window_pattern: Callable[..., SparsePattern]
) -> None:
    pattern = window_pattern(63, 4, "all")
    query, key, value, _ = tensors(63)
    plain = attend_from_global(query, key, value, pattern)
    assert not torch.allclose(attend_from_global(query, key, value, pattern, dropout=0.5), plain)


def test_kernels_by_name() -> None:
    assert kernels.choose("auto") is blocked.attend
    assert kernels.choose("blocked") is blocked.attend
    assert kernels.choose("reference") is reference.attend
    for name in ("flash", "stock", ""):
        with pytest.raises(ValueError, match="the kernels are auto, reference, blocked"):
            kernels.choose(name)
