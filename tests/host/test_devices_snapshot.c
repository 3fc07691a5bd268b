/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saving and restoring a platform. The main witness is a guest that does the
 * same twice: after the save, and, when much else has happened and time went
 * by, after the restore. It must be told the same, to the tick. SPOOR_SEED
 * and SPOOR_WORLDS choose the run; the seed of a world is printed when
 * something differs in it.
 */
#include "devices/platform_snapshot.h"
#include "tests/host/devices_traffic.h"
#include "tests/host/value_bytes.h"

#define WORLDS_DEFAULT 600ul
#define STEPS_MOST 400
#define COM1 0x3F8

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 0) : otherwise;
}

static struct platform_snapshot saved_now(struct fixture *f)
{
	struct platform_snapshot s;

	platform_save(&f->p, f->now, &s);
	return s;
}

static void set_deadline(struct fixture *f, uint64_t deadline)
{
	assert_int_equal(platform_msr_write(&f->p, 0, MSR_IA32_TSC_DEADLINE, deadline), 0);
}

static void restore_now(struct fixture *f, const struct platform_snapshot *s)
{
	assert_int_equal(platform_restore(&f->p, f->now, s), 0);
}

/* ---- the guest that does the same twice ---- */

/* What it is told by one step, times from now on. */
struct told {
	uint64_t answer, deadline, timer;
	unsigned int kicks, stops;
	size_t shown;
	char last;
	bool interrupt, nmi_possible;
};

static struct {
	unsigned long interrupts, nmis, timers, ahead, shown;
} seen;

static void outb_random(struct fixture *f, uint16_t port) { outb(f, port, (uint8_t)rnd()); }

/* What a well-meaning driver does, so that something comes of it. */
static void start_something(struct fixture *f)
{
	switch (rnd() % 9) {
	case 0:
		pic_setup(f, (uint16_t)rnd() & ~0x115u);
		break;
	case 1: /* the PIT, some mode, a short count */
		outb(f, 0x43, (uint8_t)(0x30 | rnd() % 6 << 1));
		outb_random(f, 0x40);
		outb(f, 0x40, (uint8_t)(rnd() % 4));
		break;
	case 2: /* periodic, update and alarm interrupts of the RTC */
		outb(f, 0x70, 0x0B);
		outb(f, 0x71, (uint8_t)(rnd() & 0x77));
		break;
	case 3: /* the APIC's timer, one-shot or periodic */
		apic_write(f, 0xF0, 0x1FF);
		apic_write(f, 0x3E0, (uint32_t)rnd());
		apic_write(f, 0x320, 0xEF | (rnd() & 1) << 17);
		apic_write(f, 0x380, (uint32_t)(rnd() % 1000000));
		break;
	case 4: /* by TSC deadline */
		apic_write(f, 0x320, 0x400EE);
		set_deadline(f, f->now + rnd() % TSC_HZ);
		break;
	case 5:
		ioapic_route(f, (unsigned int)(rnd() % 16), (uint32_t)(0x40 | rnd() % 64 | (rnd() & 1) << 15));
		break;
	case 6:
		ioapic_route(f, 2, rnd() & 1 ? 0x400 : 0x10000); /* the PIT as an NMI */
		break;
	case 7:
		outb(f, COM1 + 1, (uint8_t)(rnd() & 15));
		outb(f, COM1 + 4, 0x08);
		outb_random(f, COM1);
		break;
	case 8: /* the PM timer's */
		outb(f, 0x602, (uint8_t)(rnd() & 1));
		break;
	}
}

static uint64_t take_what_is_there(struct fixture *f)
{
	int vector = platform_interrupt_ack(&f->p, 0);
	bool nmi = platform_nmi_take(&f->p, 0);

	seen.interrupts += vector >= 0;
	seen.nmis += nmi;
	apic_write(f, 0xB0, 0);
	outb(f, 0x20, 0x20);
	outb(f, 0xA0, 0x20);
	outb(f, 0x70, 0x0C);
	return (uint64_t)vector << 9 | (uint64_t)nmi << 8 | inb(f, 0x71);
}

