/*
 * imap_shared.c - the mailboxes that are open in this process.
 *
 * Sessions of one login that look at the same mailbox share its rows and its
 * watch. When the last one leaves the rows are kept for a while, the oldest
 * going first (imap.kept_mailboxes): the next SELECT asks what changed since,
 * and no more. A note of the store wakes one session in IDLE, which
 * asks; what it learns wakes the others.
 */
#include "imap/imap_shared.h"

#include <stdlib.h>

#include "base/map.h"
#include "imap/imap_command.h"
#include "imap/imap_notify.h"
#include "io/fiber.h"

/* A fiber that waits until another one has loaded the mailbox. */
struct waiter {
	struct fiber *fiber;
	bool done;
	struct waiter *next;
};

enum { LOAD_MS = 60000 };

static struct {
	struct map *all;		/* by key */
	struct map *watches;		/* by watch */
	uint64_t last_watch;
	struct imap_shared *oldest, *newest;	/* that nobody uses */
	size_t kept;			/* bytes in these */
} shared;

static struct span
watch_key(const uint64_t *watch)
{
	return span_of(watch, sizeof(*watch));
}

static uint32_t
most_messages(void)
{
	return (uint32_t)MIN(UINT32_MAX - 1,
	    imap_settings()->imap_max_mailbox_messages);
}

bool
imap_shared_behind(const struct imap_shared *sh)
{
	return sh->look || sh->noted > sh->model.modseq;
}

void
imap_look(struct imap_mailbox *box)
{
	box->shared->look = true;
}

uint32_t
imap_mailbox_rights(const struct imap_mailbox *box)
{
	return box->shared->rights;
}

/* RFC 4314 5.1.1: FLAGS and PERMANENTFLAGS are told anew. */
static void
note_rights(struct imap_shared *sh, uint32_t rights)
{
	if (sh->rights == rights)
		return;
	sh->rights = rights;
	for (struct imap_mailbox *b = sh->boxes; b != NULL; b = b->next)
		b->view.tell_keywords = true;
}

uint64_t
imap_mailbox_watch(const struct imap_mailbox *box)
{
	return box->shared->watch;
}

/* -- kept, and let go ---- */

static void
keep(struct imap_shared *sh)
{
	sh->older = shared.newest;
	sh->newer = NULL;
	if (shared.newest != NULL)
		shared.newest->newer = sh;
	else
		shared.oldest = sh;
	shared.newest = sh;
	shared.kept += imap_model_bytes(&sh->model);
}

static void
use_again(struct imap_shared *sh)
{
	if (sh->older != NULL)
		sh->older->newer = sh->newer;
	else
		shared.oldest = sh->newer;
	if (sh->newer != NULL)
		sh->newer->older = sh->older;
	else
		shared.newest = sh->older;
	sh->older = sh->newer = NULL;
	shared.kept -= imap_model_bytes(&sh->model);
}

static void
let_go(struct imap_shared *sh)
{
	must(sh->users == 0 && sh->boxes == NULL && sh->watch == 0);
	if (map_get(shared.all, text_span(&sh->key)) == sh)
		map_remove(shared.all, text_span(&sh->key));
	imap_model_free(&sh->model);
	text_free(&sh->key);
	free(sh);
}

static void
let_go_down_to(size_t bytes)
{
	while (shared.kept > bytes) {
		struct imap_shared *sh = shared.oldest;

		use_again(sh);
		let_go(sh);
	}
}

void
imap_shared_forget(void)
{
	while (shared.oldest != NULL) {
		struct imap_shared *sh = shared.oldest;

		use_again(sh);
		let_go(sh);
	}
}

/* Nobody opens it from now on; those who have it hear of it. */
static void
end_all(struct imap_shared *sh, const char *why)
{
	sh->ended = why;
	if (map_get(shared.all, text_span(&sh->key)) == sh)
		map_remove(shared.all, text_span(&sh->key));
	for (struct imap_mailbox *b = sh->boxes; b != NULL; b = b->next) {
		if (b != b->s->box)
			continue;
		b->s->bye = why;
		if (imap_listens(b->s))
			session_wake(b->s->io);
	}
}

/* -- found, or made ---- */

static struct imap_shared *
take(struct imap_session *s, uint64_t id)
{
	struct imap_shared *sh;
	struct text key = TEXT_INIT(0);

	if (shared.all == NULL) {
		shared.all = map_new();
		shared.watches = map_new();
	}
	text_add(&key, span_of(&id, sizeof(id)));
	text_str(&key, s->login);
	sh = map_get(shared.all, text_span(&key));
	if (sh == NULL) {
		sh = xcalloc(1, sizeof(*sh));
		sh->id = id;
		sh->key = key;
		map_put(shared.all, text_span(&key), sh);
	} else {
		if (sh->users == 0)
			use_again(sh);
		text_free(&key);
	}
	if (sh->users++ == 0) {
		sh->watch = ++shared.last_watch;
		map_put(shared.watches, watch_key(&sh->watch), sh);
	}
	return sh;
}

