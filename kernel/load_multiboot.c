// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/load_multiboot.h. Names of fields are the Multiboot specification's. */
#include "kernel/load_multiboot.h"
#include "lib/errno.h"
#include "lib/log.h"
#include <elf.h>
#include <string.h>

#define HEADER_SEARCH 8192u
#define HEADER_MAGIC 0x1BADB002u
#define LOADER_MAGIC 0x2BADB002u

#define HEADER_PAGE_ALIGN (1u << 0)
#define HEADER_MEMORY_INFO (1u << 1)
#define HEADER_VIDEO_MODE (1u << 2)
#define HEADER_REQUIRED 0xFFFFu /* the kernel cannot do without these */
#define HEADER_ADDRESSES (1u << 16)

#define INFO_MEMORY (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODS (1u << 3)
#define INFO_MMAP (1u << 6)
#define INFO_LOADER_NAME (1u << 9)

#define INFO_BASE 0x9000u
#define LOADER_NAME "Spoor"

#define BOOT_CS 0x08
#define BOOT_DS 0x10

#define SEGMENTS_MAX 32u

struct mb_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; /* HEADER_ADDRESSES */
};

#define HEADER_SHORT 12u /* without the address fields */

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name,
	    apm_table;
};

struct mb_mmap {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} PACKED;

struct mb_module {
	uint32_t start, end, string, reserved;
};

/* A piece of the kernel: file bytes, then zeros up to @mem_size. */
struct piece {
	uint64_t offset, file_size;
	uint64_t base, mem_size;
};

/* What the checks worked out, for the writes that follow. */
struct mb_plan {
	struct mb_header hdr;
	uint64_t header_offset;
	struct piece piece[SEGMENTS_MAX];
	unsigned int pieces;
	uint64_t entry;
	uint64_t module[VM_MODULES_MAX];
	uint64_t end;  /* of the kernel and modules, page-aligned, 1 MiB at least */
	uint64_t info; /* where the boot information goes */
	uint64_t info_size;
};

#define refuse(err, vm, fmt, ...) (log_error("vm \"%s\": " fmt, (vm)->name, ##__VA_ARGS__), (err))
#define ull(v) ((unsigned long long)(v))

static uint64_t page_up(uint64_t v)
{
	return (v + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;
}

/* ---- the header ---------------------------------------------------------- */

static int find_header(const struct vm_config *vm, struct mb_plan *p)
{
	const uint8_t *image = vm->kernel.data;
	uint64_t limit = vm->kernel.size < HEADER_SEARCH ? vm->kernel.size : HEADER_SEARCH;

	for (uint64_t at = 0; at + HEADER_SHORT <= limit; at += 4) {
		memset(&p->hdr, 0, sizeof(p->hdr));
		memcpy(&p->hdr, image + at, HEADER_SHORT);
		if (p->hdr.magic != HEADER_MAGIC || p->hdr.magic + p->hdr.flags + p->hdr.checksum != 0)
			continue;
		p->header_offset = at;
		if (p->hdr.flags & HEADER_ADDRESSES) {
			if (at + sizeof(p->hdr) > limit)
				return refuse(-ENOEXEC, vm,
				              "kernel is truncated: Multiboot header at 0x%llx is cut",
				              ull(at));
			memcpy(&p->hdr, image + at, sizeof(p->hdr));
		}
		return 0;
	}
	return refuse(-ENOEXEC, vm, "kernel has no Multiboot header in its first %u bytes", HEADER_SEARCH);
}

static int check_flags(const struct vm_config *vm, const struct mb_plan *p)
{
	uint32_t unknown =
	    p->hdr.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | HEADER_VIDEO_MODE);

	if (unknown)
		return refuse(-ENOEXEC, vm, "kernel requires unknown Multiboot features: flags 0x%x",
		              unknown);
	if (p->hdr.flags & HEADER_VIDEO_MODE)
		log_info("vm \"%s\": kernel asks for a video mode; there is none", vm->name);
	return 0;
}

