#!/usr/bin/env bash
# Everything that has to hold before a change lands: `bash .ci/run [STEP ...]`. The steps are in run.py beside this;
# here only a Python that can run it is found.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && exec "$python" ci/run.py "$@" </dev/null
done
command -v uv >/dev/null 2>&1 && exec uv run --quiet --no-project ci/run.py "$@" </dev/null
echo "no Python 3.10 or later and no uv is here" >&2
exit 1
