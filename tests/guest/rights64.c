// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page rights: every combination of the bits of two levels, of CR0.WP, SMEP,
 * SMAP and EFLAGS.AC, for reads, writes and fetches in ring 0 and ring 3,
 * against a model of the rules; then accessed and dirty bits, reserved bits
 * and addresses that are not canonical.
 */
#include "tests/guest/rt/rt64.h"

#define VA 0x8040201000ul      /* the page under test */
#define USER_CODE 0x10000000000ul
#define USER_STACK (USER_CODE + PAGE)
#define RWU (PTE_P | PTE_W | PTE_U)
#define EFLAGS_AC (1ull << 18)

/* On the page under test and on the user's code page. */
#define AT_RET 0x00     /* RET */
#define AT_END 0x10     /* INT 0x80 */
#define AT_DATA 0x40
#define AT_READ 0x20    /* mov rax, [rdi]; int 0x80 */
#define AT_WRITE 0x30   /* mov [rdi], rsi; int 0x80 */

static uint8_t *code_page(void)
{
	static const uint8_t end[] = { 0xCD, 0x80 }, read[] = { 0x48, 0x8B, 0x07, 0xCD, 0x80 },
			     write[] = { 0x48, 0x89, 0x37, 0xCD, 0x80 };
	uint8_t *p = page_alloc();

	p[AT_RET] = 0xC3;
	memcpy(p + AT_END, end, sizeof(end));
	memcpy(p + AT_READ, read, sizeof(read));
	memcpy(p + AT_WRITE, write, sizeof(write));
	return p;
}

enum { READ, WRITE, FETCH };

struct access {
	int kind;
	bool user;
	bool ac;
};

/* Bits that are ANDed (NX: ORed) over the path. */
struct rights {
	bool w, u, nx;
};

static unsigned int model(struct rights r, struct access a, bool wp, bool smep, bool smap)
{
	unsigned int code = PF_P | (a.kind == WRITE ? PF_W : 0) | (a.user ? PF_U : 0) | (a.kind == FETCH ? PF_I : 0);

	if (a.user && !r.u)
		return PF(code);
	if (a.kind == WRITE && !r.w && (a.user || wp))
		return PF(code);
	if (a.kind == FETCH && r.nx)
		return PF(code);
	if (a.kind == FETCH && !a.user && r.u && smep)
		return PF(code);
	if (a.kind != FETCH && !a.user && r.u && smap && !a.ac)
		return PF(code);
	return 0;
}

static void with_ac(uint64_t fn, uint64_t addr)
{
	asm volatile("pushfq; orq %2, (%%rsp); popfq; call *%0"
		     : : "r"(fn), "D"(addr), "i"(EFLAGS_AC), "S"(0x1234ul) : "rax", "memory");
}

static void read_it(uint64_t addr, uint64_t unused) { (void)*(volatile uint64_t *)addr; }
static void write_it(uint64_t addr, uint64_t unused) { *(volatile uint64_t *)addr = 0x1234; }

static unsigned int perform(struct access a)
{
	if (a.user && a.kind == FETCH)
		return trap_result(try_user(VA + AT_END, 0, 0, USER_STACK + PAGE));
	if (a.user)
		return trap_result(try_user(USER_CODE + (a.kind == READ ? AT_READ : AT_WRITE), VA + AT_DATA, 0x1234,
					    USER_STACK + PAGE));
	if (a.kind == FETCH)
		return try_exec(VA + AT_RET);
	if (a.ac)
		return trap_result(try_call(with_ac, (uint64_t)(a.kind == READ ? read_it : write_it), VA + AT_DATA));
	return trap_result(try_call(a.kind == READ ? read_it : write_it, VA + AT_DATA, 0));
}

static const struct access accesses[] = {
	{ READ, false, false }, { WRITE, false, false }, { FETCH, false, false }, { READ, true, false },
	{ WRITE, true, false }, { FETCH, true, false },  { READ, false, true },   { WRITE, false, true },
};

