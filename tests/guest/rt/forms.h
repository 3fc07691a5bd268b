/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways an instruction can change eight bytes of memory, one function for
 * each. They are used on page-table entries, where a hypervisor with shadow
 * page tables must see every one of them.
 */
#ifndef TESTS_GUEST_FORMS_H
#define TESTS_GUEST_FORMS_H

#include "tests/guest/rt/rt64.h"

#define FORM_WIDE 1u  /* writes up to 512 bytes before and after: p must be at FORM_SLOT of its page */
#define FORM_STACK 2u /* moves the stack there: no interrupts meanwhile */
#define FORM_IO 4u    /* string input from a port */
#define FORM_LOW 8u   /* its address has 32 bits */

/* FXSAVE puts XMM0 at byte 160 of its area: entry 20 of a page. */
#define FORM_SLOT 20

struct form {
	const char *name;
	unsigned int flags;
	/* *p is @old and becomes @new. */
	void (*write)(uint64_t *p, uint64_t old, uint64_t new);
	bool (*available)(void); /* NULL: always */
};

extern const struct form forms[];
extern const size_t form_count;

#endif
