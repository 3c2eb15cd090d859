/* SPDX-License-Identifier: MIT */
/* script.c - steps as text, and steps by chance */
#include "tests/property/model/model.h"

/* ---- text ------------------------------------------------------------------- */

static const char *const kind_name[DO_COUNT] = {
	[DO_CREATE] = "create",
	[DO_DELETE] = "delete",
	[DO_MOVE] = "move",
	[DO_FLAGS] = "flags",
	[DO_RESIZE] = "resize",
	[DO_SPLIT] = "split",
	[DO_MERGE] = "merge",
	[DO_HOST] = "host",
	[DO_COMMIT] = "commit",
	[DO_DISCARD] = "discard",
	[DO_LOAD] = "load",
	[DO_STORE] = "store",
	[DO_READ] = "read",
	[DO_WRITE] = "write",
	[DO_TRACK] = "track",
	[DO_UNTRACK] = "untrack",
	[DO_NODE] = "node",
	[DO_HARVEST] = "harvest",
	[DO_DONE] = "done",
	[DO_GIVE_BACK] = "give-back",
	[DO_POPULATE] = "populate",
	[DO_ASK] = "ask",
	[DO_OPTION] = "option",
	[DO_CACHES] = "caches",
};

static const char *const arg_name[ARGS] = {
	[A_SPACE] = "space",
	[A_ID] = "id",
	[A_OTHER] = "other",
	[A_GFN] = "gfn",
	[A_PAGES] = "pages",
	[A_FRAME] = "frame",
	[A_FLAGS] = "flags",
	[A_KEEP] = "keep",
	[A_LAST] = "last",
	[A_COPY] = "copy",
	[A_WRONG] = "wrong",
	[A_FAULT] = "fault",
	[A_ONWARD] = "onward",
	[A_VETO] = "veto",
	[A_HART] = "hart",
	[A_OFFSET] = "offset",
	[A_SIZE] = "size",
	[A_VALUE] = "value",
	[A_SOURCE] = "source",
	[A_NODE] = "node",
	[A_WHICH] = "which",
	[A_NO_MOVES] = "no-moves",
};

/* Which arguments a step looks at; the others are not worth printing. */
#define A(arg) (1u << A_##arg)
#define SLOT   (A(SPACE) | A(ID) | A(WRONG))
#define PLACE  (A(SPACE) | A(GFN) | A(OFFSET) | A(SIZE))
#define FAULTY (A(FAULT) | A(ONWARD))
static const uint32_t uses[DO_COUNT] = {
	[DO_CREATE] = SLOT | A(GFN) | A(PAGES) | A(FRAME) | A(FLAGS),
	[DO_DELETE] = SLOT | A(LAST),
	[DO_MOVE] = SLOT | A(GFN) | A(KEEP),
	[DO_FLAGS] = SLOT | A(FLAGS),
	[DO_RESIZE] = SLOT | A(PAGES),
	[DO_SPLIT] = SLOT | A(PAGES) | A(OTHER),
	[DO_MERGE] = SLOT | A(OTHER),
	[DO_HOST] = SLOT | A(FRAME) | A(COPY),
	[DO_COMMIT] = FAULTY | A(VETO),
	[DO_DISCARD] = FAULTY,
	[DO_LOAD] = PLACE | A(HART),
	[DO_STORE] = PLACE | A(HART) | A(VALUE),
	[DO_READ] = PLACE,
	[DO_WRITE] = PLACE | A(VALUE) | A(SOURCE),
	[DO_TRACK] = A(SPACE) | A(GFN) | A(PAGES) | A(NODE) | A(WRONG) | FAULTY,
	[DO_UNTRACK] = A(SPACE) | A(GFN) | A(PAGES) | A(NODE) | A(WRONG),
	[DO_NODE] = A(NODE),
	[DO_HARVEST] = A(SPACE) | A(ID) | A(GFN) | A(PAGES) | A(WHICH) | FAULTY,
	[DO_DONE] = A(WHICH),
	[DO_GIVE_BACK] = A(WHICH),
	[DO_POPULATE] = A(SPACE) | A(GFN) | A(PAGES) | FAULTY,
	[DO_ASK] = A(SPACE) | A(GFN),
	[DO_OPTION] = A(SPACE) | A(NO_MOVES),
};

