/* SPDX-License-Identifier: MIT */
/*
 * test_virtq.c - what a driver puts into a queue comes out, exactly once
 *
 * The law: over random sizes, chains, kinds of descriptors and orders of
 * completion, each chain that a model driver offers is popped once, in order,
 * with its bytes; each that the device pushes is found used once, with its
 * bytes; neither side ever sleeps while the other has something for it. Then
 * the hostile drivers, one rule broken by each.
 */
#include "tests/unit/virtq_driver.h"

#define HELD_MAX 8u
#define BUFFERS  4u

static struct virtq q;
static struct virtq_chain chain;

struct bench {
	struct bed b;
	struct dma dma;
	struct driver d;
	uint64_t rng;
	/* by head: what was offered */
	uint32_t in[VIRTQ_SIZE_MAX], out[VIRTQ_SIZE_MAX];
	uint64_t serial[VIRTQ_SIZE_MAX];
	uint16_t extra[VIRTQ_SIZE_MAX][BUFFERS * 2]; /* its other descriptors */
	unsigned extras[VIRTQ_SIZE_MAX];
	uint64_t offered, popped;
	/* what the device has popped and not pushed */
	struct {
		uint16_t head;
		struct virtq_chain c;
	} held[HELD_MAX];
	unsigned held_count;
	bool device_rests; /* it has asked for a kick */
	bool driver_rests; /* it waits for an interrupt */
	bool owed;         /* pushed, and not asked whether to interrupt */
};

static struct bench t;

static void open_bench(unsigned size, bool event_index, bool indirect)
{
	bed_open(&t.b, 1);
	CHECK_EQ(bed_create(&t.b, 0, 1, DRIVER_BASE >> 12, 8192, 0, 0), 0);
	t.dma = (struct dma){.reader = &t.b.r, .source = {PAGETRACK_DEVICE, 0}};
	driver_open(&t.d, &t.b, size, event_index, indirect);
	CHECK_EQ(virtq_init(&q, &t.d.c, &t.dma), 0);
}

/* ---- the law ------------------------------------------------------------------- */

/* Byte i of the readable, or what the device writes, of a chain. */
static uint8_t pattern(uint64_t serial, uint64_t i, bool writing)
{
	return (uint8_t)(serial * 31 + i * 7 + (writing ? 101 : 0));
}

static gpa_t data_of(uint16_t head, unsigned buffer)
{
	return DRIVER_DATA + head * 0x4000ull + buffer * 0x400ull;
}

/* Build the chain's descriptors where they belong. */
static void describe(uint16_t head, const struct vring_desc *v, unsigned n)
{
	struct vring_desc *table =
		driver_at(&t.d, DRIVER_TABLES + head * 1024ull);
	uint16_t at = head;

	t.extras[head] = 0;
	if (t.d.c.indirect && rng_below(&t.rng, 2)) {
		for (unsigned i = 0; i < n; i++) {
			table[i] = v[i];
			table[i].flags |= i + 1 < n ? VRING_DESC_F_NEXT : 0;
			table[i].next = (uint16_t)(i + 1);
		}
		*driver_desc(&t.d, head) =
			(struct vring_desc){DRIVER_TABLES + head * 1024ull,
				n * 16, VRING_DESC_F_INDIRECT, 0};
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *d = driver_desc(&t.d, at);

		*d = v[i];
		if (i + 1 == n)
			break;
		at = t.d.free[--t.d.free_count];
		t.extra[head][t.extras[head]++] = at;
		d->flags |= VRING_DESC_F_NEXT;
		d->next = at;
	}
}

static void offer(void)
{
	unsigned readable = (unsigned)rng_below(&t.rng, BUFFERS + 1);
	unsigned writable = (unsigned)rng_below(&t.rng, BUFFERS + 1);
	struct vring_desc v[BUFFERS * 2];
	unsigned n = readable + writable;
	uint16_t head, old = t.d.offered;

	if (n == 0 || t.d.free_count < n)
		return;
	head = t.d.free[--t.d.free_count];
	t.serial[head] = t.offered++;
	t.in[head] = t.out[head] = 0;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = (uint32_t)rng_below(&t.rng, 0x400);
		uint8_t *at = driver_at(&t.d, data_of(head, i));

		v[i] = (struct vring_desc){data_of(head, i), len,
			i < readable ? 0 : VRING_DESC_F_WRITE, 0};
		if (i < readable)
			for (uint32_t k = 0; k < len; k++)
				at[k] = pattern(
					t.serial[head], t.in[head] + k, false);
		*(i < readable ? &t.in[head] : &t.out[head]) += len;
	}
	describe(head, v, n);
	driver_offer(&t.d, head);
	if (driver_kicks(&t.d, old))
		t.device_rests = false;
}

