// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivery of interrupts and exceptions in long mode: 16-byte gates, stacks
 * from the interrupt stack table, frames of 8-byte items on an address that is
 * a multiple of 16 (SDM vol. 3, "Exception and Interrupt Handling in 64-bit
 * Mode"; vol. 2, INT n has the order of the checks).
 *
 * Invariant: nothing is written before all that can fault was looked at.
 */
#include <string.h>
#include "emulate/segment.h"

#define GATE_BYTES 16u
#define GATE_TYPE_MASK 0x1fu /* with S */
#define GATE_INTERRUPT 14u
#define GATE_TRAP 15u
#define GATE_PRESENT 0x80u
#define GATE_IST 7u

#define ERROR_IDT 2u

#define CODE_MASK 0x18u /* S, and type: code */
#define CODE_CONFORMING 4u
#define CODE_PRESENT 0x80u

#define TSS_RSP0 4u /* RSP0 to RSP2, a reserved one, IST1 to IST7: 8 bytes each */
#define TSS_IST_SLOT 3u /* of IST n, beside n */

#define CR4_LA57 (1ull << 12)

#define STACK_ALIGNMENT 16u
#define ITEM_BYTES 8u
#define FRAME_MAX 6u

struct delivery64 {
	const struct emul_event *event;
	/* The gate. */
	uint8_t type;
	unsigned int ist;
	uint16_t selector;
	uint64_t rip;
	/* What is entered. */
	struct segment cs;
	unsigned int cpl;
	uint64_t rsp;
	/* What is pushed, lowest address first. */
	uint64_t frame[FRAME_MAX];
	unsigned int count;
};

static enum emul_status bad_gate(struct emul_ctxt *ctx, const struct delivery64 *d, enum exception_vector vector)
{
	return emul_raise(ctx, vector, d->event->vector * 8u + ERROR_IDT);
}

static enum emul_status read_gate(struct emul_ctxt *ctx, struct delivery64 *d)
{
	uint32_t offset = d->event->vector * GATE_BYTES;
	struct descriptor_table idt;
	enum emul_status status;
	uint64_t gate[2] = { 0 };
	uint8_t rights;

	ctx->system->get_table(ctx, EMUL_IDT, &idt);
	if (offset + GATE_BYTES - 1 > idt.limit)
		return bad_gate(ctx, d, EXC_GP);
	status = ctx->system->read(ctx, gva(idt.base + offset), gate, sizeof(gate));
	if (status != EMUL_DONE)
		return status;
	rights = (uint8_t)(gate[0] >> 40);
	d->type = rights & GATE_TYPE_MASK;
	d->ist = gate[0] >> 32 & GATE_IST;
	d->selector = (uint16_t)(gate[0] >> 16);
	d->rip = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
	if ((d->type != GATE_INTERRUPT && d->type != GATE_TRAP) ||
	    (d->event->software && SEGMENT_DPL(rights) < ctx->cpl))
		return bad_gate(ctx, d, EXC_GP);
	return rights & GATE_PRESENT ? EMUL_DONE : bad_gate(ctx, d, EXC_NP);
}

/* The code segment, and with it the privilege level of the handler. */
static enum emul_status check_code(struct emul_ctxt *ctx, struct delivery64 *d)
{
	uint64_t descriptor = 0;
	enum emul_status status = descriptor_read(ctx, d->selector, EXC_GP, &descriptor);
	uint32_t access;

	if (status != EMUL_DONE)
		return status;
	d->cs = descriptor_segment(d->selector, descriptor);
	access = d->cs.access;
	if ((access & CODE_MASK) != CODE_MASK || SEGMENT_DPL(access) > ctx->cpl ||
	    (access & (SEGMENT_L | SEGMENT_DB)) != SEGMENT_L)
		return emul_raise(ctx, EXC_GP, d->selector & ~3u);
	if (!(access & CODE_PRESENT))
		return emul_raise(ctx, EXC_NP, d->selector & ~3u);
	d->cpl = access & CODE_CONFORMING ? ctx->cpl : SEGMENT_DPL(access);
	d->cs.selector = (uint16_t)((d->selector & ~3u) | d->cpl);
	return EMUL_DONE;
}

static enum emul_status tss_stack(struct emul_ctxt *ctx, unsigned int slot, uint64_t *rsp)
{
	uint32_t offset = TSS_RSP0 + 8 * slot;
	struct segment tr;

	ctx->ops->segment(ctx, SEG_TR, &tr);
	if (offset + 7 > tr.limit)
		return emul_raise(ctx, EXC_TS, tr.selector & ~3u);
	return ctx->system->read(ctx, gva(tr.base + offset), rsp, sizeof(*rsp));
}

static bool is_canonical(const struct emul_ctxt *ctx, uint64_t a)
{
	unsigned int shift = ctx->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(a << shift) >> shift) == a;
}