static uint64_t bits(unsigned int c)
{
	return PTE_P | (c & 1 ? PTE_W : 0) | (c & 2 ? PTE_U : 0) | (c & 4 ? PTE_NX : 0);
}

static pte_t *user_space(void)
{
	pte_t *pml4 = space_new();

	space_map(pml4, VA, code_page(), RWU);
	space_map(pml4, USER_CODE, code_page(), PTE_P | PTE_U);
	space_map(pml4, USER_STACK, page_alloc(), RWU);
	return pml4;
}

static void try_all(pte_t *upper, pte_t *leaf, bool wp, bool smep, bool smap)
{
	uint64_t page = *leaf & PTE_ADDR, table = *upper & PTE_ADDR;

	for (unsigned int c = 0; c < 64; c++) {
		struct rights r = { (c & 1) && (c & 8), (c & 2) && (c & 16), (c & 4) || (c & 32) };

		*leaf = page | bits(c & 7);
		*upper = table | bits(c >> 3);
		invlpg(VA);
		for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
			unsigned int want = model(r, accesses[i], wp, smep, smap), got = perform(accesses[i]);

			if (got == want && (!want || trap.cr2 - VA < PAGE))
				continue;
			check_failed(__FILE__, __LINE__, "rights");
			print("  leaf %x upper %x access %x: got 0x%x, want 0x%x\n", (unsigned long)c & 7,
			      (unsigned long)c >> 3, i, (unsigned long)got, (unsigned long)want);
		}
	}
	*leaf = page | RWU;
	*upper = table | RWU;
	invlpg(VA);
}

static void rights_with(bool wp, bool smep, bool smap, int upper_level)
{
	pte_t *pml4 = user_space();
	uint64_t cr0 = read_cr0(), cr4 = read_cr4();

	space_use(pml4);
	write_cr0(wp ? cr0 | CR0_WP : cr0 & ~CR0_WP);
	write_cr4(cr4 | (smep ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0));
	try_all(space_entry(pml4, VA, upper_level), space_entry(pml4, VA, 1), wp, smep, smap);
	write_cr0(cr0);
	write_cr4(cr4);
	space_use(boot_pml4);
}

static void rights_wp(void) { rights_with(true, false, false, 2); }
static void rights_no_wp(void) { rights_with(false, false, false, 2); }
static void rights_wp_level_3(void) { rights_with(true, false, false, 3); }
static void rights_wp_level_4(void) { rights_with(true, false, false, 4); }
static void rights_no_wp_level_4(void) { rights_with(false, false, false, 4); }

static void rights_smep(void)
{
	if (!has_smep()) {
		skip("no SMEP");
		return;
	}
	rights_with(true, true, false, 2);
	rights_with(false, true, false, 3);
}

static void rights_smap(void)
{
	if (!has_smap()) {
		skip("no SMAP");
		return;
	}
	rights_with(true, false, true, 2);
	rights_with(false, false, true, 3);
	if (has_smep())
		rights_with(false, true, true, 2);
}

/* CR0.WP back and forth on one mapping: the right must follow at once. */
static void wp_is_switched_on_a_live_mapping(void)
{
	pte_t *pml4 = user_space(), *leaf = space_entry(pml4, VA, 1);
	uint64_t cr0 = read_cr0() | CR0_WP;

	*leaf = (*leaf & ~PTE_W & ~PTE_U);
	space_use(pml4);
	for (uint64_t i = 0; i < 8; i++) {
		write_cr0(cr0);
		check_equal(try_write(VA + AT_DATA, 1), PF(PF_P | PF_W));
		check_equal(try_read(VA + AT_DATA, NULL), 0);
		write_cr0(cr0 & ~CR0_WP);
		check_equal(try_write(VA + AT_DATA, i), 0);
		check_equal(*(volatile uint64_t *)(VA + AT_DATA), i);
	}
	/* A page of the user's that ring 0 wrote with WP=0 stays read-only for the user. */
	*leaf |= PTE_U;
	invlpg(VA);
	check_equal(try_write(VA + AT_DATA, 9), 0);
	check_equal(perform((struct access){ WRITE, true, false }), PF(PF_P | PF_W | PF_U));
	check_equal(perform((struct access){ READ, true, false }), 0);
	write_cr0(cr0);
	space_use(boot_pml4);
}

