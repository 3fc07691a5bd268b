// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel of the kind that looks for itself: it finds its tables and devices
 * as PC kernels without ACPI do, and writes to the screen without asking. What
 * it checks is true of any PC; what only our virtual machine promises is
 * checked under on_spoor() alone.
 */
#include "tests/guest/rt/rt32.h"

/* gcc holds objects at low addresses for mistakes, if it knows the address. */
static void *pointer_to(uint32_t at)
{
	asm("" : "+r"(at));
	return (void *)at;
}

static uint8_t get8(uint32_t at) { return *(volatile uint8_t *)pointer_to(at); }
static uint16_t get16(uint32_t at) { return *(volatile uint16_t *)pointer_to(at); }
static uint32_t get32(uint32_t at) { return *(volatile uint32_t *)pointer_to(at); }

static bool equal(uint32_t at, const char *text)
{
	while (*text)
		if (get8(at++) != (uint8_t)*text++)
			return false;
	return true;
}

/* ---- BIOS data ---- */

static void bios_data_area(void)
{
	uint32_t base = (uint32_t)get16(0x413) << 10, ebda = (uint32_t)get16(0x40E) << 4;

	check_equal(get16(0x400), 0x3F8);
	check(boot_info()->mem_lower <= get16(0x413)); /* the loader may keep some */
	if (on_spoor())
		check_equal(boot_info()->mem_lower, get16(0x413));
	check(base >= 512u << 10 && base < 0xA0000);
	check(ebda >= base && ebda < 0xA0000);
	check_equal(get8(ebda), (0xA0000 - ebda) >> 10);
	check_equal(get8(0x449), 3);
	check_equal(get16(0x44A), 80);
	check_equal(get16(0x463), 0x3D4);
	check_equal(get8(0x484), 24);
	check_equal(get16(0x485), 16);
}