/* Is the frame below rsp, and the handler, where addresses can be? */
static enum emul_status check_addresses(struct emul_ctxt *ctx, const struct delivery64 *d)
{
	uint64_t len = d->count * ITEM_BYTES;

	if (!is_canonical(ctx, d->rsp - len) || !is_canonical(ctx, d->rsp - 1))
		return emul_raise(ctx, EXC_SS, 0);
	return is_canonical(ctx, d->rip) ? EMUL_DONE : emul_raise(ctx, EXC_GP, 0);
}

static enum emul_status choose_stack(struct emul_ctxt *ctx, struct delivery64 *d)
{
	enum emul_status status = EMUL_DONE;

	d->rsp = ctx->regs.gpr[GPR_RSP];
	if (d->ist)
		status = tss_stack(ctx, TSS_IST_SLOT + d->ist, &d->rsp);
	else if (d->cpl < ctx->cpl)
		status = tss_stack(ctx, d->cpl, &d->rsp);
	d->rsp &= ~(uint64_t)(STACK_ALIGNMENT - 1);
	return status == EMUL_DONE ? check_addresses(ctx, d) : status;
}

static void make_frame(struct emul_ctxt *ctx, struct delivery64 *d)
{
	struct segment cs, ss;

	ctx->ops->segment(ctx, SEG_CS, &cs);
	ctx->ops->segment(ctx, SEG_SS, &ss);
	if (d->event->has_error_code)
		d->frame[d->count++] = d->event->error_code;
	d->frame[d->count++] = ctx->regs.rip;
	d->frame[d->count++] = cs.selector;
	d->frame[d->count++] = ctx->regs.rflags;
	d->frame[d->count++] = ctx->regs.gpr[GPR_RSP];
	d->frame[d->count++] = ss.selector;
}

static enum emul_status probe_item(struct emul_ctxt *ctx, const struct delivery64 *d, uint64_t addr)
{
	if (d->cpl == 3)
		return ctx->ops->probe_write(ctx, gva(addr), ITEM_BYTES);
	return ctx->system->probe_write(ctx, gva(addr), ITEM_BYTES);
}

/* The CPU pushes item by item, downwards: a fault is that of the first item on
 * a page that cannot be written. */
static enum emul_status probe_frame(struct emul_ctxt *ctx, const struct delivery64 *d)
{
	uint64_t border = (d->rsp - 1) & ~PAGE_OFFSET_MASK, bottom = d->rsp - d->count * ITEM_BYTES;
	enum emul_status status = probe_item(ctx, d, d->rsp - ITEM_BYTES);

	if (status == EMUL_DONE && bottom < border)
		status = probe_item(ctx, d, border - ITEM_BYTES);
	return status;
}

static enum emul_status push_frame(struct emul_ctxt *ctx, struct delivery64 *d)
{
	unsigned int len = d->count * ITEM_BYTES;

	d->rsp -= len;
	if (d->cpl == 3)
		return ctx->ops->write(ctx, gva(d->rsp), d->frame, len);
	return ctx->system->write(ctx, gva(d->rsp), d->frame, len);
}

/* An inner level starts with a null SS. */
static void enter_handler(struct emul_ctxt *ctx, const struct delivery64 *d)
{
	const struct segment null = { .selector = (uint16_t)d->cpl, .access = SEGMENT_UNUSABLE | d->cpl << 5 };
	uint64_t cleared = X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM;

	if (d->type == GATE_INTERRUPT)
		cleared |= X86_EFLAGS_IF;
	ctx->system->set_segment(ctx, SEG_CS, &d->cs);
	if (d->cpl < ctx->cpl)
		ctx->system->set_segment(ctx, SEG_SS, &null);
	ctx->regs.gpr[GPR_RSP] = d->rsp;
	ctx->regs.rip = d->rip;
	ctx->regs.rflags &= ~cleared;
	ctx->cpl = (uint8_t)d->cpl;
}

enum emul_status deliver_long(struct emul_ctxt *ctx, const struct emul_event *e)
{
	struct delivery64 d = { .event = e };
	enum emul_mode mode = ctx->mode;
	enum emul_status status;

	ctx->mode = EMUL_MODE_64; /* for the ops: addresses have 64 bits, also out of compatibility mode */
	status = read_gate(ctx, &d);
	if (status == EMUL_DONE)
		status = check_code(ctx, &d);
	if (status == EMUL_DONE) {
		make_frame(ctx, &d);
		status = choose_stack(ctx, &d);
	}
	if (status == EMUL_DONE)
		status = probe_frame(ctx, &d);
	if (status == EMUL_DONE)
		status = segment_touch(ctx, &d.cs);
	if (status == EMUL_DONE)
		status = push_frame(ctx, &d);
	if (status == EMUL_DONE)
		enter_handler(ctx, &d);
	else
		ctx->mode = mode;
	return status;
}
