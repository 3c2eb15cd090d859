/* SPDX-License-Identifier: MIT */
/*
 * kbed.c - a map, a tracker and the KVM backend under a toy guest
 */
#include "tests/kvm/kbed.h"

#include "vmm/kvm/internal.h" /* the vCPUs' descriptors */

/*
 * A block a vCPU in low memory. The host stores a call and then a new `seq`;
 * the guest stores what came of it, and then `seq` to the device.
 */
struct block {
	uint32_t seq, pad;
	uint64_t function, rdi, rsi, rdx, rcx, rax;
	uint64_t out_rax, out_rdx, out_flags;
};

#define BLOCK(cpu) (TOY_DATA + (cpu)*RAW_PAGE)
#define CODE_ROOM  0x8000ul /* for functions of the test's */

/* rdi: its block, rsi: where in the device to say that a call is done */
TOY_PROGRAM(agent, "	mov %rdi, %rbx\n"
		   "	mov %rsi, %r14\n"
		   "	xor %r12d, %r12d\n"
		   "1:	mov (%rbx), %eax\n"
		   "	cmp %r12d, %eax\n"
		   "	je 1b\n"
		   "	mov %eax, %r12d\n"
		   "	mov 16(%rbx), %rdi\n"
		   "	mov 24(%rbx), %rsi\n"
		   "	mov 32(%rbx), %rdx\n"
		   "	mov 40(%rbx), %rcx\n"
		   "	mov 48(%rbx), %rax\n"
		   "	call *8(%rbx)\n"
		   "	pushfq\n"
		   "	pop %r13\n"
		   "	mov %rax, 56(%rbx)\n"
		   "	mov %rdx, 64(%rbx)\n"
		   "	mov %r13, 72(%rbx)\n"
		   "	mov %r12d, (%r14)\n"
		   "	jmp 1b");
TOY_PROGRAM(agent_load, "mov (%rdi), %rax\n ret");
TOY_PROGRAM(agent_store, "mov %rsi, (%rdi)\n ret");

#define LOAD_AT  KBED_FUNCTIONS
#define STORE_AT (KBED_FUNCTIONS + 16)

static struct block *block(struct kbed *b, unsigned cpu)
{
	return (struct block *)(b->low + BLOCK(cpu));
}

/* ---- the device ---------------------------------------------------------- */

static void device_write(
	void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct kbed *b = ctx;

	(void)len;
	pthread_mutex_lock(&b->lock);
	if (offset / 8 < KBED_CPUS)
		b->ack[offset / 8] = (uint32_t)value;
	pthread_cond_broadcast(&b->said);
	pthread_mutex_unlock(&b->lock);
}

static uint64_t device_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static const struct bus_ops device = {
	.name = "toy",
	.read = device_read,
	.write = device_write,
};

/* ---- life ---------------------------------------------------------------- */

static void must(struct kbed *b, int r, const char *what)
{
	if (r) {
		fprintf(stderr, "%s: %d, %s\n", what, r, b->err.text);
		exit(1);
	}
}

void kbed_open(struct kbed *b, unsigned cpus, unsigned ring)
{
	struct memslot_config low = {.id = KBED_LOW_SLOT, .size = TOY_LOW_SIZE};

	memset(b, 0, sizeof(*b));
	b->cpus = cpus;
	b->ring = ring;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->said, NULL);
	b->low = raw_memory(TOY_LOW_SIZE);
	toy_init(b->low);
	TOY_LOAD(b->low, agent);
	memcpy(b->low + LOAD_AT, agent_load,
		(size_t)(agent_load_end - agent_load));
	memcpy(b->low + STORE_AT, agent_store,
		(size_t)(agent_store_end - agent_store));
	low.host = b->low;
	must(b, memslots_create(&memslot_hosted, 1, &b->ms, &b->err), "map");
	must(b, pagetrack_create(b->ms, &b->track, &b->err), "tracker");
	must(b, memslots_create_slot(b->ms, &low, &b->err), "low memory");
	must(b, bus_add(&b->mmio, TOY_DEVICE, RAW_PAGE, &device, b, &b->err),
		"bus");
}

uint64_t kbed_code(struct kbed *b, const void *code, size_t size)
{
	uint64_t at = KBED_FUNCTIONS + 0x100;

	if (size > CODE_ROOM)
		raw_die("a guest's code is too long");
	memcpy(b->low + at, code, size);
	return at;
}

