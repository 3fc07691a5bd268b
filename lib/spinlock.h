/* SPDX-License-Identifier: GPL-2.0-only */
/* A test-and-set spin lock. Held with interrupts off in the hypervisor. */
#ifndef LIB_SPINLOCK_H
#define LIB_SPINLOCK_H

#include <stdbool.h>

struct spinlock { bool locked; };

static inline void spin_lock(struct spinlock *l)
{
	while (__atomic_test_and_set(&l->locked, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *l)
{
	__atomic_clear(&l->locked, __ATOMIC_RELEASE);
}

#endif