const char *step_name(enum kind kind)
{
	return kind_name[kind];
}

void step_print(FILE *to, const struct step *op)
{
	fprintf(to, "%s", kind_name[op->kind]);
	for (unsigned i = 0; i < ARGS; i++)
		if (op->v[i] && uses[op->kind] >> i & 1)
			fprintf(to, " %s %u", arg_name[i], op->v[i]);
	fputc('\n', to);
}

static bool name_of(
	const char *const *names, unsigned n, const char *word, unsigned *at)
{
	for (*at = 0; *at < n; ++*at)
		if (!strcmp(names[*at], word))
			return true;
	return false;
}

bool step_parse(const char *line, struct step *op)
{
	unsigned kind, arg, value;
	char word[16];
	int used;

	*op = (struct step){.kind = DO_COUNT};
	if (sscanf(line, "%15s%n", word, &used) != 1 ||
		!name_of(kind_name, DO_COUNT, word, &kind))
		return false;
	op->kind = (enum kind)kind;
	line += used;
	while (sscanf(line, "%15s%n", word, &used) == 1) {
		line += used;
		if (!name_of(arg_name, ARGS, word, &arg) ||
			sscanf(line, "%u%n", &value, &used) != 1)
			return false;
		op->v[arg] = value;
		line += used;
	}
	return true;
}

/* ---- chance ------------------------------------------------------------------- */

static uint64_t random_number(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15u); /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Below n, which is at most 256. */
static unsigned pick(struct source *from, unsigned n)
{
	if (!from->at)
		return (unsigned)(random_number(&from->seed) % n);
	if (!from->left)
		return 0;
	from->left--;
	return *from->at++ % n;
}

/* One in n. */
static bool rarely(struct source *from, unsigned n)
{
	return pick(from, n) == n - 1;
}

/* The slot that an operation names: mostly one of which it makes sense. */
static void pick_slot(struct source *from, struct step *op, bool there)
{
	unsigned space = pick(from, SPACES), id = pick(from, IDS);

	for (unsigned i = 0; i < IDS; i++) {
		if (now.slot[space][id].there == there)
			break;
		if (rarely(from, 32))
			break;
		id = (id + 1) % IDS;
	}
	op->v[A_SPACE] = space;
	op->v[A_ID] = id;
}

static const struct slot *named(const struct step *op)
{
	return &now.slot[op->v[A_SPACE]][op->v[A_ID]];
}

static unsigned pick_pages(struct source *from)
{
	return 1 + (rarely(from, 8) ? pick(from, PAGES) : pick(from, 12));
}

static bool frame_used(unsigned frame)
{
	for (unsigned i = 0; i < SPACES * IDS; i++) {
		const struct slot *s = &now.slot[i / IDS][i % IDS];

		if (s->there && frame - s->frame < s->pages)
			return true;
	}
	return false;
}

/* Host memory: of nobody's mostly, else an alias. */
static unsigned pick_frame(struct source *from, unsigned pages)
{
	unsigned frame = pick(from, FRAMES);

	if (!rarely(from, 4))
		for (unsigned i = 0; i < FRAMES; i += 7) {
			unsigned at = (frame + i) % FRAMES;

			if (at + pages <= FRAMES && !frame_used(at) &&
				!frame_used(at + pages - 1))
				return at;
		}
	return frame + pages <= FRAMES ? frame : FRAMES - pages;
}

/* A guest page: often the last one again, mostly one with a slot. */
static void pick_page(struct source *from, struct step *op)
{
	op->v[A_GFN] = from->gfn;
	op->v[A_SPACE] = from->space;
	if (pick(from, 2))
		return;
	op->v[A_GFN] = pick(from, GFNS);
	op->v[A_SPACE] = pick(from, SPACES);
	if (rarely(from, 8))
		return;
	pick_slot(from, op, true);
	if (named(op)->there)
		op->v[A_GFN] = named(op)->gfn + op->v[A_GFN] % named(op)->pages;
	op->v[A_ID] = 0;
	from->gfn = op->v[A_GFN];
	from->space = op->v[A_SPACE];
}