struct mmap_entry {
	uint32_t size;
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

/* What firmware keeps for itself is not told as memory. */
static void memory_map_leaves_the_firmware_alone(void)
{
	uint32_t at = boot_info()->mmap_addr, end = at + boot_info()->mmap_length;
	uint32_t base = (uint32_t)get16(0x413) << 10, found = 0;

	require(boot_info()->flags & 1 << 6);
	for (; at < end; at += ((const struct mmap_entry *)at)->size + 4) {
		const struct mmap_entry *e = (const struct mmap_entry *)at;

		if (e->type != 1)
			continue;
		check(e->base >= 0x100000 || e->base + e->length <= base);
		found++;
	}
	check(found >= 2);
}

/* ---- MP table ---- */

static uint8_t sum(uint32_t at, uint32_t length)
{
	uint8_t s = 0;

	while (length--)
		s += get8(at++);
	return s;
}

static uint32_t mp_search(uint32_t at, uint32_t length)
{
	for (uint32_t end = at + length; at < end; at += 16)
		if (equal(at, "_MP_") && sum(at, get8(at + 8) * 16) == 0)
			return at;
	return 0;
}

static uint32_t mp_find(void)
{
	uint32_t found = mp_search((uint32_t)get16(0x40E) << 4, 1024);

	if (!found)
		found = mp_search(((uint32_t)get16(0x413) << 10) - 1024, 1024);
	return found ? found : mp_search(0xF0000, 0x10000);
}

/* The entries of one type, of which @at[] holds the first few. */
static unsigned int mp_entries(uint32_t table, uint8_t type, uint32_t at[], unsigned int size)
{
	uint32_t e = table + 44;
	unsigned int n = 0;

	for (unsigned int i = 0; i < get16(table + 34); i++, e += get8(e) ? 8 : 20)
		if (get8(e) == type && n++ < size)
			at[n - 1] = e;
	return n;
}

static uint32_t ioapic_register(uint32_t base, uint32_t number)
{
	*(volatile uint32_t *)base = number;
	return get32(base + 0x10);
}

static void mp_check_ioapic(uint32_t e)
{
	uint32_t base = get32(e + 4);

	check_equal(ioapic_register(base, 0) >> 24, get8(e + 1));
	check_equal(ioapic_register(base, 1) & 0xFF, get8(e + 2));
}

/* ISA interrupt @irq goes where? */
static uint32_t mp_pin(uint32_t table, uint8_t bus, uint8_t irq)
{
	uint32_t at[64] = { 0 };
	unsigned int n = mp_entries(table, 3, at, ARRAY_SIZE(at));

	for (unsigned int i = 0; i < n && i < ARRAY_SIZE(at); i++)
		if (get8(at[i] + 1) == 0 && get8(at[i] + 4) == bus && get8(at[i] + 5) == irq)
			return get8(at[i] + 7);
	return UINT32_MAX;
}

static void mp_check_entries(uint32_t table)
{
	uint32_t cpu[1] = { 0 }, bus[8] = { 0 }, ioapic[1] = { 0 }, isa = UINT32_MAX;
	unsigned int buses = mp_entries(table, 1, bus, ARRAY_SIZE(bus));

	require(mp_entries(table, 0, cpu, 1) >= 1);
	require(mp_entries(table, 2, ioapic, 1) >= 1);
	check_equal(get8(cpu[0] + 3) & 3, 3); /* enabled, and the one we are on */
	check_equal(get32(get32(table + 36) + 0x20) >> 24, get8(cpu[0] + 1));
	for (unsigned int i = 0; i < buses && i < ARRAY_SIZE(bus); i++)
		isa = equal(bus[i] + 2, "ISA") ? get8(bus[i] + 1) : isa;
	require(isa != UINT32_MAX);
	mp_check_ioapic(ioapic[0]);
	check_equal(mp_pin(table, (uint8_t)isa, 4), 4);
	if (!on_spoor())
		return;
	check_equal(mp_pin(table, (uint8_t)isa, 0), 2);
	check_equal(mp_pin(table, (uint8_t)isa, 2), UINT32_MAX);
	check_equal(mp_entries(table, 4, NULL, 0), 2);
	check_equal(get16(table + 34), 1 + 1 + 1 + 15 + 2);
}

static void mp_table(void)
{
	uint32_t pointer = mp_find(), table;

	if (!pointer && !on_spoor()) {
		skip("this firmware makes no MP table for one processor");
		return;
	}
	require(pointer);
	table = get32(pointer + 4);
	require(table && equal(table, "PCMP"));
	check_equal(sum(table, get16(table + 4)), 0);
	check(get8(table + 6) == 1 || get8(table + 6) == 4);
	check_equal(get32(table + 36), 0xFEE00000);
	mp_check_entries(table);
}

/* ---- the screen ---- */

#define SCREEN 0xB8000u
#define SCREEN_SIZE 0x8000u
#define STATUS 0x3DA

static void text_memory_holds_what_is_written(void)
{
	volatile uint16_t *cell = (uint16_t *)SCREEN;
	uint32_t *from = (uint32_t *)(SCREEN + 160), *to = (uint32_t *)SCREEN, n = 24 * 160 / 4;

	for (uint32_t i = 0; i < SCREEN_SIZE / 2; i++)
		cell[i] = (uint16_t)(i * 7 + 3);
	for (uint32_t i = 0; i < SCREEN_SIZE / 2; i++)
		check_equal(cell[i], (uint16_t)(i * 7 + 3));
	asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(n) : : "memory"); /* scroll */
	for (uint32_t i = 0; i < 24 * 80; i++)
		check_equal(cell[i], (uint16_t)((i + 80) * 7 + 3));
	*(volatile uint8_t *)(SCREEN + 1) = 0x1F;
	check_equal(cell[0], (uint16_t)(0x1F00 | ((80 * 7 + 3) & 0xFF)));
}

/* An exit costs a thousand cycles at the least. */
static void text_memory_is_plain_memory(void)
{
	uint64_t start;

	if (!on_spoor()) {
		skip("a real screen may be as slow as it likes");
		return;
	}
	start = rdtsc();
	for (uint32_t turn = 0; turn < 8; turn++)
		for (uint32_t at = SCREEN; at < SCREEN + 4000; at += 2)
			*(volatile uint16_t *)at = 0x0720;
	check(rdtsc() - start < 8 * 2000 * 100);
}

static void nothing_beside_the_text(void)
{
	if (!on_spoor()) {
		skip("there is more on this adapter");
		return;
	}
	for (uint32_t at = 0xA0000; at < SCREEN; at += 0x1F84) {
		*(volatile uint32_t *)at = at;
		check_equal(get32(at), 0xFFFFFFFF);
	}
	check_equal(get32(SCREEN - 4), 0xFFFFFFFF);
	check_equal(get32(SCREEN + SCREEN_SIZE), 0xFFFFFFFF);
}

static uint8_t crtc_get(uint8_t index)
{
	outb(0x3D4, index);
	return inb(0x3D5);
}

static void crtc_put(uint8_t index, uint8_t val)
{
	outb(0x3D4, index);
	outb(0x3D5, val);
}

static void cursor_registers(void)
{
	check_equal(inb(0x3CC) & 1, 1); /* colour: all is at 3Dx */
	for (unsigned int at = 0; at < 2000; at += 333) {
		crtc_put(0x0E, (uint8_t)(at >> 8));
		crtc_put(0x0F, (uint8_t)at);
		check_equal(crtc_get(0x0E) << 8 | crtc_get(0x0F), at);
	}
	crtc_put(0x0E, 0);
	crtc_put(0x0F, 0);
	check_equal(crtc_get(0x13), 40); /* words of a row */
}

