/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saving and restoring a vCPU: what is not named here as something else is its
 * state and must come back, members that are added later included; and a guest
 * that goes on after the restore does what it did after the save. SPOOR_SEED
 * chooses the random contents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "devices/platform_snapshot.h"
#include "lib/errno.h"
#include "tests/host/value_bytes.h"
#include "tests/host/vcpu_fake.h"
#include "tests/host/vcpu_holes.h"
#include "vcpu/cr.h"
#include "vcpu/vcpu_snapshot.h"
#include "tests/host/random.h"

#define ROUNDS 300

static struct fake_vm f;
static struct vcpu_snapshot saved, again;
static uint64_t random_state;

static int made(void **state)
{
	random_state = number_from_environment("SPOOR_SEED", 1) * 0x9E3779B97F4A7C15ull | 1;
	fake_vm_init(&f);
	fake_long_mode(&f);
	return 0;
}

static int gone(void **state)
{
	assert_int_equal(mmu_audit(&f.mmu), 0);
	fake_vm_destroy(&f);
	return 0;
}

static uint64_t rnd(void)
{
	return random_next(&random_state);
}

static void save(struct vcpu_snapshot *s) { assert_int_equal(vcpu_save(&f.vcpu, f.tsc, s), 0); }
static void restore(const struct vcpu_snapshot *s) { assert_int_equal(vcpu_restore(&f.vcpu, f.tsc, s), 0); }

/* ---- random states --------------------------------------------------------------- */

#define OF_VCPU(member) PART(struct vcpu, member)
#define OF_FAKE(member) PART(struct fake_vm, member)

/* Not the state of the guest, or looked at by itself. */
static const struct part not_state[] = {
	OF_VCPU(id), OF_VCPU(name), OF_VCPU(vm), OF_VCPU(backend), OF_VCPU(hw), OF_VCPU(mmu),
	OF_VCPU(platform), OF_VCPU(hypercalls), OF_VCPU(hypercall_ctx), OF_VCPU(cpuid), OF_VCPU(intercept_invlpg),
	OF_VCPU(tsc_hz),
	OF_VCPU(unknown_msrs), OF_VCPU(exits), OF_VCPU(emulated), OF_VCPU(stepped), OF_VCPU(injected_ud),
	OF_VCPU(interpreted), OF_VCPU(delivered),
	OF_VCPU(stop), OF_VCPU(stepping), OF_VCPU(step_opcode), OF_VCPU(step_insn_len), OF_VCPU(v86),
	OF_VCPU(window), OF_VCPU(nmi_window), OF_VCPU(tlb_flush), OF_VCPU(interpreting), OF_VCPU(tsc_offset),
	OF_VCPU(xcr0),
};

static const struct part vcpu_holes[] = {
	HOLE(struct vcpu, id, name), HOLE(struct vcpu, event.has_error_code, event.error_code),
	HOLE(struct vcpu, event.insn_len, halted), HOLE(struct vcpu, interrupt_shadow, v86),
};

/* The fake's variables that are. The MSRs are a list in the order of their use. */
static const struct part hardware[] = {
	OF_FAKE(segment), OF_FAKE(gdt), OF_FAKE(idt), OF_FAKE(cr2), OF_FAKE(shadow), OF_FAKE(sti_shadow),
	OF_FAKE(held_debug), OF_FAKE(nmi_blocked), OF_FAKE(vector), OF_FAKE(fpu),
};

static struct vcpu state_map, vcpu_before;
static struct fake_vm hardware_map, hardware_before;
static uint64_t msr_before[MSR_HARDWARE_COUNT];

/* A hole that is named and is none, or that is not named, would hide a member. */
static void check_holes(void)
{
	static struct vcpu told;
	struct segment segment, *s = &segment;
	struct descriptor_table table, *t = &table;

	memset(&told, 0xFF, sizeof(told));
	memset(s, 0xFF, sizeof(*s));
	memset(t, 0xFF, sizeof(*t));
	clear_vcpu_holes(&told);
	CLEAR_HOLES(s);
	CLEAR_HOLES(t);
	map_parts(&told, 0, not_state, ARRAY_SIZE(not_state));
	assert_memory_equal(&told, &state_map, sizeof(told));
	assert_memory_equal(s, &hardware_map.segment[SEG_CS], sizeof(*s));
	assert_memory_equal(t, &hardware_map.gdt, sizeof(*t));
}

