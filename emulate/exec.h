/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the executor. A handler carries out one decoded instruction on
 * exec->regs, a copy; emul_step() makes it the guest's when the handler
 * returns EMUL_DONE. Until its last op that changes something has succeeded
 * a handler may return anything else, and nothing has happened.
 */
#ifndef EMULATE_EXEC_H
#define EMULATE_EXEC_H

#include "emulate/alu.h"
#include "emulate/decode.h"
#include "emulate/emulate.h"

struct exec {
	struct emul_ctxt *ctx;
	struct insn insn;
	struct cpu_regs regs; /* rip is at the instruction until the end */
	uint64_t next_rip;    /* where it goes on; branches change it */
	bool keeps_rf;        /* RF was loaded, and is not cleared at the end */
};

typedef enum emul_status (*exec_fn)(struct exec *x);

/* ---- access.c: registers, segments, memory -------------------------------- */

enum access { ACCESS_READ, ACCESS_WRITE };

/* A byte register 4-7 without REX is AH CH DH BH. A write of 4 bytes clears
 * the upper half, one of 1 or 2 leaves the rest. */
uint64_t reg_read(const struct exec *x, unsigned int reg, unsigned int size);
void reg_write(struct exec *x, unsigned int reg, unsigned int size, uint64_t v);

/* Offset within its segment of the ModRM or moffs operand. */
uint64_t effective_address(const struct exec *x);
/* Linear address of @len bytes at @offset, after segment and alignment checks. They are items of @element
 * bytes: @len, or a power of 2 that the CPU reaches them by. */
enum emul_status linear(struct exec *x, enum segment_register seg, uint64_t offset, unsigned int len,
			unsigned int element, enum access access, gva_t *addr) must_check;
/* The same for the instruction's memory operand. */
enum emul_status linear_operand(struct exec *x, unsigned int len, unsigned int element, enum access access,
				gva_t *addr) must_check;
/* A far pointer in memory: an offset as wide as the operand, then a selector. */
enum emul_status far_pointer_read(struct exec *x, uint64_t *pointer) must_check;

/* @size is 1 to 8. Little-endian, zero-extended. */
enum emul_status mem_read(struct exec *x, gva_t addr, unsigned int size, uint64_t *v) must_check;
enum emul_status mem_write(struct exec *x, gva_t addr, unsigned int size, uint64_t v) must_check;

/* Read or write any operand. Reading or writing memory is the caller's only
 * op, or the last one that changes anything. */
enum emul_status operand_read(struct exec *x, enum operand_kind kind, unsigned int size,
				uint64_t *v) must_check;
enum emul_status operand_write(struct exec *x, enum operand_kind kind, unsigned int size,
				uint64_t v) must_check;
/* Would the write succeed? */
enum emul_status operand_probe_write(struct exec *x, enum operand_kind kind, unsigned int size) must_check;
bool operand_is_mem(const struct exec *x, enum operand_kind kind);
/* Register number of a register operand. */
unsigned int operand_reg(const struct exec *x, enum operand_kind kind);

/* Push and pop of a segment register have it in the opcode. */
static inline enum segment_register insn_sreg(const struct insn *i)
{
	return (enum segment_register)((i->opcode >> 3) & 7);
}

/* A near transfer to @target, if it may be. */
enum emul_status jump_near(struct exec *x, uint64_t target) must_check;

/* ---- execute_stack.c: the stack -------------------------------------------- */

/* Bytes of the stack pointer. */
unsigned int rsp_width(struct exec *x);
/* Store @len bytes, made of elements of @element bytes, below the stack pointer
 * and move it there. */
enum emul_status rsp_push(struct exec *x, const void *bytes, unsigned int len,
			  unsigned int element) must_check;
/* Read @len bytes @offset bytes above the stack pointer, which stays. */
enum emul_status rsp_read(struct exec *x, unsigned int offset, void *bytes, unsigned int len,
			    unsigned int element) must_check;
void rsp_release(struct exec *x, uint64_t bytes);
/* In virtual-8086 mode PUSHF, POPF and IRET need an IOPL of 3, or CR4.VME and operands of 16 bits: #GP if
 * not. */
