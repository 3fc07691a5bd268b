/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The platform as a whole: ports and their widths, power, ACPI, the way of an
 * interrupt from a device to the CPU, and a million hostile accesses.
 */
#include "tests/host/devices_fixture.h"
#include "tests/host/devices_traffic.h"

#define APIC_EOI 0xB0
#define COM1 0x3F8

/* ---- configuration ---- */

static void impossible_configurations(void **state)
{
	struct fixture *f = *state;
	struct platform_config good = fixture_config(f), c;

	c = good, c.tsc_hz = 0;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	c = good, c.vcpus = 0;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	c = good, c.vcpus = PLATFORM_VCPUS_MAX + 1;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	c = good, c.rtc_epoch = UINT64_MAX;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	c = good, c.low_memory = 1ull << 32;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	c = good, c.host.kick = NULL;
	assert_int_equal(platform_init(&f->p, &c), -EINVAL);
	assert_int_equal(platform_init(&f->p, &good), 0);
}

/* ---- the arithmetic below everything ---- */

static void tick_conversion_is_exact(void **state)
{
	assert_int_equal(ticks_scale(TSC_HZ, 1193182, TSC_HZ), 1193182);
	assert_int_equal(ticks_scale(UINT64_MAX, 32768, 4000000000ull), 151115727451828ull);
	assert_true(ticks_scale(UINT64_MAX, 2, 1) == TICKS_NEVER);
	assert_true(ticks_scale_up(UINT64_MAX, TSC_HZ, 32768) == TICKS_NEVER);
	for (uint64_t n = 1; n < 1ull << 44; n = n * 3 + 1) {
		uint64_t t = ticks_scale_up(n, TSC_HZ, 1193182);

		assert_int_equal(ticks_scale(t, 1193182, TSC_HZ), n);
		assert_int_equal(ticks_scale(t - 1, 1193182, TSC_HZ), n - 1);
	}
}

/* ---- ports ---- */

static void unclaimed_ports_are_all_ones_and_counted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(f, 0x2F8), 0xFF);
	assert_int_equal(in_n(f, 0x378, 2), 0xFFFF);
	assert_true(inl(f, 0x1F0) == 0xFFFFFFFF);
	outw(f, 0x22, 0x0170);
	assert_int_equal(f->p.unclaimed, 1 + 2 + 4 + 2);
	assert_int_equal(mmio_read(f, 0xA0000), 0xFFFFFFFF);
	assert_int_equal(f->p.unclaimed, 10);
}

static void wide_accesses_are_made_of_bytes(void **state)
{
	struct fixture *f = *state;

	outw(f, COM1 + 7, 0xAB5A); /* scratch, and nobody above it */
	assert_int_equal(in_n(f, COM1 + 7, 2), 0xFF5A);
	outw(f, 0x70, 0x7740); /* index and data at once */
	outb(f, 0x70, 0x40);
	assert_int_equal(inb(f, 0x71), 0x77);
	assert_int_equal(inl(f, 0xFFFE) & 0xFFFF, 0xFFFF); /* wraps around */
	in_n(f, 0x40, 3);
	in_n(f, 0x40, 0);
	platform_port_write(&f->p, 0, 0xF4, 8, 1);
	assert_int_equal(f->stops, 0);
}

static void debug_console_and_post(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(f, 0xE9), 0xE9);
	outb(f, 0xE9, '!');
	assert_int_equal(f->out_len, 1);
	assert_int_equal(f->out[0], '!');
	outb(f, 0x80, 0x42);
	assert_int_equal(inb(f, 0x80), 0x42);
	outb(f, 0xED, 0);
	assert_int_equal(f->p.unclaimed, 0);
}

/* ---- PCI: mechanism #1 with nothing behind it ---- */

static void pci_is_there_and_empty(void **state)
{
	struct fixture *f = *state;

	outb(f, 0xCFB, 1); /* Linux's probe */
	outl(f, 0xCF8, 0x80000000);
	assert_int_equal(inl(f, 0xCF8), 0x80000000);
	for (unsigned int dev = 0; dev < 32; dev++) {
		outl(f, 0xCF8, 0x80000000 | dev << 11);
		assert_int_equal(inl(f, 0xCFC), 0xFFFFFFFF);
		assert_int_equal(in_n(f, 0xCFE, 2), 0xFFFF);
		assert_int_equal(inb(f, 0xCFF), 0xFF);
	}
	outl(f, 0xCFC, 0);
	assert_int_equal(f->p.unclaimed, 0);
}

