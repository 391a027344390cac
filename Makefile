# SPDX-License-Identifier: GPL-2.0-or-later
# pinholed: one Makefile, objects only below build/.
#
#   make                 the daemon, the control tool, the library
#   sudo make demo       a strict firewall passes FTP, told step by step
#   sudo make check      all tests; without root those that need none, and a word about the others
#   sudo make install    below PREFIX (/usr/local)
#   make profiles        rules/profiles anew, from rules/catalogue
#
#   SAN=1   address and undefined-behaviour sanitizers, objects below build/san/
#   CI=1    warnings are errors
#   V=1     show the commands
#   WITH_XT=no   without the iptables extensions, which are built wherever libxtables is
#   DOCUMENTS=DIR   check: hold the port catalogue against the vendors' documents, too

VERSION    := 0.1.0
CC         ?= cc
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
MANDIR     ?= $(PREFIX)/share/man
COMPDIR    ?= $(PREFIX)/share/bash-completion/completions
DATADIR    ?= $(PREFIX)/share/pinholed
DESTDIR    ?=
WITH_XT    ?= $(shell $(PKG_CONFIG) --exists xtables 2>/dev/null && echo yes || echo no)
XTLIBDIR   ?= $(shell $(PKG_CONFIG) --variable=xtlibdir xtables)

BUILD := build
ifdef SAN
BUILD := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
FORTIFY := -D_FORTIFY_SOURCE=2
endif

WARN   := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
WARN   += $(if $(CI),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE $(FORTIFY)
OPT    ?= -O2 -g
override CFLAGS   += -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SANFLAGS)
override CPPFLAGS += -Iinclude -Ikmod-free -D_GNU_SOURCE -DPH_VERSION='"$(VERSION)"' \
                     -DPH_SYSCONFDIR='"$(SYSCONFDIR)"' -DPH_DATADIR='"$(DATADIR)"' -MMD -MP
override LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANFLAGS)

Q := $(if $(V),,@)

# --- sources -----------------------------------------------------------------------------------
LIB     := $(BUILD)/libpinhole.a
LIB_SRC := $(sort $(wildcard kmod-free/*.c kmod-free/track/*.c))

# Recursive on purpose: pkg-config is asked when something is linked, after `deps`.
DAEMON     := pinholed daemon conf describe ctl table rules ct queue nflog rpcmap state privs log
DAEMON_LIB  = $(shell $(PKG_CONFIG) --libs libnftnl libnetfilter_conntrack libnetfilter_queue libmnl \
              libsystemd jansson libconfuse libcap-ng libseccomp libtirpc) -pthread
# Who gets through the rule set in force.
WALK       := netlink ruleset_dump ruleset_decode ruleset_walk ruleset_way ruleset_state ruleset_cells \
              ruleset_xt addrset pool
PROFILE    := profile profile_settings profile_render profile_words catalogue nft_words text textfile
AUDIT      := audit audit_findings audit_show reach listening ruleset_alike rpcmap
CTL        := pinholectl ctl_client show doctor ruleset $(WALK) capture replay conf describe \
              profile_cmd profile_show $(PROFILE) $(AUDIT)
CTL_LIB     = $(shell $(PKG_CONFIG) --libs libnftnl libmnl libpcap jansson libconfuse libtirpc) -pthread

UNIT_SRC    := $(sort $(wildcard tests/unit/*.c))
UNIT_BIN    := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
ADAPTER_BIN := $(BUILD)/adapter/test_table $(BUILD)/adapter/test_ct $(BUILD)/adapter/test_rpcmap
ASK_BIN     := $(BUILD)/adapter/ask_rules
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN    := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)

# Both carry a copy of what they share: xtables loads them one by one.
XT_LIB := $(if $(filter yes,$(WITH_XT)),$(BUILD)/xt-ext/libxt_pinhole.so $(BUILD)/xt-ext/libxt_PINHOLE.so)
XT_TEST := $(if $(XT_LIB),$(BUILD)/xt/oldkernel.so)

C_FILES := $(sort $(wildcard include/pinhole/*.h kmod-free/*.[ch] kmod-free/track/*.c nft-helper/*.[ch] \
           xt-ext/*.[ch] tests/*/*.[ch]))

objects = $(patsubst %,$(BUILD)/nft-helper/%.o,$(1))

# --- building ----------------------------------------------------------------------------------
all: $(BUILD)/pinholed $(BUILD)/pinholectl $(LIB) $(XT_LIB)

$(BUILD)/pinholed: $(call objects,$(DAEMON)) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(DAEMON_LIB)

$(BUILD)/pinholectl: $(call objects,$(CTL)) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CTL_LIB)

$(LIB): $(LIB_SRC:%.c=$(BUILD)/%.o)
	@echo "  AR    $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/xt-ext/%.so: $(BUILD)/xt-ext/%.o $(BUILD)/xt-ext/field.o
	@echo "  LD    $@"
	$(Q)$(CC) $(filter-out -pie,$(LDFLAGS)) -shared -o $@ $^ $(shell $(PKG_CONFIG) --libs xtables)

