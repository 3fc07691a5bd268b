// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vector state: what XSAVE and its kin store comes back by XRSTOR, in
 * every form that CPUID tells of, with all components in use and with few;
 * and the registers are the guest's own across exits to the hypervisor.
 */
#include "tests/guest/rt/rt64.h"

#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXSAVE (1ull << 18)
#define XCR0_AVX 4u
#define XCR0_AVX512 0xE0u
#define AREA_SIZE 4096
#define XCOMP_BV_COMPACTED (1ull << 63)

enum { VECTORS = 32, WORDS = 8 };

/* All vector registers, as far as the CPU has them; the rest stays 0. */
struct vectors {
	uint64_t v[VECTORS][WORDS];
	uint64_t k[8];
} __attribute__((aligned(64)));

static uint64_t xcr0;
static uint32_t forms; /* CPUID.0DH.1:EAX */
static uint8_t area[AREA_SIZE] __attribute__((aligned(64)));

#define EACH_16(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define EACH_32(op) EACH_16(op) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) \
	op(27) op(28) op(29) op(30) op(31)
#define EACH_8(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)

#define LOAD_XMM(n) "movdqu " #n "*64(%0), %%xmm" #n "\n"
#define SAVE_XMM(n) "movdqu %%xmm" #n ", " #n "*64(%0)\n"
#define LOAD_YMM(n) "vmovdqu " #n "*64(%0), %%ymm" #n "\n"
#define SAVE_YMM(n) "vmovdqu %%ymm" #n ", " #n "*64(%0)\n"
#define LOAD_ZMM(n) "vmovdqu64 " #n "*64(%0), %%zmm" #n "\n"
#define SAVE_ZMM(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%0)\n"
#define LOAD_K(n) "kmovw 2048+" #n "*8(%0), %%k" #n "\n"
#define SAVE_K(n) "kmovw %%k" #n ", 2048+" #n "*8(%0)\n"

static void load(const struct vectors *from, uint64_t components)
{
	if (components & XCR0_AVX512) {
		asm volatile(EACH_32(LOAD_ZMM) : : "r"(from) : "memory");
		asm volatile(EACH_8(LOAD_K) : : "r"(from) : "memory");
	} else if (components & XCR0_AVX) {
		asm volatile(EACH_16(LOAD_YMM) : : "r"(from) : "memory");
	} else {
		asm volatile(EACH_16(LOAD_XMM) : : "r"(from) : "memory");
	}
}

static void store(struct vectors *to)
{
	if (xcr0 & XCR0_AVX512) {
		asm volatile(EACH_32(SAVE_ZMM) : : "r"(to) : "memory");
		asm volatile(EACH_8(SAVE_K) : : "r"(to) : "memory");
	} else if (xcr0 & XCR0_AVX) {
		asm volatile(EACH_16(SAVE_YMM) : : "r"(to) : "memory");
	} else {
		asm volatile(EACH_16(SAVE_XMM) : : "r"(to) : "memory");
	}
}

/* Different in every word, and 0 where a load of @components leaves 0. */
static void fill(struct vectors *p, uint64_t components, uint64_t seed)
{
	unsigned int words = components & XCR0_AVX512 ? 8 : components & XCR0_AVX ? 4 : 2;

	memset(p, 0, sizeof(*p));
	for (unsigned int i = 0; i < (components & XCR0_AVX512 ? 32u : 16u); i++)
		for (unsigned int w = 0; w < words; w++)
			p->v[i][w] = (seed + i * 8 + w) * 0x9E3779B97F4A7C15ull;
	for (unsigned int i = 0; i < 8 && (components & XCR0_AVX512); i++)
		p->k[i] = (seed * 31 + i * 77) & 0xFFFF;
}

static void check_vectors(const struct vectors *want, const char *who)
{
	static struct vectors got;
	const uint64_t *a = (const uint64_t *)&got, *b = (const uint64_t *)want;

	memset(&got, 0, sizeof(got));
	store(&got);
	for (unsigned int i = 0; i < sizeof(got) / 8; i++)
		if (a[i] != b[i]) {
			check_failed(__FILE__, __LINE__, who);
			print("  register %u word %u: 0x%x, want 0x%x\n", (unsigned long)i / WORDS,
			      (unsigned long)i % WORDS, a[i], b[i]);
			return;
		}
}

