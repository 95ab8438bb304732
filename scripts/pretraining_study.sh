#!/usr/bin/env bash
# BIOptimus's four phases in miniature, on both long families, against the same tokens in its first
# phase alone and against a falling rate; and healed against random new positions.
#   ./scripts/pretraining_study.sh DATA OUT [STEPS]
# DATA holds train-00.jsonl.gz and validation.jsonl.gz (docs/data.md). Every arm takes 4 x STEPS steps
# of 4,096 tokens. Killed, it goes on where it was.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment quickstart
data="$1" out="$2" steps="${3:-25}"
export HF_HUB_OFFLINE=1

run() { # CONFIG MODEL NAME LENGTHS [--set ...]
    local config="$1" model="$2" name="$3" lengths="$4"
    shift 4
    longbio pretrain "configs/pretrain/$config.yaml" --set "model=$model" --set "out=$out/$name" \
        --set "corpora.open.paths=[$data/train-00.jsonl.gz]" --set machine.precision=float32 \
        --set machine.device_batch=null --set machine.save_steps=1000000 --set 'trackers=[]' \
        --set "validation={corpus: {paths: [$data/validation.jsonl.gz]}, tokens: 40000, lengths: $lengths}" \
        "$@"
}

phase() { # NUMBER STEPS: the overrides that make a phase small
    echo "--set phases.$1.tokens=null --set phases.$1.steps=$2 --set phases.$1.batch_tokens=4096" \
        "--set phases.$1.learning_rate=2e-4"
}

as_bioptimus="--set phases.0.schedule=linear --set phases.0.warmup_share=0.1"
minilm="$(python -c 'from longbio.benchmarking.quickstart import minilm; print(minilm())')"
run head "$minilm" head '[512]' --set phases.0.steps=200 --set phases.0.batch_tokens=4096 \
    --set phases.0.learning_rate=5e-3
for family in longformer bigbird; do
    longbio convert "$out/head/v0.1-head" "$out/$family" --to "$family"
    # shellcheck disable=SC2046
    run bioptimus "$out/$family" "$family-bioptimus" '[512, 4096]' \
        $(for n in 0 1 2 3; do phase "$n" "$steps"; done)
    # shellcheck disable=SC2046
    run heal "$out/$family" "$family-token" '[512, 4096]' $(phase 0 "$((4 * steps))") $as_bioptimus
    # shellcheck disable=SC2046
    run decay-30-15 "$out/$family" "$family-decay" '[512, 4096]' $(phase 0 "$((4 * steps))")
done

# The Longformer again, with new positions drawn at random instead of copied.
[[ -d "$out/longformer-random" ]] || python - "$out/longformer" "$out/longformer-random" <<'PYTHON'
import shutil
import sys

import torch

from longbio.encoders.loading import load
from longbio.encoders.saving import save_whole

source, out = sys.argv[1:]
model = load(source, "mlm")
table = model.longformer.embeddings.position_embeddings.weight
torch.manual_seed(0)
with torch.no_grad():
    table[512 - 4096 :].normal_(std=float(table[-4096:].std()))
shutil.copytree(source, out + ".partial", dirs_exist_ok=True)
save_whole(model, out + ".partial", origin=source)
shutil.move(out + ".partial", out)
PYTHON
# shellcheck disable=SC2046
run heal "$out/longformer-random" longformer-random-token '[512, 4096]' \
    $(phase 0 "$((4 * steps))") $as_bioptimus