# The later of -fPIE and -fPIC holds.
$(BUILD)/xt-ext/%.o: override CFLAGS += -fPIC -fvisibility=hidden

# Goes into programs that are not ours.
$(BUILD)/xt/%.so: tests/xt/%.c
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(SANFLAGS) -fPIE,$(CFLAGS)) -fPIC -shared -o $@ $< -ldl

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/lib/world.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs check)

$(BUILD)/unit/test_catalogue $(BUILD)/unit/test_profile: $(call objects,$(PROFILE))
$(BUILD)/tests/unit/test_catalogue.o $(BUILD)/tests/unit/test_profile.o: CPPFLAGS += -Inft-helper

$(BUILD)/unit/test_addrset: $(call objects,addrset pool ruleset_cells)
$(BUILD)/tests/unit/test_addrset.o: CPPFLAGS += -Inft-helper

$(BUILD)/unit/test_field: $(BUILD)/xt-ext/field.o
$(BUILD)/tests/unit/test_field.o: CPPFLAGS += -Ixt-ext

$(BUILD)/adapter/test_%: $(BUILD)/tests/adapter/test_%.o $(call objects,table rules ct queue nflog) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs \
	  check libnftnl libnetfilter_conntrack libnetfilter_queue libmnl)

$(BUILD)/adapter/test_rpcmap: $(BUILD)/tests/adapter/test_rpcmap.o $(call objects,rpcmap) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs check libtirpc) -pthread

$(ASK_BIN): $(BUILD)/tests/adapter/ask_rules.o $(call objects,$(WALK)) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs libnftnl libmnl)

$(BUILD)/nft-helper/rpcmap.o $(BUILD)/tests/adapter/test_rpcmap.o: \
  CPPFLAGS += $(shell $(PKG_CONFIG) --cflags libtirpc)
$(BUILD)/tests/adapter/%.o: CPPFLAGS += -Inft-helper

