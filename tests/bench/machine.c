/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine under the measuring programs. Memory comes from mm/page_alloc.c, as
 * in the image, so that what it costs is in the numbers; the guest's lies above
 * 4 GiB and is never in use but where it is touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/log.h"
#include "mm/page_alloc.h"
#include "mm/port.h"
#include "tests/bench/bench.h"

#define OWN_FIRST (16ull << 20)
#define OWN_BYTES (1ull << 30)
#define GUEST_FIRST (4ull << 30)
#define MACHINE_BYTES (9ull << 30)
#define SHADOW_PAGES 256

uintptr_t __stack_chk_guard; /* the image's, which kernel/ has there */

static uint8_t *machine;
static struct page_alloc pages;

/* ---- memory, as kernel/memory.c has it ------------------------------------ */

static void machine_open(void)
{
	if (machine)
		return;
	machine = mmap(NULL, MACHINE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(machine != MAP_FAILED);
	page_alloc_init(&pages);
	CHECK(page_alloc_add_region(&pages, hpa(OWN_FIRST), OWN_BYTES) == 0);
}

void *port_hpa_to_va(hpa_t a) { return machine + a.v; }
hpa_t port_va_to_hpa(const void *va) { return hpa((uint64_t)((const uint8_t *)va - machine)); }

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

void *mem_zalloc(size_t bytes)
{
	hpa_t a;

	if (page_alloc(&pages, whole_pages(bytes), 1, &a))
		return NULL;
	return memset(port_hpa_to_va(a), 0, whole_pages(bytes) << PAGE_SHIFT);
}

void *mem_zalloc_low(size_t bytes) { return mem_zalloc(bytes); }

void mem_free(void *p, size_t bytes)
{
	if (p)
		page_free(&pages, port_va_to_hpa(p), whole_pages(bytes));
}

/* ---- sections ------------------------------------------------------------ */

void bench_report(const char *what, uint64_t x, uint64_t n)
{
	char name[128];

	snprintf(name, sizeof(name), "%s %lu %lu", what, x, n);
	CALLGRIND_DUMP_STATS_AT(name);
}

void bench_bulk_begin(void) { CALLGRIND_STOP_INSTRUMENTATION; }
void bench_bulk_end(void) { CALLGRIND_START_INSTRUMENTATION; }

void bench_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	exit(1);
}

void assert_failed(const char *file, int line, const char *what) { bench_failed(file, line, what); }
void log_sink(const char *text, size_t len) { fwrite(text, 1, len, stderr); }

/* ---- VMs ------------------------------------------------------------------ */

static void count_flush(void *ctx) { ((struct bench_vm *)ctx)->flushes++; }

void bench_vm_open(struct bench_vm *vm, unsigned int slots, uint64_t pages_each, bool large)
{
	struct mmu_config cfg = { .shadow_pages = SHADOW_PAGES, .hash_key = 0x123456789abcdef,
				  .host = { .maxphyaddr = 46, .flush = count_flush, .ctx = vm } };

	machine_open();
	*vm = (struct bench_vm){ 0 };
	CHECK(mmu_init(&vm->mmu, &cfg) == 0);
	for (unsigned int i = 0; i < slots; i++) {
		uint64_t first = i * pages_each;
		struct memslot_desc d = {
			.id = i, .base_gfn = gfn(first), .npages = pages_each,
			.base_pfn = pfn_add(hpa_to_pfn(hpa(GUEST_FIRST)), first + !large),
		};

		CHECK(mmu_slot_create(&vm->mmu, &d) == 0);
	}
	CHECK(mmu_vcpu_init(&vm->v, &vm->mmu, 40, true) == 0);
	vm->flushes = 0;
}

void bench_vm_close(struct bench_vm *vm)
{
	mmu_vcpu_destroy(&vm->v);
	mmu_destroy(&vm->mmu);
	CHECK(page_alloc_stats(&pages).used == 0);
}

void bench_touch(struct bench_vm *vm, gfn_t gfn)
{
	struct page_fault f = { .addr = gva(gfn.v << PAGE_SHIFT), .error_code = PFERR_WRITE };

	CHECK(mmu_page_fault(&vm->v, &f) == FAULT_FIXED);
}
