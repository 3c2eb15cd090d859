/* SPDX-License-Identifier: MIT */
/*
 * test_map.c - the copy-on-write tree agrees with a sorted array, leaves old
 * versions alone, and neither leaks nor lies when memory runs out
 */
#include "memslot/map.h"

#include "tests/unit/slots.h"

#define KEYS 4000

struct entry {
	uint64_t key, end;
	void *value;
};

/* The model: entries sorted by key. */
struct model {
	struct entry e[KEYS];
	unsigned count;
};

static struct bed counts; /* only its platform is used */
static uint64_t edit_number;
static char values[KEYS * 2]; /* addresses to point at */

static void platform(void)
{
	memset(&counts, 0, sizeof(counts));
	counts.pf = memslot_hosted;
	counts.pf.ctx = &counts;
	counts.pf.alloc = bed_alloc;
	counts.pf.free = bed_free;
}

static struct map_edit edit(struct fault_plan *plan)
{
	return (struct map_edit){
		.pf = &counts.pf, .faults = plan, .number = ++edit_number};
}

/* An update of one change. */
static int put(struct map_edit *e, struct map_node **root, uint64_t key,
	uint64_t end, void *value, bool replaces)
{
	const struct map_change c = {key, end, value, replaces};

	return map_update(e, root, &c, 1, false);
}

static int take(struct map_edit *e, struct map_node **root, uint64_t key)
{
	return map_update(e, root, &(struct map_change){.key = key}, 1, false);
}