/* Without holes. */
static void map_hardware(void)
{
	memset(&hardware_map, 0, sizeof(hardware_map));
	map_parts(&hardware_map, 0xFF, hardware, ARRAY_SIZE(hardware));
	for (unsigned int i = 0; i < SEG_COUNT; i++) {
		memset(&hardware_map.segment[i], 0, sizeof(struct segment));
		hardware_map.segment[i].selector = UINT16_MAX;
		hardware_map.segment[i].access = hardware_map.segment[i].limit = UINT32_MAX;
		hardware_map.segment[i].base = UINT64_MAX;
	}
	memset(&hardware_map.gdt, 0, sizeof(hardware_map.gdt));
	hardware_map.gdt.base = UINT64_MAX;
	hardware_map.gdt.limit = UINT16_MAX;
	memcpy(&hardware_map.idt, &hardware_map.gdt, sizeof(hardware_map.idt));
}

static void make_maps(void)
{
	memset(&state_map, 0xFF, sizeof(state_map));
	map_parts(&state_map, 0, vcpu_holes, ARRAY_SIZE(vcpu_holes));
	map_parts(&state_map, 0, not_state, ARRAY_SIZE(not_state));
	map_hardware();
	if (KNOWS_HOLES)
		check_holes();
}

/* One of the ways to page, with whatever may be on beside. */
static void random_paging(void)
{
	const uint64_t cr0_any = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM;
	struct guest_paging p = f.vcpu.mmu.paging;

	p.cr0 = X86_CR0_ET | (rnd() & cr0_any);
	p.cr4 = rnd() & f.vcpu.cpuid.cr4_allowed & ~(uint64_t)X86_CR4_PAE;
	p.efer = rnd() & (EFER_SCE | EFER_NXE);
	p.cr3 = rnd() % 512 << PAGE_SHIFT;
	for (unsigned int i = 0; i < 4; i++)
		p.pdpte[i] = rnd() % 512 << PAGE_SHIFT | (rnd() & 1);
	switch (rnd() % 5) {
	case 0: /* real mode */
		break;
	case 1:
		p.cr0 |= X86_CR0_PE;
		break;
	case 2:
		p.cr0 |= X86_CR0_PE | X86_CR0_PG;
		break;
	case 3:
		p.cr0 |= X86_CR0_PE | X86_CR0_PG;
		p.cr4 |= X86_CR4_PAE;
		break;
	case 4:
		p.cr0 |= X86_CR0_PE | X86_CR0_PG;
		p.cr4 |= X86_CR4_PAE;
		p.efer |= EFER_LME | EFER_LMA;
		break;
	}
	assert_int_equal(mmu_set_paging(&f.vcpu.mmu, &p), 0);
	f.vcpu.backend->paging_changed(&f.vcpu);
}

static void random_msrs(void)
{
	for (unsigned int i = 0; i < MSR_HARDWARE_COUNT; i++)
		f.vcpu.backend->set_msr(&f.vcpu, msr_hardware[i], rnd());
}

static void random_tsc(void)
{
	f.tsc += rnd() >> (10 + rnd() % 54);
	f.vcpu.tsc_offset = (int64_t)rnd();
}

/* What decides nothing need not come back: all of these decide. */
static void make_everything_count(void)
{
	f.vcpu.event.pending = f.vcpu.event.has_error_code = true;
	f.vcpu.halted = f.vcpu.fetch_told = true;
}

static void random_rest(void)
{
	static const uint64_t xcr0[] = { 1, 3, 7 };

	random_paging();
	random_msrs();
	random_tsc();
	f.vcpu.xcr0 = xcr0[rnd() % ARRAY_SIZE(xcr0)];
	f.cannot_run = rnd() & 1;
}

static void random_state_of_vcpu(void)
{
	fill_bytes(&f.vcpu, &state_map, sizeof(f.vcpu), rnd);
	fill_bytes(&f, &hardware_map, sizeof(f), rnd);
	random_rest();
	make_everything_count();
}

