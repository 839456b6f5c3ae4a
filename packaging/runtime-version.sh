#!/bin/sh
# The version of weir-runtime: the day its contents were last changed, in packaging/runtime.version
# beside the hash of what they are made from. So an upgrade of weir-gateway alone stays small.
# Without an argument: fails when the hash is another one. With --renew: writes the next version.
set -eu
cd "$(dirname "$0")"
file=runtime.version
hash=$(cat ../requirements/run.txt prune.sh target_lock.py | sha256sum | cut -c1-16)
read -r version recorded <"$file"
[ "$hash" != "$recorded" ] || exit 0
if [ "${1-}" != --renew ]; then
  echo "what weir-runtime is made from has changed: packaging/runtime-version.sh --renew" >&2
  exit 1
fi
today=$(date -u +%Y.%m.%d)
case $version in
  "$today") next=$today.2 ;;
  "$today".*) next=$today.$((${version##*.} + 1)) ;;
  *) next=$today ;;
esac
echo "$next $hash" >"$file"
echo "weir-runtime $next"
