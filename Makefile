# SPDX-License-Identifier: GPL-2.0-only
# Spoor: the image, the host tests, the system tests. `make help` lists the targets.

B := build
CC := gcc
HOST_CC ?= gcc
NASM := nasm
OBJCOPY := objcopy

FOLDERS := boot kernel vmx vcpu devices emulate mm pagetrack lib

# Files that compile unchanged on the host: whole folders, and the pure part of the others.
PURE_FOLDERS := vcpu devices emulate mm pagetrack lib
PURE_FILES := boot/boot_info.c boot/acpi_tables.c vmx/vmx_caps.c vmx/vmx_check.c vmx/msr_bitmap.c \
	kernel/words.c kernel/options.c kernel/vm_config.c kernel/guest_entry.c kernel/load_linux.c kernel/load_multiboot.c
PURE_SRC := $(foreach f,$(PURE_FOLDERS),$(wildcard $(f)/*.c)) $(wildcard $(PURE_FILES))

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
	-Wno-unused-parameter -Wimplicit-fallthrough
COMMON := -std=gnu11 -g -I. -I$(B)/gen -MMD -MP $(WARN)

.PHONY: all image test host-test clean help
all: image

# ---- the image -------------------------------------------------------------
IMAGE := $(B)/spoor.elf
CFLAGS := $(COMMON) -O2 -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small \
	-fno-strict-aliasing -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	-fstack-protector-strong -mstack-protector-guard=global -fcf-protection=none
IMAGE_C := $(foreach f,$(FOLDERS),$(wildcard $(f)/*.c))
IMAGE_ASM := $(foreach f,$(FOLDERS),$(wildcard $(f)/*.asm))
IMAGE_OBJ := $(IMAGE_C:%.c=$(B)/image/%.o) $(IMAGE_ASM:%.asm=$(B)/image/%.asm.o)

image: $(IMAGE)

# The guest's DSDT as a C array (the only include that is made, not written).
$(B)/gen/dsdt.h: devices/dsdt.asl
	@mkdir -p $(@D)
	iasl -vs -p $(B)/gen/dsdt -tc $< >$(B)/gen/dsdt.log 2>&1 || { cat $(B)/gen/dsdt.log; exit 1; }
	sed -n 's/^unsigned char/static const unsigned char/; /static/,/};/p' $(B)/gen/dsdt.hex >$@.new && mv $@.new $@

$(B)/image/devices/acpi.o $(B)/host-gcc/devices/acpi.o $(B)/host-clang/devices/acpi.o $(B)/fuzz/devices/acpi.o: $(B)/gen/dsdt.h

$(IMAGE): $(IMAGE_OBJ) linker.ld
	@echo "  LD    $@"; ld -nostdlib -static -z noexecstack -z max-page-size=4096 -T linker.ld -o $@ $(IMAGE_OBJ) $(shell $(CC) -print-libgcc-file-name)

$(B)/image/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"; $(CC) $(CFLAGS) -c -o $@ $<

$(B)/image/%.asm.o: %.asm
	@mkdir -p $(@D)
	@echo "  ASM   $<"; $(NASM) -f elf64 -g -I. -MD $(@:.o=.d) -o $@ $<

# ---- host tests: tests/host/test_*.c, each a cmocka program ------------------
H := $(B)/host-$(HOST_CC)
HOST_CFLAGS := $(COMMON) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HOST_TEST_SRC := $(wildcard tests/host/test_*.c)
HOST_SUPPORT_SRC := $(filter-out $(HOST_TEST_SRC),$(wildcard tests/host/*.c))
HOST_TESTS := $(HOST_TEST_SRC:tests/host/%.c=$(H)/%)
HOST_LIB := $(H)/libspoor.a

$(H)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  HOST  $<"; $(HOST_CC) $(HOST_CFLAGS) -c -o $@ $<

$(HOST_LIB): $(PURE_SRC:%.c=$(H)/%.o) $(HOST_SUPPORT_SRC:%.c=$(H)/%.o)
	@rm -f $@
	ar rcs $@ $^

$(HOST_TESTS): $(H)/%: $(H)/tests/host/%.o $(HOST_LIB)
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $< -Wl,--start-group $(HOST_LIB) -Wl,--end-group -lcmocka $(HOST_LIBS_$*)

HOST_LIBS_test_emulate_zydis := -lZydis

host-test: $(HOST_TESTS)
	@set -e; for t in $(HOST_TESTS); do echo "== $$t"; $$t; done

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