/* ---- fw_cfg ---- */

static uint64_t fw_cfg_get(struct fixture *f, uint16_t item, unsigned int len)
{
	uint64_t val = 0;

	outw(f, 0x510, item);
	for (unsigned int i = 0; i < len; i++)
		val |= (uint64_t)inb(f, 0x511) << 8 * i;
	return val;
}

static void fw_cfg_tells_cpus_and_memory(void **state)
{
	struct fixture *f = *state;
	uint32_t signature = (uint32_t)fw_cfg_get(f, 0x00, 4);

	assert_memory_equal(&signature, "QEMU", 4);
	assert_int_equal(fw_cfg_get(f, 0x01, 4), 1);
	assert_int_equal(fw_cfg_get(f, 0x03, 8), (512ull << 20) + (1ull << 30));
	assert_int_equal(fw_cfg_get(f, 0x05, 2), 1);
	assert_int_equal(fw_cfg_get(f, 0x0F, 2), 1);
	assert_int_equal(fw_cfg_get(f, 0x19, 8), 0); /* no files */
	assert_int_equal(fw_cfg_get(f, 0x8000, 4), 0);
	fw_cfg_get(f, 0x00, 4);
	assert_int_equal(inb(f, 0x511), 0); /* past the end */
	outb(f, 0x510, 1);                  /* not a selection */
	assert_int_equal(inb(f, 0x511), 0);
}

/* ---- ends of a run ---- */

static void expect_stop(struct fixture *f, enum platform_stop why, uint32_t code)
{
	assert_int_equal(f->stops, 1);
	assert_int_equal(f->stop, why);
	assert_int_equal(f->stop_code, code);
	f->stops = 0;
}

static void debug_exit_takes_all_widths(void **state)
{
	struct fixture *f = *state;

	outb(f, 0xF4, 0x2A);
	expect_stop(f, PLATFORM_STOP_DEBUG_EXIT, 0x2A);
	outw(f, 0xF4, 0x1234);
	expect_stop(f, PLATFORM_STOP_DEBUG_EXIT, 0x1234);
	outl(f, 0xF4, 0xDEADBEEF);
	expect_stop(f, PLATFORM_STOP_DEBUG_EXIT, 0xDEADBEEF);
}

static void resets(void **state)
{
	struct fixture *f = *state;

	outb(f, 0xCF9, 0x02); /* Linux: first the kind, then the deed */
	assert_int_equal(f->stops, 0);
	assert_int_equal(inb(f, 0xCF9), 0x02);
	outb(f, 0xCF9, 0x06);
	expect_stop(f, PLATFORM_STOP_RESET, 0);
	outb(f, 0xCF9, 0);
	outb(f, 0xCF9, 0x0E);
	expect_stop(f, PLATFORM_STOP_RESET, 0);
}

static void power_off_ports(void **state)
{
	struct fixture *f = *state;

	outw(f, 0x604, 0x2000); /* QEMU's, and S5 */
	expect_stop(f, PLATFORM_STOP_POWEROFF, 0);
	for (const char *s = "ShutShutdown"; *s; s++)
		outb(f, 0x8900, (uint8_t)*s);
	expect_stop(f, PLATFORM_STOP_POWEROFF, 0);
}

/* ---- DMA controllers, with nothing to transfer ---- */

static void dma_put(struct fixture *f, uint16_t port, uint16_t val)
{
	outb(f, port, (uint8_t)val);
	outb(f, port, (uint8_t)(val >> 8));
}

static uint16_t dma_get(struct fixture *f, uint16_t port)
{
	uint8_t low = inb(f, port);

	return (uint16_t)(low | inb(f, port) << 8);
}

static void dma_registers_hold_what_is_written(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x0C, 0);
	outb(f, 0xD8, 0);
	for (uint16_t i = 0; i < 8; i++) {
		dma_put(f, i, (uint16_t)(0x1122 * i));
		dma_put(f, (uint16_t)(0xC0 + 2 * i), (uint16_t)(0x1122 * i + 1));
	}
	outb(f, 0x00, 0x77); /* half a word: the flip-flop is set */
	outb(f, 0x0C, 0);
	for (uint16_t i = 1; i < 8; i++) {
		assert_int_equal(dma_get(f, i), 0x1122 * i);
		assert_int_equal(dma_get(f, (uint16_t)(0xC0 + 2 * i)), 0x1122 * i + 1);
	}
	for (uint16_t port = 0x80; port < 0x90; port++)
		outb(f, port, (uint8_t)(port + 3));
	for (uint16_t port = 0x80; port < 0x90; port++)
		assert_int_equal(inb(f, port), port + 3);
	assert_int_equal(f->p.unclaimed, 0);
}

