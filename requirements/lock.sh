#!/bin/sh
# Resolves every package anew and pins it by hash; needs uv. openvino-telemetry is left out: it
# phones home, and OpenVINO runs without it.
set -eu
cd "$(dirname "$0")/.."
lock() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-package openvino-telemetry "$@"
}
echo 'setuptools>=77' | lock - -o requirements/build.txt
lock pyproject.toml -o requirements/run.txt
lock pyproject.toml --extra dev --constraint requirements/run.txt -o requirements/dev.txt
packaging/runtime-version.sh --renew
