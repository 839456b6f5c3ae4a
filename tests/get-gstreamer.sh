#!/bin/sh
# Make a `gst-python` for the tests, without root: a Python that has GStreamer's RTSP server, the
# installed one or Debian's and Ubuntu's own packages unpacked into .tools (nothing is installed).
#
# Prints the path of the program. Where there can be none it says why, on stderr and in
# .tools/gstreamer-missing.txt, and still succeeds: the tests that need it are then skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools
home=$tools/gstreamer
wrapper=$tools/bin/gst-python
reason=$tools/gstreamer-missing.txt

elements="appsrc appsink identity queue videoconvert x264enc x265enc jpegenc jpegdec h264parse h265parse
	qtdemux rtph264pay rtph265pay rtpjpegpay rtpjpegdepay rtpbin rtspsrc udpsink"
plugins="coreelements app typefindfunctions videoconvertscale rtp rtpmanager udp rtsp isomp4 jpeg
	videoparsersbad x264 x265"

works() {
	# shellcheck disable=SC2086 # elements are words
	"$1" -c '
import sys, gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
if lacking := [e for e in sys.argv[1:] if not Gst.ElementFactory.find(e)]:
    sys.exit("GStreamer lacks " + ", ".join(lacking))
' $elements
}

found() {
	rm -f "$reason"
	echo "$1"
	exit 0
}

missing() {
	mkdir -p "$tools"
	echo "no GStreamer for the tests: $1" | tee "$reason" >&2
	exit 0
}

write_wrapper() { # the Python, then lines of its environment
	mkdir -p "$tools/bin"
	printf '#!/bin/sh\n%s\nexec "%s" "$@"\n' "$2" "$1" >"$wrapper"
	chmod +x "$wrapper"
}

if [ -x "$wrapper" ] && works "$wrapper" 2>/dev/null; then found "$wrapper"; fi
if works /usr/bin/python3 2>/dev/null; then
	write_wrapper /usr/bin/python3 ""
	found "$wrapper"
fi

for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || missing "$tool is not here; install GStreamer by other means"
done

work=$tools/apt-gstreamer
rm -rf "$home" "$work"
mkdir -p "$home/plugins" "$work/debs" "$work/lists/partial" "$work/cache/archives/partial"
trap 'rm -rf "$work"' EXIT

options="-o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Retries=2
	-o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"

apt() {
	# shellcheck disable=SC2086 # options are words
	apt-get -qq $options -o Dir::Cache="$work/cache" $private "$@"
}

# One library that a package of plugins needs, whatever its version is called here.
library() {
	# shellcheck disable=SC2086 # options are words
	apt-cache $private depends "$1" 2>/dev/null | sed -n "s/^ *|\{0,1\}Depends: \($2[^ ]*\)$/\1/p" | head -n 1
}

# The packages of plugins are taken without what they depend on (it would be 200 packages): of
# their plugins a dozen are used, and for these the libraries are named. Never another libc: it and
# the running loader have to be of one build.
download() {
	bare="gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0
		libgstrtspserver-1.0-0 libgstreamer-plugins-bad1.0-0 gstreamer1.0-plugins-base
		gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
	needed="python3-gi libgstreamer1.0-0 libgstreamer-plugins-base1.0-0
		$(library gstreamer1.0-plugins-ugly libx264) $(library gstreamer1.0-plugins-bad libx265)
		$(library gstreamer1.0-plugins-good libjpeg) $(library gstreamer1.0-plugins-base liborc)"
	# shellcheck disable=SC2086 # names of packages are words
	packages=$(apt -s install --no-install-recommends $needed 2>>"$work/log" |
		sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -Ev '^(libc6|libc-bin|locales)(:|$)') || return 1
	# shellcheck disable=SC2086 # names of packages are words
	(cd "$work/debs" && apt download $packages $bare >/dev/null 2>>"$work/log")
}

private=""
if ! download; then # no lists here, or old ones
	rm -f "$work"/debs/*
	case $root in *[[:space:]]*) missing "the path $root holds a space" ;; esac
	private="-o Dir::State=$work -o Dir::State::lists=$work/lists -o Dir::State::status=/var/lib/dpkg/status"
	apt -o APT::Update::Error-Mode=any update >/dev/null 2>>"$work/log" && download ||
		missing "apt-get cannot fetch it: $(grep -m 1 "Failed" "$work/log" || tail -n 1 "$work/log")"
fi

for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$home"; done

# Only the plugins that are used are shown to it: the others lack their libraries.
for plugin in $plugins; do
	file=$(find "$home/usr/lib" /usr/lib/*/gstreamer-1.0 -name "libgst$plugin.so" 2>/dev/null | head -n 1)
	[ -z "$file" ] || ln -sf "$file" "$home/plugins/"
done
libraries=$(find "$home" -path "$home/plugins" -prune -o -name 'lib*.so.*' -exec dirname {} + | sort -u | paste -sd: -)
typelibs=$(find "$home" /usr/lib -type d -name girepository-1.0 2>/dev/null | paste -sd: -)
scanner=$(find "$home" /usr/lib /usr/libexec -name gst-plugin-scanner 2>/dev/null | head -n 1)
environment="export LD_LIBRARY_PATH='$libraries' GI_TYPELIB_PATH='$typelibs' \\
	PYTHONPATH='$home/usr/lib/python3/dist-packages' PYTHONDONTWRITEBYTECODE=1 \\
	GST_PLUGIN_SYSTEM_PATH_1_0='$home/plugins' GST_PLUGIN_SCANNER='$scanner' \\
	GST_REGISTRY_1_0='$home/registry.bin'"

# python3-gi is built for Debian's own Python; another of the same version will do.
for python in /usr/bin/python3 "$root/.venv/bin/python" "$(command -v python3 || true)" \
	"$home/usr/bin/python3"; do
	[ -x "$python" ] || continue
	write_wrapper "$python" "$environment"
	if works "$wrapper" 2>>"$work/log"; then found "$wrapper"; fi
	rm -f "$home/registry.bin"
done
rm -f "$wrapper"
missing "the unpacked one does not run: $(tail -n 1 "$work/log")"
