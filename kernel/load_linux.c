// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/load_linux.h. */
/* First: our own headers make "packed" a macro. */
#include <asm/bootparam.h>

#include "kernel/load_linux.h"
#include "lib/errno.h"
#include "lib/log.h"
#include <string.h>

#define GDT_BASE 0x1000u
#define BOOT_PARAMS_BASE 0x2000u
#define PAGE_TABLES_BASE 0x3000u
#define CMDLINE_BASE 0x10000u
#define CMDLINE_AREA 0x10000u

#define BOOT_CS 0x10 /* the protocol's __BOOT_CS and __BOOT_DS */
#define BOOT_DS 0x18

#define SECTOR 512u
#define HEADER_OFFSET 0x1F1u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xAA55u
#define PROTOCOL_MIN 0x020A /* first with pref_address and init_size */
#define PROTOCOL_XLOADFLAGS 0x020C
#define PROTOCOL_ACPI_RSDP 0x020E
#define ENTRY_64_OFFSET 0x200u
#define LOADER_UNDEFINED 0xFF

#define PTE_P 1ull
#define PTE_RW 2ull
#define PTE_PS 0x80ull
#define LARGE_PAGE 0x200000ull
#define IDENTITY_DIRECTORIES 4u /* 1 GiB each */

/* What the checks worked out, for the writes that follow. */
struct linux_plan {
	struct setup_header hdr;
	size_t header_size; /* bytes of hdr that the image has */
	bool entry_64;      /* else the 32-bit entry, with paging off */
	uint64_t payload;   /* offset of the protected-mode kernel in the image */
	uint64_t payload_size;
	uint64_t load;       /* where it goes */
	uint64_t initrd;     /* where that goes; 0 for none */
	size_t cmdline_size; /* with its terminator */
};

#define refuse(err, vm, fmt, ...) (log_error("vm \"%s\": " fmt, (vm)->name, ##__VA_ARGS__), (err))

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static int check_header(const struct vm_config *vm, struct linux_plan *p)
{
	const uint8_t *image = vm->kernel.data;
	uint64_t size = vm->kernel.size, end;

	if (size < HEADER_OFFSET + sizeof(p->hdr))
		return refuse(-ENOEXEC, vm, "kernel is truncated: %llu bytes hold no setup header",
		              (unsigned long long)size);
	memcpy(&p->hdr, image + HEADER_OFFSET, sizeof(p->hdr));
	if (p->hdr.boot_flag != BOOT_FLAG || p->hdr.header != HEADER_MAGIC)
		return refuse(-ENOEXEC, vm, "kernel is not a Linux bzImage: no setup header");
	if (p->hdr.version < PROTOCOL_MIN)
		return refuse(-ENOEXEC, vm, "kernel has boot protocol %u.%02u; 2.10 or later is needed",
		              p->hdr.version >> 8, p->hdr.version & 0xFF);
	if (!(p->hdr.loadflags & LOADED_HIGH))
		return refuse(-ENOEXEC, vm, "kernel is a zImage, not a bzImage");
	/* The header ends where the jump at 0x200 over it leads. */
	end = 0x202u + (p->hdr.jump >> 8);
	p->header_size = end - HEADER_OFFSET < sizeof(p->hdr) ? end - HEADER_OFFSET : sizeof(p->hdr);
	if (p->header_size < offsetof(struct setup_header, handover_offset))
		return refuse(-ENOEXEC, vm, "kernel has a setup header of %zu bytes: too short",
		              p->header_size);
	p->entry_64 =
	    !vm->entry_32 && p->hdr.version >= PROTOCOL_XLOADFLAGS && p->hdr.xloadflags & XLF_KERNEL_64;
	return 0;
}

static int check_payload(const struct vm_config *vm, struct linux_plan *p)
{
	unsigned int sectors = p->hdr.setup_sects ? p->hdr.setup_sects : 4;
	uint64_t want = (uint64_t)p->hdr.syssize * 16, have;

	p->payload = (uint64_t)(sectors + 1) * SECTOR;
	have = vm->kernel.size > p->payload ? vm->kernel.size - p->payload : 0;
	if (want == 0 || want < ENTRY_64_OFFSET)
		return refuse(-ENOEXEC, vm, "kernel is damaged: its header says %llu bytes of code",
		              (unsigned long long)want);
	if (have < want)
		return refuse(-ENOEXEC, vm, "kernel is truncated: %llu of %llu bytes are there",
		              (unsigned long long)vm->kernel.size, (unsigned long long)(p->payload + want));
	if (want > p->hdr.init_size)
		return refuse(-ENOEXEC, vm, "kernel is damaged: init_size %u is less than its %llu bytes",
		              p->hdr.init_size, (unsigned long long)want);
	p->payload_size = want;
	return 0;
}