static void retraces_come_and_go(void)
{
	for (int i = 0; i < 3; i++) {
		require(wait_for(STATUS, 8, 0));
		require(wait_for(STATUS, 8, 8));
	}
	require(wait_for(STATUS, 1, 0));
	require(wait_for(STATUS, 1, 1));
}

static uint8_t attribute_get(uint8_t index)
{
	uint8_t val;

	inb(STATUS);
	outb(0x3C0, index);
	val = inb(0x3C1);
	inb(STATUS);
	outb(0x3C0, 0x20);
	return val;
}

static void attributes_and_colours(void)
{
	uint8_t overscan = attribute_get(0x11);

	check_equal(attribute_get(0x14), 0);
	inb(STATUS);
	outb(0x3C0, 0x11);
	outb(0x3C0, 5);
	outb(0x3C0, 0x11);
	outb(0x3C0, 6); /* index, data, index, data */
	check_equal(attribute_get(0x11), 6);
	inb(STATUS);
	outb(0x3C0, 0x11);
	outb(0x3C0, overscan);
	outb(0x3C0, 0x20);
	outb(0x3C8, 200);
	for (uint8_t i = 1; i <= 6; i++)
		outb(0x3C9, i);
	outb(0x3C7, 200);
	for (uint8_t i = 1; i <= 6; i++)
		check_equal(inb(0x3C9), i);
}

/* ---- keyboard controller ---- */

#define KBD_DATA 0x60
#define KBD_STATUS 0x64
#define OUTPUT_FULL 1
#define INPUT_FULL 2
#define NO_ANSWER 0x100

static void kbd_drain(void)
{
	for (uint32_t i = 0; i < 100 && (inb(KBD_STATUS) & OUTPUT_FULL); i++)
		inb(KBD_DATA);
	check(!(inb(KBD_STATUS) & OUTPUT_FULL));
}

static void kbd_write(uint16_t port, uint8_t val)
{
	check(wait_for(KBD_STATUS, INPUT_FULL, 0));
	outb(port, val);
}

/* A byte of the controller; it may take its time. */
static unsigned int kbd_answer(uint32_t polls)
{
	for (uint32_t i = 0; i < polls; i++)
		if (inb(KBD_STATUS) & OUTPUT_FULL)
			return inb(KBD_DATA);
	return NO_ANSWER;
}

static unsigned int kbd_ask(uint8_t command)
{
	kbd_write(KBD_STATUS, command);
	return kbd_answer(POLLS_MOST);
}

static void kbd_configure(uint8_t val)
{
	kbd_write(KBD_STATUS, 0x60);
	kbd_write(KBD_DATA, val);
}

static void keyboard_controller(void)
{
	unsigned int config;

	kbd_write(KBD_STATUS, 0xAD);
	kbd_write(KBD_STATUS, 0xA7);
	kbd_drain();
	check_equal(kbd_ask(0xAA), 0x55);
	config = kbd_ask(0x20);
	require(config < NO_ANSWER);
	kbd_configure((uint8_t)(config & ~3u)); /* no interrupts */
	check_equal(kbd_ask(0x20) & 3, 0);
	check_equal(kbd_ask(0xAB), 0);
	kbd_write(KBD_STATUS, 0xAE);
	check_equal(kbd_ask(0x20) & 0x10, 0);
	kbd_write(KBD_STATUS, 0xAD);
	check_equal(kbd_ask(0x20) & 0x10, 0x10);
	check_equal(kbd_ask(0xD0) & 3, 3); /* A20 open, no reset */
	check_equal(inb(0x92) & 2, 2);
	if (on_spoor()) {
		check_equal(kbd_ask(0xA9), 0);
		check_equal(inb(KBD_STATUS) & (OUTPUT_FULL | INPUT_FULL), 0);
	}
}

/* The echo of a keyboard, or the time-out of a controller that has none. */
static void keyboard_or_none(void)
{
	unsigned int answer;

	kbd_write(KBD_STATUS, 0xAE);
	kbd_drain();
	kbd_write(KBD_DATA, 0xEE);
	answer = kbd_answer(10000000);
	check(answer == 0xEE || answer == 0xFE || (answer == NO_ANSWER && !on_spoor()));
	if (on_spoor())
		check_equal(answer, 0xFE);
	kbd_write(KBD_STATUS, 0xAD);
}

static void a20_is_open(void)
{
	volatile uint32_t *low = pointer_to(0x600), *high = pointer_to(0x100600);
	uint32_t high_before = *high;

	*low = ~high_before;
	check_equal(*high, high_before);
	check_equal(*low, ~high_before);
}

