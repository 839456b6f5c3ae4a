#!/bin/sh
# apt-repo.sh: puts the packages of dist (Debian 12) and dist/trixie into a signed apt repository in
# dist/apt, beside those of earlier versions, so that a box can go back. Any web server can give
# that folder out. `make apt-repo` calls it.
#   APT_KEY=a key of your own keyring that signs; without it one is made at first use in
#   packaging/.gnupg: keep that folder, boxes trust its key.
set -eu
cd "$(dirname "$0")/.."
packaging/build-deps.sh
if [ -z "${APT_KEY-}" ]; then
  export GNUPGHOME="$PWD/packaging/.gnupg"
  APT_KEY="Weir packages"
  if ! gpg --batch --quiet --list-secret-keys "$APT_KEY" >/dev/null 2>&1; then
    mkdir -p -m 700 "$GNUPGHOME"
    gpg --batch --quiet --passphrase '' --quick-generate-key "$APT_KEY" ed25519 sign never
    echo "made the key that signs, in packaging/.gnupg: keep it, and keep it to yourself"
  fi
fi
repo=$PWD/dist/apt
suites=
for suite in bookworm trixie; do
  from=dist
  [ $suite = bookworm ] || from=dist/$suite
  ls $from/*.deb >/dev/null 2>&1 || [ -d "$repo/pool/$suite" ] || continue
  suites="$suites $suite"
  mkdir -p "$repo/pool/$suite"
  for package in $from/*.deb; do
    [ ! -e "$package" ] || cp --update "$package" "$repo/pool/$suite/"
  done
done
[ -n "$suites" ] || {
  echo "no packages in dist: make deb builds them" >&2
  exit 1
}
cd "$repo"
for suite in $suites; do
  for arch in amd64 arm64; do
    into=dists/$suite/main/binary-$arch
    mkdir -p "$into"
    apt-ftparchive --arch $arch packages "pool/$suite" >"$into/Packages"
    xz --keep --force "$into/Packages"
  done
  rm -f dists/$suite/InRelease dists/$suite/Release.gpg dists/$suite/Release
  apt-ftparchive -o APT::FTPArchive::Release::Origin=Weir -o APT::FTPArchive::Release::Label=Weir \
    -o APT::FTPArchive::Release::Suite=$suite -o APT::FTPArchive::Release::Codename=$suite \
    -o APT::FTPArchive::Release::Components=main \
    -o "APT::FTPArchive::Release::Architectures=amd64 arm64" \
    release dists/$suite >Release.new
  mv Release.new dists/$suite/Release
  gpg --batch --yes --local-user "$APT_KEY" --clearsign --output dists/$suite/InRelease dists/$suite/Release
  gpg --batch --yes --local-user "$APT_KEY" --armor --detach-sign --output dists/$suite/Release.gpg \
    dists/$suite/Release
done
gpg --batch --yes --export "$APT_KEY" >weir.gpg
cat <<END
dist/apt holds$suites. On a box, with it served at https://HOST/apt:
  sudo curl -o /usr/share/keyrings/weir.gpg https://HOST/apt/weir.gpg
  echo "deb [signed-by=/usr/share/keyrings/weir.gpg] https://HOST/apt \$(. /etc/os-release; echo \$VERSION_CODENAME) main" |
    sudo tee /etc/apt/sources.list.d/weir.list
  sudo apt update && sudo apt install weir-gateway
END