static void pop(void)
{
	uint8_t bytes[BUFFERS * 0x400 + 1];
	int64_t got;

	if (t.held_count == HELD_MAX)
		return;
	if (virtq_pop(&q, &chain) == 0) {
		CHECK_EQ(t.popped, t.offered);
		t.device_rests = virtq_rest(&q);
		return;
	}
	CHECK(q.why == NULL);
	CHECK_EQ(t.serial[chain.head], t.popped);
	t.popped++;
	CHECK_EQ(chain.read_len, t.in[chain.head]);
	CHECK_EQ(chain.write_len, t.out[chain.head]);
	got = virtq_read(&q, &chain, 0, bytes, sizeof(bytes));
	CHECK_EQ(got, chain.read_len);
	for (int64_t i = 0; i < got; i++)
		if (bytes[i] != pattern(t.popped - 1, (uint64_t)i, false) &&
			!CHECK(!"a byte of the readable part"))
			break;
	t.held[t.held_count].head = chain.head;
	t.held[t.held_count++].c = chain;
}

static void push(void)
{
	uint8_t bytes[BUFFERS * 0x400 + 1];
	unsigned i;
	struct virtq_chain *c;
	uint64_t serial, cut;

	if (!t.held_count)
		return;
	i = (unsigned)rng_below(&t.rng, t.held_count);
	c = &t.held[i].c;
	serial = t.serial[c->head];
	for (uint32_t k = 0; k < c->write_len; k++)
		bytes[k] = pattern(serial, k, true);
	/* in two pieces, to begin somewhere */
	cut = rng_below(&t.rng, c->write_len + 1ull);
	CHECK_EQ(virtq_write(&q, c, 0, bytes, cut), cut);
	CHECK_EQ(virtq_write(&q, c, cut, bytes + cut, sizeof(bytes) - cut),
		c->write_len - cut);
	CHECK_EQ(virtq_push(&q, c->head, c->write_len), 0);
	t.held[i] = t.held[--t.held_count];
	t.owed = rng_below(&t.rng, 3) != 0;
	if (!t.owed && virtq_must_signal(&q))
		t.driver_rests = false;
}

static void check_written(uint16_t head)
{
	uint32_t k = 0;
	bool direct = !(driver_desc(&t.d, head)->flags & VRING_DESC_F_INDIRECT);
	struct vring_desc *v =
		direct ? driver_desc(&t.d, head)
		       : driver_at(&t.d, DRIVER_TABLES + head * 1024ull);
	unsigned next = 0;

	for (;;) {
		const uint8_t *at = driver_at(&t.d, v->addr);

		if (v->flags & VRING_DESC_F_WRITE)
			for (uint32_t i = 0; i < v->len; i++, k++)
				if (at[i] != pattern(t.serial[head], k, true) &&
					!CHECK(!"a byte of the writable part"))
					return;
		if (!(v->flags & VRING_DESC_F_NEXT))
			break;
		v = direct ? driver_desc(&t.d, t.extra[head][next++]) : v + 1;
	}
	CHECK_EQ(k, t.out[head]);
}

static void take(void)
{
	struct vring_used_elem e;

	if (!driver_take(&t.d, &e)) {
		/* sleep: say which one is to wake us */
		driver_avail(&t.d)[2 + t.d.c.size] = t.d.taken;
		t.driver_rests = true;
		return;
	}
	if (!CHECK(e.id < t.d.c.size))
		return;
	CHECK_EQ(e.len, t.out[e.id]);
	check_written((uint16_t)e.id);
	t.serial[e.id] = UINT64_MAX; /* twice would not match */
	t.d.free[t.d.free_count++] = (uint16_t)e.id;
	for (unsigned i = 0; i < t.extras[e.id]; i++)
		t.d.free[t.d.free_count++] = t.extra[e.id][i];
}

