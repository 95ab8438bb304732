#!/usr/bin/env bash
# Entities in long notes: learn them from a corpus, score, and annotate a folder of notes.
#
#   scripts/long_note_ner.sh runs/clinical-long/healed my-corpus/ notes/ runs/ner [--set recipe.max_steps=300 ...]
#
# CORPUS holds train, test and, if there is one, dev, in BRAT or any other format with mentions; NOTES are what
# shall be annotated. OUT/entities/results.json has the scores over seeds, OUT/annotations the notes as BRAT
# files, OUT/pages the same to look at. What follows goes to `longbio finetune`. Run again, it goes on.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
begin_script 4 "$@"

model="$1" corpus="$2" notes="$3" out="$4"
shift 4

longbio finetune "$root/configs/finetune/entities.yaml" --data "$corpus" \
    --set model="$model" --set out="$out/entities" "$@"

learned="$(ls -d "$out"/entities/seed-*/model | head -n 1)"
longbio predict "$learned" "$notes" --out "$out/annotations" --format brat
longbio predict "$learned" "$notes" --out "$out/pages" --format html
echo "== scores: $out/entities/results.json   annotations: $out/annotations   pages: $out/pages/index.html"
