#!/usr/bin/env bash
# Questions to long documents: a short encoder in chunks against its long form, equally tuned.
#
#   scripts/qa_benchmark.sh SHORT LONG covid_qa/ runs/qa [--set seeds='[0]' --set set='[recipe.max_steps=100]' ...]
#
# DATA holds train, test and, if there is one, dev, in SQuAD or emrQA form. OUT/report.html has the answer, with
# its interval over documents, its cost, and scores by the length of a document and the place of an answer.
# What follows goes to `longbio benchmark`. Run again, it goes on.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
begin_script 4 "$@"

short="$1" long="$2" data="$3" out="$4"
shift 4

longbio benchmark "$root/configs/benchmark/qa.yaml" --data "$data" \
    --set models.short="$short" --set models.long="$long" --set out="$out" "$@"
