"""What a batch's masks become: a pattern, its padding left out, and a kernel for every layer."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from longbio.attention import dense
from longbio.attention.kernels import Kernel, choose
from longbio.attention.pattern import PADDING, SparsePattern, number_documents, ordinary_tensors
from longbio.errors import LongbioError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LayerAttention:
    """What a layer needs to attend. It rides through the stock layers as their `attention_mask`."""

    kernel: Kernel
    pattern: SparsePattern


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch made ready for the layers.

    Args:
        layers: of each layer its kernel and its pattern.
        index_N: flat positions (row * T + token) of the tokens that the layers compute, in
            order; None where they compute the batch as it is.
        real_N: bool, of the tokens that the layers compute those that are neither padding nor
            filler; None where all are.
        position_BT: positions within documents where rows hold several, else None.
    """

    layers: tuple[LayerAttention, ...]
    index_N: Tensor | None
    real_N: Tensor | None
    position_BT: Tensor | None

    def leave_out_padding(self, hidden_BTC: Tensor) -> Tensor:
        """(1, N, C): the documents of all rows, one after the other."""
        if self.index_N is None:
            return hidden_BTC
        return hidden_BTC.flatten(0, 1)[self.index_N][None]

    def put_back(self, hidden_1NC: Tensor, batch: tuple[int, int]) -> Tensor:
        """(B, T, C) with zeros where there is padding."""
        if self.real_N is None:
            return hidden_1NC
        if self.index_N is None:
            return hidden_1NC * self.real_N.view(*batch, 1)
        wide = hidden_1NC.new_zeros(batch[0] * batch[1], hidden_1NC.shape[2])
        # Filler repeats a position whose own token isn't filler: it adds nothing.
        filtered = hidden_1NC[0] * self.real_N[:, None]
        return wide.index_add(0, self.index_N, filtered).unflatten(0, batch)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rules(ABC):
    """How the layers of a model look at documents. Hashable, and equal where that is the same.

    Args:
        max_tokens: positions of the model: the longest document.
        block_tokens: documents packed into one row start on multiples of it.
        keeps_padding: padding has a part in what tokens see, as in Hugging Face's BigBird.
        numbers_padding: positions of a row's only document count padding before it, as BigBird's do.
    """

    max_tokens: int
    block_tokens: int = 1
    keeps_padding: bool = False
    numbers_padding: bool = False

    @abstractmethod
    def layers(self, documents: SparsePattern) -> Sequence[SparsePattern]:
        """The pattern of every layer; the same object where layers share one."""


def prepare(
    documents: SparsePattern, rules: Rules, kernel: Kernel | None, *, dtype: torch.dtype, dropout: float
) -> Prepared:
    """Make a batch ready for the layers of an encoder, once for each kernel and dtype.

    A pattern built on the CPU needs no answer from the device. A compiled graph reads what is there already.

    Args:
        kernel: the one that was asked for, or None.
        dtype: of queries, keys and values.
        dropout: of attention weights.

    Raises:
        LongbioError: the kernel can't run this.
        ValueError: a document is longer than the model.
    """
    key = ("prepared", rules, None if kernel is None else kernel.name, dtype, dropout)
    if key not in documents.cache:
        _build(documents, key, rules, kernel, dtype, dropout)
    prepared: Prepared = documents.cache[key]
    return prepared


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's own has no types
@ordinary_tensors()
def _build(
    documents: SparsePattern,
    key: Hashable,
    rules: Rules,
    kernel: Kernel | None,
    dtype: torch.dtype,
    dropout: float,
) -> None:
    position_BT = _positions(documents, rules)
    if position_BT is not None:
        refuse_long(int(position_BT.max()) + 1, rules.max_tokens)
    joined, index_N, real_N = documents.on_host, None, None
    if not rules.keeps_padding:
        joined, index_N, real_N = _without_padding(documents, rules.block_tokens)
    patterns = rules.layers(joined)
    ready: dict[int, LayerAttention] = {}
    for pattern in {id(pattern): pattern for pattern in patterns}.values():
        moved = pattern.to(documents.device, non_blocking=True)
        chosen = _chosen(kernel, moved, dtype, dropout)
        chosen.prepare(moved)
        dense.global_rows(moved)
        ready[id(pattern)] = LayerAttention(chosen, moved)
    layers = tuple(ready[id(pattern)] for pattern in patterns)
    if kernel is None:
        _say_once(layers[0].kernel.name, documents.device.type)
    if position_BT is not None:
        position_BT = position_BT.to(documents.device, non_blocking=True)
    documents.cache[key] = Prepared(layers, index_N, real_N, position_BT)


def _chosen(kernel: Kernel | None, pattern: SparsePattern, dtype: torch.dtype, dropout: float) -> Kernel:
    try:
        return choose(kernel, pattern, dtype=dtype, dropout=dropout)
    except ValueError as error:
        # The user named this kernel, and can name another.
        raise LongbioError(str(error), where="kernel") from error


@cache
def _say_once(name: str, device_type: str) -> None:
    """Log what `auto` chose."""
    logger.info("attention kernel on %s: %s", device_type, name)