/* ---- the pieces ------------------------------------------------------------ */

static int add_piece(const struct vm_config *vm, const struct guest_layout *l, struct mb_plan *p,
                     const struct piece *new)
{
	uint64_t size = vm->kernel.size;

	if (new->file_size > new->mem_size)
		return refuse(-ENOEXEC, vm,
		              "kernel is damaged: segment at 0x%llx has more in the file than in memory",
		              ull(new->base));
	if (new->offset > size || new->file_size > size - new->offset)
		return refuse(
		    -ENOEXEC, vm,
		    "kernel is truncated: segment at 0x%llx needs file bytes 0x%llx+0x%llx of 0x%llx",
		    ull(new->base), ull(new->offset), ull(new->file_size), ull(size));
	if (new->base + new->mem_size < new->base)
		return refuse(-ENOEXEC, vm,
		              "kernel is damaged: segment at 0x%llx of 0x%llx bytes wraps around",
		              ull(new->base), ull(new->mem_size));
	if (new->base >= l->low_memory || !guest_layout_is_ram(l, new->base, new->mem_size))
		return refuse(
		    -ENOMEM, vm,
		    "kernel segment at 0x%llx of 0x%llx bytes is not in the VM's %llu KiB of memory",
		    ull(new->base), ull(new->mem_size), ull(l->low_memory + l->high_memory) >> 10);
	for (unsigned int i = 0; i < p->pieces; i++)
		if (new->base < p->piece[i].base + p->piece[i].mem_size &&
		    p->piece[i].base < new->base + new->mem_size)
			return refuse(-ENOEXEC, vm,
			              "kernel is damaged: segments at 0x%llx and 0x%llx overlap",
			              ull(p->piece[i].base), ull(new->base));
	if (p->pieces == SEGMENTS_MAX)
		return refuse(-ENOEXEC, vm, "kernel has more than %u segments", SEGMENTS_MAX);
	p->piece[p->pieces++] = *new;
	if (p->end < page_up(new->base + new->mem_size))
		p->end = page_up(new->base + new->mem_size);
	return 0;
}

/* No ELF needed: the header says where the file goes. */
static int plan_addresses(const struct vm_config *vm, const struct guest_layout *l, struct mb_plan *p)
{
	const struct mb_header *h = &p->hdr;
	struct piece piece = {.base = h->load_addr};

	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > p->header_offset)
		return refuse(-ENOEXEC, vm, "kernel is damaged: Multiboot header_addr 0x%x, load_addr 0x%x",
		              h->header_addr, h->load_addr);
	piece.offset = p->header_offset - (h->header_addr - h->load_addr);
	piece.file_size = vm->kernel.size - piece.offset;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr)
			return refuse(-ENOEXEC, vm,
			              "kernel is damaged: Multiboot load_end_addr 0x%x, load_addr 0x%x",
			              h->load_end_addr, h->load_addr);
		piece.file_size = h->load_end_addr - h->load_addr;
	}
	piece.mem_size = piece.file_size;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < h->load_addr || h->bss_end_addr - h->load_addr < piece.file_size)
			return refuse(-ENOEXEC, vm,
			              "kernel is damaged: Multiboot bss_end_addr 0x%x, load_addr 0x%x",
			              h->bss_end_addr, h->load_addr);
		piece.mem_size = h->bss_end_addr - h->load_addr;
	}
	p->entry = h->entry_addr;
	return add_piece(vm, l, p, &piece);
}

/* The fields in use of an ELF file header, whatever its class. */
struct elf_file {
	bool is64;
	uint16_t type, machine, phnum, phentsize;
	uint64_t phoff, entry;
};