/* The kernel runs at its preferred address, or, if it is relocatable, at the
 * lowest one that is aligned as it wants. */
static int place_kernel(const struct vm_config *vm, const struct guest_layout *l, struct linux_plan *p)
{
	uint64_t align = p->hdr.kernel_alignment;

	if (align < PAGE_SIZE || align & (align - 1))
		return refuse(-ENOEXEC, vm, "kernel is damaged: alignment 0x%llx", (unsigned long long)align);
	p->load = p->hdr.pref_address;
	/* Both must be in the memory below 4 GiB, which the page tables map and
	 * 32-bit code reaches. */
	if (p->load >= GUEST_HIGH_BASE && p->load < l->low_memory && !(p->load & PAGE_OFFSET_MASK) &&
	    guest_layout_is_ram(l, p->load, p->hdr.init_size))
		return 0;
	p->load = align_up(GUEST_HIGH_BASE, align);
	if (p->hdr.relocatable_kernel && p->load < l->low_memory &&
	    guest_layout_is_ram(l, p->load, p->hdr.init_size))
		return 0;
	return refuse(-ENOMEM, vm, "kernel needs %llu KiB at 0x%llx; the VM has %llu KiB of memory",
	              (unsigned long long)p->hdr.init_size >> 10,
	              (unsigned long long)(p->hdr.relocatable_kernel ? p->load : p->hdr.pref_address),
	              (unsigned long long)(l->low_memory + l->high_memory) >> 10);
}

/* As high as the kernel allows, above where it unpacks itself. */
static int place_initrd(const struct vm_config *vm, const struct guest_layout *l, struct linux_plan *p)
{
	uint64_t top = (uint64_t)p->hdr.initrd_addr_max + 1, end = p->load + p->hdr.init_size;

	p->initrd = 0;
	if (!vm->initrd.data)
		return 0;
	if (top > l->low_memory)
		top = l->low_memory;
	if (vm->initrd.size > top || ((top - vm->initrd.size) & ~PAGE_OFFSET_MASK) < end)
		return refuse(
		    -ENOMEM, vm,
		    "initrd of %llu KiB does not fit beside the kernel's %llu KiB in %llu KiB of memory",
		    (unsigned long long)vm->initrd.size >> 10, (unsigned long long)end >> 10,
		    (unsigned long long)(l->low_memory + l->high_memory) >> 10);
	p->initrd = (top - vm->initrd.size) & ~PAGE_OFFSET_MASK;
	return 0;
}

static int check_cmdline(const struct vm_config *vm, struct linux_plan *p)
{
	size_t len = strlen(vm->kernel.args);
	size_t max = p->hdr.cmdline_size < CMDLINE_AREA - 1 ? p->hdr.cmdline_size : CMDLINE_AREA - 1;

	if (len > max)
		return refuse(-E2BIG, vm, "command line of %zu characters; the kernel takes %zu", len, max);
	p->cmdline_size = len + 1;
	return 0;
}

static void fill_e820(struct boot_params *bp, const struct guest_layout *l)
{
	struct guest_range map[GUEST_RANGES_MAX];
	unsigned int n = guest_layout_map(l, map);

	for (unsigned int i = 0; i < n; i++)
		bp->e820_table[i] = (struct boot_e820_entry){map[i].base, map[i].size, map[i].type};
	bp->e820_entries = (uint8_t)n;
}

static int write_boot_params(struct guest_mem *m, const struct guest_layout *l, const struct vm_config *vm,
                             const struct linux_plan *p, gpa_t rsdp)
{
	struct boot_params bp;

	_Static_assert(sizeof(bp) == PAGE_SIZE, "the protocol's zero page is one page");
	memset(&bp, 0, sizeof(bp));
	memcpy(&bp.hdr, &p->hdr, p->header_size);
	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.loadflags &= (uint8_t)~CAN_USE_HEAP;
	bp.hdr.cmd_line_ptr = CMDLINE_BASE;
	bp.hdr.code32_start = (uint32_t)p->load;
	bp.hdr.ramdisk_image = (uint32_t)p->initrd;
	bp.hdr.ramdisk_size = p->initrd ? (uint32_t)vm->initrd.size : 0;
	bp.hdr.setup_data = 0;
	if (p->hdr.version >= PROTOCOL_ACPI_RSDP)
		bp.acpi_rsdp_addr = rsdp.v;
	fill_e820(&bp, l);
	return guest_write(m, gpa(BOOT_PARAMS_BASE), &bp, sizeof(bp), BY(LOADER));
}