static void dma_masks_and_status(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(f, 0x0F), 0xFF);
	assert_int_equal(inb(f, 0xDE), 0xFE); /* the cascade is open */
	outb(f, 0x0A, 2); /* channel 2 on */
	assert_int_equal(inb(f, 0x0F), 0xFB);
	outb(f, 0x0A, 6);
	assert_int_equal(inb(f, 0x0F), 0xFF);
	outb(f, 0xDC, 0);
	assert_int_equal(inb(f, 0xDE), 0xF0);
	outb(f, 0xDE, 5);
	assert_int_equal(inb(f, 0xDE), 0xF5);
	outb(f, 0x00, 1);
	outb(f, 0x0E, 0);
	outb(f, 0x0D, 0); /* master clear: masks and flip-flop */
	assert_int_equal(inb(f, 0x0F), 0xFF);
	dma_put(f, 0x00, 0x1234);
	assert_int_equal(dma_get(f, 0x00), 0x1234);
	assert_int_equal(inb(f, 0x08), 0); /* no transfer was asked for, none has ended */
	assert_int_equal(inb(f, 0xD0), 0);
	outb(f, 0x0B, 0x56);
	outb(f, 0x09, 0x04);
	assert_int_equal(inb(f, 0x08), 0);
}

/* ---- what firmware leaves running ---- */

/* A kernel that opens its interrupts and nothing else is ticked 18.2 times a second. */
static void firmware_leaves_the_timer_on(void **state)
{
	struct fixture *f = *state;
	unsigned int ticks = 0;

	assert_int_equal(inb(f, 0x21), 0xF8);
	assert_int_equal(inb(f, 0xA1), 0xFF);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(platform_next_deadline(&f->p), ticks_scale_up(0x10000, TSC_HZ, 1193182));
	while (platform_next_deadline(&f->p) <= 10 * TSC_HZ) {
		run_until(f, platform_next_deadline(&f->p));
		assert_int_equal(take(f), 0x08);
		outb(f, 0x20, 0x20);
		ticks++;
	}
	assert_int_equal(ticks, 182);
}

/* A well-known way to move the vectors: masks are read before and put back. */
static void masks_survive_the_usual_remap(void **state)
{
	struct fixture *f = *state;
	uint8_t master = inb(f, 0x21), slave = inb(f, 0xA1);

	pic_setup(f, 0);
	outb(f, 0x21, master);
	outb(f, 0xA1, slave);
	run_until(f, 60 * MS);
	assert_int_equal(take(f), 0x30);
}

/* ---- NMI gates: kept, and nothing comes of them ---- */

static void nmi_gates_read_back(void **state)
{
	struct fixture *f = *state;

	outb(f, 0x61, 0x0C);
	assert_int_equal(inb(f, 0x61) & 0xCF, 0x0C); /* no parity error, no channel check */
	outb(f, 0x61, 0x00);
	assert_int_equal(inb(f, 0x61) & 0xCF, 0x00);
	outb(f, 0x70, 0x8F);
	assert_int_equal(inb(f, 0x70), 0x8F);
	outb(f, 0x71, 0); /* 0x0F, the shutdown code, is plain memory */
	assert_int_equal(inb(f, 0x71), 0);
	outb(f, 0x70, 0x0F);
	assert_int_equal(inb(f, 0x71), 0);
	assert_false(platform_nmi_take(&f->p, 0));
}

/* ---- ACPI fixed hardware ---- */

static void always_in_acpi_mode(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in_n(f, 0x604, 2), 1);
	outw(f, 0x604, 0x1C00); /* another sleep type, no SLP_EN */
	assert_int_equal(in_n(f, 0x604, 2), 0x1C01);
	outw(f, 0x604, 0x3C00); /* S?: nothing of that kind */
	assert_int_equal(f->stops, 0);
}

static void pm_timer_runs_at_its_frequency(void **state)
{
	struct fixture *f = *state;

	f->now = 10 * TSC_HZ;
	assert_int_equal(inl(f, 0x608), 35795450);
	f->now = 2000 * TSC_HZ; /* beyond 2^32 */
	assert_int_equal(inl(f, 0x608), (uint32_t)(2000ull * 3579545));
}

