// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/vm_config.h. */
#include "kernel/vm_config.h"
#include "guests/spoor_hypercall.h"
#include "kernel/guest_entry.h"
#include "kernel/options.h"
#include "kernel/words.h"
#include "lib/errno.h"
#include "lib/log.h"
#include <string.h>

#define WORD_MAX 128

enum module_kind { KIND_NONE, KIND_LINUX, KIND_MULTIBOOT, KIND_DISK, KIND_INITRD, KIND_MODULE };

#define WANT_KIND "(want linux, multiboot, disk, initrd or module)"

static const struct {
	const char *name;
	enum module_kind kind;
} kinds[] = {
    {"linux", KIND_LINUX},
    {"multiboot", KIND_MULTIBOOT},
    {"disk", KIND_DISK},
    {"initrd", KIND_INITRD},
    {"module", KIND_MODULE},
};

/* One module's string, taken apart. */
struct description {
	char name[VM_NAME_MAX + 1];
	char file[VM_FILE_MAX + 1];
	enum module_kind kind;
	uint64_t memory;       /* 0: not given */
	uint64_t shadow_pages; /* 0: not given */
	uint32_t calls;        /* 0: not given */
	uint64_t watches;      /* 0: not given */
	unsigned int track_modes;
	uint64_t track_period;
	struct vm_freeze freeze[VM_FREEZE_MAX];
	unsigned int freeze_count;
	bool entry_32;
	const char *args;
	const char *mistake; /* NULL: none; the first one found */
	char word[WORD_MAX]; /* the word that is wrong */
};

static bool is_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') && !(*s >= '0' && *s <= '9') &&
		    !strchr("_.-", *s))
			return false;
	return true;
}

/* Each set_ function returns NULL or what is wrong with @value. */
static const char *set_name(struct description *d, const char *value)
{
	if (d->name[0])
		return "name= is given twice";
	if (strlen(value) > VM_NAME_MAX)
		return "the name is longer than 31 characters";
	if (!is_name(value))
		return "a name is made of letters, digits, '_', '.' and '-'";
	memcpy(d->name, value, strlen(value) + 1);
	return NULL;
}

static const char *set_kind(struct description *d, const char *value)
{
	if (d->kind != KIND_NONE)
		return "kind= is given twice";
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(value, kinds[i].name) == 0)
			d->kind = kinds[i].kind;
	return d->kind == KIND_NONE ? "unknown kind " WANT_KIND : NULL;
}

static const char *set_memory(struct description *d, const char *value)
{
	struct guest_layout layout;

	if (d->memory)
		return "mem= is given twice";
	if (word_size(value, &d->memory))
		return "bad memory size (want for example mem=256M)";
	if (guest_layout_init(&layout, d->memory))
		return "memory must be whole 4 KiB pages, at least 2M and at most 512G";
	return NULL;
}

static const char *set_shadow(struct description *d, const char *value)
{
	if (d->shadow_pages)
		return "shadow= is given twice";
	if (word_number(value, &d->shadow_pages) || d->shadow_pages < OPTIONS_SHADOW_PAGES_MIN ||
	    d->shadow_pages > OPTIONS_SHADOW_PAGES_MAX)
		return "bad number of shadow pages (want 64 to 1048576)";
	return NULL;
}

static const struct {
	const char *name;
	uint32_t calls; /* SPOOR_MAY() bits */
} call_names[] = {
    {"track", SPOOR_MAY(SPOOR_CALL_TRACK) | SPOOR_MAY(SPOOR_CALL_UNTRACK) | SPOOR_MAY(SPOOR_CALL_EVENTS)},
    {"freeze", SPOOR_MAY(SPOOR_CALL_FREEZE) | SPOOR_MAY(SPOOR_CALL_EVENTS)},
    {"thaw", SPOOR_MAY(SPOOR_CALL_THAW)},
    {"who", SPOOR_MAY(SPOOR_CALL_WHO)},
};

/* The calls of the name that @s begins with, @len characters long; 0: there is no such name. */
static uint32_t calls_of(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(call_names); i++)
		if (strlen(call_names[i].name) == len && memcmp(s, call_names[i].name, len) == 0)
			return call_names[i].calls;
	return 0;
}