static void xrstor(void) { asm volatile("xrstor64 %0" : : "m"(area), "a"(~0u), "d"(~0u) : "memory"); }
static void xsave(void) { asm volatile("xsave64 %0" : "+m"(area) : "a"(~0u), "d"(~0u) : "memory"); }
static void xsaveopt(void) { asm volatile("xsaveopt64 %0" : "+m"(area) : "a"(~0u), "d"(~0u) : "memory"); }
static void xsavec(void) { asm volatile("xsavec64 %0" : "+m"(area) : "a"(~0u), "d"(~0u) : "memory"); }

/* An empty area: XRSTOR makes every component initial. */
static void clear_all(void)
{
	memset(area, 0, sizeof(area));
	*(uint32_t *)(area + 24) = 0x1F80;
	xrstor();
}

static void round_trip(void (*save)(void), uint64_t components, const char *who)
{
	static struct vectors pattern;
	static uint8_t saved[AREA_SIZE];

	clear_all();
	fill(&pattern, components, components + 1);
	load(&pattern, components);
	save();
	memcpy(saved, area, sizeof(saved));
	clear_all();
	memcpy(area, saved, sizeof(saved));
	xrstor();
	check_vectors(&pattern, who);
}

static void by_form(void (*save)(void), const char *who)
{
	round_trip(save, 0, who);
	if (xcr0 & XCR0_AVX)
		round_trip(save, XCR0_AVX, who);
	if (xcr0 & XCR0_AVX512)
		round_trip(save, XCR0_AVX | XCR0_AVX512, who);
}

static void by_xsave(void)
{
	if (xcr0)
		by_form(xsave, "xsave");
	else
		skip("the CPU has no XSAVE");
}

static void by_xsaveopt(void)
{
	if (forms & 1)
		by_form(xsaveopt, "xsaveopt");
	else
		skip("the CPU has no XSAVEOPT");
}

static void by_xsavec(void)
{
	if (forms & 2)
		by_form(xsavec, "xsavec");
	else
		skip("the CPU shows no XSAVEC");
}

/* The size of the compacted area that CPUID tells is what its components add up to. */
static void sizes_agree(void)
{
	uint32_t r[4], size = 576;

	if (!(forms & 2)) {
		skip("the CPU shows no XSAVEC");
		return;
	}
	for (unsigned int i = 2; i < 32; i++) {
		if (!(xcr0 & 1ull << i))
			continue;
		cpuid(0xD, i, r);
		size = (r[2] & 2 ? (size + 63) & ~63u : size) + r[0];
	}
	cpuid(0xD, 1, r);
	check_equal(r[1], size);
}

/* Exits: an instruction, a fault of ours, and the timer. */
static void across_exits(void)
{
	static struct vectors pattern;
	uint32_t r[4];

	fill(&pattern, xcr0, 12345);
	load(&pattern, xcr0);
	for (unsigned int i = 0; i < 1000; i++)
		cpuid(0, 0, r);
	check_vectors(&pattern, "across CPUID");
	pit_start(1000);
	sti();
	while (ticks < 20)
		;
	cli();
	pit_stop();
	check_vectors(&pattern, "across timer interrupts");
}

static void turn_on(void)
{
	uint32_t r[4], low, high;

	write_cr4(read_cr4() | CR4_OSFXSR);
	cpuid(1, 0, r);
	if (!(r[2] & 1u << 26))
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	cpuid(0xD, 0, r);
	asm volatile("xsetbv" : : "a"(r[0] & (3u | XCR0_AVX | XCR0_AVX512)), "d"(0), "c"(0));
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	xcr0 = low;
	cpuid(0xD, 1, r);
	forms = r[0];
	print("XCR0 0x%x, forms 0x%x\n", xcr0, (unsigned long)forms);
}

void main(void)
{
	static const struct test tests[] = {
		{ "by_xsave", by_xsave },
		{ "by_xsaveopt", by_xsaveopt },
		{ "sizes_agree", sizes_agree },
		{ "by_xsavec", by_xsavec },
		{ "across_exits", across_exits },
	};

	traps_init();
	turn_on();
	run_tests(tests, ARRAY_SIZE(tests));
}
