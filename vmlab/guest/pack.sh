#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pack.sh ROOT: turns the finished root into /bede-out/root.img inside it, where the builder fetches it.
# Runs outside the root, as root or as root of mmdebstrap's user namespace.
set -eu
root=$1
PATH=$PATH:/usr/sbin:/sbin
rm "$root/bede-pack"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
# Not the kernel's file systems that are mounted below it: a bind mount shows the root alone.
unshare -m sh -eu -s "$root" "$work" <<'EOF'
mkdir "$2/root"
mount --bind "$1" "$2/root"
kilobytes=$(du -sxk "$2/root" | cut -f1)
mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -L bede-root -d "$2/root" "$2/root.img" $((kilobytes * 6 / 5 + 131072))k
EOF
mkdir "$root/bede-out"
mv "$work/root.img" "$root/bede-out/root.img"
