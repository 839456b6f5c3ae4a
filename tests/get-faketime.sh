#!/bin/sh
# Make libfaketime for the tests that set the clock, without root: the installed one, or Debian's and
# Ubuntu's own package unpacked into .tools (nothing is installed).
#
# Prints the path of the library. Where there can be none it says why, on stderr and in
# .tools/faketime-missing.txt, and still succeeds: the tests that need it are then skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools
home=$tools/faketime
link=$tools/lib/libfaketimeMT.so.1
reason=$tools/faketime-missing.txt

works() { [ "$(LD_PRELOAD=$1 FAKETIME='@2001-02-03 04:05:06' date -u +%Y 2>/dev/null)" = 2001 ]; }

found() {
	rm -f "$reason"
	mkdir -p "$tools/lib"
	[ "$1" = "$link" ] || ln -sf "$1" "$link"
	echo "$link"
	exit 0
}

missing() {
	mkdir -p "$tools"
	echo "no libfaketime for the tests: $1" | tee "$reason" >&2
	exit 0
}

for place in "$link" /usr/lib/*/faketime/libfaketimeMT.so.1; do
	if [ -r "$place" ] && works "$place"; then found "$place"; fi
done

for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || missing "$tool is not here; install libfaketime by other means"
done

work=$tools/apt-faketime
rm -rf "$home" "$work"
mkdir -p "$home" "$work/debs" "$work/lists/partial" "$work/cache/archives/partial"
trap 'rm -rf "$work"' EXIT

apt() {
	apt-get -qq -o Dir::Cache="$work/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User="" \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

# It needs libc alone.
download() { (cd "$work/debs" && apt "$@" download libfaketime >/dev/null 2>>"$work/log"); }

private="-o Dir::State=$work -o Dir::State::lists=$work/lists -o Dir::State::status=/var/lib/dpkg/status"
if ! download; then # no lists here, or old ones
	rm -f "$work"/debs/*
	case $root in *[[:space:]]*) missing "the path $root holds a space" ;; esac
	# shellcheck disable=SC2086 # options are words
	apt $private -o APT::Update::Error-Mode=any update >/dev/null 2>>"$work/log" && download $private ||
		missing "apt-get cannot fetch it: $(grep -m 1 "Failed" "$work/log" || tail -n 1 "$work/log")"
fi

for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$home"; done
library=$(find "$home" -name libfaketimeMT.so.1 | head -n 1)
[ -n "$library" ] || missing "the package does not hold it"
works "$library" || missing "the unpacked one does not work"
found "$library"