static void pm_timer_interrupt(void **state)
{
	struct fixture *f = *state;
	uint64_t due = ticks_scale_up(1ull << 31, TSC_HZ, 3579545);

	ioapic_route(f, 9, 0x8000 | 0x49);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	outw(f, 0x602, 1);
	assert_int_equal(platform_next_deadline(&f->p), due);
	run_until(f, due);
	assert_int_equal(take(f), 0x49);
	assert_int_equal(in_n(f, 0x600, 2), 1);
	outw(f, 0x600, 1);
	apic_write(f, APIC_EOI, 0);
	assert_int_equal(take(f), -EAGAIN);
	assert_int_equal(in_n(f, 0x600, 2), 0);
}

/* ---- ACPI tables ---- */

static uint32_t get32(const uint8_t *b, size_t at)
{
	uint32_t v;

	memcpy(&v, b + at, 4);
	return v;
}

static uint8_t sum(const uint8_t *b, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *b++;
	return s;
}

/* The table at guest address @at, checked for its frame. */
static const uint8_t *table_at(const uint8_t *image, int len, uint32_t at, const char *signature)
{
	const uint8_t *t = image + (at - ACPI_TABLES_BASE);

	assert_in_range(at, ACPI_TABLES_BASE, ACPI_TABLES_BASE + (uint32_t)len - 36);
	assert_memory_equal(t, signature, 4);
	assert_true(at - ACPI_TABLES_BASE + get32(t, 4) <= (uint32_t)len);
	if (strcmp(signature, "FACS") != 0)
		assert_int_equal(sum(t, get32(t, 4)), 0);
	return t;
}

static void acpi_tables_hang_together(void **state)
{
	static uint8_t image[ACPI_TABLES_MAX];
	struct platform_config c = fixture_config(*state);
	int len = platform_acpi_tables(&c, image, sizeof(image));
	const uint8_t *xsdt, *rsdt, *fadt, *madt, *dsdt;

	assert_true(len > 0);
	assert_int_equal(platform_acpi_tables(&c, image, (size_t)len - 1), -ENOSPC);
	assert_memory_equal(image, "RSD PTR ", 8);
	assert_int_equal(image[15], 2);
	assert_int_equal(sum(image, 20), 0);
	assert_int_equal(sum(image, 36), 0);
	rsdt = table_at(image, len, get32(image, 16), "RSDT");
	xsdt = table_at(image, len, get32(image, 24), "XSDT");
	assert_int_equal(get32(rsdt, 36), get32(xsdt, 36));
	assert_int_equal(get32(rsdt, 40), get32(xsdt, 44));
	fadt = table_at(image, len, get32(xsdt, 36), "FACP");
	madt = table_at(image, len, get32(xsdt, 44), "APIC");
	table_at(image, len, get32(fadt, 36), "FACS");
	assert_int_equal(get32(fadt, 36) % 64, 0);
	dsdt = table_at(image, len, get32(fadt, 40), "DSDT");
	assert_int_equal(get32(fadt, 140), get32(fadt, 40)); /* X_DSDT */
	assert_memory_equal(dsdt + 16, "SPOORVM", 8);
	assert_int_equal(get32(fadt, 48), 0);      /* SMI_CMD: ACPI mode always */
	assert_int_equal(get32(fadt, 56), 0x600);
	assert_int_equal(get32(fadt, 64), 0x604);
	assert_int_equal(get32(fadt, 76), 0x608);
	assert_int_equal(get32(fadt, 120), 0xCF9); /* reset register */
	assert_int_equal(fadt[128], 0x06);
	assert_int_equal(fadt[116], 1);                       /* it is a port, 8 bits wide */
	assert_int_equal(fadt[117], 8);
	assert_int_equal(get32(fadt, 112) >> 10 & 1, 1);      /* and may be used */
	assert_int_equal(get32(madt, 36), LAPIC_DEFAULT_BASE);
	assert_int_equal(get32(madt, 44 + 4), IOAPIC_DEFAULT_BASE);
}

static void run_iasl(const uint8_t *table, const char *name)
{
	char path[64], command[320];
	FILE *file;

	snprintf(path, sizeof(path), "build/acpi-%s.aml", name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, get32(table, 4), file), get32(table, 4));
	fclose(file);
	snprintf(command, sizeof(command),
		 "iasl -vs -d %s >%s.log 2>&1 && ! grep -qiE 'error|warning|invalid|incorrect' %s.log", path,
		 path, path);
	assert_int_equal(system(command), 0);
}

/* ACPICA's own disassembler has nothing to complain about. Skipped where the
 * program runs outside the source tree. */