def _without_padding(pattern: SparsePattern, size: int) -> tuple[SparsePattern, Tensor | None, Tensor | None]:
    """The pattern of all documents in one row, and where their tokens come from; unchanged where that would
    leave nothing out."""
    host = pattern.on_host
    rows, num_tokens = host.document_BT.shape
    spans = host.documents.tolist()
    lengths = [stop - start for start, stop in spans]
    # Blocks are counted from a document's own first token.
    room = [-(-length // size) * size for length in lengths[:-1]] + lengths[-1:]
    aligned = all(start % num_tokens % size == 0 for start, _ in spans)
    if not spans or (sum(room) >= rows * num_tokens and aligned):
        real_N = host.valid_BT.flatten()
        return host, None, None if bool(real_N.all()) else real_N.to(pattern.device, non_blocking=True)

    pieces, real, documents = [], [], []
    for number, ((start, stop), width) in enumerate(zip(spans, room, strict=True)):
        filler = width - (stop - start)
        pieces += [torch.arange(start, stop), torch.full((filler,), start)]
        within = host.valid_BT.flatten()[start:stop]
        real += [within, torch.zeros(filler, dtype=torch.bool)]
        documents += [torch.where(within, number, PADDING), torch.full((filler,), PADDING)]
    index_N, real_N = torch.cat(pieces), torch.cat(real)
    joined = replace(
        host,
        document_BT=torch.cat(documents)[None],
        global_BT=(host.global_BT.flatten()[index_N] & real_N)[None],
        host=None,
        cache={},
    )
    index_N, real_N = (tensor.to(pattern.device, non_blocking=True) for tensor in (index_N, real_N))
    return joined, index_N, real_N


def _positions(pattern: SparsePattern, rules: Rules) -> Tensor | None:
    """(B, T) int64 on the CPU: positions within documents; None where those of the family do."""
    host = pattern.on_host
    spans, num_tokens = host.documents, host.num_tokens
    in_row = (spans[:, 0] // num_tokens).bincount(minlength=len(host.document_BT))
    fits = num_tokens <= rules.max_tokens or rules.keeps_padding
    if not len(spans) or (fits and int(in_row.max()) == 1):
        return None
    counted_N = host.valid_BT.flatten().cumsum(0) - 1
    column_N = torch.arange(len(counted_N)) % num_tokens
    position_N = torch.zeros_like(counted_N)
    for start, stop in spans.tolist():
        is_only_one = fits and int(in_row[start // num_tokens]) == 1
        if rules.numbers_padding and is_only_one:
            position_N[start:stop] = column_N[start:stop]
        else:
            position_N[start:stop] = counted_N[start:stop] - counted_N[start]
    return position_N.view(host.document_BT.shape)


def batch_pattern(
    attention_mask: Tensor | None,
    global_attention_mask: Tensor | None,
    document_ids: Tensor | None,
    shape: tuple[int, int],
    device: torch.device,
) -> SparsePattern:
    """Documents and global tokens of a batch. A collator may build it and hand it to the model
    as `attention_mask`: built on the CPU, it costs the forward pass no wait for the device.

    Args:
        attention_mask: (B, T), 0 for padding; None for none.
        global_attention_mask: (B, T), 1 for global tokens; None for none. Padding is never global.
        document_ids: (B, T) integers, the documents packed into each row; None for one a row.
        shape: (B, T).

    Raises:
        ValueError: a mask of another shape, or document numbers that are no integers.
    """
    valid_BT = _bool_mask(attention_mask, shape, "attention_mask")
    if document_ids is not None:
        document_ids = document_ids.to(valid_BT.device)
    documents = number_documents(valid_BT, document_ids)
    global_BT = torch.zeros_like(valid_BT)
    if global_attention_mask is not None:
        global_BT = _bool_mask(global_attention_mask, shape, "global_attention_mask").to(valid_BT.device)
    return SparsePattern(documents, global_BT & (documents != PADDING)).to(device)


def given_pattern(
    attention_mask: Tensor | SparsePattern | None,
    global_attention_mask: Tensor | None,
    document_ids: Tensor | None,
    shape: tuple[int, int],
    device: torch.device,
) -> SparsePattern:
    """The pattern that came as `attention_mask`, or the one of these masks. Raises as `batch_pattern`."""
    if attention_mask is None and global_attention_mask is None and document_ids is None:
        if (shape, device) not in _whole:
            _remember_whole(shape, device)
        return _whole[shape, device]
    if not isinstance(attention_mask, SparsePattern):
        return batch_pattern(attention_mask, global_attention_mask, document_ids, shape, device)
    if tuple(attention_mask.document_BT.shape) != shape:
        its_shape = tuple(attention_mask.document_BT.shape)
        raise ValueError(f"the pattern given as attention_mask is {its_shape}, the batch is {shape}")
    if global_attention_mask is not None or document_ids is not None:
        raise ValueError("attention_mask is a pattern: global tokens and documents are in it already")
    return attention_mask.to(device, non_blocking=True)


_whole: dict[tuple[tuple[int, int], torch.device], SparsePattern] = {}
"""Patterns of batches without masks, and with them what kernels made of them."""

WHOLE_KEPT = 4  # lengths


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's own has no types
@ordinary_tensors()
def _remember_whole(shape: tuple[int, int], device: torch.device) -> None:
    if len(_whole) >= WHOLE_KEPT:
        del _whole[next(iter(_whole))]
    _whole[shape, device] = batch_pattern(None, None, None, shape, device)


def refuse_long(num_tokens: int, max_tokens: int) -> None:
    """Raise when a batch is longer than the position table."""
    if num_tokens > max_tokens:
        raise ValueError(
            f"the batch has {num_tokens} tokens and the model {max_tokens} positions; "
            "split the text into windows"
        )


def _bool_mask(mask: Tensor | None, shape: tuple[int, int], name: str) -> Tensor:
    """(B, T) bool of a 0/1 mask; all True, on the CPU, where there is none."""
    if mask is None:
        return torch.ones(shape, dtype=torch.bool)
    if tuple(mask.shape) != shape:
        raise ValueError(f"the {name} is {tuple(mask.shape)}, the batch is {shape}")
    if mask.is_floating_point():  # an additive mask would mean the opposite
        raise ValueError(f"the {name} is {mask.dtype}; give 1 and 0, or True and False")
    return mask > 0
