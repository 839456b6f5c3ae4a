#!/bin/sh
# wheelhouse.sh PYTHON MACHINE: downloads the wheels of requirements/run.txt for a target, by hash,
# into packaging/.wheelhouse; the one step of `make deb` that speaks to a network. What is there
# already is checked, not downloaded again. No code of the target runs.
set -eu
cd "$(dirname "$0")"
python=$1 machine=$2
tag=cp$(echo "$python" | tr -d .)
into=.wheelhouse/$tag-$machine
mkdir -p "$into"
/usr/bin/python3 target_lock.py ../requirements/run.txt "$python" "$machine" >"$into.new"
cmp -s "$into.new" "$into.lock" && [ -e "$into.whole" ] && rm "$into.new" && exit 0
rm -f "$into.whole"
echo "downloading the wheels for Python $python on $machine into packaging/$into"
# glibc's versions up to Debian 12's: a wheel is named after the oldest that it runs on.
platforms="--platform manylinux2014_$machine"
for minor in $(seq 36 -1 17); do platforms="--platform manylinux_2_${minor}_$machine $platforms"; done
# shellcheck disable=SC2086 # a list of options
/usr/bin/python3 -m pip download -qq --disable-pip-version-check --no-deps --require-hashes \
  --only-binary :all: --implementation cp --python-version "$python" \
  --abi "$tag" --abi abi3 --abi none $platforms --dest "$into" --requirement "$into.new"
mv "$into.new" "$into.lock"
touch "$into.whole"
