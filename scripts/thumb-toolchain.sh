#!/usr/bin/env bash
# thumb-toolchain.sh DEST TARGET...  ->  prints what RUSTUP_TOOLCHAIN should be; an empty line: the one in use will do.
#
# Where `rustup target add` has been run there is nothing to do. Elsewhere (no access to its server, but Debian's
# packages at hand) this makes a toolchain folder under DEST: Debian's rustc-web unpacked there, nothing installed,
# with core and alloc built for each target from Debian's rust-web-src. The host toolchain stays what it was.
set -euo pipefail
dest=$(realpath -m "${1:?usage: thumb-toolchain.sh DEST TARGET...}"); shift
[ $# -gt 0 ] || { echo "usage: thumb-toolchain.sh DEST TARGET..." >&2; exit 2; }

missing=0
for target in "$@"; do
  libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null || true)
  ls "$libdir"/libcore-*.rlib >/dev/null 2>&1 || missing=1
done
[ $missing = 1 ] || { echo; exit 0; }

command -v apt-get >/dev/null || {
  echo "no core library for: $* - run 'rustup target add $*' (this fallback needs Debian's apt-get)" >&2; exit 1; }

usr=$dest/debian/usr toolchain=$dest/toolchain
if [ ! -x "$usr/bin/rustc" ]; then
  version=$(apt-cache show rustc-web 2>/dev/null | sed -n 's/^Version: \([0-9]*\.[0-9]*\).*/\1/p' | sort -V | tail -1)
  [ -n "$version" ] || { echo "Debian's rustc-web is not in the package lists: run 'apt-get update'" >&2; exit 1; }
  llvm=$(apt-cache depends "libstd-rust-web-$version" | sed -n 's/.*Depends: \(libllvm[0-9]*\).*/\1/p')
  rm -rf "$dest/debs"; mkdir -p "$dest/debs" "$dest/debian"
  (cd "$dest/debs" && apt-get download -qq rustc-web libstd-rust-web-dev "libstd-rust-web-$version" rust-web-src "$llvm") >&2
  for deb in "$dest"/debs/*.deb; do
    case $deb in
      */rust-web-src*) dpkg --fsys-tarfile "$deb" | tar -x -C "$dest/debian" --wildcards './usr/src/rustc-*/library' './usr/lib/rustlib/src' ;;
      *) dpkg -x "$deb" "$dest/debian" ;;
    esac
  done
  rm -r "$dest/debs"
fi

# rustc finds its sysroot from its own path, but its libraries only through the loader's path.
mkdir -p "$toolchain/bin"
printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\nexec "%s" "$@"\n' \
  "$usr/lib/x86_64-linux-gnu" "$usr/bin/rustc" > "$toolchain/bin/rustc"
chmod +x "$toolchain/bin/rustc"
cargo=$(rustup which cargo 2>/dev/null || command -v cargo)
ln -sf "$cargo" "$toolchain/bin/cargo"
host_bin=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
own_bin=$usr/lib/rustlib/x86_64-unknown-linux-gnu/bin
mkdir -p "$own_bin"
if [ -x "$host_bin/rust-lld" ]; then ln -sf "$host_bin/rust-lld" "$own_bin/rust-lld"; fi

for target in "$@"; do
  out=$usr/lib/rustlib/$target/lib
  [ -e "$out/.done" ] && continue
  ( cd "$usr/lib/rustlib/src/rust/library"
    env -u RUSTUP_TOOLCHAIN -u RUSTC_WRAPPER -u CARGO RUSTC="$toolchain/bin/rustc" RUSTC_BOOTSTRAP=1 \
      CARGO_PROFILE_DIST_DEBUG=0 CARGO_TARGET_DIR="$dest/build" \
      RUSTFLAGS="-Cembed-bitcode=yes -Zforce-unstable-if-unmarked -Cpanic=abort" __CARGO_DEFAULT_LIB_METADATA=thumb \
      "$cargo" build -q --locked --profile dist -p alloc --features compiler-builtins-mem --target "$target" ) >&2
  mkdir -p "$out"
  cp "$dest/build/$target/dist/deps/"*.rlib "$dest/build/$target/dist/deps/"*.rmeta "$out/"
  touch "$out/.done"
  rm -r "$dest/build/$target"
done
echo "$toolchain"