/* ---- serial port, with its own output looped back ---- */

#define COM1 0x3F8
#define LSR_READY 0x01
#define LSR_EMPTY 0x60

static void serial_loopback(void)
{
	uint8_t mcr = inb(COM1 + 4);

	require(wait_for(COM1 + 5, LSR_EMPTY, LSR_EMPTY));
	outb(COM1 + 4, 0x1A); /* loop; RTS and OUT2 show as CTS and DCD */
	check_equal(inb(COM1 + 6) & 0xF0, 0x90);
	for (unsigned int i = 0; i < 256; i += 5) {
		outb(COM1, (uint8_t)i);
		if (on_spoor()) /* nobody who polls waits */
			check_equal(inb(COM1 + 5), LSR_EMPTY | LSR_READY);
		require(wait_for(COM1 + 5, LSR_READY, LSR_READY));
		check_equal(inb(COM1), i);
		require(wait_for(COM1 + 5, LSR_EMPTY, LSR_EMPTY));
	}
	outb(COM1 + 4, mcr);
}

static void serial_is_a_16550a(void)
{
	outb(COM1 + 7, 0x5A);
	check_equal(inb(COM1 + 7), 0x5A);
	outb(COM1 + 7, 0xA5);
	check_equal(inb(COM1 + 7), 0xA5);
	check_equal(inb(COM1 + 2) & 0xC0, 0xC0);
	check_equal(inb(COM1 + 1) & 0xF0, 0);
}

/* Every byte is followed by a full wait; the line has to look right, too. */
static void serial_output_is_prompt(void)
{
	static const char line[] = "  0123456789 abcdefghijklmnopqrstuvwxyz\n";
	uint32_t waits = 0;

	require(wait_for(COM1 + 5, LSR_EMPTY, LSR_EMPTY));
	for (const char *c = line; *c; c++) {
		outb(COM1, (uint8_t)*c);
		for (uint32_t i = 0; (inb(COM1 + 5) & LSR_EMPTY) != LSR_EMPTY; i++, waits++)
			require(i < POLLS_MOST);
	}
	if (on_spoor())
		check_equal(waits, 0);
}

/* ---- what is left ---- */

static void registers_that_only_hold(void)
{
	for (uint16_t port = 0x80; port < 0x90; port++) {
		outb(port, (uint8_t)(port ^ 0x5A));
		check_equal(inb(port), port ^ 0x5A);
	}
	outb(0x0C, 0);
	outb(0x02, 0x34);
	outb(0x02, 0x12);
	outb(0x0C, 0);
	check_equal(inb(0x02), 0x34);
	check_equal(inb(0x02), 0x12);
	outb(0x0A, 5); /* channel 1 stays masked */
	check_equal(inb(0x08) & 0x0F, 0); /* no transfer has ended */
	check_equal(inb(0x61) & 0xC0, 0); /* no parity error, no channel check */
	outb(0x4D0, 0x20); /* IRQ 5 is level-triggered */
	check_equal(inb(0x4D0), 0x20);
	outb(0x4D0, 0);
	check_equal(inb(0x4D0), 0);
}

static void absent_devices_read_as_ones(void)
{
	static const uint16_t ports[] = { 0x3E8, 0x1E8, 0x300, 0x278 };

	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		outb(ports[i], 0x55);
		if (inb(ports[i]) != 0xFF)
			print("  port 0x%x\n", (unsigned long)ports[i]);
		check_equal(inb(ports[i]), 0xFF);
	}
}

void main(void)
{
	static const struct test tests[] = {
		{ "bios_data_area", bios_data_area },
		{ "memory_map_leaves_the_firmware_alone", memory_map_leaves_the_firmware_alone },
		{ "mp_table", mp_table },
		{ "text_memory_holds_what_is_written", text_memory_holds_what_is_written },
		{ "text_memory_is_plain_memory", text_memory_is_plain_memory },
		{ "nothing_beside_the_text", nothing_beside_the_text },
		{ "cursor_registers", cursor_registers },
		{ "retraces_come_and_go", retraces_come_and_go },
		{ "attributes_and_colours", attributes_and_colours },
		{ "keyboard_controller", keyboard_controller },
		{ "keyboard_or_none", keyboard_or_none },
		{ "a20_is_open", a20_is_open },
		{ "serial_loopback", serial_loopback },
		{ "serial_is_a_16550a", serial_is_a_16550a },
		{ "serial_output_is_prompt", serial_output_is_prompt },
		{ "registers_that_only_hold", registers_that_only_hold },
		{ "absent_devices_read_as_ones", absent_devices_read_as_ones },
	};

	traps_init();
	run_tests(tests, ARRAY_SIZE(tests));
}
