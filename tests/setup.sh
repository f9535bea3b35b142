#!/usr/bin/env bash
# Finds out what host this is and installs what a part of the project needs, or says what is missing.
#
# usage: setup.sh build|run|test|bench
#   build   the Rust toolchain (checked only)
#   run     QEMU, virsh, dnsmasq, nft: what `make run` needs
#   test    run + libvirt-python, pytest, firmware, a libvirt peer for the side-by-side tests
#   bench   test + libvirt's own daemons
#
# As root it installs; otherwise it prints the command to run and exits 1.
set -euo pipefail
want=${1:?build, run, test or bench}
# shellcheck disable=SC1091
[ -r /etc/os-release ] && . /etc/os-release

say() { printf '%s\n' "$*" >&2; }

rust() {
    local version
    if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    version=$(rustc --version 2>/dev/null | awk '{ print $2 }') || true
    if [ -z "$version" ] || [ "$(printf '%s\n1.89.0\n' "${version%%-*}" | sort -V | head -1)" != 1.89.0 ]; then
        say "Rust 1.89 or newer is needed to build (found: ${version:-none})."
        say "Get it with rustup (rustup.rs), or 'apt install rustup && rustup default stable' on Debian 13."
        exit 1
    fi
    command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || { say "A C linker (gcc) is needed to build: install gcc."; exit 1; }
}

rust
[ "$want" = build ] && exit 0

case "${ID:-} ${ID_LIKE:-}" in
*debian* | *ubuntu*) family=debian ;;
*fedora* | *rhel*) family=fedora ;;
*) family=other ;;
esac

case $family in
debian)
    run="qemu-system-x86 qemu-utils libvirt-clients dnsmasq-base nftables iproute2 busybox-static cpio util-linux xz-utils procps"
    # All emulators and firmware: documents of every architecture are compared with recorded answers.
    emulators="qemu-system-arm qemu-system-ppc qemu-system-misc qemu-system-mips qemu-system-sparc qemu-system-modules-spice qemu-system-modules-opengl"
    test="$run $emulators python3-libvirt python3-pytest virtinst ovmf qemu-efi-aarch64 qemu-efi-arm seabios swtpm libvirt-daemon-lock libvirt-daemon-log strace systemd e2fsprogs"
    bench="$test libvirt-daemon-system libvirt-daemon-driver-network libvirt-daemon-driver-storage libvirt-daemon-driver-nodedev libvirt-daemon-driver-secret libvirt-daemon-driver-nwfilter libvirt-daemon-plugin-lockd"
    python="python3 $run"
    ;;
fedora)
    run="qemu-system-x86-core qemu-img libvirt-client dnsmasq nftables iproute busybox cpio util-linux xz procps-ng python3"
    test="$run python3-libvirt python3-pytest virt-install edk2-ovmf libvirt-daemon-lock libvirt-daemon-log strace systemd"
    bench="$test libvirt-daemon-driver-qemu libvirt-daemon-driver-network libvirt-daemon-driver-storage"
    python=$run
    ;;
other)
    missing=()
    for program in qemu-system-x86_64 qemu-img virsh dnsmasq nft ip busybox cpio python3; do
        command -v "$program" >/dev/null 2>&1 || missing+=("$program")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "This host (${PRETTY_NAME:-unknown}) is not one whose packages are known. Please install: ${missing[*]}"
        exit 1
    fi
    exit 0
    ;;
esac
case $want in run) packages=$python ;; test) packages=$test ;; bench) packages=$bench ;; *) say "unknown part: $want"; exit 2 ;; esac

absent=()
if [ $family = debian ]; then
    for package in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || absent+=("$package")
    done
else
    for package in $packages; do rpm -q "$package" >/dev/null 2>&1 || absent+=("$package"); done
fi
[ ${#absent[@]} -eq 0 ] && exit 0

install=(dnf install -y "${absent[@]}")
release=()
if [ $family = debian ]; then
    # Debian 12: QEMU's tools and virsh of bookworm itself are too old; all of them come from backports together.
    [ "${VERSION_CODENAME:-}" = bookworm ] && release=(-t bookworm-backports)
    install=(apt-get install -y --no-install-recommends "${release[@]}" "${absent[@]}")
fi
if [ "$(id -u)" != 0 ]; then
    say "Missing on this host: ${absent[*]}"
    [ "${VERSION_CODENAME:-}" = bookworm ] && say "(from the suite bookworm-backports)"
    say "As root: ${install[*]}"
    exit 1
fi
say "installing: ${absent[*]}"
if [ $family = debian ]; then
    export DEBIAN_FRONTEND=noninteractive
    if [ "${VERSION_CODENAME:-}" = bookworm ] && ! apt-cache policy 2>/dev/null | grep -q bookworm-backports; then
        # The same mirror that this host already takes Debian from.
        mirror=$(sed -n 's/^URIs: *\([^ ]*debian\/\?\)$/\1/p; s/^deb *\(\[[^]]*\] *\)\?\(http[^ ]*debian\/\?\) .*/\2/p' \
            /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | head -1)
        [ -n "$mirror" ] || { say "Debian 12 needs the suite bookworm-backports: please add it to the package sources."; exit 1; }
        echo "deb $mirror bookworm-backports main" > /etc/apt/sources.list.d/oxvirt-backports.list
    fi
    # Services of the packages stay down: this suite brings its own, and the tests start what they compare with.
    if [ ! -e /usr/sbin/policy-rc.d ] && [ ! -d /run/systemd/system ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get -q update >&2
fi
"${install[@]}" >&2
