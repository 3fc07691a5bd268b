/* SPDX-License-Identifier: GPL-2.0-only */
/* Takes the holes of struct vcpu, but for those of its MMU's part, out of a map of it. */
#ifndef TESTS_HOST_VCPU_HOLES_H
#define TESTS_HOST_VCPU_HOLES_H

void clear_vcpu_holes(void *map);

#endif
