// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that never turns paging on: memory, code that changes, addresses
 * without memory, exceptions, interrupts.
 */
#include "tests/guest/rt/rt32.h"

#define FREE_RAM 0x800000u

static void memory_holds_what_is_written(void)
{
	uint32_t top = 0x100000 + boot_info()->mem_upper * 1024;

	for (uint32_t at = FREE_RAM; at + 4 <= top; at += 0x41000)
		*(volatile uint32_t *)at = at ^ 0x5A5A5A5A;
	for (uint32_t at = FREE_RAM; at + 4 <= top; at += 0x41000)
		check_equal(*(volatile uint32_t *)at, at ^ 0x5A5A5A5A);
	for (uint32_t at = 0x20000; at < 0x90000; at += 0x1000)
		*(volatile uint32_t *)at = at;
	for (uint32_t at = 0x20000; at < 0x90000; at += 0x1000)
		check_equal(*(volatile uint32_t *)at, at);
}

static void stores_of_every_kind(void)
{
	volatile uint32_t *p = (uint32_t *)FREE_RAM;
	uint32_t v = 0x11223344, n, *d;

	*(volatile uint8_t *)p = 1;
	*(volatile uint16_t *)(FREE_RAM + 0xFFF) = 0xBEEF; /* over a page's end */
	check_equal(*(volatile uint16_t *)(FREE_RAM + 0xFFF), 0xBEEF);
	asm volatile("xchgl %0, %1" : "+r"(v), "+m"(*p));
	check_equal(*p, 0x11223344);
	asm volatile("lock addl $1, %0" : "+m"(*p));
	check_equal(*p, 0x11223345);
	d = (uint32_t *)FREE_RAM;
	n = 3000;
	asm volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(0xABCD) : "memory");
	check_equal(((volatile uint32_t *)FREE_RAM)[2999], 0xABCD);
	asm volatile("mov %%esp, %%ecx; lea 0x2000(%0), %%esp; pushal; popal; mov %%ecx, %%esp"
		     : : "b"(FREE_RAM) : "ecx", "memory");
}

/* A PC gives all ones; QEMU's own gives zeros. Stores vanish, nothing traps. */
static void nothing_where_no_memory_is(void)
{
	uint32_t v = 0x1234;

	check_equal(try_read(0xD0000000u, &v), 0);
	check(v == 0xFFFFFFFF || v == 0);
	check_equal(try_write(0xD0000000u, 0x5678), 0);
	check_equal(*(volatile uint32_t *)0xD0000000u, v);
	check_equal(*(volatile uint8_t *)0xD0000001u, v & 0xFF);
}

/* Code is copied, run, changed and run again. */
static void code_that_changes(void)
{
	static const uint8_t code[] = { 0xB8, 0, 0, 0, 0, 0xC3 }; /* mov eax, imm; ret */
	uint8_t *at = (uint8_t *)FREE_RAM + 0x3FFE; /* over a page's end */

	memcpy(at, code, sizeof(code));
	for (uint32_t i = 1; i < 200; i++) {
		*(volatile uint32_t *)(at + 1) = i * 0x01010101;
		check_equal(((uint32_t(*)(void))at)(), i * 0x01010101);
	}
}

#define INSN(name, text)                                                                                     \
	static void name(uint32_t a, uint32_t b) { asm volatile(text : : "a"(a), "c"(b) : "edx", "memory"); }

INSN(divide, "xor %%edx, %%edx; div %%ecx")
INSN(undefined, "ud2")
INSN(breakpoint, "int3")
INSN(interrupt_0x30, "int $0x30")
INSN(bad_segment, "mov %%ax, %%fs")
INSN(overflow, "mov $0x7fffffff, %%eax; inc %%eax; into")

static void exceptions(void)
{
	for (int i = 0; i < 3; i++) {
		check_equal(trap_result(try_call(divide, 1, 0)), 0x1000);
		check_equal(trap_result(try_call(undefined, 0, 0)), 0x1006);
		check_equal(trap_result(try_call(breakpoint, 0, 0)), 0x1003);
		check_equal(trap_result(try_call(interrupt_0x30, 0, 0)), 0x1030);
		check_equal(trap_result(try_call(overflow, 0, 0)), 0x1004);
		check_equal(trap_result(try_call(bad_segment, 0x1000, 0)), 0x100D);
		check_equal(trap.error, 0x1000);
	}
}

static void timer_ticks(void)
{
	pit_start(1000);
	asm volatile("sti");
	for (uint32_t spins = 0; ticks < 20 && spins < 0xF0000000u; spins++)
		asm volatile("pause");
	check(ticks >= 20);
	asm volatile("cli");
	for (int i = 0; i < 10; i++) {
		uint32_t before = ticks;

		asm volatile("sti; hlt; cli" ::: "memory");
		check(ticks > before);
	}
	pit_stop();
}

void main(void)
{
	static const struct test tests[] = {
		{ "memory_holds_what_is_written", memory_holds_what_is_written },
		{ "stores_of_every_kind", stores_of_every_kind },
		{ "nothing_where_no_memory_is", nothing_where_no_memory_is },
		{ "code_that_changes", code_that_changes },
		{ "exceptions", exceptions },
		{ "timer_ticks", timer_ticks },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