/* Nobody may be asleep with work waiting for him. */
static void check_awake(void)
{
	if (t.device_rests)
		CHECK_EQ(t.popped, t.offered);
	if (t.driver_rests && !t.owed)
		CHECK_EQ(driver_used(&t.d)[1], t.d.taken);
}

static void run_law(unsigned size, bool event_index, bool indirect,
	uint64_t seed, unsigned steps)
{
	memset(&t, 0, sizeof(t));
	open_bench(size, event_index, indirect);
	t.rng = seed;
	for (unsigned i = 0; i < steps; i++) {
		switch (rng_below(&t.rng, 5)) {
		case 0:
		case 1:
			offer();
			break;
		case 2:
			pop();
			break;
		case 3:
			push();
			break;
		default:
			take();
		}
		check_awake();
	}
	while (t.popped < t.offered || t.held_count) {
		pop();
		push();
	}
	while (driver_used(&t.d)[1] != t.d.taken)
		take();
	CHECK_EQ(t.d.free_count, size);
	CHECK_EQ((uint16_t)t.offered, t.d.taken);
	bed_close(&t.b);
}

static void test_law(void)
{
	for (unsigned n = 0; n < 32; n++)
		run_law(1u << (3 + n / 4 % 6), n & 1, n & 2,
			0x9e3779b97f4a7c15ull * (n + 1), 20000);
	/* indices wrap at 2^16 */
	run_law(256, true, true, 77, 600000);
}

/* ---- hostile drivers -------------------------------------------------------------- */

static void offer_one(struct vring_desc d0, struct vring_desc d1)
{
	*driver_desc(&t.d, 0) = d0;
	*driver_desc(&t.d, 1) = d1;
	driver_offer(&t.d, 0);
}

static void must_break(const char *why)
{
	CHECK_EQ(virtq_pop(&q, &chain), -EIO);
	CHECK(q.why != NULL);
	CHECK_TEXT(q.why ? q.why : "", why);
	/* and stays so, and touches nothing */
	CHECK_EQ(virtq_pop(&q, &chain), -EIO);
	CHECK_EQ(virtq_push(&q, 0, 0), -EIO);
	CHECK_EQ(driver_used(&t.d)[1], 0);
	CHECK(!virtq_must_signal(&q));
	CHECK(!virtq_rest(&q));
	CHECK_EQ(virtq_waiting(&q), 0);
	bed_close(&t.b);
}

static void hostile(bool indirect)
{
	memset(&t, 0, sizeof(t));
	open_bench(16, true, indirect);
}

#define DESC(addr, len, flags, next) \
	((struct vring_desc){(addr), (len), (flags), (next)})
#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define TABLE VRING_DESC_F_INDIRECT

static void test_hostile(void)
{
	const struct vring_desc none = {0}, good = DESC(DRIVER_DATA, 16, 0, 0);
	struct vring_desc *table;

	hostile(false); /* a loop of one, of two */
	offer_one(DESC(DRIVER_DATA, 1, NEXT, 0), none);
	must_break("loops");
	hostile(false);
	offer_one(DESC(DRIVER_DATA, 1, NEXT, 1), DESC(DRIVER_DATA, 1, NEXT, 0));
	must_break("loops");
	hostile(false);
	offer_one(DESC(DRIVER_DATA, 1, NEXT, 16), none);
	must_break("does not exist");
	hostile(false); /* a head that is none */
	*driver_desc(&t.d, 0) = good;
	driver_offer(&t.d, 16);
	must_break("does not exist");
	hostile(false); /* 17 on offer in a ring of 16 */
	driver_avail(&t.d)[1] = 17;
	must_break("more chains");
	hostile(false);
	offer_one(DESC(DRIVER_DATA, 1, WRITE | NEXT, 1), good);
	must_break("follows");
	hostile(false);
	offer_one(DESC(MEMSLOT_GPA_LIMIT - 1, 2, 0, 0), none);
	must_break("no possible address");
	hostile(false);
	offer_one(DESC(UINT64_MAX, UINT32_MAX, 0, 0), none);
	must_break("no possible address");
	hostile(false);
	offer_one(DESC(DRIVER_DATA, UINT32_MAX, NEXT, 1),
		DESC(DRIVER_DATA, 1, 0, 0));
	must_break("4 GiB");
	hostile(false);
	offer_one(DESC(DRIVER_TABLES, 16, TABLE, 0), none);
	must_break("not agreed upon");
	hostile(true);
	offer_one(DESC(DRIVER_TABLES, 17, TABLE, 0), none);
	must_break("odd length");
	hostile(true);
	offer_one(DESC(DRIVER_TABLES, 0, TABLE, 0), none);
	must_break("odd length");
	hostile(true);
	offer_one(DESC(DRIVER_TABLES, 16, TABLE | NEXT, 1), good);
	must_break("goes on");
	hostile(true); /* a table within a table */
	table = driver_at(&t.d, DRIVER_TABLES);
	table[0] = DESC(DRIVER_TABLES, 16, TABLE, 0);
	offer_one(DESC(DRIVER_TABLES, 16, TABLE, 0), none);
	must_break("within one");
	hostile(true); /* a loop within a table */
	table = driver_at(&t.d, DRIVER_TABLES);
	table[0] = DESC(DRIVER_DATA, 1, NEXT, 1);
	table[1] = DESC(DRIVER_DATA, 1, NEXT, 0);
	offer_one(DESC(DRIVER_TABLES, 32, TABLE, 0), none);
	must_break("loops");
	hostile(true); /* where there is no memory */
	offer_one(DESC(0x8000000000, 4096, TABLE, 0), none);
	must_break("no memory");
	hostile(true); /* more buffers than a chain may have */
	table = driver_at(&t.d, DRIVER_TABLES);
	for (unsigned i = 0; i < 300; i++)
		table[i] = DESC(DRIVER_DATA, 1, NEXT, (uint16_t)(i + 1));
	offer_one(DESC(DRIVER_TABLES, 300 * 16, TABLE, 0), none);
	must_break("too long");
}

