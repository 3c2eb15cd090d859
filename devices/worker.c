/* SPDX-License-Identifier: MIT */
/*
 * worker.c - wait, work, wait
 *
 * `kicked` spares the system call of all kicks but the first of those that
 * one round of work answers. It is cleared before the work begins, so that a
 * kick during the work makes another round.
 */
#include "devices/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "memslot/error.h"

int worker_init(struct worker *w, const struct worker_ops *ops, void *ctx,
	struct memslot_error *err)
{
	*w = (struct worker){.ops = ops, .ctx = ctx};
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		return memslot_fail(err, -errno, "%s: no eventfd: %s",
			ops->name, strerror(errno));
	return 0;
}

void worker_fini(struct worker *w)
{
	worker_stop(w);
	if (w->event >= 0)
		close(w->event);
	w->event = -1;
}

void worker_kick(struct worker *w)
{
	const uint64_t one = 1;
	ssize_t n;

	if (atomic_exchange(&w->kicked, true))
		return;
	n = write(w->event, &one, sizeof(one));
	(void)n; /* fails only if it is readable already, which will do */
}

static void take_kick(struct worker *w)
{
	uint64_t count;
	ssize_t n = read(w->event, &count, sizeof(count));

	(void)n;
	atomic_store(&w->kicked, false);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct pollfd fds[1 + WORKER_FDS_MAX] = {
		{.fd = w->event, .events = POLLIN}};
	unsigned n = 0;

	for (;;) {
		take_kick(w);
		if (atomic_load(&w->stop))
			return NULL;
		w->ops->work(w->ctx, fds + 1, n);
		n = w->ops->wants ? w->ops->wants(w->ctx, fds + 1) : 0;
		while (poll(fds, 1 + n, -1) < 0 && errno == EINTR)
			;
	}
}

int worker_start(struct worker *w, struct memslot_error *err)
{
	sigset_t all, old;
	char name[16] = "";
	int e;

	atomic_store(&w->stop, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		return memslot_fail(err, -e, "%s: no thread: %s", w->ops->name,
			strerror(e));
	w->running = true;
	strncpy(name, w->ops->name, sizeof(name) - 1);
	pthread_setname_np(w->thread, name);
	return 0;
}

void worker_stop(struct worker *w)
{
	if (!w->running)
		return;
	atomic_store(&w->stop, true);
	worker_kick(w);
	pthread_join(w->thread, NULL);
	w->running = false;
}
