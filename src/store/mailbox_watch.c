/*
 * mailbox_watch.c - which sessions look at a mailbox.
 *
 * A watch is a few words: the mailbox itself need not be in memory. It is
 * told of every change beyond what it is known to know; that is a hint, sent
 * before the change may be durable: whoever asks then waits for the disk.
 */
#include "store/mailboxes.h"

#include <stdlib.h>

enum {
	WATCHES_MAX = 4000000,		/* of all sessions together */
	WATCHED_MAX = 65536,		/* of one mailbox */
};

struct watch {
	uint64_t link, id;
	uint64_t known;			/* modseq */
};

struct watched {
	struct watch *at;
	size_t n, room;
};

struct watches {
	pthread_mutex_t lock;
	struct map *mailboxes;		/* struct watched, by id */
	size_t count;
};

struct watches *
watches_new(void)
{
	struct watches *w = xcalloc(1, sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	w->mailboxes = map_new();
	return w;
}

static void
watched_free(struct watched *list)
{
	free(list->at);
	free(list);
}

void
watches_free(struct watches **wp)
{
	struct watches *w = *wp;
	struct span key;
	size_t at = 0;
	void *value;

	if (w == NULL)
		return;
	while (map_next(w->mailboxes, &at, &key, &value))
		watched_free(value);
	map_free(&w->mailboxes);
	pthread_mutex_destroy(&w->lock);
	free(w);
	*wp = NULL;
}

static struct span
key_of(const uint64_t *mailbox)
{
	return span_of(mailbox, sizeof(*mailbox));
}

static struct watch *
find(struct watched *list, uint64_t link, uint64_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i].link == link && list->at[i].id == id)
			return &list->at[i];
	return NULL;
}

static struct watched *
list_of(struct watches *w, uint64_t mailbox)
{
	struct watched *list = map_get(w->mailboxes, key_of(&mailbox));

	if (list == NULL) {
		list = xcalloc(1, sizeof(*list));
		map_put(w->mailboxes, key_of(&mailbox), list);
	}
	return list;
}

static void
append(struct watched *list, const struct watch *watch)
{
	if (list->n == list->room) {
		list->room = list->room == 0 ? 1 : list->room * 2;
		list->at = xrealloc(list->at, list->room * sizeof(*list->at));
	}
	list->at[list->n++] = *watch;
}

enum result
watches_add(struct watches *w, uint64_t mailbox, uint64_t link, uint64_t id,
    uint64_t known)
{
	struct watched *list;
	struct watch *watch;
	enum result result = RESULT_OK;

	pthread_mutex_lock(&w->lock);
	list = list_of(w, mailbox);
	watch = find(list, link, id);
	if (watch != NULL) {
		watch->known = known;
	} else if (w->count < WATCHES_MAX && list->n < WATCHED_MAX) {
		append(list, &(struct watch){ link, id, known });
		w->count++;
	} else {
		result = RESULT_LIMIT;
	}
	pthread_mutex_unlock(&w->lock);
	return result;
}

/* Remove those of the link, or only this one. Is the list empty now? */
static bool
drop(struct watches *w, struct watched *list, uint64_t link,
    const uint64_t *id)
{
	for (size_t i = 0; i < list->n;) {
		struct watch *watch = &list->at[i];

		if (watch->link == link && (id == NULL || watch->id == *id)) {
			*watch = list->at[--list->n];
			w->count--;
		} else {
			i++;
		}
	}
	return list->n == 0;
}

void
watches_remove(struct watches *w, uint64_t mailbox, uint64_t link,
    uint64_t id)
{
	struct watched *list;

	pthread_mutex_lock(&w->lock);
	list = map_get(w->mailboxes, key_of(&mailbox));
	if (list != NULL && drop(w, list, link, &id)) {
		map_remove(w->mailboxes, key_of(&mailbox));
		watched_free(list);
	}
	pthread_mutex_unlock(&w->lock);
}

void
watches_remove_link(struct watches *w, uint64_t link)
{
	struct span key;
	size_t at = 0;
	void *value;

	pthread_mutex_lock(&w->lock);
	while (map_next(w->mailboxes, &at, &key, &value)) {
		if (drop(w, value, link, NULL)) {
			map_remove(w->mailboxes, key);
			watched_free(value);
		}
	}
	pthread_mutex_unlock(&w->lock);
}

/* A copy of those to be told, so that nothing is sent under the lock. */
static size_t
behind(const struct mailbox *mb, uint64_t modseq, struct watch **out)
{
	struct watches *w = mb->owner->watches;
	uint64_t id = mailbox_id(mb);
	struct watched *list;
	size_t n = 0;

	pthread_mutex_lock(&w->lock);
	list = map_get(w->mailboxes, key_of(&id));
	if (list != NULL)
		*out = xmalloc(list->n * sizeof(**out));
	for (size_t i = 0; list != NULL && i < list->n; i++) {
		const struct watch *watch = &list->at[i];

		if (watch->known < modseq && (watch->id != mb->quiet_watch ||
		    watch->link != mb->quiet_link))
			(*out)[n++] = *watch;
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

void
watches_tell(struct mailbox *mb, uint64_t modseq)
{
	struct server *server = store_server(mb->owner->store);
	struct watch *list = NULL;
	size_t n;

	if (server == NULL)
		return;
	n = behind(mb, modseq, &list);
	for (size_t i = 0; i < n; i++)
		server_note_mailbox_changed(server, list[i].link,
		    &(struct mailbox_changed_note){
		    .watch = list[i].id, .modseq = modseq });
	free(list);
}

void
watch_by_answer(struct mailbox *mb, const struct caller *caller,
    uint64_t watch)
{
	mb->quiet_link = caller->link;
	mb->quiet_watch = watch;
}

size_t
watches_count(struct watches *w)
{
	size_t count;

	pthread_mutex_lock(&w->lock);
	count = w->count;
	pthread_mutex_unlock(&w->lock);
	return count;
}
