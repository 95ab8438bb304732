#!/usr/bin/env bash
# Every check of the repository, offline once installed; arguments go to pytest.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment dev,quickstart,stable-adamw,deepspeed

export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

check() {
    echo "== $*"
    "$@"
}

check ruff check
check ruff format --check
check mypy
check lint-imports --no-logo
check pytest "$@"