static void acpi_tables_please_iasl(void **state)
{
	static uint8_t image[ACPI_TABLES_MAX];
	struct platform_config c = fixture_config(*state);
	int len = platform_acpi_tables(&c, image, sizeof(image));
	const uint8_t *xsdt, *fadt;

	if (system("test -d build && command -v iasl >/dev/null") != 0)
		skip();
	xsdt = table_at(image, len, get32(image, 24), "XSDT");
	fadt = table_at(image, len, get32(xsdt, 36), "FACP");
	run_iasl(xsdt, "xsdt");
	run_iasl(fadt, "fadt");
	run_iasl(table_at(image, len, get32(xsdt, 44), "APIC"), "madt");
	run_iasl(table_at(image, len, get32(fadt, 40), "DSDT"), "dsdt");
}

/* ---- the way of an interrupt ---- */

/* Timer tick by the 8259 first, then Linux moves everything to the I/O APIC. */
static void timer_through_8259_then_ioapic(void **state)
{
	struct fixture *f = *state;

	pic_setup(f, 0xFFFE);
	outb(f, 0x43, 0x34);
	outb(f, 0x40, 0xA9);
	outb(f, 0x40, 0x04);
	while (take(f) == 0x30)
		outb(f, 0x20, 0x20);
	f->now = platform_next_deadline(&f->p);
	f->kicks = 0;
	platform_run_timers(&f->p);
	assert_int_equal(f->kicks, 1);
	assert_true(platform_interrupt_pending(&f->p, 0));
	assert_int_equal(take(f), 0x30);
	outb(f, 0x20, 0x20);
	outb(f, 0x21, 0xFF);
	apic_write(f, 0xF0, 0x1FF);
	ioapic_route(f, 2, 0x31);
	f->now = platform_next_deadline(&f->p);
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0x31);
	assert_int_equal(take(f), -EAGAIN);
}

static void serial_input_through_the_ioapic(void **state)
{
	struct fixture *f = *state;

	apic_write(f, 0xF0, 0x1FF);
	ioapic_route(f, 4, 0x24);
	outb(f, COM1 + 4, 0x0B);
	outb(f, COM1 + 2, 0x81);
	outb(f, COM1 + 1, 0x05);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(platform_console_input(&f->p, (uint8_t)i), 0);
		assert_int_equal(take(f), 0x24);
		apic_write(f, APIC_EOI, 0);
		assert_int_equal(inb(f, COM1), i);
		assert_int_equal(take(f), -EAGAIN);
	}
}

/* ---- a hostile guest: devices_traffic.h ---- */

static void check_summary(const struct lapic_vectors *s)
{
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(s->used >> i & 1, s->word[i] != 0);
}

static void a_million_hostile_accesses(void **state)
{
	struct fixture *f = *state;
	struct platform_config c = fixture_config(f);

	for (unsigned int i = 0; i < 1000000; i++) {
		if (i % 20000 == 0) {
			f->now = rnd() >> rnd() % 64;
			assert_int_equal(platform_init(&f->p, &c), 0);
		}
		(void)hostile_step(f);
		if (platform_interrupt_pending(&f->p, 0))
			assert_true(platform_interrupt_ack(&f->p, 0) >= 0);
		check_summary(&f->p.lapic[0].irr);
		check_summary(&f->p.lapic[0].isr);
		check_summary(&f->p.lapic[0].tmr);
		f->out_len = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(impossible_configurations),
		device_test(tick_conversion_is_exact),
		device_test(unclaimed_ports_are_all_ones_and_counted),
		device_test(wide_accesses_are_made_of_bytes),
		device_test(debug_console_and_post),
		device_test(pci_is_there_and_empty),
		device_test(fw_cfg_tells_cpus_and_memory),
		device_test(debug_exit_takes_all_widths),
		device_test(resets),
		device_test(power_off_ports),
		device_test(dma_registers_hold_what_is_written),
		device_test(dma_masks_and_status),
		firmware_test(firmware_leaves_the_timer_on),
		firmware_test(masks_survive_the_usual_remap),
		device_test(nmi_gates_read_back),
		device_test(always_in_acpi_mode),
		device_test(pm_timer_runs_at_its_frequency),
		device_test(pm_timer_interrupt),
		device_test(acpi_tables_hang_together),
		device_test(acpi_tables_please_iasl),
		device_test(timer_through_8259_then_ioapic),
		device_test(serial_input_through_the_ioapic),
		device_test(a_million_hostile_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