static unsigned model_at(const struct model *m, uint64_t key)
{
	unsigned low = 0, high = m->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (m->e[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool model_has(const struct model *m, uint64_t key)
{
	unsigned i = model_at(m, key);

	return i < m->count && m->e[i].key == key;
}

static void model_insert(
	struct model *m, uint64_t key, uint64_t end, void *value)
{
	unsigned i = model_at(m, key);

	memmove(m->e + i + 1, m->e + i, (m->count - i) * sizeof(m->e[0]));
	m->e[i] = (struct entry){key, end, value};
	m->count++;
}

static void model_remove(struct model *m, uint64_t key)
{
	unsigned i = model_at(m, key);

	m->count--;
	memmove(m->e + i, m->e + i + 1, (m->count - i) * sizeof(m->e[0]));
}

static void *model_stab(
	const struct model *m, uint64_t from, uint64_t limit, uint64_t point)
{
	for (unsigned i = model_at(m, from); i < m->count; i++) {
		if (m->e[i].key > limit)
			break;
		if (m->e[i].end > point)
			return m->e[i].value;
	}
	return NULL;
}

/* Everything in order, and nothing else: one check per call. */
static bool same(const struct map_node *root, const struct model *m)
{
	uint64_t at = 0;

	if (!map_check(root) || (m->count == 0) != (root == NULL))
		return false;
	for (unsigned i = 0; i < m->count; i++) {
		if (map_ceiling(root, at) != m->e[i].value ||
			map_ceiling(root, m->e[i].key) != m->e[i].value)
			return false;
		at = m->e[i].key + 1;
	}
	return map_ceiling(root, at) == NULL;
}

/* One edit for one insert or remove. */
static int one(struct map_node **root, bool insert, uint64_t key, uint64_t end,
	void *value)
{
	struct map_edit e = edit(NULL);
	struct map_node *next = *root;
	int r = insert ? put(&e, &next, key, end, value, false)
		       : take(&e, &next, key);

	if (r) {
		map_edit_drop(&e);
		return r;
	}
	map_edit_finish(&e);
	*root = next;
	return 0;
}

static void test_empty(void)
{
	struct map_node *root = NULL;
	struct map_edit e = edit(NULL);

	CHECK(map_find(NULL, 0) == NULL);
	CHECK(map_ceiling(NULL, 0) == NULL);
	CHECK(map_stab(NULL, 0, UINT64_MAX, 0) == NULL);
	CHECK(map_check(NULL));
	CHECK_EQ(take(&e, &root, 1), -EINVAL);
	CHECK_EQ(put(&e, &root, 1, 2, values, true), -EINVAL);
	CHECK(root == NULL);
	map_edit_drop(&e);
	map_free(&counts.pf, NULL);
	CHECK_EQ(counts.live, 0);
}

static void test_refusals(void)
{
	struct map_node *root = NULL;

	CHECK_EQ(one(&root, true, 10, 20, values), 0);
	CHECK_EQ(one(&root, true, 10, 30, values), -EEXIST);
	CHECK_EQ(one(&root, false, 9, 0, NULL), -EINVAL);
	CHECK_EQ(one(&root, false, 11, 0, NULL), -EINVAL);
	CHECK(map_find(root, 9) == NULL);
	CHECK(map_find(root, 10) == values);
	CHECK(map_find(root, 19) == values);
	CHECK(map_find(root, 20) == NULL);
	CHECK_EQ(one(&root, false, 10, 0, NULL), 0);
	CHECK(root == NULL);
	CHECK_EQ(counts.live, 0);
}

enum direction { UP, DOWN, SHUFFLED, ENDS, DIRECTIONS };

static void fill_order(unsigned *order, unsigned n, enum direction d)
{
	uint64_t rng = 77;

	for (unsigned i = 0; i < n; i++)
		order[i] = d == DOWN   ? n - 1 - i
			   : d == ENDS ? (i % 2 ? n - 1 - i / 2 : i / 2)
				       : i;
	for (unsigned i = n; d == SHUFFLED && i > 1; i--) {
		unsigned j = (unsigned)rng_below(&rng, i), x = order[i - 1];

		order[i - 1] = order[j];
		order[j] = x;
	}
}

/* Grow to n in one order and shrink to nothing in another, edit by edit. */
static void test_orders(unsigned n, enum direction in, enum direction out)
{
	static struct model m;
	static unsigned order[KEYS];
	struct map_node *root = NULL;
	unsigned bad = 0;

	m.count = 0;
	fill_order(order, n, in);
	for (unsigned i = 0; i < n; i++) {
		uint64_t key = order[i] * 10u + 5;

		bad += one(&root, true, key, key + 7, values + order[i]) != 0;
		model_insert(&m, key, key + 7, values + order[i]);
		if (n <= 300)
			bad += !same(root, &m);
	}
	bad += !same(root, &m);
	for (uint64_t key = 0; key < n * 10u + 20; key++) {
		uint64_t i = key < 5 ? n : (key - 5) / 10;
		void *want = i < n && (key - 5) % 10 < 7 ? values + i : NULL;

		bad += map_find(root, key) != want;
	}
	fill_order(order, n, out);
	for (unsigned i = 0; i < n; i++) {
		uint64_t key = order[i] * 10u + 5;

		bad += one(&root, false, key, 0, NULL) != 0;
		model_remove(&m, key);
		if (n <= 300)
			bad += !same(root, &m);
	}
	CHECK_EQ(bad, 0);
	CHECK(root == NULL);
	CHECK_EQ(counts.live, 0);
}

/* The extremes of keys: 0, and the last one an end can lie behind. */
static void test_extreme_keys(void)
{
	struct map_node *root = NULL;

	CHECK_EQ(one(&root, true, UINT64_MAX - 1, UINT64_MAX, values + 1), 0);
	CHECK_EQ(one(&root, true, 0, 1, values), 0);
	CHECK(map_find(root, 0) == values);
	CHECK(map_find(root, 1) == NULL);
	CHECK(map_find(root, UINT64_MAX - 1) == values + 1);
	CHECK(map_find(root, UINT64_MAX) == NULL);
	CHECK(map_ceiling(root, 1) == values + 1);
	CHECK(map_ceiling(root, UINT64_MAX) == NULL);
	CHECK(map_stab(root, 0, 0, 0) == values);
	CHECK(map_stab(root, 0, UINT64_MAX - 2, 1) == NULL);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

/* Overlapping intervals: a stab finds what a scan finds. */
static void test_stab(uint64_t seed)
{
	static struct model m;
	struct map_node *root = NULL;
	unsigned bad = 0;

	m.count = 0;
	for (unsigned i = 0; i < 600; i++) {
		uint64_t key = rng_below(&seed, 2000);
		uint64_t end = key + 1 + rng_below(&seed, i % 50 ? 30 : 1500);

		if (model_has(&m, key))
			continue;
		bad += one(&root, true, key, end, values + i) != 0;
		model_insert(&m, key, end, values + i);
	}
	bad += !same(root, &m);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t from = rng_below(&seed, 2100);
		uint64_t limit = rng_below(&seed, 2100);
		uint64_t point = rng_below(&seed, 3000);

		bad += map_stab(root, from, limit, point) !=
		       model_stab(&m, from, limit, point);
	}
	CHECK_EQ(bad, 0);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

/* One random operation on both; returns whether they disagree. */
static bool random_op(uint64_t *rng, struct map_edit *e, struct map_node **root,
	struct model *m, uint64_t keys)
{
	uint64_t key = rng_below(rng, keys);
	uint64_t end = key + 1 + rng_below(rng, 100);
	void *value = values + rng_below(rng, sizeof(values));
	bool there = model_has(m, key);

	if (rng_below(rng, 3)) {
		int r = put(e, root, key, end, value, there);

		if (there)
			m->e[model_at(m, key)] =
				(struct entry){key, end, value};
		else
			model_insert(m, key, end, value);
		return r != 0;
	}
	if (!there)
		return false; /* after an error an edit can only be dropped */
	model_remove(m, key);
	return take(e, root, key) != 0;
}

/* Many changes at once, of entries that are there and entries that are not. */
static bool random_update(uint64_t *rng, struct map_edit *e,
	struct map_node **root, struct model *m, uint64_t keys)
{
	static struct map_change c[200], scratch[200];
	size_t going = 0, n = 0;

	for (unsigned i = 0; i < 60; i++) {
		uint64_t key = rng_below(rng, keys);

		if (!model_has(m, key))
			continue;
		model_remove(m, key);
		c[n++] = (struct map_change){.key = key};
	}
	going = n;
	for (unsigned i = 0; i < 60; i++) {
		uint64_t key = rng_below(rng, keys);
		uint64_t end = key + 1 + rng_below(rng, 100);
		void *value = values + rng_below(rng, sizeof(values));
		bool there = model_has(m, key), new = false;

		for (size_t k = going; k < n; k++)
			new |= c[k].key == key;
		if (new)
			continue;
		if (there)
			model_remove(m, key);
		model_insert(m, key, end, value);
		c[n++] = (struct map_change){key, end, value, there};
	}
	n = map_sort(c, scratch, n);
	for (size_t i = 1; i < n; i++)
		if (c[i - 1].key >= c[i].key)
			return true;
	return map_update(e, root, c, n, false) != 0;
}

/*
 * Edits of many operations. Before it is finished or dropped, the version
 * the edit began from is still what it was.
 */
static void test_random(uint64_t seed, uint64_t keys)
{
	static struct model now, before;
	struct map_node *root = NULL;
	unsigned bad = 0;

	now.count = 0;
	for (unsigned round = 0; round < 400; round++) {
		struct map_edit e = edit(NULL);
		struct map_node *next = root;
		unsigned ops = 1 + (unsigned)rng_below(&seed, 40);
		bool drop = rng_below(&seed, 4) == 0;
		long live = counts.live;

		before = now;
		for (unsigned i = 0; i < ops; i++)
			bad += random_op(&seed, &e, &next, &now, keys);
		if (round % 2)
			bad += random_update(&seed, &e, &next, &now, keys);
		bad += !same(next, &now) || !same(root, &before);
		if (drop) {
			map_edit_drop(&e);
			now = before;
			bad += counts.live != live;
		} else {
			map_edit_finish(&e);
			root = next;
		}
		bad += !same(root, &now);
		if (bad)
			break;
	}
	CHECK_EQ(bad, 0);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

/*
 * Every node an edit wants is refused once: -ENOMEM, the old version is
 * whole, and dropping the edit frees what it had made.
 */
static void test_no_memory(uint64_t seed)
{
	static struct model m, copy;
	struct map_node *root = NULL;
	unsigned bad = 0, failures = 0;

	m.count = 0;
	for (unsigned i = 0; i < 500; i++) {
		bad += one(&root, true, i * 3, i * 3 + 2, values + i) != 0;
		model_insert(&m, i * 3, i * 3 + 2, values + i);
	}
	for (unsigned nth = 1;; nth++) {
		struct fault_plan plan = {0};
		struct map_edit e = edit(&plan);
		struct map_node *next = root;
		uint64_t rng = seed;
		long live = counts.live;

		copy = m;
		fault_arm(&plan, FAULT_VALIDATE_NODE, nth, false);
		for (unsigned i = 0; i < 30 && !plan.fired; i++)
			random_op(&rng, &e, &next, &copy, 1500);
		map_edit_drop(&e);
		bad += counts.live != live || !same(root, &m);
		if (!plan.fired)
			break;
		failures++;
	}
	CHECK_EQ(bad, 0);
	CHECK(failures > 20);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

/* Two that overlap are named, whichever nodes they are in. */
static void test_disjoint(void)
{
	struct map_node *root = NULL;
	unsigned bad = 0;

	for (unsigned i = 0; i < 400; i++)
		bad += one(&root, true, i * 10, i * 10 + 10, values + i) != 0;
	for (unsigned i = 1; i < 400; i++) {
		/* Longer by one than there is room; then earlier by one. */
		struct map_change longer = {
			i * 10 - 10, i * 10 + 1, values, true};
		struct map_change earlier[2] = {
			{i * 10 - 1, i * 10 + 10, values, false},
			{.key = i * 10}};
		struct map_edit e = edit(NULL);
		struct map_node *next = root;

		bad += map_update(&e, &next, &longer, 1, true) != -EEXIST ||
		       e.overlap[0] != values || e.overlap[1] != values + i;
		map_edit_drop(&e);
		e = edit(NULL);
		next = root;
		bad += map_update(&e, &next, earlier, 2, true) != -EEXIST ||
		       e.overlap[0] != values + i - 1 ||
		       e.overlap[1] != values || next != root;
		map_edit_drop(&e);
	}
	CHECK_EQ(bad, 0);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

static void test_no_memory_code(void)
{
	struct fault_plan plan = {0};
	struct map_edit e = edit(&plan);
	struct map_node *root = NULL, *next;

	fault_arm(&plan, FAULT_ANY, 1, false);
	CHECK_EQ(put(&e, &root, 1, 2, values, false), -ENOMEM);
	map_edit_drop(&e);
	root = NULL;
	CHECK_EQ(one(&root, true, 1, 2, values), 0);
	next = root;
	fault_arm(&plan, FAULT_ANY, 1, true);
	CHECK_EQ(put(&e, &next, 2, 3, values, false), -ENOMEM);
	CHECK_EQ(put(&e, &next, 1, 3, values, true), -ENOMEM);
	map_edit_drop(&e);
	CHECK(map_find(root, 1) == values);
	map_free(&counts.pf, root);
	CHECK_EQ(counts.live, 0);
}

/* A change of one entry copies one path, whatever the size of the map. */
static void test_cost(void)
{
	struct map_node *root = NULL, *next;
	struct map_edit e = edit(NULL);
	long live;

	for (unsigned i = 0; i < KEYS; i++)
		if (put(&e, &root, i, i + 1, values + i, false))
			exit(1);
	map_edit_finish(&e);
	live = counts.live;
	e = edit(NULL);
	next = root;
	CHECK_EQ(put(&e, &next, KEYS / 2, KEYS, values, true), 0);
	CHECK(counts.live - live <= 4);
	map_edit_finish(&e);
	CHECK_EQ(counts.live, live);
	map_free(&counts.pf, next);
	CHECK_EQ(counts.live, 0);
}

int main(void)
{
	static const unsigned sizes[] = {
		1, 2, 15, 16, 17, 31, 32, 33, 64, 127, 128, 129, 272, 3000};

	platform();
	test_empty();
	test_refusals();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned in = 0; in < DIRECTIONS; in++)
			for (unsigned out = 0; out < DIRECTIONS; out++)
				if (sizes[i] < 1000 || in == SHUFFLED)
					test_orders(sizes[i], in, out);
	test_extreme_keys();
	for (uint64_t seed = 1; seed <= 4; seed++) {
		test_stab(seed);
		test_random(seed, 20);
		test_random(seed, 300);
		test_random(seed, 2000);
		test_no_memory(seed);
	}
	test_disjoint();
	test_no_memory_code();
	test_cost();
	return TEST_END("map");
}
