#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once, inside the new root, while the image is built: what packages alone do not give.
# Leaves for the host in /bede-out: busybox, and a directory for every Debian kernel.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# ---- kernels: the newest of each series, unpacked but not installed -------------------------------
sed -n 's/\(trixie\) main.*/\1-backports main/p' /etc/apt/sources.list | sed -n 1p >/etc/apt/sources.list.d/backports.list
apt-get -qq update
unpack_modules() { # NAME DIRECTORY MODULE...: with what they need, in the order in which the initramfs has to load them
    into=/bede-out/kernels/$1/$2
    shift 2
    mkdir -p "$into"
    n=0
    for wanted in "$@"; do modprobe -S "$release" --show-depends "$wanted"; done | awk '!seen[$2]++' |
        while read -r verb path _; do
            [ "$verb" = insmod ] || continue
            n=$((n + 1))
            module=$into/$n-$(basename "$path" | sed 's/\.ko.*//').ko
            case $path in
            *.xz) python3 -c 'import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' "$path" >"$module" ;;
            *) cp "$path" "$module" ;;
            esac
        done
}
fetch_kernel() { # NAME SERIES
    echo "I: kernel $1"
    image=$(apt-cache search --names-only "^linux-image-$2\\..*-cloud-amd64$" | cut -d' ' -f1 | sort -V | tail -n 1)
    [ -n "$image" ] || { echo "E: no cloud kernel of series $2 in Debian" >&2; exit 1; }
    release=${image#linux-image-}
    parts=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$image" | sed -n "s/^\\(linux-[a-z]*-$release\\)\$/\\1/p" | sort -u)
    mkdir -p /tmp/debs /tmp/kernel "/bede-out/kernels/$1"
    (cd /tmp/debs && apt-get -qq -o APT::Sandbox::User=root download $parts)
    for deb in /tmp/debs/*.deb; do dpkg-deb -x "$deb" /tmp/kernel; done
    mkdir -p /usr/lib/modules
    modules=/usr/lib/modules/$release
    mv "/tmp/kernel/usr/lib/modules/$release" "$modules"
    for vmlinuz in "/tmp/kernel/boot/vmlinuz-$release" "$modules/vmlinuz"; do
        if [ -e "$vmlinuz" ]; then mv "$vmlinuz" "/bede-out/kernels/$1/vmlinuz"; fi
    done
    depmod "$release"
    unpack_modules "$1" . virtio_blk
    unpack_modules "$1" mapped nd_pmem virtio_pmem
    echo "$release" >"/bede-out/kernels/$1/release"
    rm -rf /tmp/debs /tmp/kernel
}
fetch_kernel debian-6.12 6.12
fetch_kernel debian-7.3 7.3
cp /usr/bin/busybox /bede-out/busybox

# ---- a container root that needs no registry -----------------------------------------------------
# Tiny on its own (busybox); with the machine's /usr bound over its own it has everything the machine has.
echo "I: container root"
base=/usr/share/bede-vm/rootfs
mkdir -p $base/usr/bin $base/usr/sbin $base/usr/lib $base/usr/lib64 $base/etc $base/proc $base/sys $base/dev \
    $base/run $base/root $base/data $base/var/tmp $base/var/lib
mkdir -m 1777 $base/tmp
for d in bin sbin lib lib64; do ln -s usr/$d $base/$d; done
cp /usr/bin/busybox $base/usr/bin/busybox
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$base/usr/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >$base/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >$base/etc/group
if [ -e /etc/alternatives ]; then cp -a /etc/alternatives $base/etc/alternatives; fi
tar -C $base --sort=name --owner=0 --group=0 --numeric-owner -cf /usr/share/bede-vm/rootfs.tar .
mkdir -p /out /share /usr/lib/bede

# ---- a quick boot --------------------------------------------------------------------------------
echo "I: boot"
echo bede-vm >/etc/hostname
printf '127.0.0.1 localhost bede-vm\n::1 localhost\n' >/etc/hosts
echo 0be0de0be0de0be0de0be0de0be0de00 >/etc/machine-id
: >/etc/fstab
passwd -q -d root
systemctl -q set-default bede-run.target 2>/dev/null || ln -sf /etc/systemd/system/bede-run.target /etc/systemd/system/default.target
rm -f /etc/systemd/system/*.wants/* /etc/containers/registries.conf
# dockerd reads its drop-ins from the projects's examples; containerd has to be told to
sed -i '/^version/a imports = ["/etc/containerd/conf.d/*.toml"]' /etc/containerd/config.toml
mkdir -p /etc/containerd/conf.d

# ---- smaller -------------------------------------------------------------------------------------
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man /usr/share/locale \
    /usr/lib/udev/hwdb.* /var/log/* /usr/share/perl