static void smap_is_switched_on_a_live_mapping(void)
{
	pte_t *pml4 = user_space();
	uint64_t cr4 = read_cr4();

	if (!has_smap()) {
		skip("no SMAP");
		return;
	}
	space_use(pml4);
	for (int i = 0; i < 4; i++) {
		check_equal(try_read(VA + AT_DATA, NULL), 0);
		write_cr4(cr4 | CR4_SMAP);
		check_equal(try_read(VA + AT_DATA, NULL), PF(PF_P));
		asm volatile("stac");
		check_equal(try_read(VA + AT_DATA, NULL), 0);
		asm volatile("clac");
		check_equal(try_write(VA + AT_DATA, 1), PF(PF_P | PF_W));
		write_cr4(cr4);
	}
	space_use(boot_pml4);
}

/* With EFER.NXE clear, bit 63 is reserved and fetches are not told apart. */
static void nxe_is_switched(void)
{
	pte_t *pml4 = user_space(), *leaf = space_entry(pml4, VA, 1);
	uint64_t efer = rdmsr(MSR_EFER);

	space_use(pml4);
	*leaf |= PTE_NX;
	invlpg(VA);
	check_equal(try_exec(VA), PF(PF_P | PF_I));
	*leaf &= ~PTE_NX;
	invlpg(VA);
	check_equal(try_exec(VA), 0);
	wrmsr(MSR_EFER, efer & ~EFER_NXE);
	check_equal(try_exec(VA), 0);
	check_equal(try_write(VA + AT_DATA, 1), 0);
	if (!on_tcg()) {
		*leaf |= PTE_NX;
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(PF_P | PF_RSVD));
	}
	wrmsr(MSR_EFER, efer);
	*leaf |= PTE_NX;
	invlpg(VA);
	check_equal(try_read(VA, NULL), 0);
	check_equal(try_exec(VA), PF(PF_P | PF_I));
	space_use(boot_pml4);
}

/* ---- accessed and dirty ---- */

#define AD (PTE_A | PTE_D)

static void clear_ad(pte_t *pml4)
{
	for (int l = 4; l >= 1; l--)
		*space_entry(pml4, VA, l) &= ~AD;
	flush_tlb();
}

static void check_ad(pte_t *pml4, uint64_t leaf, uint64_t above)
{
	check_equal(*space_entry(pml4, VA, 1) & AD, leaf);
	for (int l = 2; l <= 4; l++)
		check_equal(*space_entry(pml4, VA, l) & PTE_A, above);
}

static void accessed_and_dirty(void)
{
	pte_t *pml4 = user_space();

	space_use(pml4);
	for (int i = 0; i < 3; i++) {
		clear_ad(pml4);
		check_ad(pml4, 0, 0);
		check_equal(try_read(VA + AT_DATA, NULL), 0);
		check_ad(pml4, PTE_A, PTE_A);
		check_equal(try_write(VA + AT_DATA, 1), 0);
		check_ad(pml4, AD, PTE_A);

		clear_ad(pml4);
		check_equal(try_exec(VA), 0);
		check_ad(pml4, PTE_A, PTE_A);

		clear_ad(pml4);
		check_equal(try_write(VA + AT_DATA, 1), 0);
		check_ad(pml4, AD, PTE_A);

		clear_ad(pml4);
		check_equal(perform((struct access){ READ, true, false }), 0);
		check_ad(pml4, PTE_A, PTE_A);
		check_equal(perform((struct access){ WRITE, true, false }), 0);
		check_ad(pml4, AD, PTE_A);
	}
	space_use(boot_pml4);
}

