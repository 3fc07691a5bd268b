// SPDX-License-Identifier: GPL-2.0-only
/*
 * Multiboot 1 and 2 information into struct boot_info. Every offset and
 * length in it is checked against what holds it before it is used; loops are
 * bounded by the size the loader gave, which is bounded by INFO_MAX.
 */
#include "boot/boot_info.h"
#include <string.h>
#include "lib/errno.h"
#include "lib/log.h"

#define INFO_MAX (1u << 20)
#define RAM_TYPE_AVAILABLE 1
#define PHYSICAL_END (1ull << 52) /* no x86 CPU has more address bits */

/* Multiboot 1 information: the fields in use, by flag bit. */
struct mb1_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
} PACKED;
#define MB1_HAS_CMDLINE (1u << 2)
#define MB1_HAS_MODULES (1u << 3)
#define MB1_HAS_MMAP (1u << 6)

struct mb1_module { uint32_t start, end, string, reserved; } PACKED;
struct mb1_range { uint32_t size; uint64_t base, length; uint32_t type; } PACKED;

struct mb2_info { uint32_t total_size, reserved; } PACKED;
struct mb2_tag { uint32_t type, size; } PACKED;
struct mb2_module { struct mb2_tag tag; uint32_t start, end; } PACKED; /* then the string */
struct mb2_mmap { struct mb2_tag tag; uint32_t entry_size, entry_version; } PACKED;
struct mb2_range { uint64_t base, length; uint32_t type, reserved; } PACKED;

enum { MB2_END = 0, MB2_CMDLINE = 1, MB2_MODULE = 3, MB2_MMAP = 6, MB2_RSDP_OLD = 14, MB2_RSDP_NEW = 15 };

static void complain(struct boot_info *b, const char *what)
{
	b->complaints++;
	log_error("boot information: %s left out", what);
}

static void copy_string(struct boot_info *b, char dst[BOOT_STRING_MAX], const char *src, size_t max)
{
	size_t n = 0;

	while (n < max && n < BOOT_STRING_MAX - 1 && src[n])
		n++;
	memcpy(dst, src, n);
	dst[n] = '\0';
	if (n < max && src[n])
		complain(b, "the end of an overlong string");
}

/* A string of unknown length: as much of it as memory gives. */
static void copy_string_at(struct boot_info *b, char dst[BOOT_STRING_MAX], uint64_t base,
			   const struct boot_memory *m)
{
	const char *c;
	size_t n = 0;

	while ((c = m->map(m->ctx, base + n, 1)) && *c && n < BOOT_STRING_MAX - 1)
		dst[n++] = *c;
	dst[n] = '\0';
	if (c && *c)
		complain(b, "the end of an overlong string");
}

/* Keeps ram[] ascending and disjoint: a new range swallows what it touches.
 * [base, end) lies below PHYSICAL_END. */
static void add_ram(struct boot_info *b, uint64_t base, uint64_t end)
{
	uint64_t first = (base + PAGE_SIZE - 1) & ~PAGE_OFFSET_MASK;
	unsigned int kept = 0, at = 0;

	end &= ~PAGE_OFFSET_MASK;
	if (first >= end)
		return;
	for (unsigned int i = 0; i < b->ram_count; i++) {
		struct boot_range r = b->ram[i];

		if (r.base + r.size < first || r.base > end) {
			b->ram[kept++] = r;
			continue;
		}
		first = r.base < first ? r.base : first;
		end = r.base + r.size > end ? r.base + r.size : end;
	}
	b->ram_count = kept;
	if (kept == BOOT_RANGES_MAX) {
		complain(b, "a memory range too many");
		return;
	}
	while (at < kept && b->ram[at].base < first)
		at++;
	memmove(&b->ram[at + 1], &b->ram[at], (kept - at) * sizeof(b->ram[0]));
	b->ram[at] = (struct boot_range){ first, end - first };
	b->ram_count++;
}

/* One entry of the loader's memory map. What is not usable is kept aside:
 * where entries overlap, it wins, whatever their order. */
static void add_range(struct boot_info *b, uint64_t base, uint64_t size, uint32_t type)
{
	if (!size)
		return;
	if (base + size - 1 < base) {
		complain(b, "a memory range that wraps around");
		return;
	}
	if (base >= PHYSICAL_END)
		return;
	if (size > PHYSICAL_END - base)
		size = PHYSICAL_END - base;
	if (type == RAM_TYPE_AVAILABLE)
		add_ram(b, base, base + size);
	else if (b->reserved_count < BOOT_RANGES_MAX)
		b->reserved[b->reserved_count++] = (struct boot_range){ base, size };
	else
		b->map_too_long = true;
}

