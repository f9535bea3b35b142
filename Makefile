# The one door to everything that is done with the sources. PREFIX=/usr puts the daemons where libvirt's would be.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
SBINDIR    ?= $(PREFIX)/sbin
MANDIR     ?= $(PREFIX)/share/man
LIBDIR     ?= $(PREFIX)/lib
LIBEXECDIR ?= $(PREFIX)/libexec
UNITDIR    ?= $(LIBDIR)/systemd/system
DESTDIR    ?=
CARGO      ?= cargo
PROFILE    ?= release
BUILD      ?= target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
INSTALL    ?= install

DAEMONS := virtqemud virtnetworkd virtstoraged virtproxyd virtlockd virtlogd

.PHONY: build install check fmt run test bench bench-documents

# Bridges, rules and daemons of trial runs live in a network namespace of their own: what has to be fetched (the tiny
# guest's kernel) is fetched before.
ALONE      := unshare --net -- tests/harness/alone
PYTHON     ?= /usr/bin/python3

# The suite on a real guest; ONESHOT=1 ends by itself.
run:
	tests/setup.sh run
	tests/guest/build.sh target/guest
	$(CARGO) build --workspace --bins --release
	$(ALONE) $(PYTHON) tests/harness/run.py target/release $(if $(filter 1,$(ONESHOT)),--oneshot)

# Everything. REQUIRE=all makes a test that lacks something fail instead of being skipped aloud.
test:
	tests/setup.sh test
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace
	tests/guest/build.sh target/guest
	$(ALONE) $(PYTHON) -m pytest -q -p no:cacheprovider tests/blackbox
	tests/systemd/run target/debug -q

# Beside libvirt's own daemons and bare QEMU, in one run, as ratios.
bench:
	tests/setup.sh bench
	tests/guest/build.sh target/guest
	$(CARGO) build --workspace --bins --release
	unshare --net --mount -- tests/harness/alone tests/bench/peer $(PYTHON) tests/bench/bench.py target/release

# Definitions and listings beside libvirt's daemon; on its own until a run of it has been measured.
bench-documents:
	tests/setup.sh bench
	tests/guest/build.sh target/guest
	$(CARGO) build --workspace --bins --release
	unshare --net --mount -- tests/harness/alone tests/bench/peer $(PYTHON) tests/bench/documents.py target/release

build:
	$(CARGO) build --workspace --bins --profile $(PROFILE)

# Lays everything out below DESTDIR. Configuration that is there already is left as it is.
install: build
	$(INSTALL) -d -m 0755 "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(LIBEXECDIR)" "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(MANDIR)/man8" \
	    "$(DESTDIR)$(LIBDIR)/sysusers.d" "$(DESTDIR)$(LIBDIR)/tmpfiles.d" "$(DESTDIR)$(LIBDIR)/systemd/system-preset" \
	    "$(DESTDIR)$(SYSCONFDIR)/libvirt"
	for daemon in $(DAEMONS); do \
	    $(INSTALL) -m 0755 "$(BUILD)/$$daemon" "$(DESTDIR)$(SBINDIR)/$$daemon" || exit 1; \
	    $(INSTALL) -m 0644 "docs/man/$$daemon.8" "$(DESTDIR)$(MANDIR)/man8/$$daemon.8" || exit 1; \
	done
	$(INSTALL) -m 0755 "$(BUILD)/libvirt_leaseshelper" "$(DESTDIR)$(LIBEXECDIR)/libvirt_leaseshelper"
	$(INSTALL) -D -m 0644 virtnetworkd/share/default.xml "$(DESTDIR)$(PREFIX)/share/libvirt/networks/default.xml"
	for unit in systemd/*.service systemd/*.socket; do \
	    to="$(DESTDIR)$(UNITDIR)/$${unit##*/}"; \
	    sed 's#/usr/sbin/virt#$(SBINDIR)/virt#' "$$unit" >"$$to" && chmod 0644 "$$to" || exit 1; \
	done
	$(INSTALL) -m 0644 systemd/oxvirt.sysusers "$(DESTDIR)$(LIBDIR)/sysusers.d/oxvirt.conf"
	$(INSTALL) -m 0644 systemd/oxvirt.tmpfiles "$(DESTDIR)$(LIBDIR)/tmpfiles.d/oxvirt.conf"
	$(INSTALL) -m 0644 systemd/oxvirt.preset "$(DESTDIR)$(LIBDIR)/systemd/system-preset/85-oxvirt.preset"
	for file in etc/*.conf; do \
	    to="$(DESTDIR)$(SYSCONFDIR)/libvirt/$${file##*/}"; \
	    [ -e "$$to" ] || $(INSTALL) -m 0644 "$$file" "$$to" || exit 1; \
	done
	chmod 0600 "$(DESTDIR)$(SYSCONFDIR)/libvirt/qemu.conf" # passwords may stand in it
	[ -n "$(DESTDIR)" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload || true

# Everything that can be said about the sources without running a guest.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) xtask generate --check
	$(CARGO) xtask procs --check
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	systemd/check

fmt:
	$(CARGO) fmt --all