/* To the next deadline, or some way. */
static void let_time_go_by(struct fixture *f)
{
	uint64_t next = platform_next_deadline(&f->p);

	if (rnd() % 2 && next != PLATFORM_NEVER && next > f->now && next - f->now < 1ull << 44) {
		f->now = next;
		seen.timers++;
	} else {
		f->now += rnd() >> (24 + rnd() % 40);
	}
	platform_run_timers(&f->p);
}

static uint64_t guest_step(struct fixture *f)
{
	switch (rnd() % 8) {
	case 0:
		start_something(f);
		return 0;
	case 1:
		return take_what_is_there(f);
	case 2 ... 3:
		let_time_go_by(f);
		return 0;
	default:
		return hostile_access(f, f->now + (rnd() >> 20) - (rnd() >> 30));
	}
}

/* What is due is due, whatever it says; never is never. */
static uint64_t from_now(const struct fixture *f, uint64_t deadline)
{
	if (deadline == PLATFORM_NEVER)
		return deadline;
	return deadline > f->now ? deadline - f->now : 0;
}

/* A deadline that reads back is a time of the clock. */
static struct told guest_told(struct fixture *f)
{
	struct told t = { 0 };
	uint64_t timer;

	f->kicks = f->stops = 0;
	f->out_len = 0;
	t.answer = guest_step(f);
	t.deadline = from_now(f, platform_next_deadline(&f->p));
	assert_int_equal(platform_msr_read(&f->p, 0, MSR_IA32_TSC_DEADLINE, &timer), 0);
	t.timer = timer ? from_now(f, timer) : 0;
	t.kicks = f->kicks;
	t.stops = f->stops;
	t.shown = f->out_len;
	t.last = f->out_len ? f->out[f->out_len - 1] : 0;
	t.interrupt = platform_interrupt_pending(&f->p, 0);
	t.nmi_possible = platform_nmi_possible(&f->p, 0);
	seen.shown += t.shown;
	return t;
}

static void wander(struct fixture *f, unsigned int steps)
{
	while (steps--)
		(void)guest_told(f);
}

static struct told first[STEPS_MOST];
static unsigned int first_steps;

/* From the state at hand, with the random numbers from @random on. */
static void record(struct fixture *f, uint64_t random)
{
	random_state = random;
	first_steps = 1 + (unsigned int)(rnd() % STEPS_MOST);
	for (unsigned int i = 0; i < first_steps; i++)
		first[i] = guest_told(f);
}

static bool same(const struct told *a, const struct told *b)
{
	return a->answer == b->answer && a->deadline == b->deadline && a->timer == b->timer &&
	       a->kicks == b->kicks && a->stops == b->stops && a->shown == b->shown && a->last == b->last &&
	       a->interrupt == b->interrupt && a->nmi_possible == b->nmi_possible;
}

static void replay(struct fixture *f, uint64_t random, const char *where, unsigned long seed)
{
	random_state = random;
	assert_int_equal(1 + rnd() % STEPS_MOST, first_steps);
	for (unsigned int i = 0; i < first_steps; i++) {
		struct told t = guest_told(f);

		if (!same(&t, &first[i]))
			fail_msg("step %u is another %s (SPOOR_SEED=%lu)", i, where, seed);
	}
}

static struct fixture *new_fixture(uint64_t now)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct platform_config c = fixture_config(f);

	assert_non_null(f);
	f->now = now;
	assert_int_equal(platform_init(&f->p, &c), 0);
	return f;
}

