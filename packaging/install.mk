# SPDX-License-Identifier: MIT
# make install            program, manual, completions; DESTDIR= PREFIX=/usr/local
# make install-systemd    units, user, directories, /etc/rdsrv/rdsrv.conf where there is none
# make install-firewall   profiles and services of ufw and firewalld, an example for nftables

BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
SYSCONFDIR ?= /etc
SYSTEMD_DIR ?= $(PREFIX)/lib/systemd/system
SYSUSERS_DIR ?= $(PREFIX)/lib/sysusers.d
TMPFILES_DIR ?= $(PREFIX)/lib/tmpfiles.d
PUT = $(INSTALL) -D -m 0644

install: $(BUILD)/rdsrv
	$(INSTALL) -D -m 0755 $(BUILD)/rdsrv $(DESTDIR)$(BINDIR)/rdsrv
	for page in man/*.[157]; do \
		section=$${page##*.}; \
		$(PUT) $$page $(DESTDIR)$(DATADIR)/man/man$$section/$${page##*/} || exit 1; \
	done

# The units name the program where it is.
install-systemd:
	$(INSTALL) -d $(DESTDIR)$(SYSTEMD_DIR)
	for unit in packaging/systemd/*.service packaging/systemd/*.socket; do \
		sed 's|/usr/bin/rdsrv|$(BINDIR)/rdsrv|' $$unit \
			>$(DESTDIR)$(SYSTEMD_DIR)/$${unit##*/} && \
		chmod 0644 $(DESTDIR)$(SYSTEMD_DIR)/$${unit##*/} || exit 1; \
	done
	$(PUT) packaging/systemd/rdsrv.sysusers $(DESTDIR)$(SYSUSERS_DIR)/rdsrv.conf
	$(PUT) packaging/systemd/rdsrv.tmpfiles $(DESTDIR)$(TMPFILES_DIR)/rdsrv.conf
	[ -e $(DESTDIR)$(SYSCONFDIR)/rdsrv/rdsrv.conf ] || \
		$(PUT) packaging/rdsrv.conf $(DESTDIR)$(SYSCONFDIR)/rdsrv/rdsrv.conf

.PHONY: install install-systemd install-firewall