/* The store hears when nobody looks any more. */
static void
give_back(struct imap_shared *sh, const struct imap_session *s,
    struct arena *arena)
{
	struct mailbox_close_request request = { .grant = s->grant,
	    .mailbox = sh->id, .watch = sh->watch };
	struct mailbox_close_reply reply;

	if (--sh->users > 0)
		return;
	map_remove(shared.watches, watch_key(&sh->watch));
	sh->watch = 0;
	if (sh->loaded && sh->ended == NULL)
		keep(sh);
	else
		let_go(sh);
	let_go_down_to((size_t)imap_settings()->imap_kept_mailboxes);
	/* The watch ends with the link, should the store be away. */
	if (link_up(imap_store()))
		(void)!call_mailbox_close(imap_store(), arena, &request,
		    &reply);
}

static void
loaded(struct imap_shared *sh, bool well)
{
	sh->loading = false;
	sh->loaded = well;
	for (struct waiter *w = sh->waiting; w != NULL; w = w->next) {
		w->done = true;
		fiber_nudge(w->fiber);
	}
	sh->waiting = NULL;
}

/* Another one loads it. False: that took too long, or we shall end. */
static bool
wait_for_load(struct imap_shared *sh)
{
	struct waiter w = { .fiber = fiber_self(), .next = sh->waiting };
	struct waiter **at;

	sh->waiting = &w;
	if (fiber_wait_for(&w.done, clock_after(LOAD_MS)) == 1)
		return true;
	for (at = &sh->waiting; *at != NULL; at = &(*at)->next)
		if (*at == &w) {
			*at = w.next;
			break;
		}
	return false;
}

