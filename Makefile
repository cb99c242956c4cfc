# SPDX-License-Identifier: MIT
# make            build/rdsrv
# make install    DESTDIR= PREFIX=/usr/local; install-systemd and install-firewall likewise
# make dist       dist/rdsrv-VERSION-linux-ARCH.tar.gz for other hosts; ARCH=amd64, arm64, armhf
# make test       unit tests and end-to-end tests of what was built
# make deb, rpm   packages
# make lint       include rules, clang-tidy, cppcheck, shellcheck, mandoc
# V=1 shows commands; CC=clang, BUILD=build-x and SAN=address,undefined make other builds.

VERSION := $(shell cat VERSION)
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
PREFIX ?= /usr/local
PKG_CONFIG ?= pkg-config
NANOPB ?= $(shell command -v nanopb_generator || command -v nanopb_generator.py)
INSTALL ?= install
Q := $(if $(V),,@)

PKGS := libevent_extra libevent_core libcrypto libsodium libcjson libqrencode sqlite3
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	$(if $(WERROR),-Werror)
# What the compiler has of the hardening flags: asked once.
has_flag = $(shell $(CC) -Werror $(1) -c -x c /dev/null -o /dev/null 2>/dev/null && echo $(1))
HARDEN := -fPIE -fstack-protector-strong $(call has_flag,-fstack-clash-protection) \
	$(call has_flag,-fcf-protection) $(call has_flag,-ftrivial-auto-var-init=zero) \
	$(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)

RDS_CPPFLAGS := -D_GNU_SOURCE -DRDSRV_VERSION='"$(VERSION)"' -I. -I$(BUILD)/gen \
	$(shell $(PKG_CONFIG) --cflags $(PKGS)) $(CPPFLAGS)
RDS_CFLAGS := -std=c11 -pthread $(WARN) $(HARDEN) $(SANITIZE) $(CFLAGS)
RDS_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now $(SANITIZE) $(LDFLAGS)
RDS_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS)) -lprotobuf-nanopb -lwslay -lm $(LIBS)

ROOMS := core net keys conf cmd cmd/check
SRCS := $(foreach room,$(ROOMS),$(wildcard $(room)/*.c))
OBJS := $(SRCS:%.c=$(BUILD)/%.o) $(BUILD)/gen/rendezvous.pb.o
LIB_OBJS := $(filter-out $(BUILD)/cmd/main.o,$(OBJS))
PB := $(BUILD)/gen/rendezvous.pb.h
GEN := $(PB) $(BUILD)/gen/commit.h $(BUILD)/gen/client.sh.inc $(BUILD)/gen/client.ps1.inc

all: $(BUILD)/rdsrv

$(BUILD)/rdsrv: $(OBJS)
	@echo "  LD      $@"
	$(Q)$(CC) $(RDS_LDFLAGS) -o $@ $(OBJS) $(RDS_LIBS)

$(BUILD)/%.o: %.c VERSION | $(GEN)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(RDS_CPPFLAGS) $(RDS_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/rendezvous.pb.o: $(BUILD)/gen/rendezvous.pb.c
	@echo "  CC      $<"
	$(Q)$(CC) $(RDS_CPPFLAGS) $(RDS_CFLAGS) -MMD -MP -c -o $@ $<

# One run makes both files; the header stands for the two.
$(PB): core/rendezvous.proto core/rendezvous.options
	@mkdir -p $(@D)
	@echo "  NANOPB  $<"
	$(Q)$(NANOPB) --error-on-unmatched -q -I core -D $(BUILD)/gen rendezvous.proto
$(BUILD)/gen/rendezvous.pb.c: $(PB) ;

# Scripts for clients, as a C string.
$(BUILD)/gen/%.inc: conf/%
	@mkdir -p $(@D)
	@echo "  TEXT    $<"
	$(Q)sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $< >$@

# The commit, where this tree itself is a clone; COMMIT= says it for one that isn't.
COMMIT ?= $(shell [ ! -e .git ] || env -u GIT_DIR -u GIT_WORK_TREE \
	git describe --always --dirty --exclude='*' --abbrev=12 2>/dev/null)
$(BUILD)/gen/commit.h: FORCE
	@mkdir -p $(@D)
	$(Q)echo '#define RDSRV_COMMIT "$(COMMIT)"' >$@.new; \
		if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
FORCE:

generated: $(GEN)

include test/unit/unit.mk
include test/fuzz/fuzz.mk
include test/bench/bench.mk
include packaging/install.mk

deb:
	sh packaging/debian/build.sh $(BUILD)

rpm:
	sh packaging/rpm/build.sh $(BUILD) $(RPMFLAGS)

test: unit-test all
	/usr/bin/python3 -m pytest -q test/e2e

lint: $(GEN)
	sh test/lint.sh $(BUILD)

dist:
	sh packaging/dist.sh $(ARCH)

clean:
	rm -rf build build-* dist

-include $(wildcard $(OBJS:.o=.d))
.PHONY: FORCE all generated deb rpm dist test lint clean
.DELETE_ON_ERROR:
