/*
 * test_mailbox_model.c - random work on three mailboxes against a model.
 *
 * Ten sessions see the mailboxes through the verbs open and changes alone;
 * whatever happens (folds, restarts, mailboxes leaving memory, a death at any
 * commit followed by the same call again), what they see must equal the
 * model: MODSEQ never goes back and a UID never changes its meaning.
 */
#include "store/test_mailboxes.h"

#include <stdio.h>
#include <stdlib.h>

enum { BOXES = 3, SESSIONS = 10, MESSAGES_MAX = 4000, WORDS = 6 };

struct model_message {
	uint32_t uid;
	uint64_t flags;			/* system */
	unsigned words;			/* keywords: bits of w0 to w5 */
	unsigned body;			/* number of its text */
	bool gone;
};

struct model_box {
	uint64_t id;
	uint32_t uidnext;
	struct model_message at[MESSAGES_MAX];
	size_t n;
};

struct session {
	size_t box;
	uint64_t modseq;
	struct message_row rows[MESSAGES_MAX];
	size_t n;
};

struct world {
	struct fixture f;
	struct model_box boxes[BOXES];
	struct session sessions[SESSIONS];
	uint64_t seed;
	unsigned bodies;
};

static uint32_t
draw(struct world *w, uint32_t below)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(w->seed >> 33) % below;
}

/* ---- the model ------------------------------------------------------- */

static void
model_add(struct model_box *box, uint64_t flags, unsigned words,
    unsigned body)
{
	assert_true(box->n < MESSAGES_MAX);
	box->at[box->n++] = (struct model_message){ .uid = box->uidnext++,
	    .flags = flags, .words = words, .body = body };
}

static unsigned
words_of(uint64_t flags, struct span keywords)
{
	struct span word;
	unsigned words = 0;

	for (int bit = FLAG_KEYWORD_0; (word = span_word(&keywords)).n > 0;
	    bit++)
		if (flags >> bit & 1)
			words |= 1u << (word.p[1] - '0');
	return words;
}

static void
text_of_words(unsigned words, char out[64])
{
	out[0] = '\0';
	for (int i = 0; i < WORDS; i++)
		if (words >> i & 1)
			sprintf(out + strlen(out), "w%d ", i);
}

/* ---- sessions -------------------------------------------------------- */

static struct message_row *
session_row(struct session *s, uint32_t uid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->rows[i].uid == uid)
			return &s->rows[i];
	return NULL;
}

static void
session_take(struct session *s, const struct got *got)
{
	assert_int_equal(got->result, RESULT_OK);
	assert_true(got->highestmodseq >= s->modseq);
	if (!got->complete)
		s->n = 0;
	for (size_t i = 0; i < got->n; i++) {
		struct message_row *row = session_row(s, got->rows[i].uid);

		assert_true(got->rows[i].modseq <= got->highestmodseq);
		assert_true(got->rows[i].modseq > s->modseq ||
		    !got->complete);
		if (row == NULL)
			row = &s->rows[s->n++];
		*row = got->rows[i];
	}
	for (size_t i = 0; i < s->n;) {
		if (uids_have(&got->vanished, s->rows[i].uid))
			s->rows[i] = s->rows[--s->n];
		else
			i++;
	}
	s->modseq = got->highestmodseq;
}

static void
session_compare(struct world *w, struct session *s, struct span keywords)
{
	struct model_box *box = &w->boxes[s->box];
	size_t n = 0;

	for (size_t i = 0; i < box->n; i++) {
		struct model_message *m = &box->at[i];
		struct message_row *row = session_row(s, m->uid);

		if (m->gone) {
			assert_null(row);
			continue;
		}
		assert_non_null(row);
		assert_int_equal(row->flags & FLAGS_SYSTEM, m->flags);
		assert_int_equal(words_of(row->flags, keywords), m->words);
		n++;
	}
	assert_int_equal(s->n, n);
}