static const char *set_calls(struct description *d, const char *value)
{
	if (d->calls)
		return "calls= is given twice";
	for (const char *end; value; value = *end ? end + 1 : NULL) {
		uint32_t calls;

		for (end = value; *end && *end != ',';)
			end++;
		calls = calls_of(value, (size_t)(end - value));
		if (!calls)
			return "unknown call (want track, freeze, thaw and who, with commas between)";
		d->calls |= calls;
	}
	if (d->calls & SPOOR_MAY(SPOOR_CALL_THAW) && !(d->calls & SPOOR_MAY(SPOOR_CALL_FREEZE)))
		return "thaw without freeze";
	return d->calls == SPOOR_MAY(SPOOR_CALL_WHO) ? "who without track or freeze" : NULL;
}

static const char *set_watches(struct description *d, const char *value)
{
	if (d->watches)
		return "watches= is given twice";
	if (word_number(value, &d->watches) || d->watches < 1 || d->watches > VM_WATCHES_MAX)
		return "bad number of watches (want 1 to 256)";
	return NULL;
}

/* "rwx", or some of it, and a period: "rwx:100". */
static const char *set_track(struct description *d, const char *value)
{
	static const char want[] = "bad track= (want some of r, w and x, and perhaps :MILLISECONDS)";
	static const struct {
		char letter;
		unsigned int mode;
	} letters[] = {
	    {'r', PAGE_TRACK_R},
	    {'w', PAGE_TRACK_W},
	    {'x', PAGE_TRACK_X},
	};

	if (d->track_modes)
		return "track= is given twice";
	for (; *value && *value != ':'; value++) {
		unsigned int mode = 0;

		for (unsigned int i = 0; i < ARRAY_SIZE(letters); i++)
			if (*value == letters[i].letter)
				mode = letters[i].mode;
		if (!mode || (d->track_modes & mode))
			return want;
		d->track_modes |= mode;
	}
	if (*value && (word_number(value + 1, &d->track_period) || d->track_period < 1 ||
		       d->track_period > VM_TRACK_PERIOD_MAX))
		return want;
	return d->track_modes ? NULL : want;
}

/* Cuts the number in front of @end off *@s. */
static int number_before(const char **s, char end, uint64_t *v)
{
	char digits[24];
	size_t n = 0;

	while ((*s)[n] && (*s)[n] != end && n < sizeof(digits) - 1)
		n++;
	if ((*s)[n] != end)
		return -EINVAL;
	memcpy(digits, *s, n);
	digits[n] = 0;
	*s += n + 1;
	return word_size(digits, v);
}

/* BASE+LENGTH:RESPONSE */
static const char *add_freeze(struct description *d, const char *value, bool later)
{
	static const char want[] = "bad freeze= (want BASE+LENGTH:RESPONSE; report, gp, pf, skip or stop)";
	static const char *const responses[] = {
	    [GUARD_REPORT] = "report", [GUARD_DENY_PF] = "pf", [GUARD_DENY_GP] = "gp",
	    [GUARD_SKIP] = "skip",     [GUARD_STOP] = "stop",
	};
	struct vm_freeze *f = &d->freeze[d->freeze_count];

	if (d->freeze_count == VM_FREEZE_MAX)
		return "more than 8 ranges to freeze";
	if (number_before(&value, '+', &f->base) || number_before(&value, ':', &f->length) || !f->length)
		return want;
	for (unsigned int i = 0; i < ARRAY_SIZE(responses); i++) {
		if (strcmp(value, responses[i]) != 0)
			continue;
		f->response = (enum guard_response)i;
		f->later = later;
		d->freeze_count++;
		return NULL;
	}
	return want;
}

static const char *set_freeze(struct description *d, const char *value)
{
	return add_freeze(d, value, false);
}

static const char *set_freeze_later(struct description *d, const char *value)
{
	return add_freeze(d, value, true);
}

static const char *set_entry(struct description *d, const char *value)
{
	if (d->entry_32)
		return "entry= is given twice";
	if (strcmp(value, "32") != 0)
		return "the only entry to ask for is 32";
	d->entry_32 = true;
	return NULL;
}

static const char *set_file(struct description *d, const char *value)
{
	if (d->file[0])
		return "file= is given twice";
	if (strlen(value) > VM_FILE_MAX)
		return "the file name is longer than 63 characters";
	memcpy(d->file, value, strlen(value) + 1);
	return NULL;
}

