#!/usr/bin/env bash
# Builds the tiny guest: Debian's cloud kernel, unpacked but not installed, and a busybox initramfs that boots to
# a shell prompt on the serial console in a few seconds, even without KVM.
#
# usage: build.sh DIR      writes DIR/vmlinuz and DIR/initrd.gz; does nothing when they are there and current
set -euo pipefail
out=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
stamp=$(cat "$here/build.sh" "$here/init" | sha256sum | cut -d' ' -f1)
if [ -f "$out/vmlinuz" ] && [ -f "$out/initrd.gz" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kernel() {
    if [ -n "${OXVIRT_KERNEL_DEB:-}" ]; then dpkg -x "$OXVIRT_KERNEL_DEB" "$work/kernel"; return; fi
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
    [ -n "$package" ] || { echo "needs Debian's package linux-image-cloud-amd64 (apt-get update first?)" >&2; exit 1; }
    (cd "$work" && apt-get -o APT::Sandbox::User=root -qq download "$package" && dpkg -x "$package"_*.deb kernel)
}
kernel
version=$(basename "$work"/kernel/boot/vmlinuz-*); version=${version#vmlinuz-}
modules=$(echo "$work"/kernel/lib/modules/"$version" "$work"/kernel/usr/lib/modules/"$version" | tr ' ' '\n' | while read -r d; do [ -d "$d/kernel" ] && echo "$d" && break; done)

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,etc,lib/modules,usr/share/udhcpc}
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
# In load order; what a kernel has built in is simply not there.
for module in failover net_failover virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk \
              virtio_net virtio_console virtio-rng rng-core evdev button af_packet; do
    file=$(find "$modules" -name "$module.ko*" | head -1)
    [ -n "$file" ] || continue
    case $file in
        *.xz) xz -dc "$file" > "$root/lib/modules/$module.ko" ;;
        *.zst) zstd -qdc "$file" > "$root/lib/modules/$module.ko" ;;
        *) cp "$file" "$root/lib/modules/$module.ko" ;;
    esac
    echo "$module" >> "$root/lib/modules/order"
done
cat > "$root/usr/share/udhcpc/default.script" <<'S'
#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address flush dev "$interface"
ip address add "$ip/${mask:-24}" dev "$interface"
[ -n "$router" ] && ip route replace default via "$router"
echo "lease: $interface has $ip"
S
chmod 755 "$root/usr/share/udhcpc/default.script"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n > "$out/initrd.gz")
install -m 644 "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz"
chmod 644 "$out/initrd.gz"
echo "$stamp" > "$out/stamp"