/* Only D is cleared: the next write sets it again. */
static void dirty_again(void)
{
	pte_t *pml4 = user_space(), *leaf = space_entry(pml4, VA, 1);

	space_use(pml4);
	for (int i = 0; i < 5; i++) {
		check_equal(try_write(VA + AT_DATA, 1), 0);
		check_equal(*leaf & AD, AD);
		*leaf &= ~PTE_D;
		invlpg(VA);
		check_equal(try_read(VA + AT_DATA, NULL), 0);
		check_equal(*leaf & AD, PTE_A);
	}
	space_use(boot_pml4);
}

/* An access that faults for want of rights sets no D. */
static void no_dirty_without_rights(void)
{
	pte_t *pml4 = user_space(), *leaf = space_entry(pml4, VA, 1);

	*leaf &= ~PTE_W;
	space_use(pml4);
	check_equal(try_write(VA + AT_DATA, 1), PF(PF_P | PF_W));
	check_equal(*leaf & PTE_D, 0);
	write_cr0(read_cr0() & ~CR0_WP);
	check_equal(try_write(VA + AT_DATA, 1), 0);
	check_equal(*leaf & AD, AD);
	write_cr0(read_cr0() | CR0_WP);
	space_use(boot_pml4);
}

/* A large page has its D in the directory entry. */
static void dirty_of_a_large_page(void)
{
	pte_t *pml4 = space_new(), *pde = space_entry(pml4, VA, 2);
	uint64_t at = VA & ~0x1FFFFFul;

	*pde = 0x400000 | PTE_P | PTE_W | PTE_PS; /* RAM that nothing uses */
	space_use(pml4);
	check_equal(try_read(at + 0x12340, NULL), 0);
	check_equal(*pde & AD, PTE_A);
	check_equal(try_write(at + 0x1FFFF8, 5), 0);
	check_equal(*pde & AD, AD);
	*pde &= ~AD;
	flush_tlb();
	check_equal(try_read(at + 0x1FFFF8, NULL), 0);
	check_equal(*pde & AD, PTE_A);
	space_use(boot_pml4);
}

/* The CPU's own bits in a table that is mapped read-only: it does not ask. */
static void accessed_in_a_read_only_table(void)
{
	pte_t *pml4 = user_space(), *leaf = space_entry(pml4, VA, 1);
	uint64_t alias = 0x20000000000ul;
	volatile pte_t *seen = (pte_t *)(alias + ((uint64_t)leaf & (PAGE - 1)));

	space_map(pml4, alias, (void *)((uint64_t)leaf & ~(PAGE - 1)), PTE_P);
	space_use(pml4);
	check_equal(*seen & AD, 0);
	check_equal(try_write(VA + AT_DATA, 1), 0);
	check_equal(*seen & AD, AD);
	check_equal(try_write((uint64_t)seen, 0), PF(PF_P | PF_W));
	check_equal(*leaf & AD, AD);
	space_use(boot_pml4);
}

/* ---- what is reserved ---- */

static unsigned int maxphyaddr(void)
{
	uint32_t r[4];

	cpuid(0x80000000, 0, r);
	if (r[0] < 0x80000008)
		return 36;
	cpuid(0x80000008, 0, r);
	return r[0] & 0xFF;
}

