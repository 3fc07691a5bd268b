// SPDX-License-Identifier: GPL-2.0-only
/* The shared serial line. A key a guest has no room for waits in @held. */
#include "kernel/console.h"
#include "kernel/serial.h"
#include "lib/log.h"

#define ESCAPE 0x01 /* Ctrl-A */
#define LINE_MAX 200
#define NOBODY VMS_MAX

struct line {
	struct vm *vm;
	char text[LINE_MAX]; /* of a VM that is not in front */
	unsigned int len;
};

static struct line lines[VMS_MAX];
static unsigned int front = NOBODY;
static bool escape, mid_line;
static int held = -1;

static void put(uint8_t c)
{
	mid_line = c != '\n' && (c != '\r' || mid_line);
	serial_put(c);
}

/* The log: starts on a line of its own. */
void log_sink(const char *text, size_t len)
{
	if (mid_line) {
		put('\r');
		put('\n');
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			put('\r');
		put((uint8_t)text[i]);
	}
}

static void flush_line(struct line *l)
{
	if (l->len)
		log_info("[%s] %.*s", l->vm->config->name, (int)l->len, l->text);
	l->len = 0;
}

static void to_front(unsigned int index)
{
	front = index;
	flush_line(&lines[index]);
}

static unsigned int next_vm(unsigned int from)
{
	for (unsigned int n = 1; n <= VMS_MAX; n++)
		if (lines[(from + n) % VMS_MAX].vm)
			return (from + n) % VMS_MAX;
	return NOBODY;
}

void console_attach(unsigned int index, struct vm *vm)
{
	lines[index] = (struct line){ .vm = vm };
	if (front == NOBODY)
		front = index;
}

void console_detach(unsigned int index)
{
	flush_line(&lines[index]);
	lines[index].vm = NULL;
	if (front != index)
		return;
	front = next_vm(index);
	if (front != NOBODY)
		to_front(front);
}

void console_put(unsigned int index, uint8_t byte)
{
	struct line *l = &lines[index];

	if (index == front) {
		put(byte);
	} else if (byte == '\n' || l->len == LINE_MAX) {
		flush_line(l);
	} else if (byte >= ' ') {
		l->text[l->len++] = (char)byte;
	}
}

/* False: the guest in front has no room. */
static bool type(uint8_t c)
{
	return front == NOBODY || platform_console_input(&lines[front].vm->platform, c) == 0;
}

static void snapshot(enum vm_snapshot_request what)
{
	if (front != NOBODY)
		vm_snapshot_ask(lines[front].vm, what);
}

static enum console_request command(uint8_t c)
{
	switch (c) {
	case 'x':
		return CONSOLE_QUIT;
	case 'n':
		if (front != NOBODY)
			to_front(next_vm(front));
		if (front != NOBODY)
			log_info("console of vm \"%s\"", lines[front].vm->config->name);
		break;
	case 'a':
		held = ESCAPE;
		break;
	case 'f':
		if (front != NOBODY)
			vm_guard_freeze_later(&lines[front].vm->guard);
		break;
	case 's':
		snapshot(VM_SNAPSHOT_TAKE);
		break;
	case 'r':
		snapshot(VM_SNAPSHOT_RESTORE);
		break;
	case 'R':
		snapshot(VM_SNAPSHOT_RESTORE_AND_LOOK);
		break;
	default:
		log_info("Ctrl-A f: freeze what freeze-later= names");
		log_info("Ctrl-A x: end all VMs and power off; n: next VM; a: a plain Ctrl-A");
		log_info("Ctrl-A s: snapshot of this VM; r: back to it; R: the same, and hash all memory");
	}
	return CONSOLE_NOTHING;
}

enum console_request console_poll(void)
{
	for (;;) {
		int c;

		if (held >= 0 && !type((uint8_t)held))
			return CONSOLE_NOTHING;
		held = -1;
		c = serial_get();
		if (c < 0)
			return CONSOLE_NOTHING;
		if (escape) {
			escape = false;
			if (command((uint8_t)c) == CONSOLE_QUIT)
				return CONSOLE_QUIT;
		} else if (c == ESCAPE) {
			escape = true;
		} else {
			held = c;
		}
	}
}
