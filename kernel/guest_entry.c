// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/guest_entry.h. */
#include "kernel/guest_entry.h"
#include "lib/errno.h"

/* Access rights in the format of struct segment (SDM vol. 3, "Segment
 * Descriptors"): present, accessed, ring 0, 4 KiB granular. */
#define ACCESS_CODE32 0xC09Bu
#define ACCESS_CODE64 0xA09Bu
#define ACCESS_DATA 0xC093u
#define ACCESS_BUSY_TSS 0x8Bu

#define ACCESS_REAL_CODE 0x9Bu /* 16 bits, byte granular */
#define ACCESS_REAL_DATA 0x93u

#define REAL_LIMIT 0xFFFFu
#define RESET_CS 0xF000u
#define RESET_IP 0xFFF0u
#define RESET_SIGNATURE 0x600u /* family, model and stepping, in DX */

#define FLAT_LIMIT 0xFFFFFFFFu
#define TSS_LIMIT 0x67u

int guest_layout_init(struct guest_layout *l, uint64_t bytes)
{
	if (bytes < GUEST_MEMORY_MIN || bytes > GUEST_MEMORY_MAX || bytes & PAGE_OFFSET_MASK)
		return -EINVAL;
	l->low_memory = bytes < GUEST_HOLE_BASE ? bytes : GUEST_HOLE_BASE;
	l->high_memory = bytes - l->low_memory;
	return 0;
}

unsigned int guest_layout_map(const struct guest_layout *l, struct guest_range map[GUEST_RANGES_MAX])
{
	unsigned int n = 0;

	map[n++] = (struct guest_range){0, GUEST_EBDA, GUEST_RANGE_RAM};
	map[n++] = (struct guest_range){GUEST_EBDA, GUEST_LOW_RAM_END - GUEST_EBDA, GUEST_RANGE_RESERVED};
	map[n++] = (struct guest_range){GUEST_FIRMWARE_BASE, GUEST_HIGH_BASE - GUEST_FIRMWARE_BASE,
	                                GUEST_RANGE_RESERVED};
	map[n++] = (struct guest_range){GUEST_HIGH_BASE, l->low_memory - GUEST_HIGH_BASE, GUEST_RANGE_RAM};
	if (l->high_memory)
		map[n++] = (struct guest_range){1ull << 32, l->high_memory, GUEST_RANGE_RAM};
	return n;
}

bool guest_layout_is_ram(const struct guest_layout *l, uint64_t base, uint64_t size)
{
	struct guest_range map[GUEST_RANGES_MAX];
	unsigned int n = guest_layout_map(l, map);

	for (unsigned int i = 0; i < n; i++)
		if (map[i].type == GUEST_RANGE_RAM && base >= map[i].base &&
		    base - map[i].base < map[i].size && size <= map[i].size - (base - map[i].base))
			return true;
	return false;
}

static struct segment flat(uint16_t selector, uint32_t access)
{
	return (struct segment){.selector = selector, .access = access, .limit = FLAT_LIMIT};
}

void guest_entry_segments(struct guest_entry *e, uint16_t cs, uint16_t ds, bool long_mode)
{
	e->segment[SEG_CS] = flat(cs, long_mode ? ACCESS_CODE64 : ACCESS_CODE32);
	for (int s = SEG_ES; s <= SEG_GS; s++)
		if (s != SEG_CS)
			e->segment[s] = flat(ds, ACCESS_DATA);
	e->segment[SEG_LDTR] = (struct segment){.access = SEGMENT_UNUSABLE};
	e->segment[SEG_TR] = (struct segment){.access = ACCESS_BUSY_TSS, .limit = TSS_LIMIT};
	e->gdt = (struct descriptor_table){0};
	e->idt = (struct descriptor_table){0};
}

void guest_entry_reset(struct guest_entry *e)
{
	*e = (struct guest_entry){
		.regs = { .gpr = { [GPR_RDX] = RESET_SIGNATURE }, .rip = RESET_IP, .rflags = X86_EFLAGS_FIXED },
		.cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET,
		.gdt = { .limit = REAL_LIMIT },
		.idt = { .limit = REAL_LIMIT },
	};
	for (int s = SEG_ES; s <= SEG_GS; s++)
		e->segment[s] = (struct segment){ .access = ACCESS_REAL_DATA, .limit = REAL_LIMIT };
	e->segment[SEG_CS] = (struct segment){ .selector = RESET_CS, .access = ACCESS_REAL_CODE,
					       .limit = REAL_LIMIT, .base = RESET_CS << 4 };
	e->segment[SEG_LDTR] = (struct segment){ .access = SEGMENT_UNUSABLE };
	e->segment[SEG_TR] = (struct segment){ .access = ACCESS_BUSY_TSS, .limit = REAL_LIMIT };
}

/* A flat descriptor with the type and flag bits of @access. */
static uint64_t descriptor(uint32_t access)
{
	return (uint64_t)(access & 0xF0FF) << 40 | 0x000F00000000FFFFull;
}

void guest_entry_gdt(const struct guest_entry *e, uint64_t gdt[GUEST_GDT_ENTRIES])
{
	const struct segment *code = &e->segment[SEG_CS], *data = &e->segment[SEG_DS];

	for (unsigned int i = 0; i < GUEST_GDT_ENTRIES; i++)
		gdt[i] = 0;
	gdt[code->selector >> 3] = descriptor(code->access);
	gdt[data->selector >> 3] = descriptor(data->access);
}
