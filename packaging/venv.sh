#!/bin/sh
# Makes a virtual environment with pip in it, by whichever tool the machine has.
set -eu
dir=$1
[ -x "$dir/bin/python" ] && "$dir/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "Weir needs Python 3.11 or newer as $python; set PYTHON=/path/to/python3.11" >&2
  exit 1
}
"$python" -m venv "$dir" 2>/dev/null && exit 0
rm -rf "$dir"
command -v uv >/dev/null && uv venv --seed --python "$python" "$dir" && exit 0
command -v virtualenv >/dev/null && virtualenv --python "$python" "$dir" && exit 0
# Debian's python3 without python3-venv lacks ensurepip; its python3-pip can still fill the folder.
if "$python" -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --without-pip "$dir" && "$python" -m pip --python "$dir/bin/python" install --quiet pip && exit 0
  rm -rf "$dir"
fi
echo "No tool to make a virtual environment with: sudo apt install python3-venv" >&2
exit 1
