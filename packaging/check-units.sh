#!/bin/sh
# Are the units well formed, and is each closed enough? Prints the score of each (0 is closed, 10 is
# open; above 2.0 fails) and says plainly where that cannot be checked.
set -eu
cd "$(dirname "$0")/.."

threshold=20 # tenths, as systemd-analyze wants it
if ! command -v systemd-analyze >/dev/null; then
	echo "units: not checked, systemd-analyze is not here (Debian: apt-get install systemd)"
	exit 0
fi
if ! systemd-analyze security --help 2>/dev/null | grep -q -e --offline; then
	echo "units: not checked, this systemd-analyze cannot look at files (it needs systemd 250)"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for unit in debian/weir-gateway.*.service debian/weir-gateway.*.timer; do
	cp "$unit" "$work/${unit#debian/weir-gateway.}"
done

failed=0
# Programs, users and manual pages of the package are not on this machine: only these two may be
# missed. Anything else that is said of our units fails.
said=$(systemd-analyze verify --man=no --recursive-errors=no "$work"/*.service "$work"/*.timer 2>&1 |
	grep -F "$work" | grep -v -e 'is not executable: No such file or directory' || true)
if [ -n "$said" ]; then
	echo "$said" | sed "s#$work/##"
	failed=1
fi
for unit in "$work"/*.service; do
	if said=$(systemd-analyze security --offline=true --no-pager --threshold=$threshold "$unit" 2>&1); then
		verdict=ok
	else
		verdict="above $threshold tenths: systemd-analyze security --offline=true debian/weir-gateway.${unit##*/}"
		failed=1
	fi
	echo "${unit##*/}: $(echo "$said" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p') $verdict"
done
exit $failed
