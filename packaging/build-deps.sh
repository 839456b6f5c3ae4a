#!/bin/sh
# Says which of Debian's packages `make deb` needs and this machine lacks, and installs them when
# it runs as root with --install. Exit code 1 while one is missing.
set -eu
needed='apt-utils binutils binutils-aarch64-linux-gnu debhelper dpkg-dev gnupg lintian python3 python3-pip xz-utils zstd'
missing() {
  for package in $needed; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf ' %s' "$package"
  done
}
command -v dpkg-query >/dev/null || {
  echo "make deb needs Debian 12 or newer, or a container of it" >&2
  exit 1
}
lacking=$(missing)
[ -n "$lacking" ] || exit 0
if [ "${1-}" = --install ] && [ "$(id -u)" = 0 ]; then
  echo "installing$lacking"
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $lacking >/dev/null
else
  echo "make deb needs packages that this machine lacks. As root:" >&2
  echo "  apt install --no-install-recommends$lacking" >&2
  exit 1
fi
