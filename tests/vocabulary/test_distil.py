"""Rows learn when they are in a batch, and then as Adam would have them."""

from __future__ import annotations

import torch

from longbio.vocabulary.distil import RowAdam


def test_a_row_that_is_always_there_moves_as_adam_moves_it_and_others_stay() -> None:
    draw = torch.Generator().manual_seed(0)
    start_NH = torch.randn(5, 4, generator=draw)
    mine = start_NH.clone().requires_grad_(True)
    theirs = start_NH[1:3].clone().requires_grad_(True)
    adam, reference = RowAdam(mine, 0.1), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(20):
        gradient_NH = torch.randn(5, 4, generator=draw)
        mine.grad, theirs.grad = gradient_NH, gradient_NH[1:3].clone()
        adam.step({2, 1})
        reference.step()
    assert torch.allclose(mine[1:3], theirs, atol=1e-5)
    assert torch.equal(mine[[0, 3, 4]], start_NH[[0, 3, 4]])


def test_a_row_that_comes_late_goes_no_further_than_one_that_came_first() -> None:
    rows = torch.zeros(2, 3, requires_grad=True)
    adam = RowAdam(rows, 0.1)
    for step in range(500):
        rows.grad = torch.ones(2, 3)
        adam.step({0} if step < 499 else {1})
    assert torch.allclose(rows[1], torch.full((3,), -0.1), atol=1e-6)
