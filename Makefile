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
	kernel/words.c kernel/options.c kernel/vm_config.c kernel/guest_entry.c kernel/load_linux.c kernel/load_multiboot.c \
	kernel/load_disk.c kernel/guest_calls.c kernel/guest_events.c kernel/vm_track.c kernel/vm_guard.c
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

# Two includes are made, not written, C arrays both: the guest's DSDT, and the firmware of guests that start
# from a disk.
GENERATED := $(B)/gen/dsdt.h $(B)/gen/bios.h
OBJECTS_OF = $(foreach tree,image host-gcc host-clang fuzz,$(B)/$(tree)/$(1).o)

$(B)/gen/dsdt.h: devices/dsdt.asl
	@mkdir -p $(@D)
	@echo "  ASL   $@"; iasl -vs -p $(B)/gen/dsdt -tc $< >$(B)/gen/dsdt.log 2>&1 || { cat $(B)/gen/dsdt.log; exit 1; }
	@sed -n 's/^unsigned char/static const unsigned char/; /static/,/};/p' $(B)/gen/dsdt.hex >$@.new && mv $@.new $@

$(B)/gen/bios.bin: kernel/bios/bios.asm $(wildcard kernel/bios/*.inc)
	@mkdir -p $(@D)
	@echo "  ASM   $<"; $(NASM) -f bin -I. -o $@ $<

$(B)/gen/bios.h: $(B)/gen/bios.bin
	@{ echo 'static const unsigned char bios_image[] = {'; od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '};'; } >$@.new && mv $@.new $@

$(call OBJECTS_OF,devices/acpi): $(B)/gen/dsdt.h
$(call OBJECTS_OF,kernel/load_disk): $(B)/gen/bios.h

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
	@echo "  AR    $@"; ar rcs $@ $^

$(HOST_TESTS): $(H)/%: $(H)/tests/host/%.o $(HOST_LIB)
	@echo "  LD    $@"; $(HOST_CC) $(HOST_CFLAGS) -o $@ $< -Wl,--start-group $(HOST_LIB) -Wl,--end-group -lcmocka $(HOST_LIBS_$*)

HOST_LIBS_test_emulate_zydis := -lZydis

host-test: $(HOST_TESTS)
	@set -e; for t in $(HOST_TESTS); do echo "== $$t"; $$t; done

# ---- the ISO, and machines to run it on: tools/run --help --------------------
JOBS := $(shell nproc)
AGAIN := $(MAKE) --no-print-directory -j$(JOBS)
ISO := $(B)/spoor.iso
GUEST_LINUX := $(B)/guests/cloud/vmlinuz
GUEST_INITRD := $(B)/guests/initrd
GUEST_INITRD_32 := $(B)/guests/initrd-i386
GUEST_FLAVOURS := cloud full 686 686-pae
RUN ?=

.PHONY: deps iso run run-bochs run-kvm run-qemu debug guests-linux

deps:
	@sh tools/install-deps run

iso: deps
	@$(AGAIN) $(ISO)

run: iso
	@/usr/bin/python3 tools/run $(RUN) $(ISO)

run-bochs: iso
	@/usr/bin/python3 tools/run --machine bochs $(RUN) $(ISO)

run-kvm: iso
	@/usr/bin/python3 tools/run --machine kvm $(RUN) $(ISO)

run-qemu: iso
	@/usr/bin/python3 tools/run --machine tcg $(RUN) $(ISO)

# gdb starts QEMU and ends it; the serial line goes to a file. QEMU has no VMX: this is for the way up to it.
DEBUG_QEMU := qemu-system-x86_64 -S -gdb stdio -m 1024 -display none -nic none -no-reboot \
	-serial file:$(B)/debug.log -kernel $(IMAGE)
debug: dev-deps
	@$(AGAIN) image
	@echo "[the serial line is in $(B)/debug.log]"
	@gdb -ex 'target remote | $(DEBUG_QEMU)' -ex 'hbreak main' -ex continue $(GDB) $(IMAGE)

$(ISO): $(IMAGE) guests/grub.cfg tools/mkiso $(GUEST_LINUX) $(GUEST_INITRD)
	@echo "Making $@"
	@tools/mkiso -o $@ -c guests/grub.cfg spoor.elf=$(IMAGE) vmlinuz=$(GUEST_LINUX) initrd=$(GUEST_INITRD)

guests-linux: $(GUEST_FLAVOURS:%=$(B)/guests/%/vmlinuz) $(GUEST_INITRD) $(GUEST_INITRD_32)

$(B)/guests/%/vmlinuz: guests/fetch-linux guests/fetch-package
	@guests/fetch-linux $* $(@D) && touch $@

$(B)/guests/busybox-i386: guests/fetch-package
	@[ -s $@ ] || { rm -rf $@.unpack && guests/fetch-package i386 busybox-static $@.unpack >/dev/null && \
		mv $@.unpack/bin/busybox $@ && rm -rf $@.unpack; }
	@touch $@

# 32-bit code; the kernel's headers may be there for the 64-bit compiler only.
$(B)/guests/tsc: guests/tsc.c
	@mkdir -p $(@D)
	@echo "  CC    $@"; $(CC) -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -Wall -Wextra -Werror -static -nostdlib \
		-ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
		-Wl,--build-id=none -s -o $@ $<

$(GUEST_INITRD): guests/mkinitramfs guests/init $(B)/guests/tsc
	@/usr/bin/python3 guests/mkinitramfs --init guests/init --add tsc=$(B)/guests/tsc -o $@

$(GUEST_INITRD_32): guests/mkinitramfs guests/init $(B)/guests/tsc $(B)/guests/busybox-i386
	@/usr/bin/python3 guests/mkinitramfs --busybox $(B)/guests/busybox-i386 --init guests/init \
		--add tsc=$(B)/guests/tsc -o $@

# ---- tests: tests/run.py sums all suites and ends with "N passed, N failed" ---
.PHONY: test-deps dev-deps test-all test-host test-build

test-deps:
	@sh tools/install-deps test

dev-deps:
	@sh tools/install-deps dev

test-build:
	@$(AGAIN) HOST_CC=gcc host-tests
	@$(AGAIN) HOST_CC=clang host-tests
	@$(AGAIN) image bench guests-linux
	@$(AGAIN) -f tests/guest/Makefile

.PHONY: host-tests
host-tests: $(HOST_TESTS)

test: test-deps
	@$(AGAIN) test-build
	@/usr/bin/python3 tests/run.py $(TESTS)

test-all: dev-deps
	@$(AGAIN) test-build
	@$(AGAIN) fuzz-build
	@/usr/bin/python3 tests/run.py --all $(TESTS)

test-host: test-deps
	@$(AGAIN) HOST_CC=gcc host-tests
	@$(AGAIN) HOST_CC=clang host-tests
	@$(AGAIN) bench
	@/usr/bin/python3 tests/run.py --host $(TESTS)

# ---- the random tests, for longer ----------------------------------------------
STEPS ?= 10000000
SEED ?= 1
.PHONY: random
random: test-deps
	@$(AGAIN) $(H)/test_mm_random $(H)/test_pagetrack_random $(H)/test_pagetrack_trackers_random
	SPOOR_STEPS=$(STEPS) SPOOR_SEED=$(SEED) $(H)/test_mm_random
	SPOOR_OPS=$(STEPS) SPOOR_SEED=$(SEED) $(H)/test_pagetrack_random
	SPOOR_OPS=$(STEPS) SPOOR_SEED=$(SEED) $(H)/test_pagetrack_trackers_random

# ---- what tracking costs: instructions of the image's own object files, counted by valgrind ----
BENCH := $(B)/bench/tracking
BENCH_OBJ := $(patsubst %.c,$(B)/bench/%.o,$(wildcard tests/bench/*.c)) \
	$(patsubst %.c,$(B)/image/%.o,$(foreach f,pagetrack mm lib,$(wildcard $(f)/*.c)) kernel/string.c)
.PHONY: bench tracking-costs

$(B)/bench/%.o: %.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"; gcc $(COMMON) -O2 -fno-pie -c -o $@ $<

$(BENCH): $(BENCH_OBJ)
	@echo "  LD    $@"; gcc -no-pie -o $@ $^

bench: $(BENCH)

tracking-costs: dev-deps
	@$(AGAIN) bench
	@/usr/bin/python3 tools/tracking-costs

# ---- mutation: every fault of tests/mutations.txt must be noticed by a host test ----
.PHONY: mutate
mutate: test-deps
	@/usr/bin/python3 tools/mutate $(MUTATE)

# ---- fuzzing: one libFuzzer program for each tests/fuzz/fuzz_*.c --------------
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS := $(filter-out -Werror,$(COMMON)) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ := $(PURE_SRC:%.c=$(B)/fuzz/%.o) $(HOST_SUPPORT_SRC:%.c=$(B)/fuzz/%.o)
FUZZ ?= $(notdir $(FUZZERS))
.PHONY: fuzz fuzz-build

$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $@"; clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(B)/fuzz/libspoor.a: $(FUZZ_OBJ)
	@rm -f $@
	@echo "  AR    $@"; ar rcs $@ $^

$(FUZZERS): $(B)/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/libspoor.a
	@echo "  LD    $@"; clang $(FUZZ_CFLAGS) -o $@ $< -Wl,--start-group $(B)/fuzz/libspoor.a -Wl,--end-group

fuzz-build: $(FUZZERS)

# What is found grows in build/fuzz/corpus; tests/fuzz/corpus keeps what is worth keeping. With no target named, the
# random tests follow.
fuzz: dev-deps
	@$(AGAIN) fuzz-build
	@bad=; for f in $(FUZZ); do \
		mkdir -p $(B)/fuzz/corpus/$$f tests/fuzz/corpus/$$f; echo "== $$f, $(FUZZ_SECONDS) s"; \
		$(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(B)/fuzz/$$f- $(B)/fuzz/corpus/$$f tests/fuzz/corpus/$$f || bad="$$bad $$f"; \
	done; [ -z "$$bad" ] || { echo "found something:$$bad"; exit 1; }
	@[ "$(origin FUZZ)" != file ] || $(AGAIN) random

# ---- checks -------------------------------------------------------------------
SOURCES := $(foreach f,$(FOLDERS) debug tests/host tests/bench tests/fuzz tests/guest tests/guest/rt guests,$(wildcard $(f)/*.c) $(wildcard $(f)/*.h))
.PHONY: lint format format-check check-layers check-headers coverage

check-layers:
	@/usr/bin/python3 tools/check-layers

check-headers: $(GENERATED)
	@sh tools/check-headers

lint: dev-deps check-layers check-headers
	@sh tools/lint

format: dev-deps
	clang-format -i $(SOURCES)

format-check: dev-deps
	@clang-format --dry-run -Werror $(SOURCES)

COVERAGE := $(B)/coverage
# An assertion has a branch that is never taken.
COVERAGE_LEAVES_OUT := --exclude-lines-by-pattern '.*\bASSERT\('
coverage: dev-deps
	@$(AGAIN) B=$(COVERAGE) HOST_CC=gcc HOST_CFLAGS='$(filter-out -I$(B)/gen,$(COMMON)) -I$(COVERAGE)/gen -O1 --coverage' host-tests
	@cd $(COVERAGE) && for t in host-gcc/test_*; do case $$t in *.*) ;; *) SPOOR_STEPS=100000 SPOOR_OPS=100000 SPOOR_PART=3/17 ./$$t >$$t.log 2>&1 || tail -5 $$t.log ;; esac; done
	@gcovr -r . --object-directory $(COVERAGE) -e tests/ $(COVERAGE_LEAVES_OUT) --json $(COVERAGE)/all.json --html-details $(COVERAGE)/index.html
	@for f in $(PURE_FOLDERS) boot vmx kernel; do echo "== $$f"; gcovr -a $(COVERAGE)/all.json -f "$$f/" -s -o $(COVERAGE)/$$f.txt | grep -v functions; done

# ---- help ---------------------------------------------------------------------
help:
	@cat tools/help.txt

# What was fetched stays; `make distclean` removes it too.
.PHONY: distclean
clean:
	@[ ! -d $(B) ] || find $(B) -mindepth 1 -maxdepth 1 ! -name guests -exec rm -rf {} +

distclean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
