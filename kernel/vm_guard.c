// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/vm_guard.h. */
#include "kernel/vm_guard.h"
#include "lib/log.h"

/* Attempts that are told one by one. */
#define TOLD_MAX 16

static void report(struct integrity_guard *guard, struct guarded_range *r, const struct page_track_event *e)
{
	static const char *const agents[AGENTS] = {
		[AGENT_EMULATOR] = "the guest", [AGENT_GUEST] = "the guest",
		[AGENT_WALKER] = "a page walk",
		[AGENT_INJECTION] = "an event's delivery", [AGENT_DEVICE] = "a device",
		[AGENT_HYPERCALL] = "a hypercall", [AGENT_LOADER] = "the loader",
		[AGENT_DEBUGGER] = "a debugger",
	};
	struct vm_guard *g = container_of(guard, struct vm_guard, guard);
	bool happened = e->verdict == VERDICT_ALLOW || e->verdict == VERDICT_REPLACE;

	if (g->attempts++ < TOLD_MAX)
		log_info("vm \"%s\": frozen memory: %s writes %u bytes at 0x%llx, rip 0x%llx, cr3 0x%llx: %s",
			 g->config->name, agents[e->origin->agent], e->len, (unsigned long long)e->gpa.v,
			 (unsigned long long)e->origin->rip, (unsigned long long)e->origin->cr3,
			 happened ? "done" : "refused");
}

static int freeze(struct vm_guard *g, bool later)
{
	int err = 0;

	for (unsigned int i = 0; i < g->config->freeze_count && !err; i++) {
		const struct vm_freeze *f = &g->config->freeze[i];
		struct guarded_range *r = &g->range[i];

		if (f->later != later || r->len)
			continue;
		*r = (struct guarded_range){
			.gpa = gpa(f->base), .len = f->length, .response = f->response,
			.allowed = GUARD_ALLOWS(LOADER) | GUARD_ALLOWS(DEBUGGER),
		};
		err = integrity_guard_freeze(&g->guard, r, NULL);
		if (err)
			r->len = 0;
		else
			g->frozen++;
	}
	return err;
}

int vm_guard_init(struct vm_guard *g, struct page_track *pt, const struct vm_config *config)
{
	int err;

	*g = (struct vm_guard){
		.guard = { .watcher.tracker = { .name = "freeze=", .priority = 1 }, .report = report },
		.config = config,
	};
	err = integrity_guard_register(pt, &g->guard);
	if (!err)
		err = freeze(g, false);
	return err;
}

void vm_guard_freeze_later(struct vm_guard *g)
{
	unsigned int before = g->frozen;
	int err = freeze(g, true);

	log_info("vm \"%s\": %u ranges are frozen now, %u in all%s", g->config->name, g->frozen - before,
		 g->frozen, err ? "; one cannot be: it is not all memory, or there is none left here" : "");
}

void vm_guard_report(const struct vm_guard *g)
{
	if (g->config->freeze_count)
		log_info("vm \"%s\": frozen memory: %lu attempts to write to %u ranges", g->config->name,
			 (unsigned long)g->attempts, g->frozen);
}

void vm_guard_destroy(struct vm_guard *g)
{
	if (integrity_guard_destroy(&g->guard))
		return; /* it was not registered */
}
