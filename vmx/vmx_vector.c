/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's vector registers. They are in the CPU while the guest is loaded
 * (vmx.h), and the hypervisor, which uses none, reads and writes them there.
 * The guest's XCR0 is loaded too, so YMM registers exist where it enabled them.
 */
#include "vmx/vmx.h"

#define EACH_REGISTER(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)

#define READ_XMM(n) case n: asm volatile("movdqu %%xmm" #n ", (%0)" : : "r"(bytes) : "memory"); break;
#define READ_YMM(n) case n: asm volatile("vmovdqu %%ymm" #n ", (%0)" : : "r"(bytes) : "memory"); break;
#define WRITE_XMM(n) case n: asm volatile("movdqu (%0), %%xmm" #n : : "r"(bytes) : "memory"); break;
#define WRITE_YMM(n) case n: asm volatile("vmovdqu (%0), %%ymm" #n : : "r"(bytes) : "memory"); break;

void vmx_get_vector(struct vcpu *v, unsigned int number, uint8_t *bytes, unsigned int len)
{
	if (len == 32)
		switch (number) { EACH_REGISTER(READ_YMM) }
	else
		switch (number) { EACH_REGISTER(READ_XMM) }
}

void vmx_set_vector(struct vcpu *v, unsigned int number, const uint8_t *bytes, unsigned int len)
{
	if (len == 32)
		switch (number) { EACH_REGISTER(WRITE_YMM) }
	else
		switch (number) { EACH_REGISTER(WRITE_XMM) }
}