static void
session_look(struct world *w, struct session *s)
{
	struct model_box *box = &w->boxes[s->box];
	struct got got;

	if (draw(w, 10) == 0) {		/* another mailbox, from the start */
		s->box = draw(w, BOXES);
		box = &w->boxes[s->box];
		s->n = s->modseq = 0;
		got = open_mailbox(&w->f, box->id, draw(w, 2) == 0);
		got.complete = 0;
	} else {
		got = changes(&w->f, box->id, s->modseq);
	}
	assert_int_equal(got.uidnext, box->uidnext);
	session_take(s, &got);
	session_compare(w, s, got.keywords);
	got_free(&got);
}

static void
look_at_a_body(struct world *w, struct model_box *box)
{
	struct model_message *m;
	char text[32];

	if (box->n == 0)
		return;
	m = &box->at[draw(w, (uint32_t)box->n)];
	snprintf(text, sizeof(text), "body %u", m->body);
	if (m->gone)
		assert_null(body_of(&w->f, box->id, m->uid));
	else
		assert_string_equal(body_of(&w->f, box->id, m->uid), text);
}

/* ---- work: made until it is answered, applied to the model once ------ */

static enum result
retried(struct world *w, enum result result, int *tries)
{
	if (result == RESULT_OK)
		return result;
	fixture_restart(&w->f);
	assert_int_equal(++*tries, 1);
	return RESULT_TEMPORARY;
}

static void
do_add(struct world *w, struct model_box *box)
{
	uint64_t flags = draw(w, 32);
	unsigned words = draw(w, 1 << WORDS), body = ++w->bodies;
	struct token token = token_new();
	char text[32], names[64];
	int tries = 0;
	uint32_t uid;

	snprintf(text, sizeof(text), "body %u", body);
	text_of_words(words, names);
	if (box == &w->boxes[0] && draw(w, 2) == 0) {
		while (retried(w, deliver(&w->f, ACCOUNT, &token, text),
		    &tries) != RESULT_OK)
			;
		if (draw(w, 3) > 0)
			mailbox_delivery_done(w->f.store.mailboxes, ACCOUNT,
			    &token);
		model_add(box, 0, 0, body);
		return;
	}
	while (retried(w, append(&w->f, box->id, text, flags, names, &token,
	    &uid), &tries) != RESULT_OK)
		;
	assert_int_equal(uid, box->uidnext);
	model_add(box, flags, words, body);
}

/* Some uids around a place, there or not. */
static const char *
draw_uids(struct world *w, const struct model_box *box, struct uids *u)
{
	uint32_t at = 1 + draw(w, box->uidnext);

	*u = (struct uids){ 0 };
	for (uint32_t i = 0; i < 1 + draw(w, 4); i++) {
		uint32_t last = at + draw(w, 6);

		uids_add(u, at, last);
		at = last + 1 + draw(w, 5);
	}
	return text_of(&w->f, u);
}

static void
do_flags(struct world *w, struct model_box *box)
{
	uint64_t flags = draw(w, 32);
	unsigned words = 1u << draw(w, WORDS);
	enum store_mode mode = draw(w, 3);
	struct uids uids;
	const char *text = draw_uids(w, box, &uids);
	char names[64];
	struct got got;
	int tries = 0;

	text_of_words(words, names);
	for (;;) {
		got = store_flags(&w->f, box->id, text, mode, flags, names,
		    UINT64_MAX, NULL);
		if (retried(w, got.result, &tries) == RESULT_OK)
			break;
	}
	got_free(&got);
	for (size_t i = 0; i < box->n; i++) {
		struct model_message *m = &box->at[i];

		if (!uids_have(&uids, m->uid))
			continue;
		if (mode == STORE_SET) {
			m->flags = flags;
			m->words = words;
		} else if (mode == STORE_ADD) {
			m->flags |= flags;
			m->words |= words;
		} else {
			m->flags &= ~flags;
			m->words &= ~words;
		}
	}
	uids_free(&uids);
}

static void
do_expunge(struct world *w, struct model_box *box)
{
	bool only_deleted = draw(w, 2) == 0;
	struct uids uids;
	const char *text = draw_uids(w, box, &uids);
	struct got got;
	int tries = 0;

	for (;;) {
		got = expunge(&w->f, box->id, text, only_deleted);
		if (retried(w, got.result, &tries) == RESULT_OK)
			break;
	}
	got_free(&got);
	for (size_t i = 0; i < box->n; i++)
		if (uids_have(&uids, box->at[i].uid) && (!only_deleted ||
		    (box->at[i].flags & FLAG_DELETED) != 0))
			box->at[i].gone = true;
	uids_free(&uids);
}