/* Is there room, but for the slot itself? */
static bool room_at(const struct step *op, unsigned gfn, unsigned pages)
{
	for (unsigned id = 0; id < IDS; id++) {
		const struct slot *s = &now.slot[op->v[A_SPACE]][id];

		if (s->there && id != op->v[A_ID] && gfn < s->gfn + s->pages &&
			s->gfn < gfn + pages)
			return false;
	}
	return gfn + pages <= GFNS;
}

/* Behind the slot whose host memory ends where this one's begins. */
static unsigned behind_lower(const struct step *op, unsigned otherwise)
{
	for (unsigned id = 0; id < IDS; id++) {
		const struct slot *s = &now.slot[op->v[A_SPACE]][id];

		if (s->there && s->frame + s->pages == named(op)->frame)
			return s->gfn + s->pages;
	}
	return otherwise;
}

/*
 * Where to move a slot: far, a little, to where another one is, or to where
 * it can be merged.
 */
static unsigned pick_base(
	struct source *from, const struct step *op, unsigned pages)
{
	const struct slot *s = named(op);
	unsigned gfn = pick(from, GFNS), how = pick(from, 8);
	const struct slot *other = &now.slot[op->v[A_SPACE]][gfn % IDS];

	if (how == 0 && s->there)
		gfn = s->gfn + gfn % 7 - (s->gfn >= 3 ? 3 : 0);
	if (how == 1 && other->there)
		gfn = other->gfn + (gfn & 64 ? other->pages : 0);
	if (how == 2 && s->there)
		gfn = behind_lower(op, gfn);
	for (unsigned i = 0; how > 2 && i < GFNS; i += 5)
		if (room_at(op, (gfn + i) % GFNS, pages)) {
			gfn = (gfn + i) % GFNS;
			break;
		}
	return gfn + pages <= GFNS ? gfn : GFNS - pages;
}

/* A lower and an upper neighbour, if there are any; or about to be some. */
static void pick_neighbours(struct source *from, struct step *op)
{
	unsigned start = pick(from, SPACES * IDS * IDS);
	bool only_host = rarely(from, 3);

	for (unsigned i = 0; i < SPACES * IDS * IDS; i++) {
		unsigned n = (start + i) % (SPACES * IDS * IDS);
		const struct slot *a = &now.slot[n / IDS / IDS][n / IDS % IDS];
		const struct slot *b = &now.slot[n / IDS / IDS][n % IDS];

		op->v[A_SPACE] = n / IDS / IDS;
		op->v[A_ID] = n / IDS % IDS;
		op->v[A_OTHER] = n % IDS;
		if (a->there && b->there &&
			(only_host || b->gfn == a->gfn + a->pages) &&
			b->frame == a->frame + a->pages)
			return;
	}
}

static void pick_operation(struct source *from, struct step *op)
{
	static const uint8_t kinds[] = {DO_CREATE, DO_CREATE, DO_CREATE,
		DO_DELETE, DO_MOVE, DO_MOVE, DO_MOVE, DO_FLAGS, DO_FLAGS,
		DO_RESIZE, DO_RESIZE, DO_SPLIT, DO_SPLIT, DO_MERGE, DO_MERGE,
		DO_HOST};
	const struct slot *s;

	op->kind = kinds[pick(from, sizeof(kinds))];
	pick_slot(from, op, op->kind != DO_CREATE);
	s = named(op);
	op->v[A_PAGES] = pick_pages(from);
	op->v[A_FLAGS] = pick(from, 8) ? pick(from, 2) : pick(from, 4);
	op->v[A_GFN] = pick_base(from, op,
		op->kind != DO_CREATE && s->there ? s->pages : op->v[A_PAGES]);
	op->v[A_WRONG] = rarely(from, 48) ? pick(from, WRONGS) : RIGHT;
	switch (op->kind) {
	case DO_CREATE:
		op->v[A_FRAME] = pick_frame(from, op->v[A_PAGES]);
		break;
	case DO_DELETE:
		op->v[A_LAST] = s->flags & MEMSLOT_LOG_DIRTY ? pick(from, 2)
							     : rarely(from, 16);
		break;
	case DO_MOVE:
		op->v[A_KEEP] = pick(from, 2);
		break;
	case DO_RESIZE:
		/* Mostly to where there is room for it. */
		while (op->v[A_PAGES] > 1 && s->there &&
			!room_at(op, s->gfn, op->v[A_PAGES]) &&
			!rarely(from, 32))
			op->v[A_PAGES]--;
		break;
	case DO_SPLIT:
		op->v[A_OTHER] = pick(from, IDS);
		for (unsigned i = 0; i < IDS && !rarely(from, 32); i++)
			if (now.slot[op->v[A_SPACE]][op->v[A_OTHER]].there)
				op->v[A_OTHER] = (op->v[A_OTHER] + 1) % IDS;
		if (s->there && s->pages > 1 && !rarely(from, 8))
			op->v[A_PAGES] = 1 + op->v[A_PAGES] % (s->pages - 1);
		break;
	case DO_MERGE:
		pick_neighbours(from, op);
		break;
	case DO_HOST:
		op->v[A_COPY] = pick(from, 2);
		op->v[A_FRAME] = pick_frame(from, s->there ? s->pages : 1);
		break;
	default:
		break;
	}
}