# --- the profiles ------------------------------------------------------------------------------
# Committed, so that they can be read; tests/profiles.t says when they are to be made anew.
CATALOGUE := $(sort $(filter-out %/numbers.tsv %/exclusions.tsv,$(wildcard rules/catalogue/*.tsv)))
PROFILES  := $(sort $(wildcard rules/profiles/*.nft))

PROFILE_CTL = $(BUILD)/pinholectl --catalogue rules/catalogue profile

profiles: $(BUILD)/pinholectl
	@mkdir -p rules/profiles && rm -f rules/profiles/*.nft
	@names=$$($(PROFILE_CTL) list | awk 'NR > 1 { print $$1 }') && for name in $$names; do \
	  echo "  NFT   $$name"; \
	  $(PROFILE_CTL) render $$name >rules/profiles/$$name.nft 2>$(BUILD)/profiles.log || \
	    { cat $(BUILD)/profiles.log; exit 1; }; done

clean:
	rm -rf build

# --- what the build and the tests need ---------------------------------------------------------
deps:
	@tests/lab.sh build-deps

# --- tests -------------------------------------------------------------------------------------
# Everything that speaks TAP goes through one prove, whose summary is the last word.
# Those that only wait for programs of their own run two at a time, first; BFD and all else one by one.
PROVE := prove --failures -j 2 --rules='par={tests/netns/t/{9*,*-without,20-*,30-*}.t,**/adapter/test_*}' \
         -e 'env CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent PH_BUILD=$(abspath $(BUILD))'
T_ANY  = tests/layout.t tests/catalogue.t tests/profiles.t tests/vectors/run $(UNIT_BIN)
T_ROOT = $(ADAPTER_BIN) $(sort $(wildcard tests/netns/t/*.t))

check: deps
	@$(MAKE) --no-print-directory check-built

check-built: all $(UNIT_BIN) $(ADAPTER_BIN) $(ASK_BIN) $(XT_TEST)
ifeq ($(shell id -u),0)
	@tests/lab.sh test-servers
	@$(PROVE) $(T_ANY) $(T_ROOT)
else
	@echo "SKIPPED without root: $(T_ROOT)" >&2
	@$(PROVE) $(T_ANY)
endif

check-unit: $(UNIT_BIN) $(BUILD)/pinholectl
	@$(PROVE) $(T_ANY)

check-netns: all $(ADAPTER_BIN) $(ASK_BIN) $(XT_TEST)
	@tests/lab.sh test-servers
	@$(PROVE) $(T_ROOT)

# What takes minutes on purpose.
soak: deps
	@$(MAKE) --no-print-directory all
	@tests/lab.sh test-servers
	@$(PROVE) $(sort $(wildcard tests/netns/soak/*.t))

# The kernel's own NFS server and client, locks included, in a small virtual machine.
check-vm: deps
	@$(MAKE) --no-print-directory all
	@tests/vm/run

demo: deps
	@$(MAKE) --no-print-directory all
	@tests/lab.sh test-servers
	@tests/demo

BENCH_BIN := floor cycles micro rpcserver storm bfdgen tftp
bench: deps
	@$(MAKE) --no-print-directory all $(BENCH_BIN:%=build/bench/%)
	@tests/bench/run

build/bench/%: build/tests/bench/%.o $(call objects,table rules queue) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs libnftnl libnetfilter_queue libmnl libsystemd)

build/tests/bench/%.o: CPPFLAGS += -Inft-helper

# Each fuzzer for FUZZ_SECONDS, from seeds made anew. Needs clang and its runtime, nft and user namespaces.
FUZZ_SECONDS ?= 30
fuzz: $(FUZZ_BIN)
	@rm -rf build/fuzz/seeds && python3 tests/fuzz/seeds.py build/fuzz/seeds
	@for f in $(FUZZ_BIN); do mkdir -p $$f.corpus && \
	  $$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 $$f.corpus build/fuzz/seeds/$${f##*_} \
	    || exit 1; done

build/fuzz/fuzz_profile: CPPFLAGS += -Inft-helper -Itests/unit
build/fuzz/fuzz_profile: $(PROFILE:%=nft-helper/%.c)
build/fuzz/fuzz_ruleset: CPPFLAGS += -Inft-helper
build/fuzz/fuzz_ruleset: FUZZ_LIB = $(shell $(PKG_CONFIG) --libs libnftnl libmnl)
build/fuzz/fuzz_ruleset: $(patsubst %,nft-helper/%.c,ruleset ruleset_alike reach text $(filter-out netlink,$(WALK)))
build/fuzz/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	@echo "  FUZZ  $@"
	$(Q)clang $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=all -o $@ $^ $(FUZZ_LIB)

lint: deps
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet $(LIB_SRC) $(wildcard nft-helper/*.c xt-ext/*.c) -- $(filter-out -MMD -MP,$(CPPFLAGS)) \
	  -Inft-helper -std=gnu17 $(shell $(PKG_CONFIG) --cflags libtirpc)
	if command -v mandoc >/dev/null; then mandoc -Tlint -Wwarning docs/*.[58]; fi

format:
	clang-format -i $(C_FILES)

# --- installing --------------------------------------------------------------------------------
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(SYSCONFDIR)/pinholed $(DESTDIR)$(UNITDIR) \
	  $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(COMPDIR) \
	  $(DESTDIR)$(DATADIR)/catalogue $(DESTDIR)$(DATADIR)/profiles
	install -m 755 $(BUILD)/pinholed $(BUILD)/pinholectl $(DESTDIR)$(PREFIX)/sbin
	test -e $(DESTDIR)$(SYSCONFDIR)/pinholed/pinholed.conf || \
	  install -m 644 nft-helper/pinholed.conf $(DESTDIR)$(SYSCONFDIR)/pinholed
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' nft-helper/pinholed.service.in >$(BUILD)/pinholed.service
	install -m 644 $(BUILD)/pinholed.service $(DESTDIR)$(UNITDIR)
	install -m 644 docs/pinholed.conf.5 $(DESTDIR)$(MANDIR)/man5
	install -m 644 docs/pinholed.8 docs/pinholectl.8 $(DESTDIR)$(MANDIR)/man8
ifneq ($(XT_LIB),)
	install -d $(DESTDIR)$(XTLIBDIR)
	install -m 644 $(XT_LIB) $(DESTDIR)$(XTLIBDIR)
	install -m 644 docs/libxt_pinhole.8 $(DESTDIR)$(MANDIR)/man8
endif
	install -m 644 nft-helper/pinholectl.bash-completion $(DESTDIR)$(COMPDIR)/pinholectl
	install -m 644 $(CATALOGUE) $(DESTDIR)$(DATADIR)/catalogue
	install -m 644 $(PROFILES) $(DESTDIR)$(DATADIR)/profiles

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/pinholed $(DESTDIR)$(PREFIX)/sbin/pinholectl \
	  $(DESTDIR)$(UNITDIR)/pinholed.service $(DESTDIR)$(MANDIR)/man5/pinholed.conf.5 \
	  $(DESTDIR)$(MANDIR)/man8/pinholed.8 $(DESTDIR)$(MANDIR)/man8/pinholectl.8 \
	  $(DESTDIR)$(COMPDIR)/pinholectl $(CATALOGUE:rules/%=$(DESTDIR)$(DATADIR)/%) \
	  $(PROFILES:rules/%=$(DESTDIR)$(DATADIR)/%)
	rmdir $(addprefix $(DESTDIR)$(DATADIR),/catalogue /profiles /) 2>/dev/null || true
ifneq ($(XT_LIB),)
	rm -f $(XT_LIB:$(BUILD)/xt-ext/%=$(DESTDIR)$(XTLIBDIR)/%) $(DESTDIR)$(MANDIR)/man8/libxt_pinhole.8
endif

.PHONY: all profiles clean deps check check-built check-unit check-netns check-vm soak demo bench fuzz lint format install uninstall
.SECONDARY:
-include $(wildcard $(BUILD)/kmod-free/*.d $(BUILD)/kmod-free/track/*.d $(BUILD)/nft-helper/*.d $(BUILD)/xt-ext/*.d \
  $(BUILD)/tests/*/*.d $(BUILD)/tests/*/*/*.d)
