// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/options.h. */
#include "kernel/options.h"
#include "kernel/words.h"
#include "lib/errno.h"
#include "lib/log.h"

#define OPTION_WORD_MAX 80
#define UART_CLOCK_BAUD 115200u

struct option {
	const char *name;
	const char *argument; /* NULL: a flag */
	const char *help;
	/* 0, or -EINVAL and nothing changed. @value is NULL for a flag. */
	int (*set)(struct options *o, const char *value);
};

static int set_noreboot(struct options *o, const char *value)
{
	o->noreboot = true;
	return 0;
}

static int set_debug(struct options *o, const char *value)
{
	o->debug = true;
	return 0;
}

static int set_old_cpu(struct options *o, const char *value)
{
	o->old_cpu = true;
	return 0;
}

static bool same(const char *a, const char *b)
{
	for (; *a && *a == *b; a++)
		b++;
	return *a == *b;
}

static int console_port(const char *name, uint16_t *port)
{
	static const struct {
		const char *name;
		uint16_t port;
	} ports[] = {{"com1", 0x3F8}, {"com2", 0x2F8}, {"com3", 0x3E8}, {"com4", 0x2E8}, {"none", 0}};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (same(name, ports[i].name)) {
			*port = ports[i].port;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_console(struct options *o, const char *value)
{
	char name[8];
	size_t len = 0;
	uint64_t baud = o->console_baud;
	uint16_t port;

	while (value[len] && value[len] != ',') {
		if (len + 1 == sizeof(name))
			return -EINVAL;
		name[len] = value[len];
		len++;
	}
	name[len] = 0;
	if (console_port(name, &port))
		return -EINVAL;
	if (value[len] == ',' && word_number(value + len + 1, &baud))
		return -EINVAL;
	if (baud == 0 || baud > UART_CLOCK_BAUD || UART_CLOCK_BAUD % baud)
		return -EINVAL;
	o->console_port = port;
	o->console_baud = (uint32_t)baud;
	return 0;
}

static int set_shadow(struct options *o, const char *value)
{
	uint64_t pages;

	if (word_number(value, &pages) || pages < OPTIONS_SHADOW_PAGES_MIN ||
	    pages > OPTIONS_SHADOW_PAGES_MAX)
		return -EINVAL;
	o->shadow_pages = (uint32_t)pages;
	return 0;
}

static int set_refused_exit(struct options *o, const char *value)
{
	uint64_t reason;

	if (word_number(value, &reason) || reason > UINT16_MAX)
		return -EINVAL;
	o->refused_exit = (uint32_t)reason;
	return 0;
}

static const struct option table[] = {
    {"noreboot", NULL, "when the last VM has stopped, wait on the console: no power-off", set_noreboot},
    {"debug", NULL, "check guest state before each entry and shadow tables at each end; slow", set_debug},
    {"console", "com1|com2|com3|com4|none[,BAUD]", "serial console, 115200 baud at most (com1,115200)",
     set_console},
    {"shadow", "PAGES", "shadow pages a VM may use at a time, 64 to 1048576 (one for 32 pages of its memory)", set_shadow},
    {"old-cpu", NULL, "use of VMX only what the first CPUs with it had: to try what newer ones do not need", set_old_cpu},
    {"refuse-exit", "REASON", "stop a VM on VM exits of this basic reason, as on an unknown one: a fault to try", set_refused_exit},
};

/* The row of @word, and its value when it has one. */
static const struct option *find(const char *word, const char **value)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		*value = word_value(word, table[i].name);
		if (*value || same(word, table[i].name))
			return &table[i];
	}
	return NULL;
}

static bool apply(struct options *o, const char *word)
{
	const char *value;
	const struct option *opt = find(word, &value);

	if (!opt) {
		log_error("unknown option \"%s\"", word);
		return false;
	}
	if (value && !opt->argument) {
		log_error("option \"%s\" takes no value: \"%s\"", opt->name, word);
		return false;
	}
	if ((!value && opt->argument) || opt->set(o, value)) {
		log_error("bad option \"%s\": want %s=%s", word, opt->name, opt->argument);
		return false;
	}
	return true;
}

/* QEMU's "-kernel build/spoor.elf" arrives as the first word. */
static bool is_file_name(const char *word, bool file_name_first)
{
	const char *value;

	if (find(word, &value))
		return false;
	for (const char *c = word; *c && *c != '='; c++)
		if (*c == '/')
			return true;
	return file_name_first;
}

unsigned int options_parse(struct options *o, const char *cmdline, bool file_name_first)
{
	char word[OPTION_WORD_MAX];
	unsigned int mistakes = 0;
	bool first = true;
	enum word_result r;

	*o = (struct options){
	    .console_port = 0x3F8,
	    .console_baud = UART_CLOCK_BAUD,
	    .shadow_pages = OPTIONS_SHADOW_PAGES_DEFAULT,
	    .refused_exit = OPTIONS_NO_EXIT,
	};
	if (!cmdline)
		return 0;
	for (; (r = word_next(&cmdline, word, sizeof(word))) != WORD_END; first = false) {
		if (first && is_file_name(word, file_name_first))
			continue;
		if (r == WORD_OPEN_QUOTE) {
			log_error("option \"%s\": the quote is not closed", word);
			mistakes++;
		} else if (r == WORD_TOO_LONG) {
			log_error("option \"%s...\" is too long", word);
			mistakes++;
		} else if (!apply(o, word)) {
			mistakes++;
		}
	}
	if (mistakes)
		options_log_help();
	return mistakes;
}

void options_log_help(void)
{
	log_info("options:");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		log_info("  %s%s%s: %s", table[i].name, table[i].argument ? "=" : "",
		         table[i].argument ? table[i].argument : "", table[i].help);
}
