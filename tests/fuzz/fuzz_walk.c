// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest walk against the oracle. The input is the state of the CPU, an
 * address, and entries for the tables that the address leads through; the
 * tables may be each other or themselves. Result, error code, rights and the
 * whole of memory must be the oracle's.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/alloc.h"
#include "mm/guest_walk.h"
#include "mm/port.h"
#include "tests/host/bare_mem.h"
#include "tests/host/walk_oracle.h"

#define RAM_PAGES 16
#define RAM_BYTES (RAM_PAGES << PAGE_SHIFT)
#define ENTRIES_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t control; /* CR0.WP, CR4.PSE, SMEP, SMAP, EFER.NXE, 1 GiB pages, paging mode */
	uint8_t access;
	uint8_t maxphyaddr;
	uint8_t cr3_low; /* PWT, PCD; PAE: address bits 11:5 */
	uint64_t address;
	uint64_t cr3;
	uint64_t pdpte[4];
	uint8_t entries; /* that follow, of 10 bytes: page and place, value */
} PACKED;

struct input_entry {
	uint8_t page; /* 4 bits; the others: at which of the address's indices, or anywhere */
	uint8_t place;
	uint64_t value;
} PACKED;

static struct guest_mem m;
static uint8_t *ram;
static uint8_t oracle_ram[RAM_BYTES];

static void open_memory(void)
{
	struct memslot_desc d = { .npages = RAM_PAGES };

	bare_mem_init(&m, NULL);
	ram = mem_zalloc(RAM_BYTES);
	d.base_pfn = hpa_to_pfn(port_va_to_hpa(ram));
	if (bare_slot_create(&m, &d))
		abort();
}

/* Tables lie in RAM, so that the oracle, whose memory is an array, can follow;
 * bits that are reserved stay. */
static uint64_t in_ram(uint64_t entry, unsigned int maxphyaddr)
{
	uint64_t beyond = ~0ull << maxphyaddr;

	return entry & (beyond | (RAM_BYTES - 1));
}

static void set_cpu(struct guest_paging *p, const struct input *in)
{
	unsigned int mode = in->control >> 6;

	*p = (struct guest_paging){ .maxphyaddr = (uint8_t)(32 + in->maxphyaddr % 21),
				    .has_1g_pages = in->control & 32 };
	p->cr0 = X86_CR0_PE | X86_CR0_PG | (in->control & 1 ? X86_CR0_WP : 0);
	p->cr4 = (mode >= 1 ? X86_CR4_PAE : 0) | (in->control & 2 ? X86_CR4_PSE : 0) |
		 (in->control & 4 ? X86_CR4_SMEP : 0) | (in->control & 8 ? X86_CR4_SMAP : 0);
	p->efer = (in->control & 16 ? EFER_NXE : 0) | (mode >= 2 ? EFER_LME | EFER_LMA : 0);
	p->cr3 = (in->cr3 & (RAM_BYTES - PAGE_SIZE)) | (in->cr3_low & 0xf8);
	for (int i = 0; i < 4; i++)
		p->pdpte[i] = in->pdpte[i] & (RAM_BYTES - PAGE_SIZE + 1);
}

static uint64_t place_of(const struct guest_paging *p, const struct input *in, const struct input_entry *e)
{
	unsigned int size = paging_pae(p) ? 8 : 4, bits = paging_pae(p) ? 9 : 10;
	unsigned int level = e->page >> 4 & 7;
	uint64_t index = in->address >> (12 + bits * (level & 3));

	if (level > 3)
		index = e->place;
	return (uint64_t)(e->page & 15) << PAGE_SHIFT | (index & ((1u << bits) - 1)) * size;
}

static bool agree(const struct guest_walk *w, enum walk_status status, const struct oracle_result *r)
{
	uint32_t rights = (r->w ? ACCESS_WRITE : 0) | (r->u ? ACCESS_USER : 0) | (r->x ? ACCESS_EXEC : 0);

	if (memcmp(ram, oracle_ram, RAM_BYTES))
		return false;
	if (!r->ok)
		return status == WALK_FAULT && w->error_code == r->error_code;
	return status == WALK_OK && w->gfn.v == r->pa >> PAGE_SHIFT && w->access[w->level] == rights;
}

static void compare(const struct guest_paging *p, uint64_t address, uint8_t access)
{
	struct oracle_cpu c = {
		.pg = true, .wp = p->cr0 & X86_CR0_WP,
		.pse = p->cr4 & X86_CR4_PSE, .pae = p->cr4 & X86_CR4_PAE,
		.smep = p->cr4 & X86_CR4_SMEP, .smap = p->cr4 & X86_CR4_SMAP,
		.lma = p->efer & EFER_LMA, .nxe = p->efer & EFER_NXE,
		.cr3 = p->cr3, .maxphyaddr = p->maxphyaddr, .page1gb = p->has_1g_pages,
	};
	bool implicit = access & 16;
	const struct oracle_access a = {
		.write = (access & 3) == 1, .fetch = (access & 3) == 2, .user = (access & 4) && !implicit,
		.ac = access & 8, .implicit = implicit,
	};
	uint32_t code = (a.write ? PFERR_WRITE : 0) | (a.fetch ? PFERR_FETCH : 0) |
			(access & 4 ? PFERR_USER : 0) | (a.ac ? WALK_AC : 0) | (implicit ? WALK_IMPLICIT : 0);
	struct guest_walk w;
	struct oracle_result r;

	memcpy(c.pdpte, p->pdpte, sizeof(c.pdpte));
	r = walk_oracle(&c, oracle_ram, address, a);
	if (!agree(&w, guest_walk(&w, &m, p, gva(address), code, NULL), &r))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_paging p;
	struct input_entry e;
	struct input in;

	if (size < sizeof(in))
		return 0;
	if (!ram)
		open_memory();
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	set_cpu(&p, &in);
	memset(ram, 0, RAM_BYTES);
	for (unsigned int i = 0; i < in.entries % ENTRIES_MAX && size >= sizeof(e); i++) {
		memcpy(&e, data, sizeof(e));
		data += sizeof(e);
		size -= sizeof(e);
		e.value = in_ram(e.value, p.maxphyaddr);
		memcpy(ram + place_of(&p, &in, &e), &e.value, paging_pae(&p) ? 8 : 4);
	}
	memcpy(oracle_ram, ram, RAM_BYTES);
	/* Several accesses on one set of tables: A and D stay from one to the next. */
	compare(&p, in.address, in.access);
	compare(&p, in.address, in.access ^ 1);
	compare(&p, in.address, in.access ^ 4);
	return 0;
}
