#!/usr/bin/env bash
# Every check of the repository, offline once installed; arguments go to pytest. With --fast as the first,
# only what is checked in a minute and a half: no model learns, and no process is started.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment dev,quickstart,stable-adamw,deepspeed

# Reports are opened in a real browser. Where there is none, and none can be installed, those tests are skipped.
has_browser() {
    [[ -n "${LONGBIO_BROWSER:-}" || -n "$(type -P chromium-headless-shell chromium google-chrome)" ]]
}
if ! has_browser && [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
    echo "== installing a headless browser"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends \
        chromium-headless-shell fonts-dejavu-core >/dev/null; } || echo "none could be installed"
fi

# Two processes share the work, with a thread each, and so do those that they start.
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1

check() {
    echo "== $*"
    "$@"
}

check ruff check
check ruff format --check
check mypy
check lint-imports --no-logo
if [[ "${1:-}" == --fast ]]; then
    shift
    set -- tests/artifacts tests/corpus tests/tasks tests/test_errors.py tests/test_settings.py "$@"
fi
check pytest -n 2 --dist worksteal "$@"
