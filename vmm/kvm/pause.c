/* SPDX-License-Identifier: MIT */
/*
 * pause.c - getting vCPUs out of the guest, and keeping them out
 *
 * A vCPU says that it is in the guest before it looks whether it may be; who
 * wants it out forbids it before looking where it is. Both by sequentially
 * consistent accesses, so that one of the two sees the other:
 *
 *   vCPU    clear immediate_exit, in_guest = true,    look at paused, stop
 *   pauser  paused++ (or stop), set immediate_exit,   look at in_guest
 *
 * If the pauser sees the vCPU in the guest it also sends a signal. The signal
 * may arrive between the vCPU's look and its KVM_RUN, and be spent there:
 * then immediate_exit, set before and not cleared since, makes KVM_RUN return
 * at once. If it arrives later it interrupts KVM_RUN. So no kick is lost, and
 * nobody polls. (api.rst 5, kvm_run: immediate_exit)
 *
 * The handler has nothing to do: that there is one makes the signal
 * interrupt a system call instead of ending the program.
 */
#include "vmm/kvm/internal.h"

#include <signal.h>

static void on_kick(int number)
{
	(void)number;
}

/* A handler somebody else has put there serves as well, and stays. */
static int install_handler(void)
{
	struct sigaction sa;

	if (sigaction(KVM_KICK_SIGNAL, NULL, &sa))
		return -errno;
	if ((sa.sa_flags & SA_SIGINFO) ||
		(sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN))
		return 0;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_kick;
	sigemptyset(&sa.sa_mask);
	return sigaction(KVM_KICK_SIGNAL, &sa, NULL) ? -errno : 0;
}

int pause_init(struct kvm *k, struct memslot_error *err)
{
	int r = install_handler();

	if (r)
		return memslot_fail(err, r,
			"KVM: cannot handle signal %d, which interrupts vCPUs "
			"(%d)",
			KVM_KICK_SIGNAL, r);
	pthread_mutex_init(&k->kick_lock, NULL);
	pthread_cond_init(&k->left, NULL);
	pthread_cond_init(&k->resumed, NULL);
	return 0;
}

void pause_fini(struct kvm *k)
{
	pthread_cond_destroy(&k->resumed);
	pthread_cond_destroy(&k->left);
	pthread_mutex_destroy(&k->kick_lock);
}

/* ---- the vCPU's side ---------------------------------------------------------- */

void pause_attach(struct vcpu *v)
{
	sigset_t kick;

	/* An embedder may block all signals in its threads. */
	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, &v->old_mask);
	pthread_mutex_lock(&v->kvm->kick_lock);
	v->thread = pthread_self();
	v->alive = true;
	pthread_mutex_unlock(&v->kvm->kick_lock);
}

void pause_detach(struct vcpu *v)
{
	pthread_mutex_lock(&v->kvm->kick_lock);
	v->alive = false;
	pthread_mutex_unlock(&v->kvm->kick_lock);
	pthread_sigmask(SIG_SETMASK, &v->old_mask, NULL);
}

static void wait_resumed(struct kvm *k)
{
	pthread_mutex_lock(&k->kick_lock);
	while (atomic_load(&k->paused) && atomic_load(&k->stop) == STOP_NONE)
		pthread_cond_wait(&k->resumed, &k->kick_lock);
	pthread_mutex_unlock(&k->kick_lock);
}

bool pause_enter(struct vcpu *v)
{
	struct kvm *k = v->kvm;

	for (;;) {
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		atomic_store(&v->in_guest, true);
		if (atomic_load(&k->stop) != STOP_NONE) {
			pause_leave(v);
			return false;
		}
		if (!atomic_load(&k->paused))
			return true;
		pause_leave(v);
		wait_resumed(k);
	}
}

void pause_leave(struct vcpu *v)
{
	struct kvm *k = v->kvm;

	atomic_store(&v->in_guest, false);
	if (atomic_load(&k->paused)) {
		pthread_mutex_lock(&k->kick_lock);
		pthread_cond_broadcast(&k->left);
		pthread_mutex_unlock(&k->kick_lock);
	}
}

/* ---- the other side ------------------------------------------------------------ */

/* With kick_lock held, after the reason was published. */
static void kick(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (atomic_load(&v->in_guest) && v->alive)
		pthread_kill(v->thread, KVM_KICK_SIGNAL);
}

static void kick_all_locked(struct kvm *k)
{
	for (unsigned n = 0; n < k->cpus; n++)
		kick(&k->vcpu[n]);
}

void pause_kick_all(struct kvm *k)
{
	pthread_mutex_lock(&k->kick_lock);
	kick_all_locked(k);
	pthread_cond_broadcast(&k->resumed);
	pthread_mutex_unlock(&k->kick_lock);
}

static bool any_in_guest(struct kvm *k)
{
	for (unsigned n = 0; n < k->cpus; n++)
		if (&k->vcpu[n] != k->alone &&
			atomic_load(&k->vcpu[n].in_guest))
			return true;
	return false;
}

void pause_begin(struct kvm *k)
{
	pthread_mutex_lock(&k->kick_lock);
	if (atomic_fetch_add(&k->paused, 1) == 0)
		kick_all_locked(k);
	while (any_in_guest(k))
		pthread_cond_wait(&k->left, &k->kick_lock);
	pthread_mutex_unlock(&k->kick_lock);
}

void pause_begin_for(struct vcpu *v)
{
	pthread_mutex_lock(&v->kvm->kick_lock);
	v->kvm->alone = v;
	pthread_mutex_unlock(&v->kvm->kick_lock);
	pause_begin(v->kvm);
}

void pause_end_for(struct vcpu *v)
{
	pthread_mutex_lock(&v->kvm->kick_lock);
	v->kvm->alone = NULL;
	pthread_mutex_unlock(&v->kvm->kick_lock);
	pause_end(v->kvm);
}

void pause_end(struct kvm *k)
{
	pthread_mutex_lock(&k->kick_lock);
	if (atomic_fetch_sub(&k->paused, 1) == 1)
		pthread_cond_broadcast(&k->resumed);
	pthread_mutex_unlock(&k->kick_lock);
}
