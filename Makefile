# SPDX-License-Identifier: GPL-2.0-or-later
# pinholed: one Makefile, objects only below build/.
#   SAN=1   address and undefined-behaviour sanitizers (objects below build/san/)

VERSION    := 0.1.0
CC         ?= cc
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=

BUILD := build
ifdef SAN
BUILD := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

WARN   := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
ifndef SAN
HARDEN += -D_FORTIFY_SOURCE=2
endif
OPT    ?= -O2 -g
ifdef CI
WARN += -Werror
endif
override CFLAGS += -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SANFLAGS)
override CPPFLAGS += -Iinclude -Ikmod-free -D_GNU_SOURCE -DPH_VERSION='"$(VERSION)"' -MMD -MP
override LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS)

Q := $(if $(V),,@)

# --- sources -----------------------------------------------------------------------------------
LIB_SRC := $(wildcard kmod-free/*.c kmod-free/track/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB     := $(BUILD)/libpinhole.a

UNIT_SRC := $(wildcard tests/unit/*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)

all: $(LIB)

$(LIB): $(LIB_OBJ)
	@echo "  AR    $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs check)

clean:
	rm -rf build

.PHONY: all clean
.SECONDARY:
-include $(wildcard $(BUILD)/kmod-free/*.d $(BUILD)/kmod-free/track/*.d $(BUILD)/nft-helper/*.d $(BUILD)/tests/*/*.d)
