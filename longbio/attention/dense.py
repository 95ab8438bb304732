"""The rows of a Longformer's global tokens: few queries, every key."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from longbio.attention.pattern import SparsePattern


def attend_from_global(
    query_BHGD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    pattern: SparsePattern,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """Dense attention of the global tokens over all real tokens of their row.

    Args:
        query_BHGD: `query_global` of the tokens at `pattern.global_rows()`.
        key_BHTD: `key_global` of every token.
        value_BHTD: `value_global` of every token.
        pattern: which tokens are real.
        dropout: probability of dropping an attention weight.

    Returns:
        (B, H, G, D). A row of padding attends everywhere, so that it stays finite: ignore it.
    """
    some_B = pattern.valid_BT.any(dim=1)
    seen_BT = pattern.valid_BT | ~some_B[:, None]
    return scaled_dot_product_attention(
        query_BHGD, key_BHTD, value_BHTD, attn_mask=seen_BT[:, None, None, :], dropout_p=dropout
    )
