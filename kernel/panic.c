// SPDX-License-Identifier: GPL-2.0-only
/* Assertions and panics end here. */
#include "kernel/panic.h"
#include "kernel/serial.h"
#include "lib/assert.h"
#include "lib/cpu_ops.h"
#include "lib/log.h"
#include "lib/types.h"

/* What -fstack-protector compares with; seeded in main(). */
uintptr_t __stack_chk_guard;
noreturn void __stack_chk_fail(void);

void panic_begin(void)
{
	interrupts_off();
	serial_set_polled();
}

void panic(const char *why)
{
	static bool again;

	panic_begin();
	if (again) /* the way out is broken too */
		for (;;)
			asm volatile("cli; hlt");
	again = true;
	log_error("the hypervisor stops: %s", why);
	serial_flush();
	for (;;)
		asm volatile("cli; hlt");
}

void assert_failed(const char *file, int line, const char *what)
{
	panic_begin();
	log_error("%s:%d: assertion failed: %s", file, line, what);
	panic("a failed assertion");
}

void __stack_chk_fail(void)
{
	panic("a stack overflow");
}
