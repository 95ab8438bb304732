"""The law: a float32 softmax over the pattern's bias. Every kernel is tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern, check_tensors

QUERY_CHUNK = 128  # keeps 65,536 tokens within a few GB
KEPT_TOKENS = 4096  # up to here all layers share one bias, of 4 bytes * tokens^2 a row


def supports(
    pattern: SparsePattern | None, *, device: torch.device, dtype: torch.dtype, dropout: float
) -> str | None:
    """Why this kernel can't run, or None: see `kernels.Kernel`. The law always runs."""
    return None


def prepare(pattern: SparsePattern) -> None:
    """Make the biases of a pattern, before the first layer asks for them."""
    if pattern.num_tokens <= KEPT_TOKENS:
        pattern.once("reference", lambda: _biases(pattern))


def _biases(pattern: SparsePattern) -> list[Tensor]:
    position_T = torch.arange(pattern.num_tokens, device=pattern.device)
    return [pattern.bias(index, position_T) for index in position_T.split(QUERY_CHUNK)]


def attend(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    pattern: SparsePattern,
    *,
    dropout: float = 0.0,
    keep_BHTT: Tensor | None = None,
) -> Tensor:
    """Attention of every token, in float32, over all keys at once.

    Args:
        query_BHTD: not yet scaled; `key_BHTD` and `value_BHTD` likewise.
        pattern: who sees whom.
        dropout: probability of dropping an attention weight.
        keep_BHTT: what the weights are multiplied with in place of dropout: what another kernel
            drew.

    Returns:
        (B, H, T, D) in the dtype of the queries; zero where a token is padding.

    Raises:
        ValueError: shapes, dtypes or devices disagree.
    """
    check_tensors(query_BHTD, key_BHTD, value_BHTD, pattern, dropout)
    prepare(pattern)
    position_T = torch.arange(pattern.num_tokens, device=query_BHTD.device)
    exact = torch.promote_types(query_BHTD.dtype, torch.float32)
    key_BHDT = key_BHTD.to(exact).transpose(2, 3) / query_BHTD.shape[3] ** 0.5
    value_BHTD = value_BHTD.to(exact)
    chunks = []

    for number, query_index in enumerate(position_T.split(QUERY_CHUNK)):
        if "reference" in pattern.cache:
            bias_BHQK = pattern.cache["reference"][number]
        else:
            bias_BHQK = pattern.bias(query_index, position_T)
        # Padding sees no key. A finite row keeps its softmax from NaN; its weights count nothing.
        seen_BHQ1 = bias_BHQK.isfinite().any(dim=-1, keepdim=True)
        scores_BHQK = query_BHTD[:, :, query_index].to(exact) @ key_BHDT
        weights_BHQK = (scores_BHQK + bias_BHQK.masked_fill(~seen_BHQ1, 0.0)).softmax(dim=-1)
        if keep_BHTT is not None:
            weights_BHQK = weights_BHQK * keep_BHTT[:, :, query_index]
        else:
            weights_BHQK = torch.nn.functional.dropout(weights_BHQK, dropout)
        chunks.append((weights_BHQK @ value_BHTD) * seen_BHQ1)

    return torch.cat(chunks, dim=2).to(query_BHTD.dtype)
