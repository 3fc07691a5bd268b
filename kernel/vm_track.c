// SPDX-License-Identifier: GPL-2.0-only
/* See kernel/vm_track.h. */
#include "kernel/vm_track.h"
#include "lib/alloc.h"
#include "lib/errno.h"
#include "lib/log.h"

static size_t touched_bytes(const struct vm_track *t)
{
	return t->touched_max * sizeof(t->touched[0]);
}

/* Until the period is over. Refused if it was done before, or if the page has gone meanwhile. */
static void let_go(struct vm_track *t, gfn_t gfn, enum page_track_mode mode)
{
	if (t->touched_count < t->touched_max &&
	    page_tracker_remove(&t->tracker, gfn, 1, PAGE_TRACK_BIT(mode), NULL) == 0)
		t->touched[t->touched_count++] = gfn.v * PAGE_TRACK_MODES + mode;
}

/* No opinion on anything: it is told after the access, and counts. */
static void count(struct page_tracker *tracker, const struct page_track_event *e)
{
	struct vm_track *t = container_of(tracker, struct vm_track, tracker);

	t->count[e->mode][e->origin->agent]++;
	if (!t->touched)
		return;
	let_go(t, gpa_to_gfn(e->gpa), e->mode);
	if (e->mode != PAGE_TRACK_READ)
		let_go(t, gpa_to_gfn(e->gpa), PAGE_TRACK_READ);
}

static const struct page_tracker_ops ops = { .after = count };

int vm_track_init(struct vm_track *t, struct page_track *pt, uint64_t npages, unsigned int modes,
		  uint64_t period, uint64_t now)
{
	int err;

	*t = (struct vm_track){
		.tracker = { .name = "track=", .priority = 100, .ops = &ops,
			     .follow = PAGE_TRACKER_FOLLOW_GFN },
		.modes = modes, .period = period, .rearm_at = now + period,
	};
	if (period) {
		t->touched_max = npages * PAGE_TRACK_MODES;
		t->touched = mem_zalloc(touched_bytes(t));
		if (!t->touched)
			return -ENOMEM;
	}
	err = page_tracker_register(pt, &t->tracker);
	if (!err)
		err = page_tracker_add_all(&t->tracker, modes, NULL, 0, NULL);
	if (err)
		vm_track_destroy(t);
	return err;
}

/* Memory that went and came again brought its count along. */
static void track_again(struct vm_track *t, gfn_t page, enum page_track_mode mode)
{
	if (page_tracker_count(&t->tracker, page, mode))
		return;
	if (page_tracker_add(&t->tracker, page, 1, PAGE_TRACK_BIT(mode), NULL))
		return; /* the page has gone meanwhile */
}

void vm_track_tick(struct vm_track *t, uint64_t now)
{
	if (!t->touched || now < t->rearm_at)
		return;
	t->rearm_at = now + t->period;
	while (t->touched_count) {
		uint64_t p = t->touched[--t->touched_count];

		track_again(t, gfn(p / PAGE_TRACK_MODES), (enum page_track_mode)(p % PAGE_TRACK_MODES));
	}
}

void vm_track_report(const struct vm_track *t, const char *name)
{
	static const char *const modes[] = {
		[PAGE_TRACK_WRITE] = "writes", [PAGE_TRACK_READ] = "reads", [PAGE_TRACK_EXEC] = "fetches",
	};

	for (unsigned int m = 0; m < PAGE_TRACK_MODES; m++)
		if (t->modes & PAGE_TRACK_BIT(m))
			log_info("vm \"%s\": tracked %s: %lu emulated, %lu native, %lu walks, "
				 "%lu deliveries, %lu others", name, modes[m],
				 (unsigned long)t->count[m][AGENT_EMULATOR],
				 (unsigned long)t->count[m][AGENT_GUEST],
				 (unsigned long)t->count[m][AGENT_WALKER],
				 (unsigned long)t->count[m][AGENT_INJECTION],
				 (unsigned long)(t->count[m][AGENT_DEVICE] + t->count[m][AGENT_HYPERCALL] +
						 t->count[m][AGENT_DEBUGGER]));
}

void vm_track_destroy(struct vm_track *t)
{
	mem_free(t->touched, touched_bytes(t));
	t->touched = NULL;
	if (page_tracker_destroy(&t->tracker))
		return; /* it was not registered */
}