static int read_elf_header(const struct vm_config *vm, struct elf_file *f)
{
	const uint8_t *image = vm->kernel.data;
	Elf32_Ehdr h32;
	Elf64_Ehdr h64;

	if (vm->kernel.size < sizeof(h64) || memcmp(image, ELFMAG, SELFMAG) != 0)
		return refuse(-ENOEXEC, vm, "kernel is not ELF, and its Multiboot header has no addresses");
	if (image[EI_DATA] != ELFDATA2LSB || (image[EI_CLASS] != ELFCLASS32 && image[EI_CLASS] != ELFCLASS64))
		return refuse(-ENOEXEC, vm, "kernel is ELF of an unknown class or byte order");
	f->is64 = image[EI_CLASS] == ELFCLASS64;
	memcpy(&h32, image, sizeof(h32));
	memcpy(&h64, image, sizeof(h64));
	f->type = h32.e_type;
	f->machine = h32.e_machine;
	f->phnum = f->is64 ? h64.e_phnum : h32.e_phnum;
	f->phentsize = f->is64 ? h64.e_phentsize : h32.e_phentsize;
	f->phoff = f->is64 ? h64.e_phoff : h32.e_phoff;
	f->entry = f->is64 ? h64.e_entry : h32.e_entry;
	return 0;
}

static int check_elf_header(const struct vm_config *vm, const struct elf_file *f)
{
	size_t entry_size = f->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	uint64_t size = vm->kernel.size;

	if (f->type != ET_EXEC || (f->machine != EM_386 && f->machine != EM_X86_64))
		return refuse(-ENOEXEC, vm, "kernel is not an x86 ELF executable (type %u, machine %u)",
		              f->type, f->machine);
	if (f->phentsize != entry_size)
		return refuse(-ENOEXEC, vm, "kernel is damaged: ELF program headers of %u bytes, not %zu",
		              f->phentsize, entry_size);
	if (f->phoff > size || (uint64_t)f->phnum * entry_size > size - f->phoff)
		return refuse(-ENOEXEC, vm,
		              "kernel is truncated: %u ELF program headers at 0x%llx, file of 0x%llx bytes",
		              f->phnum, ull(f->phoff), ull(size));
	if (f->entry > UINT32_MAX)
		return refuse(-ENOEXEC, vm, "kernel's entry 0x%llx is above 4 GiB", ull(f->entry));
	return 0;
}

/* Returns whether the program header asks for memory. */
static bool read_program_header(const uint8_t *at, bool is64, struct piece *piece)
{
	Elf32_Phdr p32;
	Elf64_Phdr p64;

	if (is64) {
		memcpy(&p64, at, sizeof(p64));
		*piece = (struct piece){p64.p_offset, p64.p_filesz, p64.p_paddr, p64.p_memsz};
		return p64.p_type == PT_LOAD && (p64.p_memsz || p64.p_filesz);
	}
	memcpy(&p32, at, sizeof(p32));
	*piece = (struct piece){p32.p_offset, p32.p_filesz, p32.p_paddr, p32.p_memsz};
	return p32.p_type == PT_LOAD && (p32.p_memsz || p32.p_filesz);
}

static int plan_elf(const struct vm_config *vm, const struct guest_layout *l, struct mb_plan *p)
{
	struct elf_file f;
	struct piece piece;
	int err;

	if ((err = read_elf_header(vm, &f)) || (err = check_elf_header(vm, &f)))
		return err;
	for (unsigned int i = 0; i < f.phnum; i++) {
		const uint8_t *at = (const uint8_t *)vm->kernel.data + f.phoff + (uint64_t)i * f.phentsize;

		if (!read_program_header(at, f.is64, &piece))
			continue;
		err = add_piece(vm, l, p, &piece);
		if (err)
			return err;
	}
	if (p->pieces == 0)
		return refuse(-ENOEXEC, vm, "kernel has nothing to load: no ELF segment");
	p->entry = f.entry;
	return 0;
}

/* ---- modules and boot information ------------------------------------------- */

