#!/usr/bin/env bash
# A short encoder becomes a long one that has read your notes: convert, verify, heal.
#
#   scripts/convert_short_to_long.sh emilyalsentzer/Bio_ClinicalBERT notes/ runs/clinical-long [--set ...]
#
# NOTES are text files, JSON lines, CSV or Parquet. OUT/long is the converted model, OUT/healed the one to
# use; both load with plain transformers. What follows goes to healing's `longbio pretrain`. Run again, it goes on.
# TARGET=bigbird makes a BigBird. STEPS and BATCH_TOKENS say what healing may cost: 2,500 steps of 262,144
# tokens are for a GPU; on one CPU thread STEPS=150 BATCH_TOKENS=4096 took 44 minutes for MiniLM-L6.
# One note in a hundred is held out to measure on, one in ten of a folder with fewer than 500; HELD_OUT=0.05
# says otherwise.
# HEAD_STEPS=400 learns a masked-LM head before, for an encoder that has none (sentence encoders).
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
begin_script 3 "$@"

short="$1" notes="$2" out="$3"
shift 3
precision="$(python -c 'import torch; print("bfloat16" if torch.cuda.is_available() else "float32")')"
held_out=0.01
[[ -d "$notes" ]] && (( $(find "$notes" -type f | wc -l) < 500 )) && held_out=0.1
shared=(--set corpora.open.paths="['${notes//\'/\'\'}']" --set validation.share="${HELD_OUT:-$held_out}"
    --set machine.precision="$precision" --set machine.device_batch=1)

if [[ -n "${HEAD_STEPS:-}" ]]; then
    longbio pretrain "$root/configs/pretrain/head.yaml" --set model="$short" --set out="$out/head" \
        "${shared[@]}" --set phases.0.steps="$HEAD_STEPS" --set phases.0.batch_tokens=4096 \
        --set phases.0.learning_rate=5e-3
    short="$out/head/v0.1-head"
fi

[[ -f "$out/long/config.json" ]] || longbio convert "$short" "$out/long" --to "${TARGET:-longformer}"

longbio pretrain "$root/configs/pretrain/heal.yaml" --set model="$out/long" --set out="$out/healing" \
    "${shared[@]}" --set phases.0.steps="${STEPS:-2500}" \
    --set phases.0.batch_tokens="${BATCH_TOKENS:-262144}" "$@"
ln -sfn healing/v0.1-healed "$out/healed"
echo "== $out/healed is ready: scripts/long_note_ner.sh $out/healed CORPUS NOTES OUT"