int boot_ram_exclude(struct boot_info *b, uint64_t base, uint64_t size)
{
	uint64_t first = base & ~PAGE_OFFSET_MASK, end;

	if (!size || base >= PHYSICAL_END)
		return 0;
	end = size < PHYSICAL_END - base ? base + size : PHYSICAL_END;
	end = (end + PAGE_SIZE - 1) & ~PAGE_OFFSET_MASK;
	for (unsigned int i = 0; i < b->ram_count; i++) {
		struct boot_range *r = &b->ram[i];
		uint64_t r_end = r->base + r->size;

		if (r->base >= end || r_end <= first)
			continue;
		if (r->base < first && r_end > end) { /* a hole in the middle */
			if (b->ram_count == BOOT_RANGES_MAX)
				return -ENOSPC;
			memmove(r + 1, r, (b->ram_count - i) * sizeof(*r));
			b->ram_count++;
			r[0].size = first - r[0].base;
			r[1] = (struct boot_range){ end, r_end - end };
			return 0;
		}
		if (r->base < first) {
			r->size = first - r->base;
		} else if (r_end > end) {
			*r = (struct boot_range){ end, r_end - end };
		} else {
			memmove(r, r + 1, (b->ram_count - i - 1) * sizeof(*r));
			b->ram_count--;
			i--;
		}
	}
	return 0;
}

uint64_t boot_ram_total(const struct boot_info *b)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < b->ram_count; i++)
		total += b->ram[i].size;
	return total;
}

/* The new module's slot, its string still empty, or NULL. */
static struct boot_file *add_module(struct boot_info *b, uint64_t start, uint64_t end)
{
	struct boot_file *f = &b->modules[b->module_count];

	if (b->module_count == BOOT_MODULES_MAX) {
		complain(b, "a module too many");
		return NULL;
	}
	if (end < start) {
		complain(b, "a module that ends before it starts");
		return NULL;
	}
	for (unsigned int i = 0; i < b->module_count; i++) {
		const struct boot_file *o = &b->modules[i];

		if (start < o->start.v + o->size && o->start.v < end) {
			complain(b, "a module that overlaps another");
			return NULL;
		}
	}
	*f = (struct boot_file){ .start = hpa(start), .size = end - start };
	b->module_count++;
	return f;
}

static void mb1_modules(struct boot_info *b, const struct mb1_info *info, const struct boot_memory *m)
{
	for (uint32_t i = 0; i < info->mods_count && i < BOOT_MODULES_MAX; i++) {
		const struct mb1_module *p = m->map(m->ctx, info->mods_addr + (uint64_t)i * sizeof(*p), sizeof(*p));
		struct boot_file *f = p ? add_module(b, p->start, p->end) : NULL;

		if (f && p->string)
			copy_string_at(b, f->string, p->string, m);
	}
	if (info->mods_count > BOOT_MODULES_MAX)
		complain(b, "a module too many");
}

static void mb1_mmap(struct boot_info *b, const struct mb1_info *info, const struct boot_memory *m)
{
	uint64_t at = info->mmap_addr, end = at + (info->mmap_length < INFO_MAX ? info->mmap_length : INFO_MAX);

	while (at + sizeof(struct mb1_range) <= end) {
		const struct mb1_range *r = m->map(m->ctx, at, sizeof(*r));

		if (!r || r->size < sizeof(*r) - sizeof(r->size)) {
			complain(b, "the rest of the memory map");
			return;
		}
		add_range(b, r->base, r->length, r->type);
		at += (uint64_t)r->size + sizeof(r->size);
	}
}

static int parse_mb1(struct boot_info *b, uint32_t base, const struct boot_memory *m)
{
	const struct mb1_info *info = m->map(m->ctx, base, sizeof(*info));

	if (!info)
		return -EINVAL;
	b->multiboot1 = true;
	if (info->flags & MB1_HAS_CMDLINE)
		copy_string_at(b, b->command_line, info->cmdline, m);
	if (info->flags & MB1_HAS_MODULES)
		mb1_modules(b, info, m);
	if (!(info->flags & MB1_HAS_MMAP))
		return -EINVAL;
	mb1_mmap(b, info, m);
	return 0;
}

