#!/bin/sh
# Builds the Debian packages for amd64 and arm64, on amd64: into dist for Debian 12, into dist/trixie
# for Debian 13. `make deb` calls it.
#   DIST=bookworm|trixie  FAST=1: zstd, large and quick, for tests  ARCHES="amd64 arm64"
#   PYTHON=a Python of the target's minor version (3.11, 3.13), where it is not /usr/bin/python3.x
set -eu
cd "$(dirname "$0")/.."
dist=${DIST:-bookworm}
arches=${ARCHES:-amd64 arm64}
case $dist in
  bookworm) minor=3.11 ;;
  trixie) minor=3.13 ;;
  *) echo "DIST=$dist: bookworm (Debian 12) and trixie (Debian 13) are known" >&2 && exit 2 ;;
esac
packaging/build-deps.sh
packaging/runtime-version.sh
python=${PYTHON:-/usr/bin/python$minor}
"$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$minor')" 2>/dev/null || {
  echo "packages for $dist hold bytecode of Python $minor, and $python is none; set PYTHON, such as" >&2
  echo "  make deb DIST=$dist PYTHON=\"\$(uv python find $minor)\"" >&2
  exit 1
}
compression="-Zxz"
[ -z "${FAST-}" ] || compression="-Zzstd -z3"
out=$PWD/dist
[ "$dist" = bookworm ] || out=$out/$dist
mkdir -p "$out"
started=$(date +%s)
for arch in $arches; do
  case $arch in
    amd64) machine=x86_64 which=--build=binary ;;
    arm64) machine=aarch64 which=--build=any ;;
    *) echo "ARCHES: amd64 and arm64 are known" >&2 && exit 2 ;;
  esac
  packaging/wheelhouse.sh "$minor" "$machine"
  # What git knows, so that nothing that lies about is packed.
  tree=$PWD/build/deb/$dist-$arch/weir
  rm -rf "${tree%/weir}"
  mkdir -p "$tree"
  git ls-files -z -- LICENSE '*.md' debian docs firmware_profiles gateway packaging plugins |
    tar --create --null --files-from - | tar --extract --directory "$tree"
  echo "building for $dist, $arch"
  (
    cd "$tree"
    export DIST="$dist" PYTHON="$python" COMPRESSION="$compression"
    export WHEELHOUSE="$OLDPWD/packaging/.wheelhouse"
    nice dpkg-buildpackage --no-sign --host-arch "$arch" "$which" --no-check-builddeps \
      >"../build.log" 2>&1 || { tail -40 ../build.log >&2; exit 1; }
  )
  # What an earlier build left there would be taken for this one's.
  rm -f "$out"/weir-runtime*_"$arch".deb "$out"/weir_*_"$arch".*
  [ "$arch" != amd64 ] || rm -f "$out"/weir-gateway_*_all.deb
  mv "${tree%/weir}"/*.deb "${tree%/weir}"/*.changes "${tree%/weir}"/*.buildinfo "$out/"
  rm -rf "$tree"
done
echo "$dist: $(($(date +%s) - started)) s"
(cd "$out" && du -b -- *.deb | awk '{ printf "  %7.2f MB  %s\n", $1 / 1e6, $2 }')
