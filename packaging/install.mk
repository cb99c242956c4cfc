# SPDX-License-Identifier: MIT
# make install            program, old names, migrating, manual, completions; DESTDIR= PREFIX=/usr/local
# make install-systemd    units, user, directories, /etc/rdsrv/rdsrv.conf where there is none
# make install-firewall   profiles and services of ufw and firewalld, an example for nftables

BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
SYSCONFDIR ?= /etc
SYSTEMD_DIR ?= $(PREFIX)/lib/systemd/system
SYSUSERS_DIR ?= $(PREFIX)/lib/sysusers.d
TMPFILES_DIR ?= $(PREFIX)/lib/tmpfiles.d
# Debian keeps packages' completions for zsh apart.
ZSH_DIR ?= $(DATADIR)/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard \
	/etc/debian_version)),vendor-completions,site-functions)
PUT = $(INSTALL) -D -m 0644

install: $(BUILD)/rdsrv completions
	$(INSTALL) -D -m 0755 $(BUILD)/rdsrv $(DESTDIR)$(BINDIR)/rdsrv
	for name in hbbs hbbr rustdesk-utils; do \
		link=$(DESTDIR)$(BINDIR)/$$name; \
		target=$$(readlink "$$link" || [ ! -e "$$link" ] || echo "a file"); \
		if [ -n "$$target" ] && [ "$${target##*/}" != rdsrv ]; then \
			echo "$$link is another program, and stays"; \
		else \
			ln -sf rdsrv "$$link"; \
		fi || exit 1; \
	done
	for file in migrate.sh migrate/old.sh migrate/compose.awk migrate/settings.awk; do \
		$(PUT) packaging/$$file $(DESTDIR)$(DATADIR)/rdsrv/$$file || exit 1; \
	done
	chmod 0755 $(DESTDIR)$(DATADIR)/rdsrv/migrate.sh
	mkdir -p $(DESTDIR)$(SBINDIR)
	ln -sf ../share/rdsrv/migrate.sh $(DESTDIR)$(SBINDIR)/rdsrv-migrate
	for page in man/*.[1578]; do \
		to=$(DESTDIR)$(DATADIR)/man/man$${page##*.}/$${page##*/}; \
		if [ -L $$page ]; then rm -f $$to && cp -P $$page $$to; \
		else $(PUT) $$page $$to; fi || exit 1; \
	done

	$(PUT) $(BUILD)/completions/bash $(DESTDIR)$(DATADIR)/bash-completion/completions/rdsrv
	$(PUT) $(BUILD)/completions/zsh $(DESTDIR)$(ZSH_DIR)/_rdsrv
	$(PUT) $(BUILD)/completions/fish $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/rdsrv.fish

# RUN= is what runs a program of another machine here, such as qemu-aarch64.
completions: $(addprefix $(BUILD)/completions/,bash zsh fish)
$(BUILD)/completions/%: $(BUILD)/rdsrv
	@mkdir -p $(@D)
	$(Q)$(RUN) $(BUILD)/rdsrv completions $* >$@

# The units name the program where it is.
install-systemd:
	$(INSTALL) -d $(DESTDIR)$(SYSTEMD_DIR)
	for unit in packaging/systemd/*.service packaging/systemd/*.socket; do \
		sed 's|/usr/bin/rdsrv|$(BINDIR)/rdsrv|g' $$unit \
			>$(DESTDIR)$(SYSTEMD_DIR)/$${unit##*/} && \
		chmod 0644 $(DESTDIR)$(SYSTEMD_DIR)/$${unit##*/} || exit 1; \
	done
	$(PUT) packaging/systemd/rdsrv.sysusers $(DESTDIR)$(SYSUSERS_DIR)/rdsrv.conf
	$(PUT) packaging/systemd/rdsrv.tmpfiles $(DESTDIR)$(TMPFILES_DIR)/rdsrv.conf
	[ -e $(DESTDIR)$(SYSCONFDIR)/rdsrv/rdsrv.conf ] || \
		$(PUT) packaging/rdsrv.conf $(DESTDIR)$(SYSCONFDIR)/rdsrv/rdsrv.conf

# firewalld looks for services in these two places alone.
FIREWALLD_DIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,$(SYSCONFDIR))/firewalld/services
install-firewall:
	$(PUT) packaging/firewall/rdsrv.ufw $(DESTDIR)$(SYSCONFDIR)/ufw/applications.d/rdsrv
	for file in rdsrv.xml rdsrv-full.xml; do \
		$(PUT) packaging/firewall/$$file $(DESTDIR)$(FIREWALLD_DIR)/$$file || exit 1; \
	done
	for file in packaging/firewall/*.nft packaging/firewall/nftables.conf; do \
		to=$(DESTDIR)$(DATADIR)/rdsrv/firewall/$${file##*/}; \
		$(PUT) $$file $$to && sed -i 's|/usr/share|$(DATADIR)|' $$to || exit 1; \
	done

.PHONY: completions install install-systemd install-firewall