static void remember(void)
{
	memcpy(&vcpu_before, &f.vcpu, sizeof(vcpu_before));
	memcpy(&hardware_before, &f, sizeof(hardware_before));
	for (unsigned int i = 0; i < MSR_HARDWARE_COUNT; i++)
		msr_before[i] = f.vcpu.backend->get_msr(&f.vcpu, msr_hardware[i]);
}

/* Another value everywhere, and signs of a life that went on. */
static void scramble(void)
{
	scramble_bytes(&f.vcpu, &state_map, sizeof(f.vcpu));
	scramble_bytes(&f, &hardware_map, sizeof(f));
	random_rest();
	f.vcpu.tlb_flush = false;
	f.vcpu.exits++;
	f.vcpu.interpreting = rnd() & 1;
}

static void must_be_as_before(void)
{
	const struct guest_paging *p = &f.vcpu.mmu.paging;
	size_t at = first_difference(&f.vcpu, &vcpu_before, &state_map, sizeof(f.vcpu));

	if (at < sizeof(f.vcpu))
		fail_msg("byte %zu of struct vcpu does not come back", at);
	at = first_difference(&f, &hardware_before, &hardware_map, sizeof(f));
	if (at < sizeof(f))
		fail_msg("byte %zu of the hardware does not come back", at);
	for (unsigned int i = 0; i < MSR_HARDWARE_COUNT; i++)
		assert_true(f.vcpu.backend->get_msr(&f.vcpu, msr_hardware[i]) == msr_before[i]);
	assert_int_equal(f.vcpu.xcr0, vcpu_before.xcr0);
	assert_memory_equal(p, &vcpu_before.mmu.paging, offsetof(struct guest_paging, maxphyaddr));
	assert_int_equal(f.vcpu.mmu.hw_long, paging_long(p));
}

/* The shadow root, the engine, the TLB and the hardware's copies follow. */
static void all_else_must_follow(const struct fake_vm *live)
{
	assert_true(f.vcpu.tlb_flush);
	assert_int_equal(f.vcpu.interpreting, !(f.vcpu.mmu.paging.cr0 & X86_CR0_PE) || f.cannot_run);
	assert_int_equal(f.owned_cr0, f.vcpu.mmu.paging.cr0);
	assert_int_equal(f.paging_changes, live->paging_changes + 1);
	assert_true(f.debug_changes > live->debug_changes);
	assert_true(f.xcr0_changes > live->xcr0_changes);
	assert_true(f.tsc_changes > live->tsc_changes);
	assert_true(f.loads > live->loads);
	assert_int_equal(mmu_audit(&f.mmu), 0);
}

/* What belongs to the host stays. */
static void the_host_s_must_be_left_alone(const struct fake_vm *live)
{
	const struct vcpu *v = &f.vcpu, *w = &live->vcpu;

	assert_ptr_equal(v->vm, w->vm);
	assert_ptr_equal(v->hw, w->hw);
	assert_ptr_equal(v->backend, w->backend);
	assert_ptr_equal(v->platform, w->platform);
	assert_memory_equal(&v->cpuid, &w->cpuid, sizeof(v->cpuid));
	assert_memory_equal(&v->unknown_msrs, &w->unknown_msrs, sizeof(v->unknown_msrs));
	assert_int_equal(v->exits, w->exits);
	assert_int_equal(v->mmu.paging.maxphyaddr, FAKE_MAXPHYADDR);
}

static void every_member_comes_back(void **state)
{
	static struct fake_vm live;

	make_maps();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t guest_tsc, hash;

		random_state_of_vcpu();
		remember();
		save(&saved);
		hash = vcpu_state_hash(&saved);
		guest_tsc = f.tsc + (uint64_t)f.vcpu.tsc_offset;
		scramble();
		save(&again);
		assert_true(vcpu_state_hash(&again) != hash);
		memcpy(&live, &f, sizeof(live));
		restore(&saved);
		must_be_as_before();
		all_else_must_follow(&live);
		the_host_s_must_be_left_alone(&live);
		assert_true(f.tsc + (uint64_t)f.vcpu.tsc_offset == guest_tsc);
		save(&again);
		assert_memory_equal(&again, &saved, sizeof(saved));
		assert_true(vcpu_state_hash(&again) == hash);
	}
}

/* Neither what was in the memory before nor what is in the holes of structs is
 * in the hash. */