/* Back on the same platform, again on it, and on a new one, whose clock may be behind. */
static void one_world(unsigned long seed)
{
	struct platform_snapshot s, again;
	struct fixture *f, *other;
	uint64_t random;

	random_state = seed * 0x9E3779B97F4A7C15ull | 1;
	f = new_fixture(rnd() >> (20 + rnd() % 44));
	wander(f, (unsigned int)(rnd() % STEPS_MOST));
	random = rnd();
	s = saved_now(f);
	record(f, random);
	for (unsigned int i = 0; i < 2; i++) {
		wander(f, (unsigned int)(rnd() % STEPS_MOST));
		f->now += rnd() >> (20 + rnd() % 44);
		restore_now(f, &s);
		again = saved_now(f);
		assert_memory_equal(&again, &s, sizeof(s));
		replay(f, random, i ? "after the second restore" : "after the restore", seed);
	}
	other = new_fixture(rnd() >> (20 + rnd() % 44));
	seen.ahead += other->now < s.now;
	wander(other, (unsigned int)(rnd() % STEPS_MOST));
	restore_now(other, &s);
	replay(other, random, "on another platform", seed);
	free(other);
	free(f);
}

static void the_same_guest_is_told_the_same(void **state)
{
	unsigned long worlds = number("SPOOR_WORLDS", WORLDS_DEFAULT), seed = number("SPOOR_SEED", 1);

	for (unsigned long i = 0; i < worlds; i++)
		one_world(seed + i);
	printf("interrupts %lu, NMIs %lu, deadlines met %lu, clocks behind %lu, characters %lu\n",
	       seen.interrupts, seen.nmis, seen.timers, seen.ahead, seen.shown);
	if (worlds < WORLDS_DEFAULT)
		return;
	assert_true(seen.interrupts > 1000 && seen.nmis > 1000 && seen.timers > 1000);
	assert_true(seen.ahead > 10 && seen.shown > 1000);
}

/* ---- every member comes back ---- */

#define OF_HOST(member) PART(struct platform, member)

/* What a restore leaves as it is. Holes within a device are copied with it. */
static const struct part not_state[] = {
	OF_HOST(config), OF_HOST(access_now), OF_HOST(clock_offset), OF_HOST(unclaimed),
	OF_HOST(uart.put), OF_HOST(uart.put_ctx), OF_HOST(uart.refused),
	OF_HOST(uart.irq.changed), OF_HOST(uart.irq.ctx), OF_HOST(pic.out.changed), OF_HOST(pic.out.ctx),
	OF_HOST(pit.irq.changed), OF_HOST(pit.irq.ctx), OF_HOST(rtc.irq.changed), OF_HOST(rtc.irq.ctx),
	OF_HOST(pm.irq.changed), OF_HOST(pm.irq.ctx),
	OF_HOST(i8042.keyboard.changed), OF_HOST(i8042.keyboard.ctx), OF_HOST(i8042.aux.changed), OF_HOST(i8042.aux.ctx), OF_HOST(ioapic.send), OF_HOST(ioapic.ctx),
	OF_HOST(lapic[0].bus),
	HOLE(struct platform, dma, i8042), HOLE(struct platform, vga, ioapic),
	HOLE(struct platform, pci_address, access_now),
};

_Static_assert(PLATFORM_VCPUS_MAX == 1, "one lapic[].bus in the table above");

static void every_member_comes_back(void **state)
{
	struct fixture *f = *state;
	struct platform before, live, *map = malloc(sizeof(*map));
	struct platform_snapshot s;
	size_t at;

	memset(map, 0xFF, sizeof(*map));
	map_parts(map, 0, not_state, ARRAY_SIZE(not_state));
	fill_bytes(&f->p, map, sizeof(f->p), rnd);
	memcpy(&before, &f->p, sizeof(before));
	s = saved_now(f);
	scramble_bytes(&f->p, map, sizeof(f->p));
	memcpy(&live, &f->p, sizeof(live));
	restore_now(f, &s);
	at = first_difference(&f->p, &before, map, sizeof(before));
	if (at < sizeof(before))
		fail_msg("byte %zu of struct platform does not come back", at);

	for (size_t i = 0; i < ARRAY_SIZE(not_state); i++) {
		const struct part *p = &not_state[i];

		if (p->offset == offsetof(struct platform, clock_offset) ||
		    p->offset == offsetof(struct platform, uart.refused))
			continue;
		if (memcmp((char *)&f->p + p->offset, (char *)&live + p->offset, p->size))
			fail_msg("%s is not left alone", p->name);
	}
	free(map);
}

extern char __executable_start[], end[];

