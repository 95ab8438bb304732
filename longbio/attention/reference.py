"""The law: a float32 softmax over the pattern's bias. Every kernel is tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern

QUERY_CHUNK = 128  # keeps 65,536 tokens within a few GB
KEPT_TOKENS = 4096  # up to here all layers share one bias, of 4 bytes * tokens^2 a row


def attend(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    pattern: SparsePattern,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every token, in float32, over all keys at once.

    Args:
        query_BHTD: queries, not yet scaled.
        key_BHTD: keys.
        value_BHTD: values.
        pattern: who sees whom.
        dropout: probability of dropping an attention weight.

    Returns:
        (B, H, T, D) in the dtype of the queries; zero where a token is padding.
    """
    num_tokens, head_size = query_BHTD.shape[2:]
    position_T = torch.arange(num_tokens, device=query_BHTD.device)
    key_BHDT = key_BHTD.float().transpose(2, 3) / head_size**0.5
    value_BHTD = value_BHTD.float()
    chunks = []

    for query_index in position_T.split(QUERY_CHUNK):
        bias_B1QK = _bias(pattern, query_index, position_T)[:, None]
        # Padding sees no key. A finite row keeps its softmax from NaN; its weights count nothing.
        seen_B1Q1 = bias_B1QK.isfinite().any(dim=-1, keepdim=True)
        scores_BHQK = query_BHTD[:, :, query_index].float() @ key_BHDT
        weights_BHQK = (scores_BHQK + bias_B1QK.masked_fill(~seen_B1Q1, 0.0)).softmax(dim=-1)
        weights_BHQK = torch.nn.functional.dropout(weights_BHQK, dropout)
        chunks.append((weights_BHQK @ value_BHTD) * seen_B1Q1)

    return torch.cat(chunks, dim=2).to(query_BHTD.dtype)


def _bias(pattern: SparsePattern, query_index: Tensor, key_index: Tensor) -> Tensor:
    if pattern.num_tokens > KEPT_TOKENS:
        return pattern.bias(query_index, key_index)
    key = ("reference", int(query_index[0]))
    if key not in pattern.cache:
        pattern.cache[key] = pattern.bias(query_index, key_index)
    kept: Tensor = pattern.cache[key]
    return kept