static void mb2_mmap(struct boot_info *b, const struct mb2_tag *tag)
{
	const struct mb2_mmap *map = (const void *)tag;
	uint32_t at = sizeof(*map);

	if (tag->size < sizeof(*map) || map->entry_size < sizeof(struct mb2_range)) {
		complain(b, "a damaged memory map");
		return;
	}
	while (at <= tag->size && tag->size - at >= sizeof(struct mb2_range)) {
		const struct mb2_range *r = (const void *)((const char *)tag + at);

		add_range(b, r->base, r->length, r->type);
		if (map->entry_size > tag->size - at)
			return;
		at += map->entry_size;
	}
}

static void mb2_module(struct boot_info *b, const struct mb2_tag *tag)
{
	const struct mb2_module *p = (const void *)tag;
	struct boot_file *f;

	if (tag->size < sizeof(*p)) {
		complain(b, "a damaged module entry");
		return;
	}
	f = add_module(b, p->start, p->end);
	if (f)
		copy_string(b, f->string, (const char *)(p + 1), tag->size - sizeof(*p));
}

static void mb2_rsdp(struct boot_info *b, const struct mb2_tag *tag)
{
	uint32_t size = tag->size - sizeof(*tag);

	/* The new root pointer wins, whichever comes first. */
	if (size < 20 || (tag->type == MB2_RSDP_OLD && b->rsdp_size > 20))
		return;
	b->rsdp_size = size < BOOT_RSDP_MAX ? size : BOOT_RSDP_MAX;
	memcpy(b->rsdp, tag + 1, b->rsdp_size);
}

static void mb2_tag(struct boot_info *b, const struct mb2_tag *tag)
{
	switch (tag->type) {
	case MB2_CMDLINE:
		copy_string(b, b->command_line, (const char *)(tag + 1), tag->size - sizeof(*tag));
		break;
	case MB2_MODULE:
		mb2_module(b, tag);
		break;
	case MB2_MMAP:
		mb2_mmap(b, tag);
		break;
	case MB2_RSDP_OLD:
	case MB2_RSDP_NEW:
		mb2_rsdp(b, tag);
		break;
	}
}

static int parse_mb2(struct boot_info *b, uint32_t base, const struct boot_memory *m)
{
	const struct mb2_info *info = m->map(m->ctx, base, sizeof(*info));
	uint32_t size, at = sizeof(*info);

	if (!info || info->total_size < sizeof(*info) || info->total_size > INFO_MAX)
		return -EINVAL;
	size = info->total_size;
	info = m->map(m->ctx, base, size);
	if (!info)
		return -EINVAL;
	while (size - at >= sizeof(struct mb2_tag)) {
		const struct mb2_tag *tag = (const void *)((const char *)info + at);

		if (tag->type == MB2_END)
			return 0;
		if (tag->size < sizeof(*tag) || tag->size > size - at) {
			complain(b, "a damaged tag and all behind it");
			return 0;
		}
		mb2_tag(b, tag);
		at += (tag->size + 7) & ~7u;
		if (at > size)
			break;
	}
	complain(b, "the missing end tag");
	return 0;
}

static bool in_ram(const struct boot_info *b, uint64_t base, uint64_t size)
{
	for (unsigned int i = 0; i < b->ram_count; i++)
		if (base >= b->ram[i].base && base - b->ram[i].base < b->ram[i].size &&
		    size <= b->ram[i].size - (base - b->ram[i].base))
			return true;
	return false;
}

/* Modules come before the memory map in the information, so their place is
 * judged last. */
static void drop_modules_outside_ram(struct boot_info *b)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->module_count; i++) {
		if (!in_ram(b, b->modules[i].start.v, b->modules[i].size)) {
			complain(b, "a module outside RAM");
			continue;
		}
		if (kept != i)
			b->modules[kept] = b->modules[i];
		kept++;
	}
	b->module_count = kept;
}

int boot_info_parse(struct boot_info *b, uint32_t magic, uint32_t base, const struct boot_memory *m)
{
	int err = -EINVAL;

	memset(b, 0, sizeof(*b));
	if (magic == BOOT_MAGIC_MULTIBOOT2)
		err = parse_mb2(b, base, m);
	else if (magic == BOOT_MAGIC_MULTIBOOT1)
		err = parse_mb1(b, base, m);
	if (err)
		return err;
	if (b->map_too_long)
		return -E2BIG; /* what did not fit may overlap usable memory */
	for (unsigned int i = 0; i < b->reserved_count; i++)
		if (boot_ram_exclude(b, b->reserved[i].base, b->reserved[i].size))
			return -E2BIG;
	drop_modules_outside_ram(b);
	return 0;
}