static int place_modules(const struct vm_config *vm, const struct guest_layout *l, struct mb_plan *p)
{
	if (p->end < GUEST_HIGH_BASE)
		p->end = GUEST_HIGH_BASE;
	for (unsigned int i = 0; i < vm->module_count; i++) {
		uint64_t size = vm->modules[i].size;

		if (size > l->low_memory || p->end > l->low_memory - size)
			return refuse(-ENOMEM, vm,
			              "module %u of %llu KiB does not fit at 0x%llx in %llu KiB of memory", i,
			              ull(size) >> 10, ull(p->end), ull(l->low_memory) >> 10);
		p->module[i] = p->end;
		p->end = page_up(p->end + size);
	}
	return 0;
}

/* "file args", one blank between, without what is empty; with terminator. */
static size_t string_size(const char *file, const char *args)
{
	size_t f = strlen(file), a = strlen(args);

	return f + a + (f && a ? 1 : 0) + 1;
}

static uint64_t measure_info(const struct vm_config *vm)
{
	uint64_t size = GUEST_GDT_ENTRIES * sizeof(uint64_t) + sizeof(struct mb_info) +
	                GUEST_RANGES_MAX * sizeof(struct mb_mmap) +
	                vm->module_count * sizeof(struct mb_module) + sizeof(LOADER_NAME);

	size += string_size(vm_argv0(vm), vm->kernel.args);
	for (unsigned int i = 0; i < vm->module_count; i++)
		size += string_size(vm->modules[i].file, vm->modules[i].args);
	return size;
}

static bool hits_kernel(const struct mb_plan *p, uint64_t base, uint64_t size, uint64_t *next)
{
	for (unsigned int i = 0; i < p->pieces; i++) {
		const struct piece *k = &p->piece[i];

		if (base < k->base + k->mem_size && k->base < base + size) {
			*next = page_up(k->base + k->mem_size);
			return true;
		}
	}
	return false;
}

