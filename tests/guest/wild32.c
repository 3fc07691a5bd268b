// SPDX-License-Identifier: GPL-2.0-only
/*
 * A jump to where there is no memory. On a PC it reads as all ones, which is
 * no instruction: a triple fault, as there is no interrupt table. (QEMU's own
 * machine reads zeros there, and runs them for ever.)
 */
#include "tests/guest/rt/rt.h"

void main(void)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0" : : "m"(none));
	print("jump into nowhere follows\n");
	asm volatile("jmp *%0" : : "r"(0xD0000000u));
	print("FAIL still here\n");
	finish(1);
}
