#!/bin/sh
# Make a `mosquitto` for the tests, without root: the installed one, or Debian's and Ubuntu's own
# package unpacked into .tools (nothing is installed, nothing of it runs by itself).
#
# Prints the path of the program. Where there can be none it says why, on stderr and in
# .tools/mosquitto-missing.txt, and still succeeds: the tests that need it are then skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools
home=$tools/mosquitto
wrapper=$tools/bin/mosquitto
reason=$tools/mosquitto-missing.txt

works() { "$1" -h 2>/dev/null | grep -q '^mosquitto version'; }

found() {
	rm -f "$reason"
	echo "$1"
	exit 0
}

missing() {
	mkdir -p "$tools"
	echo "no mosquitto for the tests: $1" | tee "$reason" >&2
	exit 0
}

for place in "$(command -v mosquitto || true)" /usr/sbin/mosquitto "$wrapper"; do
	if [ -x "$place" ] && works "$place"; then found "$place"; fi
done

for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || missing "$tool is not here; install mosquitto by other means"
done

work=$tools/apt
rm -rf "$home" "$work"
mkdir -p "$home" "$work/debs" "$work/lists/partial" "$work/cache/archives/partial" "$tools/bin"
trap 'rm -rf "$work"' EXIT

apt() {
	apt-get -qq -o Dir::Cache="$work/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User="" \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

# What the system lacks of mosquitto and its libraries. Never another libc: it and the running
# loader have to be of one build.
download() {
	packages=$(apt "$@" -s install --no-install-recommends mosquitto 2>>"$work/log" |
		sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -Ev '^(libc6|libc-bin|locales)(:|$)') || return 1
	# shellcheck disable=SC2086 # names of packages are words
	(cd "$work/debs" && apt "$@" download $packages >/dev/null 2>>"$work/log")
}

private="-o Dir::State=$work -o Dir::State::lists=$work/lists -o Dir::State::status=/var/lib/dpkg/status"
if ! download; then # no lists here, or old ones
	rm -f "$work"/debs/*
	case $root in *[[:space:]]*) missing "the path $root holds a space" ;; esac
	# shellcheck disable=SC2086 # options are words
	apt $private -o APT::Update::Error-Mode=any update >/dev/null 2>>"$work/log" && download $private ||
		missing "apt-get cannot fetch it: $(grep -m 1 "Failed" "$work/log" || tail -n 1 "$work/log")"
fi

for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$home"; done

libraries=$(find "$home" -name '*.so*' -exec dirname {} + | sort -u | paste -sd: -)
for program in usr/sbin/mosquitto usr/bin/mosquitto_passwd; do
	cat >"$tools/bin/${program##*/}" <<-EOF
		#!/bin/sh
		LD_LIBRARY_PATH="$libraries" exec "$home/$program" "\$@"
	EOF
	chmod +x "$tools/bin/${program##*/}"
done
works "$wrapper" || missing "the unpacked one does not run: $("$wrapper" -h 2>&1 | tail -n 1)"
found "$wrapper"