static void
load(struct imap_task *t, struct imap_shared *sh, bool claim_recent,
    uint32_t *recent_from, struct imap_reply *why)
{
	struct mailbox_open_request request = { .grant = t->s->grant,
	    .mailbox = sh->id, .watch = sh->watch,
	    .claim_recent = claim_recent };
	struct mailbox_open_reply reply;
	int status;

	sh->loading = true;
	if (call_mailbox_open(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		loaded(sh, false);
		return;
	}
	if (reply.result != RESULT_OK)
		*why = imap_refused(t, reply.result);
	else if ((status = imap_model_open(&sh->model, &reply,
	    most_messages())) != 1)
		*why = status == 0
		    ? imap_no("LIMIT", "The mailbox is too large")
		    : imap_no("SERVERBUG", "The mailbox is damaged");
	if (why->status != IMAP_OK)
		imap_model_free(&sh->model);
	*recent_from = reply.recent_from;
	sh->rights = reply.rights;
	blob_release(&reply.rows);
	loaded(sh, why->status == IMAP_OK);
}

/* -- up to date ---- */

static void
wake_those_with_news(struct imap_shared *sh, const struct imap_mailbox *but)
{
	for (struct imap_mailbox *b = sh->boxes; b != NULL; b = b->next)
		if (b != but && b == b->s->box && imap_listens(b->s) &&
		    imap_view_news(&b->view))
			session_wake(b->s->io);
}

static bool
apply(struct imap_shared *sh, struct imap_mailbox *box,
    const struct imap_changes *changes, const struct imap_expected *expected)
{
	if (sh->ended != NULL)
		return false;
	if (imap_model_apply(&sh->model, changes, most_messages(),
	    box == NULL ? NULL : &box->view, expected) == 1) {
		wake_those_with_news(sh, box);
		return true;
	}
	end_all(sh, "The mailbox cannot be followed any more");
	return false;
}

bool
imap_apply_expected(struct imap_mailbox *box,
    const struct imap_changes *changes, const struct imap_expected *expected)
{
	return apply(box->shared, box, changes, expected);
}

bool
imap_apply(struct imap_mailbox *box, const struct imap_changes *changes)
{
	return apply(box->shared, box, changes, NULL);
}

/* `box`: who gets what is \Recent; NULL: it is not open yet, *recent_from. */
static enum result
ask(struct imap_shared *sh, struct imap_session *s, struct imap_mailbox *box,
    bool claim_recent, uint32_t *recent_from, struct arena *arena)
{
	struct mailbox_changes_request request = { .grant = s->grant,
	    .mailbox = sh->id, .watch = sh->watch,
	    .since = sh->model.modseq, .claim_recent = claim_recent };
	struct mailbox_changes_reply reply;
	struct imap_changes changes;
	uint64_t noted = sh->noted;

	sh->look = false;
	if (call_mailbox_changes(imap_store(), arena, &request, &reply) != 1) {
		sh->look = true;
		return RESULT_TEMPORARY;
	}
	if (reply.result == RESULT_OK) {
		/* Of a change that came to nothing. */
		if (sh->noted == noted)
			sh->noted = MIN(noted, reply.highestmodseq);
		*recent_from = reply.recent_from;
		note_rights(sh, reply.rights);
		changes = IMAP_CHANGES(reply);
		changes.since = request.since;
		apply(sh, box, &changes, NULL);
	}
	blob_release(&reply.rows);
	blob_release(&reply.vanished);
	return reply.result;
}

int
imap_refresh(struct imap_session *s, struct arena *arena)
{
	struct imap_mailbox *box = s->box;
	uint32_t recent_from;

	link_poll(imap_store());
	if (s->bye != NULL)
		return 0;
	if (!imap_shared_behind(box->shared))
		return 1;
	switch (ask(box->shared, s, box, !box->read_only &&
	    !box->view.no_recent, &recent_from, arena)) {
	case RESULT_OK:
		break;
	case RESULT_NOT_FOUND:
		end_all(box->shared, "The selected mailbox was deleted");
		break;
	case RESULT_FORBIDDEN:
		end_all(box->shared, "You may not read the mailbox any more");
		break;
	case RESULT_DENIED:
		s->bye = "The login holds no more";
		break;
	default:
		return -1;
	}
	return s->bye == NULL ? 1 : 0;
}

/* -- notes ---- */

/* One session in IDLE asks for all. */
static void
wake_one(struct imap_shared *sh)
{
	for (struct imap_mailbox *b = sh->boxes; b != NULL; b = b->next)
		if (b == b->s->box && imap_listens(b->s)) {
			session_wake(b->s->io);
			return;
		}
}

void
imap_note_changed(void *arg, const void *data)
{
	const struct mailbox_changed_note *note = data;
	struct imap_shared *sh;

	(void)arg;
	if (note->watch == 0) {		/* notes were lost */
		imap_store_attached();
		return;
	}
	if ((note->watch & IMAP_NOTIFY_WATCH) != 0) {
		imap_notify_mailbox_changed(note->watch);
		return;
	}
	if (shared.watches == NULL || (sh = map_get(shared.watches,
	    watch_key(&note->watch))) == NULL)
		return;
	sh->noted = MAX(sh->noted, note->modseq);
	if (imap_shared_behind(sh))
		wake_one(sh);
}

void
imap_shared_look(void)
{
	struct span key;
	size_t at = 0;
	void *sh;

	if (shared.all == NULL)
		return;
	while (map_next(shared.all, &at, &key, &sh))
		((struct imap_shared *)sh)->look =
		    ((struct imap_shared *)sh)->users > 0;
}

/* -- open and closed ---- */

/* Loaded by us or by another one, and up to date. */
static bool
bring(struct imap_task *t, struct imap_shared *sh, bool claim_recent,
    uint32_t *recent_from, struct imap_reply *why)
{
	enum result result;

	*why = imap_ok(NULL);
	while (sh->loading)
		if (!wait_for_load(sh)) {
			*why = imap_unavailable();
			return false;
		}
	if (!sh->loaded) {
		load(t, sh, claim_recent, recent_from, why);
		return why->status == IMAP_OK;
	}
	result = ask(sh, t->s, NULL, claim_recent, recent_from, t->arena);
	if (result == RESULT_NOT_FOUND)
		end_all(sh, "The selected mailbox was deleted");
	if (result != RESULT_OK)
		*why = imap_refused(t, result);
	else if (sh->ended != NULL)
		*why = imap_no("UNAVAILABLE", "Try again");
	return why->status == IMAP_OK;
}

bool
imap_mailbox_open(struct imap_task *t, uint64_t id, bool read_only,
    struct imap_mailbox **out, struct imap_reply *why)
{
	struct imap_shared *sh = take(t->s, id);
	struct imap_mailbox *box;
	bool recent = !imap_has(t->s, IMAP_REV2);
	uint32_t recent_from = UINT32_MAX;

	if (!bring(t, sh, !read_only && recent, &recent_from, why)) {
		give_back(sh, t->s, t->arena);
		return false;
	}
	box = xcalloc(1, sizeof(*box));
	box->s = t->s;
	box->id = id;
	box->read_only = read_only;
	box->shared = sh;
	box->next = sh->boxes;
	if (sh->boxes != NULL)
		sh->boxes->before = box;
	sh->boxes = box;
	imap_view_attach(&box->view, &sh->model, recent ? recent_from
	    : UINT32_MAX);
	box->view.no_recent = !recent;
	*out = box;
	return true;
}

void
imap_mailbox_close(struct imap_mailbox **boxp, struct arena *arena)
{
	struct imap_mailbox *box = *boxp;
	struct imap_shared *sh = box->shared;
	struct imap_session *s = box->s;

	*boxp = NULL;
	imap_view_detach(&box->view);
	if (box->before != NULL)
		box->before->next = box->next;
	else
		sh->boxes = box->next;
	if (box->next != NULL)
		box->next->before = box->before;
	free(box);
	/* Should it have been woken to ask: another one does. */
	if (imap_shared_behind(sh))
		wake_one(sh);
	give_back(sh, s, arena);
}