static void reserved_address_bits(void)
{
	pte_t *pml4 = user_space();
	unsigned int max = maxphyaddr();

	if (on_tcg()) {
		skip("TCG checks reserved bits in its own way");
		return;
	}
	space_use(pml4);
	for (unsigned int bit = max; bit < 52; bit++)
		for (int level = 1; level <= 4; level++) {
			pte_t *e = space_entry(pml4, VA, level), was = *e;

			*e |= 1ull << bit;
			invlpg(VA);
			check_equal(try_read(VA, NULL), PF(PF_P | PF_RSVD));
			check_equal(try_write(VA, 1), PF(PF_P | PF_RSVD | PF_W));
			*e &= ~PTE_P; /* not present: the rest is ignored */
			invlpg(VA);
			check_equal(try_read(VA, NULL), PF(0));
			*e = was;
			invlpg(VA);
			check_equal(try_read(VA, NULL), 0);
		}
	space_use(boot_pml4);
}

static void reserved_size_bits(void)
{
	pte_t *pml4 = user_space(), *e;
	pte_t was;

	if (on_tcg()) {
		skip("TCG checks reserved bits in its own way");
		return;
	}
	space_use(pml4);
	e = space_entry(pml4, VA, 4);
	was = *e;
	*e |= PTE_PS;
	invlpg(VA);
	check_equal(try_read(VA, NULL), PF(PF_P | PF_RSVD));
	*e = was;
	e = space_entry(pml4, VA, 2);
	was = *e;
	for (unsigned int bit = 13; bit < 21; bit++) {
		*e = 0x400000 | RWU | PTE_PS | 1ul << bit;
		invlpg(VA);
		check_equal(try_read(VA, NULL), PF(PF_P | PF_RSVD));
	}
	*e = was;
	invlpg(VA);
	check_equal(try_read(VA, NULL), 0);
	space_use(boot_pml4);
}

/* Bits the CPU leaves to software do nothing. */
static void ignored_bits(void)
{
	pte_t *pml4 = user_space();

	space_use(pml4);
	for (int level = 1; level <= 4; level++) {
		pte_t *e = space_entry(pml4, VA, level), was = *e;

		*e |= 0x7FF0000000000000ull & ~(0xFull << 59); /* 58:52 */
		*e |= 0xE00;
		invlpg(VA);
		check_equal(try_read(VA, NULL), 0);
		check_equal(try_write(VA + AT_DATA, 1), 0);
		check_equal(*e & 0xE00, 0xE00);
		*e = was;
		invlpg(VA);
	}
	space_use(boot_pml4);
}

static void addresses_that_are_not_canonical(void)
{
	check_equal(try_read(0x800000000000ul, NULL), 0x1000 | 13);
	check_equal(try_write(0xFFFF000000000000ul, 1), 0x1000 | 13);
	check_equal(try_read(0x8000000000000000ul, NULL), 0x1000 | 13);
	check_equal(try_read(0xFFFF800000000000ul, NULL), PF(0));
	check_equal(trap.cr2, 0xFFFF800000000000ul);
}

void main(void)
{
	static const struct test tests[] = {
		{ "rights_wp", rights_wp },
		{ "rights_no_wp", rights_no_wp },
		{ "rights_wp_level_3", rights_wp_level_3 },
		{ "rights_wp_level_4", rights_wp_level_4 },
		{ "rights_no_wp_level_4", rights_no_wp_level_4 },
		{ "rights_smep", rights_smep },
		{ "rights_smap", rights_smap },
		{ "wp_is_switched_on_a_live_mapping", wp_is_switched_on_a_live_mapping },
		{ "smap_is_switched_on_a_live_mapping", smap_is_switched_on_a_live_mapping },
		{ "nxe_is_switched", nxe_is_switched },
		{ "accessed_and_dirty", accessed_and_dirty },
		{ "dirty_again", dirty_again },
		{ "no_dirty_without_rights", no_dirty_without_rights },
		{ "dirty_of_a_large_page", dirty_of_a_large_page },
		{ "accessed_in_a_read_only_table", accessed_in_a_read_only_table },
		{ "reserved_address_bits", reserved_address_bits },
		{ "reserved_size_bits", reserved_size_bits },
		{ "ignored_bits", ignored_bits },
		{ "addresses_that_are_not_canonical", addresses_that_are_not_canonical },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
