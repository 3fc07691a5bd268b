/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One serial line shared by the hypervisor's log and the consoles of the VMs.
 * What is typed goes to the VM in front; what the others print comes line by
 * line with their name before it. Ctrl-A is for us:
 *
 *   Ctrl-A x   end all VMs and power off      Ctrl-A n   next VM to the front
 *   Ctrl-A h   help                           Ctrl-A a   a plain Ctrl-A
 *   Ctrl-A s   snapshot of the VM in front    Ctrl-A r   back to it, as often as one likes
 *                                             Ctrl-A R   the same, and hash all of its memory
 */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include "kernel/vm.h"
#include "lib/types.h"

enum console_request { CONSOLE_NOTHING, CONSOLE_QUIT };

void console_attach(unsigned int index, struct vm *vm);
void console_detach(unsigned int index);

/* A character of VM @index. */
void console_put(unsigned int index, uint8_t byte);

/* Handles what was typed. */
enum console_request console_poll(void);

#endif