static int place_info(const struct vm_config *vm, const struct guest_layout *l, struct mb_plan *p)
{
	uint64_t base = INFO_BASE;

	p->info_size = measure_info(vm);
	/* Each hit moves past one piece, so this ends after p->pieces turns. */
	while (guest_layout_is_ram(l, base, p->info_size)) {
		if (!hits_kernel(p, base, p->info_size, &base)) {
			p->info = base;
			return 0;
		}
	}
	if (p->end >= l->low_memory || !guest_layout_is_ram(l, p->end, p->info_size))
		return refuse(-ENOMEM, vm, "boot information of %llu KiB does not fit in %llu KiB of memory",
		              ull(p->info_size) >> 10, ull(l->low_memory) >> 10);
	p->info = p->end;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

/* Writes one thing behind the other; after an error nothing more. */
struct info_writer {
	struct guest_mem *m;
	uint64_t at;
	int err;
};

static uint32_t put(struct info_writer *w, const void *data, size_t size)
{
	uint64_t at = w->at;

	if (!w->err && size)
		w->err = guest_write(w->m, gpa(at), data, size, BY(LOADER));
	w->at += size;
	return (uint32_t)at;
}

static uint32_t put_string(struct info_writer *w, const char *file, const char *args)
{
	uint32_t at = put(w, file, strlen(file));

	if (file[0] && args[0])
		put(w, " ", 1);
	put(w, args, strlen(args) + 1);
	return at;
}

static void put_mmap(struct info_writer *w, const struct guest_layout *l, struct mb_info *info)
{
	struct guest_range map[GUEST_RANGES_MAX];
	unsigned int n = guest_layout_map(l, map);

	info->mmap_addr = (uint32_t)w->at;
	info->mmap_length = n * (uint32_t)sizeof(struct mb_mmap);
	for (unsigned int i = 0; i < n; i++) {
		struct mb_mmap e = {sizeof(e) - sizeof(e.size), map[i].base, map[i].size, map[i].type};

		put(w, &e, sizeof(e));
	}
}

static void put_modules(struct info_writer *w, const struct vm_config *vm, const struct mb_plan *p,
                        struct mb_info *info)
{
	struct mb_module mod[VM_MODULES_MAX] = {0};

	for (unsigned int i = 0; i < vm->module_count; i++) {
		mod[i].start = (uint32_t)p->module[i];
		mod[i].end = (uint32_t)(p->module[i] + vm->modules[i].size);
		mod[i].string = put_string(w, vm->modules[i].file, vm->modules[i].args);
	}
	info->mods_count = vm->module_count;
	info->mods_addr = put(w, mod, vm->module_count * sizeof(mod[0]));
}

/* GDT, the information proper, then what it points to. */
static int write_info(struct guest_mem *m, const struct guest_layout *l, const struct vm_config *vm,
                      const struct mb_plan *p, struct guest_entry *e)
{
	struct info_writer w = {.m = m, .at = p->info};
	struct mb_info info = {.flags =
	                           INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER_NAME};
	uint64_t gdt[GUEST_GDT_ENTRIES], info_at;

	guest_entry_gdt(e, gdt);
	e->gdt = (struct descriptor_table){put(&w, gdt, sizeof(gdt)), sizeof(gdt) - 1};
	info_at = w.at;
	w.at += sizeof(info);
	info.mem_lower = (uint32_t)(GUEST_EBDA >> 10);
	info.mem_upper = (uint32_t)((l->low_memory - GUEST_HIGH_BASE) >> 10);
	put_mmap(&w, l, &info);
	put_modules(&w, vm, p, &info);
	info.cmdline = put_string(&w, vm_argv0(vm), vm->kernel.args);
	info.boot_loader_name = put(&w, LOADER_NAME, sizeof(LOADER_NAME));
	w.at = info_at;
	put(&w, &info, sizeof(info));
	e->regs.gpr[GPR_RBX] = info_at;
	return w.err;
}

static int write_zeros(struct guest_mem *m, uint64_t at, uint64_t size)
{
	static const uint8_t zeros[PAGE_SIZE];
	int err = 0;

	while (!err && size) {
		uint64_t n = size < sizeof(zeros) ? size : sizeof(zeros);

		err = guest_write(m, gpa(at), zeros, n, BY(LOADER));
		at += n;
		size -= n;
	}
	return err;
}

static int write_images(struct guest_mem *m, const struct vm_config *vm, const struct mb_plan *p)
{
	const uint8_t *image = vm->kernel.data;
	int err = 0;

	for (unsigned int i = 0; !err && i < p->pieces; i++) {
		const struct piece *k = &p->piece[i];

		if (k->file_size)
			err = guest_write(m, gpa(k->base), image + k->offset, k->file_size, BY(LOADER));
		if (!err)
			err = write_zeros(m, k->base + k->file_size, k->mem_size - k->file_size);
	}
	for (unsigned int i = 0; !err && i < vm->module_count; i++)
		if (vm->modules[i].size)
			err = guest_write(m, gpa(p->module[i]), vm->modules[i].data, vm->modules[i].size,
			                  BY(LOADER));
	return err;
}

static void fill_entry(const struct mb_plan *p, struct guest_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->regs.rip = p->entry;
	e->regs.rflags = X86_EFLAGS_FIXED;
	e->regs.gpr[GPR_RAX] = LOADER_MAGIC;
	e->cr0 = X86_CR0_PE | X86_CR0_ET;
	guest_entry_segments(e, BOOT_CS, BOOT_DS, false);
}

int load_multiboot(struct guest_mem *m, const struct guest_layout *layout, const struct vm_config *vm,
                   struct guest_entry *e)
{
	struct mb_plan p = {0};
	int err;

	if ((err = find_header(vm, &p)) || (err = check_flags(vm, &p)))
		return err;
	err = p.hdr.flags & HEADER_ADDRESSES ? plan_addresses(vm, layout, &p) : plan_elf(vm, layout, &p);
	if (err || (err = place_modules(vm, layout, &p)) || (err = place_info(vm, layout, &p)))
		return err;
	fill_entry(&p, e);
	if ((err = write_images(m, vm, &p)) || (err = write_info(m, layout, vm, &p, e)))
		return refuse(err, vm, "guest memory cannot be written (error %d)", -err);
	return 0;
}