enum emul_status v86_needs_iopl(struct exec *x) must_check;
/* Is VIF what the program has for IF? In ring 3 below IOPL 3, by CR4.VME or CR4.PVI. */
bool has_virtual_if(const struct exec *x);
/* May POPF and IRET load @flags then? Not TF, nor IF while an interrupt waits: #GP. */
bool v86_may_load(const struct exec *x, uint64_t flags);
/* VIF, if there is one in virtual-8086 mode. */
void load_virtual_if(struct exec *x, bool set);
static inline unsigned int insn_iopl(const struct exec *x)
{
	return (x->regs.rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
}
/* What of RFLAGS POPF and IRET can change at this privilege. */
uint64_t loadable_flags(const struct exec *x);

enum emul_status raise_fault(struct exec *x, enum exception_vector vector);
enum emul_status raise_fault_code(struct exec *x, enum exception_vector vector, uint32_t error_code);

/* ---- the handlers ----------------------------------------------------------- */

/* execute.c */
enum emul_status exec_modify(struct exec *x);
enum emul_status exec_compare(struct exec *x);
enum emul_status exec_cmpxchg_pair(struct exec *x);
enum emul_status exec_imul(struct exec *x);
enum emul_status exec_multiply_acc(struct exec *x);
/* execute_acc.c */
enum emul_status exec_divide(struct exec *x);
enum emul_status exec_bit_scan(struct exec *x);
enum emul_status exec_bswap(struct exec *x);
enum emul_status exec_cbw(struct exec *x);
enum emul_status exec_cwd(struct exec *x);
enum emul_status exec_decimal(struct exec *x);
enum emul_status exec_lahf(struct exec *x);
enum emul_status exec_sahf(struct exec *x);
enum emul_status exec_flag(struct exec *x);
enum emul_status exec_salc(struct exec *x);
enum emul_status exec_bound(struct exec *x);
enum emul_status exec_ud(struct exec *x);
enum emul_status exec_nop(struct exec *x);
/* execute_move.c */
enum emul_status exec_mov(struct exec *x);
enum emul_status exec_movzx(struct exec *x);
enum emul_status exec_movsx(struct exec *x);
enum emul_status exec_movbe(struct exec *x);
enum emul_status exec_lea(struct exec *x);
enum emul_status exec_xlat(struct exec *x);
enum emul_status exec_setcc(struct exec *x);
enum emul_status exec_cmovcc(struct exec *x);
enum emul_status exec_mov_from_sreg(struct exec *x);
/* execute_stack.c */
enum emul_status exec_push(struct exec *x);
enum emul_status exec_pop(struct exec *x);
enum emul_status exec_push_sreg(struct exec *x);
enum emul_status exec_pushf(struct exec *x);
enum emul_status exec_popf(struct exec *x);
enum emul_status exec_pusha(struct exec *x);
enum emul_status exec_popa(struct exec *x);
enum emul_status exec_enter(struct exec *x);
enum emul_status exec_leave(struct exec *x);
/* execute_branch.c */
enum emul_status exec_call_rel(struct exec *x);
enum emul_status exec_call(struct exec *x);
enum emul_status exec_jmp_rel(struct exec *x);
enum emul_status exec_jmp(struct exec *x);
enum emul_status exec_jcc(struct exec *x);
enum emul_status exec_loop(struct exec *x);
enum emul_status exec_ret(struct exec *x);
/* execute_segment.c */
enum emul_status exec_mov_to_sreg(struct exec *x);
enum emul_status exec_pop_sreg(struct exec *x);
enum emul_status exec_load_pointer(struct exec *x);
enum emul_status exec_arpl(struct exec *x);
enum emul_status exec_verify(struct exec *x);
enum emul_status exec_load_rights(struct exec *x);
/* execute_far.c */
enum emul_status exec_far(struct exec *x);
enum emul_status exec_ret_far(struct exec *x);
enum emul_status exec_iret(struct exec *x);
enum emul_status exec_int(struct exec *x);
enum emul_status exec_int3(struct exec *x);
enum emul_status exec_int1(struct exec *x);
enum emul_status exec_into(struct exec *x);
/* execute_system.c */
enum emul_status exec_cli(struct exec *x);
enum emul_status exec_sti(struct exec *x);
enum emul_status exec_hlt(struct exec *x);
enum emul_status exec_wait(struct exec *x);
enum emul_status exec_load_table(struct exec *x);
enum emul_status exec_store_table(struct exec *x);
enum emul_status exec_load_system_segment(struct exec *x);
enum emul_status exec_store_system_segment(struct exec *x);
enum emul_status exec_smsw(struct exec *x);
enum emul_status exec_lmsw(struct exec *x);
enum emul_status exec_clts(struct exec *x);
enum emul_status exec_mov_from_cr(struct exec *x);
enum emul_status exec_mov_to_cr(struct exec *x);
enum emul_status exec_mov_from_dr(struct exec *x);
enum emul_status exec_mov_to_dr(struct exec *x);
enum emul_status exec_rdmsr(struct exec *x);
enum emul_status exec_wrmsr(struct exec *x);
enum emul_status exec_xcr(struct exec *x);
enum emul_status exec_rdtsc(struct exec *x);
enum emul_status exec_rdpmc(struct exec *x);
enum emul_status exec_cpuid(struct exec *x);
enum emul_status exec_invlpg(struct exec *x);
/* execute_vector.c */
enum emul_status exec_vector_load(struct exec *x);
enum emul_status exec_vector_load_half(struct exec *x);
enum emul_status exec_vector_store(struct exec *x);
/* execute_string.c */
enum emul_status exec_string(struct exec *x);
enum emul_status exec_in(struct exec *x);
enum emul_status exec_out(struct exec *x);

#endif