static const struct {
	const char *name;
	const char *(*set)(struct description *d, const char *value);
} keys[] = {
    {"name", set_name},     {"kind", set_kind},   {"mem", set_memory},
    {"shadow", set_shadow}, {"entry", set_entry}, {"file", set_file},
    {"calls", set_calls},   {"watches", set_watches},
    {"track", set_track},   {"freeze", set_freeze}, {"freeze-later", set_freeze_later},
};

static const char *set_key(struct description *d, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = word_value(word, keys[i].name);

		if (value)
			return keys[i].set(d, value);
	}
	return "unknown key";
}

/* A loader that keeps the file name puts it in front: QEMU's -initrd does.
 * It becomes argv[0], and is cut if it is too long: nobody chose it here. */
static void keep_file_name(struct description *d, const char *word)
{
	size_t len = strlen(word);

	len = len > VM_FILE_MAX ? VM_FILE_MAX : len;
	memcpy(d->file, word, len);
	d->file[len] = 0;
}

static void note_mistake(struct description *d, const char *mistake, const char *word)
{
	if (!mistake || d->mistake)
		return;
	d->mistake = mistake;
	memcpy(d->word, word, strlen(word) + 1);
}

static void describe(struct description *d, const char *string)
{
	char word[WORD_MAX];
	enum word_result r;
	bool first = true;

	*d = (struct description){.args = ""};
	for (; (r = word_next(&string, word, sizeof(word))) != WORD_END; first = false) {
		if (strcmp(word, "--") == 0) {
			while (*string == ' ')
				string++;
			d->args = string;
			return;
		}
		if (r == WORD_OPEN_QUOTE)
			note_mistake(d, "the quote is not closed", word);
		else if (first && !strchr(word, '='))
			keep_file_name(d, word);
		else if (r == WORD_TOO_LONG)
			note_mistake(d, "the word is too long", word);
		else
			note_mistake(d, set_key(d, word), word);
	}
}

static struct vm_config *find_or_add(struct vm_configs *c, const char *name)
{
	struct vm_config *vm;

	for (unsigned int i = 0; i < c->count; i++)
		if (strcmp(c->vm[i].name, name) == 0)
			return &c->vm[i];
	if (c->count == VMS_MAX)
		return NULL;
	vm = &c->vm[c->count++];
	memcpy(vm->name, name, strlen(name) + 1);
	return vm;
}

static void set_image(struct vm_image *image, const struct boot_module *m, const struct description *d)
{
	image->data = m->data;
	image->size = m->size;
	image->args = d->args;
	memcpy(image->file, d->file, sizeof(image->file));
}

static bool is_kernel(enum module_kind kind)
{
	return kind == KIND_LINUX || kind == KIND_MULTIBOOT || kind == KIND_DISK;
}

static enum vm_kind vm_kind(enum module_kind kind)
{
	return kind == KIND_LINUX ? VM_LINUX : kind == KIND_MULTIBOOT ? VM_MULTIBOOT : VM_DISK;
}

/* The add_ functions return NULL or what is wrong. */
static const char *add_kernel(struct vm_config *vm, const struct boot_module *m, const struct description *d)
{
	if (vm->kernel.data)
		return "two kernels: the name is taken, or kind= of the second is wrong";
	if (m->size == 0 || !m->data)
		return d->kind == KIND_DISK ? "the disk image is empty" : "the kernel is empty";
	if (d->kind == KIND_DISK && d->args[0])
		return "a disk image takes no arguments: there is nobody to give them to";
	vm->kind = vm_kind(d->kind);
	vm->memory = d->memory ? d->memory : VM_MEMORY_DEFAULT;
	vm->shadow_pages = (uint32_t)d->shadow_pages;
	vm->freeze_count = d->freeze_count;
	memcpy(vm->freeze, d->freeze, sizeof(vm->freeze));
	vm->track_modes = d->track_modes;
	vm->track_period = (uint32_t)d->track_period;
	vm->entry_32 = d->entry_32;
	vm->calls = d->calls;
	if (d->calls)
		vm->watches = d->watches ? (uint32_t)d->watches : VM_WATCHES_DEFAULT;
	set_image(&vm->kernel, m, d);
	return NULL;
}