/* One table page at a time: PML4, PDPT, then one directory for each GiB. */
static int write_page_tables(struct guest_mem *m)
{
	uint64_t table[PAGE_SIZE / 8];
	gpa_t at = gpa(PAGE_TABLES_BASE);
	int err;

	memset(table, 0, sizeof(table));
	table[0] = (at.v + PAGE_SIZE) | PTE_P | PTE_RW;
	err = guest_write(m, at, table, sizeof(table), BY(LOADER));
	at = gpa_add(at, PAGE_SIZE);
	for (unsigned int i = 0; i < IDENTITY_DIRECTORIES; i++)
		table[i] = (at.v + (i + 1) * PAGE_SIZE) | PTE_P | PTE_RW;
	if (!err)
		err = guest_write(m, at, table, sizeof(table), BY(LOADER));
	for (uint64_t i = 0; !err && i < IDENTITY_DIRECTORIES; i++) {
		at = gpa_add(at, PAGE_SIZE);
		for (uint64_t j = 0; j < ARRAY_SIZE(table); j++)
			table[j] = (i * ARRAY_SIZE(table) + j) * LARGE_PAGE | PTE_P | PTE_RW | PTE_PS;
		err = guest_write(m, at, table, sizeof(table), BY(LOADER));
	}
	return err;
}

static int write_images(struct guest_mem *m, const struct vm_config *vm, const struct linux_plan *p)
{
	int err = guest_write(m, gpa(p->load), (const uint8_t *)vm->kernel.data + p->payload, p->payload_size,
	                      BY(LOADER));

	if (!err && p->initrd)
		err = guest_write(m, gpa(p->initrd), vm->initrd.data, vm->initrd.size, BY(LOADER));
	if (!err)
		err = guest_write(m, gpa(CMDLINE_BASE), vm->kernel.args, p->cmdline_size, BY(LOADER));
	return err;
}

/* Long mode over the 1:1 tables. */
static int enter_long_mode(struct guest_mem *m, struct guest_entry *e)
{
	e->regs.rip += ENTRY_64_OFFSET;
	e->cr0 |= X86_CR0_PG;
	e->cr3 = PAGE_TABLES_BASE;
	e->cr4 = X86_CR4_PAE;
	e->efer = EFER_LME | EFER_LMA;
	return write_page_tables(m);
}

/* Both entries ask for interrupts off, flat segments, and RSI at the boot
 * parameters; the 32-bit one for RBP, RDI and RBX of 0 too. */
static int write_entry(struct guest_mem *m, const struct linux_plan *p, struct guest_entry *e)
{
	uint64_t gdt[GUEST_GDT_ENTRIES];
	int err;

	memset(e, 0, sizeof(*e));
	e->regs.rip = p->load;
	e->regs.rflags = X86_EFLAGS_FIXED;
	e->regs.gpr[GPR_RSI] = BOOT_PARAMS_BASE;
	e->cr0 = X86_CR0_PE | X86_CR0_ET;
	if (p->entry_64 && (err = enter_long_mode(m, e)))
		return err;
	guest_entry_segments(e, BOOT_CS, BOOT_DS, p->entry_64);
	guest_entry_gdt(e, gdt);
	e->gdt = (struct descriptor_table){GDT_BASE, sizeof(gdt) - 1};
	return guest_write(m, gpa(GDT_BASE), gdt, sizeof(gdt), BY(LOADER));
}

int load_linux(struct guest_mem *m, const struct guest_layout *layout, const struct vm_config *vm, gpa_t rsdp,
               struct guest_entry *e)
{
	struct linux_plan p;
	int err;

	if ((err = check_header(vm, &p)) || (err = check_payload(vm, &p)) || (err = check_cmdline(vm, &p)) ||
	    (err = place_kernel(vm, layout, &p)) || (err = place_initrd(vm, layout, &p)))
		return err;
	if ((err = write_images(m, vm, &p)) || (err = write_boot_params(m, layout, vm, &p, rsdp)) ||
	    (err = write_entry(m, &p, e)))
		return refuse(err, vm, "guest memory cannot be written (error %d)", -err);
	return 0;
}