static void the_hash_knows_no_chance(void **state)
{
	uint64_t hash;

	make_maps();
	random_state_of_vcpu();
	memset(&saved, 0xAA, sizeof(saved));
	save(&saved);
	hash = vcpu_state_hash(&saved);

	for (unsigned int i = 0; i < ARRAY_SIZE(vcpu_holes); i++)
		memset((uint8_t *)&f.vcpu + vcpu_holes[i].offset, 0x55, vcpu_holes[i].size);
	for (size_t i = offsetof(struct fake_vm, segment); i < PART_END(struct fake_vm, idt); i++)
		if (!((uint8_t *)&hardware_map)[i])
			((uint8_t *)&f)[i] ^= 0x55;
	memset(&again, 0x55, sizeof(again));
	save(&again);
	assert_true(vcpu_state_hash(&again) == hash);
	assert_memory_equal(&again, &saved, sizeof(saved));
}

static void every_byte_is_in_the_hash(void **state)
{
	uint64_t hash;

	save(&saved);
	hash = vcpu_state_hash(&saved);
	for (size_t i = 0; i < sizeof(saved); i++) {
		((uint8_t *)&saved)[i] ^= 1;
		assert_true(vcpu_state_hash(&saved) != hash);
		((uint8_t *)&saved)[i] ^= 1;
	}
}

/* What is left of events that are over is no state. */
static void leftovers_are_no_state(void **state)
{
	save(&saved);
	f.vcpu.event = (struct vcpu_event){ .vector = 14, .error_code = 3, .insn_len = 2 };
	f.vcpu.nmi_wakes = !f.vcpu.nmi_wakes;
	f.vcpu.fetch_told_rip = 0x1000;
	save(&again);
	assert_memory_equal(&again, &saved, sizeof(saved));
	f.vcpu.event.pending = true;
	save(&again);
	assert_int_equal(again.event.vector, 14);
	assert_int_equal(again.event.error_code, 0); /* it has none */
}

/* ---- what cannot be ----------------------------------------------------------------- */

static void not_in_the_middle_of_a_step(void **state)
{
	vcpu_step_natively(&f.vcpu);
	assert_int_equal(vcpu_save(&f.vcpu, 0, &saved), -EBUSY);
	vcpu_step_done(&f.vcpu);
	save(&saved);

	f.vcpu.v86.borrowed = true;
	assert_int_equal(vcpu_save(&f.vcpu, 0, &saved), -EBUSY);
	f.vcpu.v86.borrowed = false;
	save(&saved);
}

static void not_of_what_has_stopped(void **state)
{
	save(&saved);
	vcpu_stop(&f.vcpu, VCPU_STOP_TRIPLE_FAULT, 0, "");
	f.vcpu.tlb_flush = false;
	assert_int_equal(vcpu_save(&f.vcpu, 0, &again), -EINVAL);
	restore(&saved);
	assert_int_equal(f.vcpu.stop.reason, VCPU_STOP_NONE);
	assert_true(f.vcpu.tlb_flush);
	save(&again);
	assert_memory_equal(&again, &saved, sizeof(saved));
}

static void a_step_is_ended_by_a_restore(void **state)
{
	save(&saved);
	vcpu_step_natively(&f.vcpu);
	assert_true(f.step);
	restore(&saved);
	assert_false(f.step);
	assert_false(f.vcpu.stepping);
	save(&again);
	assert_memory_equal(&again, &saved, sizeof(saved));
}

static void not_into_another_cpu(void **state)
{
	static struct fake_vm live;
	static const struct {
		size_t offset;
		uint64_t value;
	} wrong[] = {
		{ offsetof(struct vcpu_snapshot, fpu_size), FAKE_FPU_SIZE + 64 },
		{ offsetof(struct vcpu_snapshot, xcr0), 0xE7 },
		{ offsetof(struct vcpu_snapshot, cr4), 1u << 17 },
		{ offsetof(struct vcpu_snapshot, efer), 1u << 14 },
		{ offsetof(struct vcpu_snapshot, cr3), 1ull << FAKE_MAXPHYADDR },
	};

	save(&saved);
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		memcpy(&again, &saved, sizeof(again));
		memcpy((uint8_t *)&again + wrong[i].offset, &wrong[i].value, sizeof(wrong[i].value));
		memcpy(&live, &f, sizeof(live));
		assert_int_equal(vcpu_restore(&f.vcpu, 0, &again), -EINVAL);
		assert_memory_equal(&live, &f, sizeof(live));
	}
	restore(&saved);
}

