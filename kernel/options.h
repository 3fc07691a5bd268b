/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hypervisor's own command line. Every option is one row of a table in
 * options.c, with the help that docs/configuration.md repeats. A mistake is
 * told by name and the start goes on with that option's default.
 */
#ifndef KERNEL_OPTIONS_H
#define KERNEL_OPTIONS_H

#include "lib/types.h"

struct options {
	bool noreboot;          /* after the last VM: wait on the console, no power-off */
	bool old_cpu;           /* use of VMX only what its first CPUs had */
	bool debug;             /* check invariants while running, and say more */
	uint16_t console_port;  /* I/O base of the UART, 0: no serial console */
	uint32_t console_baud;
	uint32_t shadow_pages;  /* quota of a VM that names none; 0: by its memory */
	uint32_t refused_exit;  /* basic VM-exit reason to be treated as unknown; OPTIONS_NO_EXIT: none */
};

#define OPTIONS_SHADOW_PAGES_DEFAULT 0 /* by the VM's memory: vm_shadow_pages() */
#define OPTIONS_NO_EXIT UINT32_MAX
#define OPTIONS_SHADOW_PAGES_MIN 64
#define OPTIONS_SHADOW_PAGES_MAX (1u << 20)

/* Sets every field of @o: from @cmdline (may be NULL) or to its default.
 * @file_name_first: the loader may have put the image's file name in front,
 * as QEMU does and GRUB does not. Returns the number of mistakes, each
 * logged. */
unsigned int options_parse(struct options *o, const char *cmdline, bool file_name_first);

/* Logs one line for each option. */
void options_log_help(void);

#endif