/* Memory that is not there, or goes away. */
static void test_vanishing(void)
{
	uint8_t byte;

	hostile(false);
	offer_one(DESC(0x7000000000, 16, NEXT, 1),
		DESC(0x7000000000, 16, WRITE, 0));
	CHECK_EQ(virtq_pop(&q, &chain), 1);
	CHECK_EQ(virtq_read(&q, &chain, 0, &byte, 1), -EFAULT);
	CHECK_EQ(virtq_write(&q, &chain, 0, &byte, 1), -EFAULT);
	CHECK(q.why == NULL); /* the device may know what to do */
	CHECK_EQ(memslots_delete_slot(t.b.ms, 0, 1, NULL), 0);
	CHECK_EQ(virtq_push(&q, 0, 0), -EIO);
	CHECK_TEXT(q.why, "no memory");
	bed_close(&t.b);

	/* The rings' memory moves: the driver's addresses are stale. */
	hostile(false);
	CHECK_EQ(memslots_move_slot(t.b.ms, 0, 1, DRIVER_BASE + 0x10000000,
			 MEMSLOT_MOVE_KEEP, NULL),
		0);
	CHECK_EQ(virtq_pop(&q, &chain), -EIO);
	CHECK_TEXT(q.why, "no memory");
	bed_close(&t.b);
}

static void test_config(void)
{
	const struct virtq_config good = {16, 0x1000, 0x2000, 0x3000, 0, 0};
	struct virtq_config c;
	struct dma none = {0};

	CHECK_EQ(virtq_init(&q, &good, &none), 0);
	for (unsigned size = 0; size < 600; size++) {
		c = good;
		c.size = size;
		CHECK_EQ(virtq_init(&q, &c, &none),
			size && size <= 256 && !(size & (size - 1)) ? 0
								    : -EINVAL);
	}
	c = good;
	c.descriptors += 8;
	CHECK_EQ(virtq_init(&q, &c, &none), -EINVAL);
	c = good;
	c.available += 1;
	CHECK_EQ(virtq_init(&q, &c, &none), -EINVAL);
	c = good;
	c.used += 2;
	CHECK_EQ(virtq_init(&q, &c, &none), -EINVAL);
	c = good;
	c.descriptors = MEMSLOT_GPA_LIMIT - 16;
	CHECK_EQ(virtq_init(&q, &c, &none), -EINVAL);
	c = good;
	c.used = UINT64_MAX - 3;
	CHECK_EQ(virtq_init(&q, &c, &none), -EINVAL);
}

int main(void)
{
	test_law();
	test_hostile();
	test_vanishing();
	test_config();
	return TEST_END("virtq");
}