static void an_fpu_that_has_no_room(void **state)
{
	const struct vcpu_backend *real = f.vcpu.backend;
	struct vcpu_backend wide = *real;

	wide.fpu_size = VCPU_FPU_MAX + 64;
	f.vcpu.backend = &wide;
	assert_int_equal(vcpu_save(&f.vcpu, 0, &saved), -E2BIG);
	f.vcpu.backend = real;
}

/* The roots of other vCPUs hold all the shadow pages. */
static void no_room_for_a_root(void **state)
{
	static struct mmu_vcpu other[MMU_SHADOW_PAGES_MIN];
	struct guest_paging p = f.vcpu.mmu.paging;
	unsigned int n = 0;
	int err = 0;

	p.cr3 = FAKE_CODE;
	while (!err && n < ARRAY_SIZE(other)) {
		assert_int_equal(mmu_vcpu_init(&other[n], &f.mmu, FAKE_MAXPHYADDR, false), 0);
		p.cr3 += PAGE_SIZE;
		err = mmu_set_paging(&other[n++], &p);
	}
	assert_int_equal(err, -ENOMEM);
	save(&saved);
	memcpy(&again, &saved, sizeof(again));
	again.cr3 = FAKE_STACK + 0x80000;
	again.regs.rip++;
	assert_int_equal(vcpu_restore(&f.vcpu, f.tsc, &again), -ENOMEM);
	save(&again);
	assert_memory_equal(&again, &saved, sizeof(saved)); /* as it was */
	while (n)
		mmu_vcpu_destroy(&other[--n]);
}

/* RDTSCP is not shown: the MSR may not be there at all. */
static void tsc_aux_is_left_alone_without_rdtscp(void **state)
{
	f.vcpu.backend->set_msr(&f.vcpu, MSR_IA32_TSC_AUX, 77);
	f.vcpu.cpuid.has_rdtscp = false;
	save(&saved);
	f.vcpu.backend->set_msr(&f.vcpu, MSR_IA32_TSC_AUX, 78);
	restore(&saved);
	assert_int_equal(f.vcpu.backend->get_msr(&f.vcpu, MSR_IA32_TSC_AUX), 78);
}

static void what_the_guest_owns_is_saved(void **state)
{
	f.owned_cr0 |= X86_CR0_TS;
	f.owned_cr4 |= X86_CR4_DE;
	save(&saved);
	assert_true(saved.cr0 & X86_CR0_TS);
	assert_true(saved.cr4 & X86_CR4_DE);
	f.owned_cr0 = f.owned_cr4 = 0;
	restore(&saved);
	assert_true(f.owned_cr0 & X86_CR0_TS);
	assert_true(f.owned_cr4 & X86_CR4_DE);
}

/* ---- the guest goes on ----------------------------------------------------------------- */

/* With the same @now its timer stays where its TSC says. */
static void the_deadline_is_the_same_time_of_the_tsc(void **state)
{
	static struct platform_snapshot platform;
	uint64_t deadline = 0;

	f.tsc = 5000;
	platform_mmio_write(&f.platform, 0, gpa(LAPIC_DEFAULT_BASE + 0x320), 4, 0x400EF);
	assert_int_equal(msr_write(&f.vcpu, MSR_IA32_TSC, 900000), 0);
	assert_int_equal(msr_write(&f.vcpu, MSR_IA32_TSC_DEADLINE, 987654), 0);
	platform_save(&f.platform, f.tsc, &platform);
	save(&saved);
	for (unsigned int i = 0; i < 3; i++) {
		f.tsc += 1000000007;
		assert_int_equal(platform_restore(&f.platform, f.tsc, &platform), 0);
		restore(&saved);
		assert_int_equal(msr_read(&f.vcpu, MSR_IA32_TSC_DEADLINE, &deadline), 0);
		assert_int_equal(deadline, 987654);
	}
}

/*
 * Real mode, which the emulator runs: a loop that mixes numbers, reads the PIT
 * and sleeps now and then, and an interrupt handler that counts.
 */
