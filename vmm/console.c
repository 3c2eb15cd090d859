/* SPDX-License-Identifier: MIT */
#include "vmm/console.h"

#include "memslot/error.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x01 /* ^A */

struct console {
	int out;
	int event;   /* eventfd: there is room, or `stop` was set */
	int quit;    /* eventfd: readable once the machine is to end */
	int signals; /* signalfd */
	_Atomic(bool) stop;
	_Atomic(int) signal; /* that ended the machine */
	bool raw;
	struct termios cooked;
	sigset_t old_mask;
	/* while started */
	struct vmm_machine *machine;
	pthread_t thread;
	/* of the thread */
	bool escaped; /* the last byte was ^A */
	bool input_ended;
	size_t held, held_len; /* input the guest had no room for */
	uint8_t buffer[256];
};

/* ---- output ----------------------------------------------------------------- */

/*
 * A reader who does not read must not make the program impossible to end, so
 * each write waits for room or for the end, whichever comes first. What poll
 * calls writable takes at least a few hundred bytes without blocking (POSIX:
 * PIPE_BUF for pipes).
 */
#define CHUNK 512u

void console_output(void *ctx, const void *bytes, size_t len)
{
	struct console *c = ctx;
	const uint8_t *p = bytes;

	while (len) {
		struct pollfd fds[] = {
			{.fd = c->out, .events = POLLOUT},
			{.fd = c->quit, .events = POLLIN},
		};
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (!fds[0].revents && fds[1].revents)
			return;
		if (!fds[0].revents)
			continue;
		n = write(c->out, p, len < CHUNK ? len : CHUNK);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return; /* a reader who has gone away */
		p += n;
		len -= (size_t)n;
	}
}

/* ---- input ------------------------------------------------------------------ */

static void nudge(int event)
{
	const uint64_t one = 1;
	ssize_t n = write(event, &one, sizeof(one));

	(void)n; /* fails only if it is readable already, which will do */
}

static void end_machine(struct console *c)
{
	nudge(c->quit);
	vmm_machine_stop(c->machine);
}

void console_room(void *ctx)
{
	struct console *c = ctx;

	nudge(c->event);
}

/* Take our ^A sequences out. Returns what is left for the guest. */
static size_t filter(struct console *c, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t b = c->buffer[i];

		if (!c->raw || (!c->escaped && b != ESCAPE)) {
			c->buffer[kept++] = b;
		} else if (!c->escaped) {
			c->escaped = true;
		} else {
			c->escaped = false;
			if (b == 'x')
				end_machine(c);
			else if (b == ESCAPE)
				c->buffer[kept++] = b;
		}
	}
	return kept;
}

static void push(struct console *c)
{
	size_t n =
		vmm_machine_input(c->machine, c->buffer + c->held, c->held_len);

	c->held += n;
	c->held_len -= n;
}

static void read_input(struct console *c)
{
	ssize_t n = read(STDIN_FILENO, c->buffer, sizeof(c->buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		c->input_ended = true;
		return;
	}
	c->held = 0;
	c->held_len = filter(c, (size_t)n);
	push(c);
}

static void read_signal(struct console *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return;
	atomic_store(&c->signal, (int)info.ssi_signo);
	end_machine(c);
}

static void read_event(struct console *c)
{
	uint64_t count;
	ssize_t n = read(c->event, &count, sizeof(count));

	(void)n;
	if (c->held_len)
		push(c);
}

static void *run(void *arg)
{
	struct console *c = arg;

	while (!atomic_load(&c->stop)) {
		bool want = !c->input_ended && !c->held_len;
		struct pollfd fds[] = {
			{.fd = c->event, .events = POLLIN},
			{.fd = c->signals, .events = POLLIN},
			{.fd = want ? STDIN_FILENO : -1, .events = POLLIN},
		};

		if (poll(fds, 3, vmm_machine_tick(c->machine)) < 0)
			continue;
		if (fds[0].revents)
			read_event(c);
		if (fds[1].revents)
			read_signal(c);
		if (fds[2].revents)
			read_input(c);
	}
	return NULL;
}

/* ---- life ------------------------------------------------------------------- */

static void make_raw(struct console *c)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &c->cooked))
		return;
	raw = c->cooked;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* our own messages want their CR */
	c->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

int console_create(
	bool to_stderr, struct console **out, struct memslot_error *err)
{
	struct console *c = calloc(1, sizeof(*c));
	sigset_t mask;

	if (!c)
		return memslot_fail(err, -ENOMEM, "no memory for a console");
	c->out = to_stderr ? STDERR_FILENO : STDOUT_FILENO;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	pthread_sigmask(SIG_BLOCK, &mask, &c->old_mask);
	if (c->event < 0 || c->quit < 0 || c->signals < 0) {
		int e = errno;

		console_destroy(c);
		return memslot_fail(err, -e, "the console cannot be set up: %s",
			strerror(e));
	}
	*out = c;
	return 0;
}

int console_start(struct console *c, struct vmm_machine *machine,
	struct memslot_error *err)
{
	int e;

	c->machine = machine;
	atomic_store(&c->stop, false);
	make_raw(c);
	e = pthread_create(&c->thread, NULL, run, c);
	if (!e)
		return 0;
	c->machine = NULL;
	console_stop(c);
	return memslot_fail(
		err, -e, "no thread for the console: %s", strerror(e));
}

void console_stop(struct console *c)
{
	if (c->machine) {
		atomic_store(&c->stop, true);
		nudge(c->event);
		pthread_join(c->thread, NULL);
		c->machine = NULL;
	}
	if (c->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &c->cooked);
	c->raw = false;
}

int console_signal(const struct console *c)
{
	return atomic_load(&c->signal);
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	console_stop(c);
	if (c->event >= 0)
		close(c->event);
	if (c->quit >= 0)
		close(c->quit);
	if (c->signals >= 0)
		close(c->signals);
	pthread_sigmask(SIG_SETMASK, &c->old_mask, NULL);
	free(c);
}