/* Nor of code: it may be restored elsewhere. */
static void a_snapshot_holds_no_pointer(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s = saved_now(f);

	for (size_t i = 0; i + sizeof(uint64_t) <= sizeof(s); i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, (char *)&s + i, sizeof(word));
		assert_false(word >= (uintptr_t)f && word < (uintptr_t)f + sizeof(*f));
		assert_false(word >= (uintptr_t)__executable_start && word < (uintptr_t)end);
	}
}

/* ---- in detail ---- */

static void another_machine_is_refused(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot good = saved_now(f), s;

	f->now = 12345;
	outb(f, COM1 + 7, 0x77);
	s = good, s.tsc_hz++;
	assert_int_equal(platform_restore(&f->p, f->now, &s), -EINVAL);
	s = good, s.low_memory += PAGE_SIZE;
	assert_int_equal(platform_restore(&f->p, f->now, &s), -EINVAL);
	s = good, s.high_memory = 0;
	assert_int_equal(platform_restore(&f->p, f->now, &s), -EINVAL);
	s = good, s.vcpus = 2;
	assert_int_equal(platform_restore(&f->p, f->now, &s), -EINVAL);
	assert_int_equal(inb(f, COM1 + 7), 0x77);
	assert_int_equal(f->p.clock_offset, 0);
	restore_now(f, &good);
	assert_int_equal(inb(f, COM1 + 7), 0);
}

static uint8_t rtc_second(struct fixture *f)
{
	outb(f, 0x70, 0);
	return inb(f, 0x71);
}

static void no_time_passes_for_the_guest(void **state)
{
	struct fixture *f = *state;
	uint64_t timer = 0;
	struct platform_snapshot s;
	uint32_t pm;

	f->now = 7 * TSC_HZ;
	apic_write(f, 0x320, 0x400EF);
	set_deadline(f, f->now + 500);
	pm = inl(f, 0x608);
	s = saved_now(f);

	f->now += 100 * TSC_HZ + 4711;
	restore_now(f, &s);
	assert_int_equal(inl(f, 0x608), pm);
	assert_int_equal(rtc_second(f), 0x27); /* 22:13:27 */
	assert_int_equal(platform_next_deadline(&f->p), f->now + 500);
	assert_int_equal(platform_msr_read(&f->p, 0, MSR_IA32_TSC_DEADLINE, &timer), 0);
	assert_int_equal(timer, f->now + 500);
	f->now += 499;
	platform_run_timers(&f->p);
	assert_false(platform_interrupt_pending(&f->p, 0));
	f->now++;
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0xEF);
	f->now += TSC_HZ;
	assert_int_equal(rtc_second(f), 0x28);
}

/* A save is due what the guest was due, no more and no less. */
static void what_was_due_is_due(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s;

	apic_write(f, 0x320, 0xEF);
	apic_write(f, 0x3E0, 0xB);
	apic_write(f, 0x380, 1000);
	f->now = 1500; /* nobody looked yet */
	s = saved_now(f);
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0xEF);
	f->now = 99999;
	restore_now(f, &s);
	assert_false(platform_interrupt_pending(&f->p, 0));
	assert_true(platform_next_deadline(&f->p) <= f->now);
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0xEF);
	assert_int_equal(take(f), -EAGAIN);

	f->now = 10; /* our clock is ahead, and what is due lies before the beginning of the other */
	restore_now(f, &s);
	assert_int_equal(platform_next_deadline(&f->p), 0);
	platform_run_timers(&f->p);
	assert_int_equal(take(f), 0xEF);
}

static void an_interrupt_in_service_stays_so(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s;

	pic_setup(f, 0xFFEE);
	outb(f, COM1 + 1, 1);
	outb(f, COM1 + 4, 8);
	assert_int_equal(platform_console_input(&f->p, 'x'), 0);
	assert_int_equal(take(f), 0x34);
	s = saved_now(f);
	outb(f, 0x20, 0x20);
	outb(f, 0x21, 0xFF);
	inb(f, COM1);
	restore_now(f, &s);
	outb(f, 0x20, 0x0B); /* read ISR */
	assert_int_equal(inb(f, 0x20), 0x10);
	assert_int_equal(inb(f, COM1), 'x');
}