static void *run(void *ctx)
{
	struct kbed *b = ctx;
	enum accel_stop why = ACCEL_STOP_ERROR;
	int r = b->accel.ops->run(b->accel.ctx, &why, &b->err);

	pthread_mutex_lock(&b->lock);
	b->running = false;
	b->why = r ? ACCEL_STOP_ERROR : why;
	pthread_cond_broadcast(&b->said);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static void place(struct kbed *b, unsigned cpu)
{
	struct vcpu *v = &b->kvm->vcpu[cpu];
	struct toy_regs regs = {
		.rdi = BLOCK(cpu),
		.rsi = TOY_DEVICE + cpu * 8,
		.ring = b->ring,
	};

	toy_place(v->fd, cpu, &regs);
	watch_vcpu(v->fd, v->run);
}

void kbed_make(struct kbed *b)
{
	struct kvm_config config = {
		.slots = b->ms,
		.track = b->track,
		.cpus = b->cpus,
		.mmio = &b->mmio,
		.ports = &b->ports,
		.start = {.mode = KVM_MODE_LONG,
			.rip = TOY_CODE,
			.cr3 = TOY_CR3},
		.dirty_ring = b->dirty_ring,
	};

	close(raw_open());
	must(b, kvm_create(&config, &b->kvm, &b->err), "kvm_create");
	b->accel = kvm_accel(b->kvm);
	watch_forget_vcpus();
	for (unsigned i = 0; i < b->cpus; i++)
		place(b, i);
}

void kbed_run(struct kbed *b)
{
	kbed_make(b);
	b->started = b->running = true;
	if (pthread_create(&b->runner, NULL, run, b))
		raw_die("pthread_create");
}

enum accel_stop kbed_stop(struct kbed *b)
{
	if (b->started) {
		b->accel.ops->request_stop(b->accel.ctx, ACCEL_STOP_ASKED);
		pthread_join(b->runner, NULL);
		b->started = false;
	}
	if (b->kvm)
		b->accel.ops->destroy(b->accel.ctx);
	b->kvm = NULL;
	return b->why;
}

void kbed_close(struct kbed *b)
{
	kbed_stop(b);
	pagetrack_destroy(b->track);
	memslots_destroy(b->ms);
	munmap(b->low, TOY_LOW_SIZE);
	pthread_cond_destroy(&b->said);
	pthread_mutex_destroy(&b->lock);
}

/* ---- calls --------------------------------------------------------------- */

void kbed_start(struct kbed *b, unsigned cpu, const struct kbed_call *call)
{
	struct block *k = block(b, cpu);

	k->function = call->function;
	k->rdi = call->rdi;
	k->rsi = call->rsi;
	k->rdx = call->rdx;
	k->rcx = call->rcx;
	k->rax = call->rax;
	__atomic_store_n(&k->seq, ++b->seq[cpu], __ATOMIC_RELEASE);
}

bool kbed_wait(struct kbed *b, unsigned cpu, struct kbed_call *call)
{
	const struct block *k = block(b, cpu);
	bool done;

	pthread_mutex_lock(&b->lock);
	while (b->running && b->ack[cpu] != b->seq[cpu])
		pthread_cond_wait(&b->said, &b->lock);
	done = b->ack[cpu] == b->seq[cpu];
	pthread_mutex_unlock(&b->lock);
	if (done) {
		call->out_rax = k->out_rax;
		call->out_rdx = k->out_rdx;
		call->out_flags = k->out_flags;
	}
	return done;
}

bool kbed_call(struct kbed *b, unsigned cpu, struct kbed_call *call)
{
	kbed_start(b, cpu, call);
	return kbed_wait(b, cpu, call);
}

uint64_t kbed_load(struct kbed *b, gpa_t gpa)
{
	struct kbed_call call = {.function = LOAD_AT, .rdi = gpa};

	CHECK(kbed_call(b, 0, &call));
	return call.out_rax;
}

void kbed_store(struct kbed *b, gpa_t gpa, uint64_t value)
{
	struct kbed_call call = {
		.function = STORE_AT, .rdi = gpa, .rsi = value};

	CHECK(kbed_call(b, 0, &call));
}