static const uint8_t program[] = {
	0xFB,			      /* 8000: sti */
	0x05, 0x37, 0x13,	      /* 8001: add ax, 1337h */
	0xD1, 0xC3,		      /* 8004: rol bx, 1 */
	0x31, 0xC3,		      /* 8006: xor bx, ax */
	0x89, 0x1E, 0x00, 0x60,	      /* 8008: mov [6000h], bx */
	0x89, 0xC1,		      /* 800C: mov cx, ax */
	0xB0, 0x00, 0xE6, 0x43,	      /* 800E: mov al, 0; out 43h, al: latch */
	0xE4, 0x40, 0x00, 0xC3,	      /* 8012: in al, 40h; add bl, al */
	0xE4, 0x40, 0x00, 0xC7,	      /* 8016: in al, 40h; add bh, al */
	0x89, 0xC8,		      /* 801A: mov ax, cx */
	0xA8, 0x0F, 0x75, 0xE1,	      /* 801C: test al, 15; jnz 8001 */
	0xF4, 0xEB, 0xDE,	      /* 8020: hlt; jmp 8001 */
};

static const uint8_t handler[] = {
	0x50, 0xFF, 0x06, 0x02, 0x60, /* push ax; inc word [6002h] */
	0xB0, 0x20, 0xE6, 0x20,	      /* mov al, 20h; out 20h, al */
	0x58, 0xCF,		      /* pop ax; iret */
};

#define HANDLER 0x8100u
#define COUNTER 0x6002u

static void put(uint64_t addr, const void *bytes, size_t len)
{
	assert_int_equal(guest_write(&f.mmu.mem, gpa(addr), bytes, len, BY(LOADER)), 0);
}

static void start_program(void)
{
	const uint32_t vector = HANDLER;

	fake_real_mode(&f);
	fake_code(&f, program, sizeof(program));
	put(HANDLER, handler, sizeof(handler));
	put(8 * 4, &vector, sizeof(vector));
	platform_port_write(&f.platform, 0, 0x43, 1, 0x34); /* 1 kHz and more */
	platform_port_write(&f.platform, 0, 0x40, 1, 0x80);
	platform_port_write(&f.platform, 0, 0x40, 1, 0x02);
}

static void run_a_while(void)
{
	f.tsc += 20000 + (f.vcpu.regs.gpr[GPR_RBX] & 0xFFF);
	platform_run_timers(&f.platform);
	assert_true(vcpu_run_once(&f.vcpu) != VCPU_STOP);
}

static uint64_t hash_now(void)
{
	save(&again);
	return vcpu_state_hash(&again);
}

static void a_guest_goes_on_as_it_did(void **state)
{
	static struct platform_snapshot platform;
	static uint8_t ram[0x10000];
	static uint64_t hash[ROUNDS];
	uint16_t before, after;

	start_program();
	for (unsigned int i = 0; i < ROUNDS; i++)
		run_a_while();
	save(&saved);
	platform_save(&f.platform, f.tsc, &platform);
	memcpy(ram, f.ram, sizeof(ram));
	memcpy(&before, ram + COUNTER, sizeof(before));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		run_a_while();
		hash[i] = hash_now();
	}
	memcpy(&after, f.ram + COUNTER, sizeof(after));
	assert_true(after != before);

	f.tsc += 123456789;
	f.vcpu.regs.rip = 0xDEAD;
	restore(&saved);
	assert_int_equal(platform_restore(&f.platform, f.tsc, &platform), 0);
	put(0, ram, sizeof(ram));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		run_a_while();
		assert_true(hash_now() == hash[i]);
	}
	assert_memory_equal(&after, f.ram + COUNTER, sizeof(after));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, made, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_member_comes_back),
		TEST(the_hash_knows_no_chance),
		TEST(every_byte_is_in_the_hash),
		TEST(leftovers_are_no_state),
		TEST(not_in_the_middle_of_a_step),
		TEST(not_of_what_has_stopped),
		TEST(a_step_is_ended_by_a_restore),
		TEST(not_into_another_cpu),
		TEST(an_fpu_that_has_no_room),
		TEST(no_room_for_a_root),
		TEST(tsc_aux_is_left_alone_without_rdtscp),
		TEST(what_the_guest_owns_is_saved),
		TEST(the_deadline_is_the_same_time_of_the_tsc),
		TEST(a_guest_goes_on_as_it_did),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
