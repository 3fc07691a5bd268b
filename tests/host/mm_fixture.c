/* SPDX-License-Identifier: GPL-2.0-only */
/* See the header. */
#include "tests/host/mm_fixture.h"
#include <string.h>
#include "lib/alloc.h"
#include "lib/assert.h"
#include "mm/port.h"
#include "tests/host/port_host.h"

static void count_flush(void *ctx) { ((struct fixture *)ctx)->flushes++; }

void fx_open(struct fixture *fx, uint64_t npages, uint32_t shadow_pages)
{
	struct mmu_config cfg = { .shadow_pages = shadow_pages, .hash_key = 0x123456789abcdefull,
				  .host = { .maxphyaddr = 46, .flush = count_flush, .ctx = fx } };
	struct memslot_desc d = { .id = 0, .base_gfn = gfn(0), .npages = npages };

	memset(fx, 0, sizeof(*fx));
	fx->pages_before = host_pages_used();
	ASSERT(mmu_init(&fx->mmu, &cfg) == 0);
	fx->npages = npages;
	fx->bytes = (npages + 512) * PAGE_SIZE;
	fx->allocated = mem_zalloc(fx->bytes);
	ASSERT(fx->allocated);
	d.base_pfn = pfn((hpa_to_pfn(port_va_to_hpa(fx->allocated)).v + 511) & ~511ull);
	fx->base_pfn = d.base_pfn;
	ASSERT(mmu_slot_create(&fx->mmu, &d) == 0);
	ASSERT(mmu_vcpu_init(&fx->v, &fx->mmu, 40, true) == 0);
	fx->next_table = FX_ROOT + 1;
}

void fx_close(struct fixture *fx)
{
	ASSERT(mmu_audit(&fx->mmu) == 0);
	mmu_vcpu_destroy(&fx->v);
	ASSERT(mmu_audit(&fx->mmu) == 0);
	mmu_destroy(&fx->mmu);
	mem_free(fx->allocated, fx->bytes);
	ASSERT(host_pages_used() == fx->pages_before);
}

void fx_paging(struct fixture *fx, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	struct guest_paging p = fx->v.paging;

	p.cr0 = cr0 | X86_CR0_PG | X86_CR0_PE;
	p.cr4 = cr4;
	p.efer = efer;
	p.cr3 = FX_ROOT << PAGE_SHIFT;
	if ((cr4 & X86_CR4_PAE) && !(efer & EFER_LMA))
		ASSERT(guest_load_pdptes(&fx->mmu.mem, &p, p.pdpte) == 0);
	ASSERT(mmu_set_paging(&fx->v, &p) == 0);
}

void fx_long_mode(struct fixture *fx)
{
	fx_paging(fx, X86_CR0_WP, X86_CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE);
}

void fx_write(struct fixture *fx, gpa_t at, const void *src, size_t len)
{
	ASSERT(guest_write(&fx->mmu.mem, at, src, len, BY(EMULATOR)) == 0);
}

/* Builds 4-level tables unless the vCPU runs two-level paging. */
gpa_t fx_map(struct fixture *fx, uint64_t addr, int level, uint64_t e)
{
	const struct guest_paging *p = &fx->v.paging;
	bool narrow = paging_enabled(p) && !paging_pae(p);
	unsigned int size = narrow ? 4 : 8, bits = narrow ? 10 : 9;
	int top = narrow ? 2 : 4;
	uint64_t table = FX_ROOT << PAGE_SHIFT;

	for (int l = top; ; l--) {
		uint64_t index = (addr >> (12 + bits * (unsigned int)(l - 1))) & ((1u << bits) - 1), entry = 0;
		gpa_t at = gpa(table + index * size);

		if (l == level) {
			fx_write(fx, at, &e, size);
			return at;
		}
		ASSERT(guest_read(&fx->mmu.mem, at, &entry, size, NULL) == 0);
		if (!(entry & G_P)) {
			entry = fx->next_table++ << PAGE_SHIFT | G_ALL;
			fx_write(fx, at, &entry, size);
		}
		table = entry & 0x000ffffffffff000ull;
	}
}

bool fx_goes_through(struct fixture *fx, uint64_t addr, uint32_t code)
{
	struct model_access a = { .addr = gva(addr), .error_code = code };
	struct cpu_translation t;

	return cpu_walk(&fx->v, gva(addr), &t) && cpu_permits(&fx->v, &t, &a);
}

enum fault_result fx_touch(struct fixture *fx, uint64_t addr, uint32_t code, struct page_fault *out)
{
	struct page_fault f = { .addr = gva(addr), .error_code = code };

	for (int tries = 0; tries < 8; tries++) {
		enum fault_result r;

		if (fx_goes_through(fx, addr, code))
			return FAULT_FIXED;
		r = mmu_page_fault(&fx->v, &f);
		if (out)
			*out = f;
		if (r != FAULT_FIXED && r != FAULT_SPURIOUS)
			return r;
	}
	ASSERT(!"an access gets nowhere");
	return FAULT_NOMEM;
}

bool fx_is_large(struct fixture *fx, uint64_t addr)
{
	hpa_t table = fx->v.hw_cr3;
	uint64_t e = 0;

	for (int level = fx->v.hw_long ? 4 : 3; level >= 2; level--) {
		e = ((uint64_t *)port_hpa_to_va(table))[(addr >> (12 + 9 * (level - 1))) & 511];
		if (!(e & 1))
			return false;
		table = hpa(e & SPTE_FRAME_MASK);
	}
	return e & 0x80;
}