static void
do_copy(struct world *w, struct model_box *from, struct model_box *to)
{
	bool move = draw(w, 2) == 0;
	struct token token = token_new();
	struct uids uids;
	const char *text = draw_uids(w, from, &uids);
	struct copied copied;
	size_t n = from->n;
	uint64_t count = 0;
	int tries = 0;

	for (;;) {
		copied = copy(&w->f, from->id, text, to->id, move, &token);
		if (retried(w, copied.result, &tries) == RESULT_OK)
			break;
	}
	for (size_t i = 0; i < n; i++) {
		struct model_message *m = &from->at[i];

		if (m->gone || !uids_have(&uids, m->uid))
			continue;
		assert_true(uids_have(&copied.sources, m->uid));
		assert_true(uids_have(&copied.targets, to->uidnext));
		model_add(to, m->flags, m->words, m->body);
		count++;
		m->gone = move;
	}
	assert_int_equal(uids_count(&copied.targets), count);
	copied_free(&copied);
	uids_free(&uids);
}

static void
do_keeping(struct world *w)
{
	struct mailbox *mb;

	switch (draw(w, 4)) {
	case 0:
		fixture_restart(&w->f);
		break;
	case 1:
		mailboxes_maintain(w->f.store.mailboxes);
		break;
	case 2:
		assert_true(engine_collect(w->f.engine, draw(w, 2) == 0,
		    0) >= 0);
		break;
	default:
		if (mailbox_enter(w->f.store.mailboxes, ACCOUNT,
		    w->boxes[draw(w, BOXES)].id, &mb) == RESULT_OK) {
			mailbox_fold(mb);
			mailbox_leave(&mb);
		}
	}
}

static void
do_something(struct world *w, bool mortal)
{
	struct model_box *box = &w->boxes[draw(w, BOXES)];

	arena_reset(w->f.arena);
	if (mortal)
		fixture_die_after(&w->f, (long)draw(w, 6));
	switch (draw(w, 8)) {
	case 0:
	case 1:
		do_add(w, box);
		break;
	case 2:
	case 3:
		do_flags(w, box);
		break;
	case 4:
		do_expunge(w, box);
		break;
	case 5:
		do_copy(w, box, &w->boxes[draw(w, BOXES)]);
		break;
	default:
		if (!mortal || draw(w, 2) == 0)
			do_keeping(w);
	}
	if (mortal)
		fixture_restart(&w->f);
}

static void
run(uint64_t seed, int rounds, bool mortal, bool disk)
{
	struct world *w = xcalloc(1, sizeof(*w));
	static const char *const names[BOXES] = { "INBOX", "Sent", "Trash" };

	w->seed = seed;
	fixture_open(&w->f, disk);
	w->f.settings.store_tombstones = seed % 2 == 0 ? 10000 : 20;
	/* With next to no memory they are read anew each time. */
	if (seed % 3 == 0) {
		w->f.settings.store_mailbox_cache = 1;
		fixture_restart(&w->f);
	}
	for (size_t i = 0; i < BOXES; i++) {
		w->boxes[i].id = mailbox_named(&w->f, names[i]);
		w->boxes[i].uidnext = 1;
	}
	for (int i = 0; i < rounds; i++) {
		do_something(w, mortal && draw(w, 3) == 0);
		session_look(w, &w->sessions[draw(w, SESSIONS)]);
		look_at_a_body(w, &w->boxes[draw(w, BOXES)]);
	}
	for (size_t i = 0; i < SESSIONS; i++)
		session_look(w, &w->sessions[i]);
	check_clean(&w->f);
	fixture_close(&w->f);
	free(w);
}

static void
test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		run(seed, 1500, false, false);
}

static void
test_random_deaths(void **state)
{
	(void)state;
	for (uint64_t seed = 101; seed <= 108; seed++)
		run(seed, 1200, true, false);
}

static void
test_random_on_disk(void **state)
{
	(void)state;
	run(201, 500, false, true);
	run(202, 500, true, true);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_deaths),
		cmocka_unit_test(test_random_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
