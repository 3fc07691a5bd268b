// SPDX-License-Identifier: GPL-2.0-only
/* A triple fault: an exception with no interrupt table. The machine resets. */
#include "tests/guest/rt/rt.h"

void main(void)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = { 0, 0 };

	print("triple fault follows\n");
	asm volatile("lidt %0; ud2" : : "m"(none));
	print("FAIL still here\n");
	finish(1);
}
