"""`continue_masked_lm`: a checkpoint goes on learning masked words and becomes another one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoTokenizer, PreTrainedModel, set_seed

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.encoders.loading import load
from longbio.encoders.longformer import refresh_global_projections
from longbio.encoders.saving import save_whole
from longbio.encoders.tokens import tokenize
from longbio.errors import LongbioError
from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.head import start_head, summed_loss
from longbio.masked_lm.masking import IGNORED, Ids, mask_tokens
from longbio.pretraining.packing import pack
from longbio.training.trainer import OnStep, TrainingSettings, train

REPORT = "pretraining.json"


@dataclass(frozen=True)
class PretrainingSettings:
    """How a checkpoint goes on learning masked words.

    Args:
        training: steps, learning rate, batch and seed.
        sequence_tokens: length of a training sequence.
        learns: `all` weights, or the `head` alone; an encoder without a head gets one that
            starts from its word embeddings.
        mask_rate: share of the tokens that is predicted.
        dropout: of the model while it learns; none suits short runs, and is faster.
    """

    training: TrainingSettings
    sequence_tokens: int
    learns: Literal["all", "head"] = "all"
    mask_rate: float = 0.15
    dropout: float = 0.0


class MaskedSequences(Dataset[tuple[Ids, Ids]]):
    """Packed sequences, masked anew in every epoch.

    What sample n of the run is depends on the seed and on n alone: not on processes, workers or
    restarts.
    """

    def __init__(self, sequences: Sequence[Ids], tokenizer: Any, settings: PretrainingSettings) -> None:
        self.sequences, self.tokenizer, self.settings = sequences, tokenizer, settings

    def __len__(self) -> int:
        return self.settings.training.steps * self.settings.training.batch

    def __getitem__(self, index: int) -> tuple[Ids, Ids]:
        seed, count = self.settings.training.seed, len(self.sequences)
        epoch, place = divmod(index, count)
        order = np.random.default_rng((seed, epoch)).permutation(count)
        return mask_tokens(
            self.sequences[order[place]],
            special_ids=tuple(self.tokenizer.all_special_ids),
            mask_id=self.tokenizer.mask_token_id,
            vocab_size=len(self.tokenizer),
            rate=self.settings.mask_rate,
            seed=(seed, epoch, place),
        )

    def collate(self, samples: Sequence[tuple[Ids, Ids]]) -> dict[str, Tensor]:
        """Sequences as one batch, padded to its longest."""
        longest = max(len(ids) for ids, _ in samples)

        def padded(arrays: Sequence[Ids], value: int) -> Tensor:
            full = [np.pad(a, (0, longest - len(a)), constant_values=value) for a in arrays]
            return torch.from_numpy(np.stack(full))

        return {
            "input_ids": padded([ids for ids, _ in samples], self.tokenizer.pad_token_id),
            "attention_mask": padded([np.ones_like(ids) for ids, _ in samples], 0),
            "labels": padded([labels for _, labels in samples], IGNORED),
        }


def continue_masked_lm(
    model_folder: Path,
    texts: Sequence[str],
    held_out: Sequence[str],
    settings: PretrainingSettings,
    out: Path,
    *,
    on_step: OnStep = lambda step, loss: None,
) -> dict[str, Any]:
    """Continue masked-LM training and leave a native checkpoint in `out`.

    Args:
        model_folder: a short or a long checkpoint.
        texts: what it learns from.
        held_out: what it is measured on, before and after.
        settings: how.
        out: the folder to make; when it is there already, nothing is done. What a killed run
            left beside it is taken up again.
        on_step: told of every step.

    Returns:
        What is saved as `pretraining.json` in `out`: settings, losses in nats per masked token,
        and bits per masked token of the held-out texts before and after.

    Raises:
        LongbioError: there is no text, or the encoder has no head and `learns` is `all`.
    """
    if (out / REPORT).is_file():
        done: dict[str, Any] = read_json(out / REPORT)
        return done
    if not texts or not held_out:
        raise LongbioError("there is no text to learn from", where=out, remedy="name a folder with texts")

    set_seed(settings.training.seed)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    sequences = pack(texts, tokenizer, settings.sequence_tokens)
    model = _model(model_folder, settings, sequences)
    samples = MaskedSequences(sequences, tokenizer, settings)
    work = out.with_name(out.name + ".training")

    with staged_folder(out) as partial:
        before = held_out_bits(model, tokenizer, held_out, settings.sequence_tokens)
        losses = train(model, samples, samples.collate, summed_loss, settings.training, work, on_step)
        after = held_out_bits(model, tokenizer, held_out, settings.sequence_tokens)
        refresh_global_projections(model)
        save_whole(model, partial, origin=model_folder)
        tokenizer.save_pretrained(partial)
        report = {
            "settings": asdict(settings),
            "sequences": len(sequences),
            "bits_before": before,
            "bits_after": after,
            "losses": losses,
        }
        write_json(partial / REPORT, report)
    shutil.rmtree(work, ignore_errors=True)
    return report


def held_out_bits(model: PreTrainedModel, tokenizer: Any, texts: Sequence[str], num_tokens: int) -> float:
    """Bits per masked token of whole texts, at 15% masking with a fixed seed."""
    ids = np.concatenate([tokenize(text, tokenizer).ids for text in texts])
    corrupted, labels = mask_tokens(
        ids,
        special_ids=tuple(tokenizer.all_special_ids),
        mask_id=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
    )
    frame = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    model.eval()
    return bits_per_masked_token(model, corrupted, labels, num_tokens=num_tokens, frame=frame)


def _model(model_folder: Path, settings: PretrainingSettings, sequences: Sequence[Ids]) -> PreTrainedModel:
    only_head = settings.learns == "head"
    model = load(model_folder, "mlm", new_head=only_head, dropout=settings.dropout)
    if only_head:
        start_head(model, sequences)
        # Tied to the head's decoder, the word embeddings stay as they are with the encoder.
        model.base_model.requires_grad_(False)
    return model