static const char *add_initrd(struct vm_config *vm, const struct boot_module *m, const struct description *d)
{
	if (vm->initrd.data)
		return "two initrds";
	if (m->size == 0 || !m->data)
		return "the initrd is empty";
	set_image(&vm->initrd, m, d);
	return NULL;
}

static const char *add_module(struct vm_config *vm, const struct boot_module *m, const struct description *d)
{
	if (vm->module_count == VM_MODULES_MAX)
		return "more than 16 modules";
	set_image(&vm->modules[vm->module_count++], m, d);
	return NULL;
}

static const char *add_image(struct vm_config *vm, const struct boot_module *m, const struct description *d)
{
	if (d->kind == KIND_NONE)
		return "kind= is missing " WANT_KIND;
	if (!is_kernel(d->kind) && (d->memory || d->shadow_pages))
		return "mem= and shadow= belong to the kernel's line";
	if (!is_kernel(d->kind) && (d->calls || d->watches))
		return "calls= and watches= belong to the kernel's line";
	if (d->watches && !d->calls)
		return "watches= without calls=";
	if (!is_kernel(d->kind) && d->track_modes)
		return "track= belongs to the kernel's line";
	if (!is_kernel(d->kind) && d->freeze_count)
		return "freeze= belongs to the kernel's line";
	if (d->entry_32 && d->kind != KIND_LINUX)
		return "entry= belongs to a Linux kernel's line";
	if (is_kernel(d->kind))
		return add_kernel(vm, m, d);
	return d->kind == KIND_INITRD ? add_initrd(vm, m, d) : add_module(vm, m, d);
}

static void read_module(struct vm_configs *c, const struct boot_module *m, unsigned int index)
{
	struct description d;
	struct vm_config *vm;
	const char *mistake;

	describe(&d, m->string ? m->string : "");
	if (!d.name[0]) {
		c->rejected++;
		if (d.mistake)
			log_error("boot module %u: \"%s\": %s; module ignored", index, d.word, d.mistake);
		else
			log_error("boot module %u has no name=; module ignored", index);
		return;
	}
	vm = find_or_add(c, d.name);
	if (!vm) {
		c->rejected++;
		log_error("vm \"%s\": more than %u VMs; module %u ignored", d.name, VMS_MAX, index);
		return;
	}
	if (d.mistake) {
		vm->broken = true;
		log_error("vm \"%s\": \"%s\": %s (boot module %u)", vm->name, d.word, d.mistake, index);
		return;
	}
	mistake = add_image(vm, m, &d);
	if (mistake) {
		vm->broken = true;
		log_error("vm \"%s\": %s (boot module %u)", vm->name, mistake, index);
	}
}

/* What can only be said when all modules are known. */
static const char *check_whole(const struct vm_config *vm)
{
	if (!vm->kernel.data && vm->initrd.data)
		return "has an initrd but no kernel";
	if (!vm->kernel.data)
		return "has modules but no kernel";
	if (vm->kind == VM_LINUX && vm->module_count)
		return "a Linux kernel takes an initrd, not modules";
	if (vm->kind == VM_MULTIBOOT && vm->initrd.data)
		return "a Multiboot kernel takes modules, not an initrd";
	if (vm->kind == VM_DISK && (vm->initrd.data || vm->module_count))
		return "a disk image takes no initrd and no modules";
	return NULL;
}

static void drop_broken(struct vm_configs *c)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < c->count; i++) {
		const char *mistake = c->vm[i].broken ? NULL : check_whole(&c->vm[i]);

		if (mistake)
			log_error("vm \"%s\": %s", c->vm[i].name, mistake);
		if (mistake || c->vm[i].broken) {
			log_error("vm \"%s\" is not started", c->vm[i].name);
			c->rejected++;
			continue;
		}
		if (kept != i)
			c->vm[kept] = c->vm[i];
		kept++;
	}
	c->count = kept;
}

void vm_config_read(struct vm_configs *c, const struct boot_module *modules, unsigned int count)
{
	memset(c, 0, sizeof(*c));
	for (unsigned int i = 0; i < count; i++)
		read_module(c, &modules[i], i);
	drop_broken(c);
}