/* A fault: mostly none. */
static void pick_fault(struct source *from, struct step *op, unsigned points)
{
	if (!rarely(from, 6))
		return;
	op->v[A_FAULT] = 1 + pick(from, points);
	op->v[A_ONWARD] = pick(from, 2);
}

/* Near an edge of a page, sometimes over it. */
static void pick_bytes(struct source *from, struct step *op)
{
	unsigned at = pick(from, EDGE - LONGEST);

	pick_page(from, op);
	op->v[A_OFFSET] = pick(from, 2) ? at : PAGE - 1 - at % (EDGE - 8);
	if (pick(from, 2)) /* aligned: for the caches */
		op->v[A_OFFSET] &= ~7u;
	op->v[A_SIZE] = pick(from, 24);
	op->v[A_VALUE] = 1 + pick(from, 255);
}

void choose(struct source *from, struct step *op)
{
	static const uint8_t other[] = {DO_LOAD, DO_LOAD, DO_LOAD, DO_STORE,
		DO_STORE, DO_STORE, DO_STORE, DO_READ, DO_WRITE, DO_WRITE,
		DO_TRACK, DO_TRACK, DO_TRACK, DO_UNTRACK, DO_HARVEST, DO_DONE,
		DO_GIVE_BACK, DO_POPULATE, DO_ASK, DO_CACHES};

	*op = (struct step){.kind = DO_COMMIT};
	if (w.pendings && (w.pendings == PENDING || pick(from, 2) == 0)) {
		if (rarely(from, 32))
			op->kind = DO_DISCARD;
		op->v[A_VETO] = rarely(from, 8) ? pick(from, VETOES) : 0;
		pick_fault(from, op, 40);
		return;
	}
	if (w.pendings || pick(from, 4) == 0) {
		pick_operation(from, op);
		return;
	}
	op->kind = other[pick(from, sizeof(other))];
	if (rarely(from, 64))
		op->kind = pick(from, 2) ? DO_NODE : DO_OPTION;
	pick_bytes(from, op);
	op->v[A_HART] = pick(from, 2);
	op->v[A_SOURCE] = rarely(from, 4);
	switch (op->kind) {
	case DO_TRACK:
	case DO_UNTRACK:
		op->v[A_NODE] = rarely(from, 6) ? R : pick(from, 2);
		op->v[A_PAGES] = pick(from, 8);
		op->v[A_WRONG] = rarely(from, 64) ? WRONG_SPACE : RIGHT;
		pick_fault(from, op, 8);
		break;
	case DO_NODE:
		op->v[A_NODE] = pick(from, NODES);
		break;
	case DO_HARVEST:
		pick_slot(from, op, true);
		op->v[A_GFN] = pick(from, 2) ? 0 : pick(from, 16);
		op->v[A_PAGES] = pick(from, 2) ? 0 : pick(from, 16);
		pick_fault(from, op, 2);
		break;
	case DO_POPULATE:
		op->v[A_PAGES] = pick(from, 12);
		pick_fault(from, op, 3);
		break;
	case DO_OPTION:
		op->v[A_NO_MOVES] = rarely(from, 3);
		break;
	default:
		break;
	}
	op->v[A_WHICH] = pick(from, HARVESTS);
}