static void deadlines_far_away_stay_there(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s;
	uint64_t timer = 0;

	apic_write(f, 0x320, 0x400EF);
	f->now = 1000;
	set_deadline(f, UINT64_MAX - 5000);
	s = saved_now(f);
	f->now = 1000000;
	restore_now(f, &s);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	set_deadline(f, 5); /* past */
	assert_int_equal(take(f), 0xEF);

	f->now = 10; /* a host that has just started: our clock is ahead */
	restore_now(f, &s);
	assert_int_equal(platform_next_deadline(&f->p), UINT64_MAX - 5990);
	set_deadline(f, UINT64_MAX - 1);
	assert_int_equal(platform_next_deadline(&f->p), PLATFORM_NEVER);
	assert_false(platform_interrupt_pending(&f->p, 0));
	set_deadline(f, 20);
	assert_int_equal(platform_next_deadline(&f->p), 20);
	f->now = 20;
	assert_int_equal(platform_msr_read(&f->p, 0, MSR_IA32_TSC_DEADLINE, &timer), 0);
	assert_int_equal(timer, 0);
	assert_int_equal(take(f), 0xEF);
}

/* ---- the console ---- */

static void nothing_shown_is_taken_back_or_shown_again(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s;

	outb(f, COM1, 'a');
	outb(f, 0xE9, 'b');
	s = saved_now(f);
	assert_memory_equal(f->out, "ab", f->out_len);
	outb(f, COM1, 'c');
	restore_now(f, &s);
	assert_int_equal(f->out_len, 3);
	outb(f, COM1, 'c'); /* the guest runs again */
	assert_int_equal(f->out_len, 4);
	assert_memory_equal(f->out, "abcc", 4);
}

static void input_is_what_waited_at_the_save(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot s;

	outb(f, COM1 + 2, 1); /* FIFO of 16 */
	for (int i = 0; i < 20; i++)
		assert_int_equal(platform_console_input(&f->p, (uint8_t)('a' + i)), 0);
	s = saved_now(f);
	for (int i = 0; i < 10; i++)
		inb(f, COM1);
	assert_int_equal(platform_console_input(&f->p, 'X'), 0);
	restore_now(f, &s);
	for (int i = 0; i < 20; i++)
		assert_int_equal(inb(f, COM1), 'a' + i);
	assert_int_equal(inb(f, COM1 + 5) & 1, 0);
}

/* Who was refused is told if there is room now, and only he. */
static void the_refused_hear_of_room(void **state)
{
	struct fixture *f = *state;
	struct platform_snapshot empty = saved_now(f), full;

	while (platform_console_input(&f->p, 'x') == 0)
		continue;
	full = saved_now(f);
	assert_true(f->p.uart.refused && !full.uart.refused);
	f->kicks = 0;
	restore_now(f, &empty);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(platform_console_input(&f->p, 'y'), 0);
	assert_false(f->p.uart.refused);

	restore_now(f, &full);
	f->kicks = 0;
	inb(f, COM1);
	assert_int_equal(f->kicks, 0); /* nobody has asked since */
	assert_int_equal(platform_console_input(&f->p, 'z'), 0);
	assert_int_equal(platform_console_input(&f->p, 'z'), -EAGAIN);
	restore_now(f, &full);
	f->kicks = 0;
	inb(f, COM1);
	assert_int_equal(f->kicks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_guest_is_told_the_same),
		firmware_test(every_member_comes_back),
		device_test(a_snapshot_holds_no_pointer),
		device_test(another_machine_is_refused),
		device_test(no_time_passes_for_the_guest),
		device_test(what_was_due_is_due),
		device_test(an_interrupt_in_service_stays_so),
		device_test(deadlines_far_away_stay_there),
		device_test(nothing_shown_is_taken_back_or_shown_again),
		device_test(input_is_what_waited_at_the_save),
		device_test(the_refused_hear_of_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
