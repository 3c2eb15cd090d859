/* SPDX-License-Identifier: MIT */
/*
 * vgtt-demo.c - a Linux process drives a device that shadows its tables
 *
 * usage: vgtt-demo [WRITES [BARMOVES [follow|drive|none]]]
 *
 * The device is vgtt (docs/vgtt.md), reached through sysfs alone: resource0
 * has its registers, resource2 its aperture, config its BARs. Here is no
 * kernel module; table and data pages are locked pages of this process, whose
 * physical addresses /proc/self/pagemap tells.
 *
 * We build a translation table: tables in our own memory, in the aperture,
 * and in the slot controller's window, which the host moves meanwhile
 * (follow), or we do (drive). Then we rewrite random entries, WRITES stores
 * of all widths and alignments (1000000). In between the engine is run on
 * random device addresses, and each result is checked against what the table
 * must say; and BARMOVES times (1000) we move the aperture by a store to
 * BAR 2, some of them to where it cannot be. A second thread rewrites a table
 * of its own all the while. A move that fails must leave
 * everything as it was.
 *
 * Exit status: 0 all well; 1 something was wrong; 2 no device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "guest.h"

/* The device: devices/vgtt.h */
#define VENDOR_DEVICE 0x10f11af4u
#define MAGIC         REG32(vgtt, 0x00)
#define APERTURE      REG64(vgtt, 0x08)
#define ROOT          REG64(vgtt, 0x10)
#define SOURCE        REG64(vgtt, 0x18)
#define TARGET        REG64(vgtt, 0x20)
#define LENGTH        REG64(vgtt, 0x28)
#define VALUE         REG64(vgtt, 0x30)
#define COMMAND       REG32(vgtt, 0x38)
#define STATUS        REG32(vgtt, 0x3c)
#define FAULT         REG64(vgtt, 0x40)
#define HEARD         REG64(vgtt, 0x48)
#define UPDATES       REG64(vgtt, 0x50)
#define MISMATCHES    REG64(vgtt, 0x68)

enum { SET_ROOT = 1, CLEAR_ROOT, FILL, COPY, SUM, VERIFY };

#define VGTT_MAGIC 0x54544756u
#define VALID      1u
#define WRITABLE   2u
#define ADDRESS    0x000ffffffffff000u

#define CONFIG_COMMAND 0x04
#define CONFIG_BAR2    0x18
#define BUS_MASTER     4u

/* How many tables and data pages there are, and where. */
#define RAM_TABLES    16u
#define BAR_TABLES    8u
#define WINDOW_TABLES 4u
#define TABLES        (RAM_TABLES + BAR_TABLES + WINDOW_TABLES)
#define RAM_DATA      96u
#define BAR_DATA      64u
#define WINDOW_DATA   8u
#define DATA          (RAM_DATA + BAR_DATA + WINDOW_DATA)
#define BAR_PAGES     (BAR_TABLES + BAR_DATA) /* used of the aperture */
#define PLACES_MAX    64u

/* The root's entry for a table that a thread of its own rewrites. */
#define LOAD_TABLE 500u

enum where { RAM, BAR, WINDOW };

struct page {
	enum where where;
	unsigned char *memory; /* RAM */
	uint64_t address;      /* RAM: physical; else in BAR or window */
	uint64_t sum;          /* of data: what the engine must find */
};

struct table {
	struct page page;
	uint64_t entry[512]; /* what we have stored */
	uint64_t named;      /* by the root's entry, which has our number */
};

static volatile unsigned char *vgtt, *slotctl;
static int config, mem;

static unsigned char *bar;
static uint64_t bar_base, bar_size, first_place, places;
static uint32_t bar_flags;

static unsigned char *range;
static uint64_t range_base, range_size, window_base, window_size;

static struct page root;
static struct table table[TABLES];
static struct page data[DATA];
static unsigned tables, pages; /* fewer if there is no window */

static uint64_t writes, window_writes, runs, wrong, again, late;
static uint64_t bar_moves, bar_refusals, window_moves;

static uint64_t random_below(uint64_t n)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1du >> 16) % n;
}

static void complain(const char *what, uint64_t a, uint64_t b)
{
	if (wrong++ < 10)
		printf("vgtt: %s: 0x%lx, 0x%lx\n", what, a, b);
}

/* ---- finding things ------------------------------------------------------------ */

static int open_device_file(const char *device, const char *name)
{
	char path[320];
	int fd;

	snprintf(
		path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, name);
	fd = open(path, strcmp(name, "enable") ? O_RDWR | O_SYNC : O_WRONLY);
	if (fd < 0)
		err(2, "cannot open %s", path);
	return fd;
}

/* Its directory in sysfs; config is open. */
static void find_device(char *name, size_t size)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	const struct dirent *d;
	uint32_t id;

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		config = open_device_file(d->d_name, "config");
		if (pread(config, &id, 4, 0) == 4 && id == VENDOR_DEVICE) {
			snprintf(name, size, "%s", d->d_name);
			closedir(dir);
			return;
		}
		close(config);
	}
	errx(2, "this machine has no vgtt: start vmm with --vgtt");
}

static uint64_t read_bar(void)
{
	uint32_t half[2];

	if (pread(config, half, 8, CONFIG_BAR2) != 8)
		err(2, "cannot read BAR 2");
	bar_flags = half[0] & 15;
	return (uint64_t)half[1] << 32 | (half[0] & ~15u);
}

/* The range of the host bridge that the BAR is in: the closest around it. */
static void find_places(void)
{
	uint64_t low, high, best_low = bar_base, best_size = UINT64_MAX;
	FILE *f = fopen("/proc/iomem", "r");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %lx-%lx", &low, &high) != 2 ||
			low > bar_base || high < bar_base + bar_size - 1 ||
			high - low < bar_size || high - low >= best_size)
			continue;
		best_low = low;
		best_size = high - low;
	}
	if (f)
		fclose(f);
	first_place = (best_low + bar_size - 1) / bar_size * bar_size;
	places = best_size == UINT64_MAX
			 ? 1
			 : (best_low + best_size + 1 - first_place) / bar_size;
	if (places > PLACES_MAX)
		places = PLACES_MAX;
}

static void open_device(void)
{
	uint16_t command;
	char name[256];
	int fd;

	find_device(name, sizeof(name));
	fd = open_device_file(name, "enable");
	if (write(fd, "1", 1) != 1)
		err(2, "cannot enable %s", name);
	close(fd);
	if (pread(config, &command, 2, CONFIG_COMMAND) != 2)
		err(2, "cannot read the command register");
	command |= BUS_MASTER;
	if (pwrite(config, &command, 2, CONFIG_COMMAND) != 2)
		err(2, "cannot make %s a bus master", name);
	vgtt = map_file(open_device_file(name, "resource0"), 0, PAGE);
	if (MAGIC != VGTT_MAGIC)
		errx(2, "%s has no vgtt's registers", name);
	bar_size = APERTURE;
	bar_base = read_bar();
	bar = map_file(
		open_device_file(name, "resource2"), 0, BAR_PAGES * PAGE);
	find_places();
	printf("vgtt: %s, aperture of %lu KiB at 0x%lx, %lu places for it\n",
		name, bar_size / 1024, bar_base, places);
}

static void open_window(void)
{
	uint64_t address = slotctl_address();

	if (!address)
		return;
	slotctl = map_file(mem, address, PAGE);
	range_base = SLOTCTL_RANGE_BASE;
	range_size = SLOTCTL_RANGE_SIZE;
	window_size = SLOTCTL_WINDOW_SIZE;
	window_base = SLOTCTL_WINDOW_BASE;
	if (SLOTCTL_MAGIC != SLOTCTL_THE_MAGIC ||
		window_size < (WINDOW_TABLES + WINDOW_DATA) * PAGE)
		errx(2, "no window of a size that we need");
	range = map_file(mem, range_base, range_size);
}

/* ---- pages ----------------------------------------------------------------------- */

static uint64_t address_of(const struct page *p)
{
	switch (p->where) {
	case BAR:
		return bar_base + p->address;
	case WINDOW:
		return window_base + p->address;
	default:
		return p->address;
	}
}

static volatile unsigned char *memory_of(const struct page *p)
{
	switch (p->where) {
	case BAR:
		return bar + p->address;
	case WINDOW:
		return range + (window_base - range_base) + p->address;
	default:
		return p->memory;
	}
}

static uint64_t physical(int pagemap, void *p)
{
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)p / PAGE * 8)) != 8 ||
		!(entry >> 63) || !(entry & 0x7fffffffffffffu))
		errx(2, "no physical address of %p: we must be root", p);
	return (entry & 0x7fffffffffffffu) * PAGE;
}

/* All of `count` pages; returns the next free offset of BAR or window. */
static void make_pages(struct page *p, size_t step, unsigned count,
	enum where where, uint64_t *offset)
{
	static int pagemap = -1;
	unsigned char *memory = NULL;

	if (pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (where == RAM) {
		memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE,
			-1, 0);
		if (memory == MAP_FAILED)
			err(2, "cannot lock %u pages", count);
	}
	for (unsigned i = 0; i < count; i++) {
		p->where = where;
		if (where == RAM) {
			p->memory = memory + i * PAGE;
			memset(p->memory, 0, PAGE);
			p->address = physical(pagemap, p->memory);
		} else {
			p->address = *offset;
			*offset += PAGE;
		}
		p = (struct page *)((unsigned char *)p + step);
	}
}

static bool still_there(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	bool there = true;

	for (unsigned i = 0; i < pages; i++)
		if (data[i].where == RAM &&
			physical(pagemap, data[i].memory) != data[i].address)
			there = false;
	close(pagemap);
	return there;
}

/* ---- stores that may meet a window on the move ------------------------------------ */

static sigjmp_buf retry;
static volatile sig_atomic_t may_retry;

static void on_fault(int sig)
{
	if (!may_retry) {
		signal(sig, SIG_DFL);
		return;
	}
	late++;
	siglongjmp(retry, 1);
}

static void store_bytes(volatile unsigned char *to, uint64_t value, unsigned n)
{
	switch (n) {
	case 1:
		*to = (unsigned char)value;
		break;
	case 2:
		*(volatile uint16_t *)to = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)to = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)to = value;
		break;
	}
}

static void store_root(unsigned index, uint64_t entry)
{
	*(volatile uint64_t *)(root.memory + 8 * index) = entry;
	writes++;
}

/* Where the window is now; the root must name its tables there. */
static uint64_t find_window(void)
{
	uint64_t generation, base;

	if (!slotctl)
		return 0;
	do {
		generation = SLOTCTL_GENERATION;
		base = SLOTCTL_WINDOW_BASE;
	} while (base < range_base ||
		 base > range_base + range_size - window_size ||
		 generation != SLOTCTL_GENERATION);
	if (base != window_base) {
		window_base = base;
		window_moves++;
		for (unsigned t = RAM_TABLES + BAR_TABLES; t < tables; t++) {
			table[t].named = address_of(&table[t].page);
			store_root(t, table[t].named | VALID);
		}
	}
	return generation;
}

static uint64_t load_bytes(volatile unsigned char *from, unsigned n)
{
	switch (n) {
	case 1:
		return *from;
	case 2:
		return *(volatile uint16_t *)from;
	case 4:
		return *(volatile uint32_t *)from;
	default:
		return *(volatile uint64_t *)from;
	}
}

/* What is there, in a moment in which the map did not change. */
static uint64_t look(const struct page *p, unsigned offset, unsigned n)
{
	uint64_t generation, got;

	do {
		generation = find_window();
		got = load_bytes(memory_of(p) + offset, n);
	} while (SLOTCTL_GENERATION != generation);
	return got;
}

/*
 * n bytes of `value` at `offset` of a page. Where the window is no more a
 * signal comes, or (x86) the store is lost; so it is looked at, and done
 * again only if it has not arrived: each is carried out exactly once.
 */
static void store(
	const struct page *p, unsigned offset, uint64_t value, unsigned n)
{
	volatile bool stored = false;

	if (p->where != WINDOW) {
		store_bytes(memory_of(p) + offset, value, n);
		return;
	}
	if (sigsetjmp(retry, 0))
		find_window();
	may_retry = 1;
	if (stored && look(p, offset, n) != value)
		stored = false;
	while (!stored) {
		store_bytes(memory_of(p) + offset, value, n);
		stored = true;
		if (look(p, offset, n) != value)
			stored = false;
	}
	may_retry = 0;
	window_writes++;
}

/* ---- rewriting entries -------------------------------------------------------------- */

static void put(struct table *t, unsigned offset, const unsigned char *bytes,
	unsigned n)
{
	uint64_t value = 0;

	memcpy(&value, bytes, n);
	store(&t->page, offset, value, n);
	memcpy((unsigned char *)t->entry + offset, bytes, n);
	writes++;
}

/* In pieces of n bytes, in one order or the other. */
static void put_pieces(struct table *t, unsigned offset,
	const unsigned char *bytes, unsigned len, unsigned n)
{
	bool backwards = random_below(2);

	for (unsigned done = 0; done < len; done += n) {
		unsigned at = backwards ? len - done - n : done;

		put(t, offset + at, bytes + at, n);
	}
}

static uint64_t new_entry(void)
{
	const struct page *p = &data[random_below(pages)];

	if (random_below(8) == 0)
		return random_below(1u << 30) << 1; /* not valid */
	/* The engine does not write to the window: it could move meanwhile. */
	return address_of(p) | VALID | (p->where != WINDOW ? WRITABLE : 0);
}

/* One entry, or two with a store across them. */
static void rewrite(struct table *t)
{
	unsigned i = (unsigned)random_below(511), into;
	uint64_t two[2] = {new_entry(), new_entry()};
	const unsigned char *bytes = (unsigned char *)two;

	switch (random_below(6)) {
	case 0:
		put_pieces(t, 8 * i, bytes, 8, 1);
		break;
	case 1:
		put_pieces(t, 8 * i, bytes, 8, 2);
		break;
	case 2:
		put_pieces(t, 8 * i, bytes, 8, 4);
		break;
	case 3:
		into = 1 + (unsigned)random_below(7);
		put_pieces(t, 8 * i, bytes, into, 1);
		put(t, 8 * i + into, bytes + into, 8);
		put_pieces(t, 8 * i + into + 8, bytes + into + 8, 8 - into, 1);
		break;
	default:
		put(t, 8 * i, bytes, 8);
		break;
	}
}

/* A table is taken out of the root, rewritten unseen, and put back. */
static void unplug(unsigned t)
{
	store_root(t, 0);
	for (unsigned n = 0; n < 4; n++)
		rewrite(&table[t]);
	find_window();
	table[t].named = address_of(&table[t].page);
	store_root(t, table[t].named | VALID);
}

/* ---- running the engine --------------------------------------------------------------- */

static uint64_t device_address(unsigned t, unsigned index)
{
	return (uint64_t)t << 21 | (uint64_t)index << 12;
}

/* The data page at a physical address; NULL: nothing of ours is there. */
static struct page *page_at(uint64_t address)
{
	for (unsigned i = 0; i < pages; i++)
		if (address_of(&data[i]) == address)
			return &data[i];
	return NULL;
}

/* What an entry must lead to; NULL: a fault. */
static struct page *expected(unsigned t, unsigned index, bool to_write)
{
	const uint64_t entry = table[t].entry[index];

	if (table[t].named != address_of(&table[t].page) || !(entry & VALID) ||
		(to_write && !(entry & WRITABLE)))
		return NULL;
	return page_at(entry & ADDRESS);
}

static uint64_t sum_step(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 32;
}

static uint64_t sum_of(uint64_t word)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PAGE / 8; i++)
		sum = sum_step(sum, word);
	return sum;
}

/*
 * Run it; false if it faulted. The device may be short of memory for once: so
 * a fault that must not be is tried again.
 */
static bool run(unsigned command, bool must)
{
	runs++;
	COMMAND = command;
	if (STATUS == EFAULT && must) {
		again++;
		COMMAND = command;
	}
	return STATUS == 0;
}

static void check_fault(uint64_t address, const struct page *p, bool ok)
{
	if (ok != (p != NULL))
		complain(ok ? "no fault" : "a fault", address, STATUS);
	else if (!ok && (STATUS != EFAULT || FAULT != address))
		complain("the wrong fault", address, FAULT);
}

static void check_sum(unsigned t, unsigned index)
{
	const uint64_t address = device_address(t, index);
	const struct page *p;
	uint64_t generation, sum;
	bool ok;

	SOURCE = address;
	LENGTH = PAGE;
	do { /* again if the window moved meanwhile */
		generation = find_window();
		p = expected(t, index, false);
		ok = run(SUM, p != NULL);
		sum = VALUE;
	} while (find_window() != generation);
	check_fault(address, p, ok);
	if (ok && p && sum != p->sum)
		complain("a wrong sum", sum, p->sum);
}

static void check_fill(unsigned t, unsigned index)
{
	const uint64_t address = device_address(t, index);
	const uint64_t value = random_below(UINT64_MAX);
	struct page *p;
	uint64_t generation;
	volatile uint64_t *word;
	bool ok;

	TARGET = address;
	LENGTH = PAGE;
	VALUE = value;
	do {
		generation = find_window();
		p = expected(t, index, true);
		ok = run(FILL, p != NULL);
	} while (find_window() != generation);
	check_fault(address, p, ok);
	if (!ok || !p)
		return;
	word = (volatile uint64_t *)memory_of(p);
	for (unsigned i = 0; i < PAGE / 8; i++)
		if (word[i] != value)
			complain("not filled", word[i], value);
	p->sum = sum_of(value);
}

static void check_copy(unsigned t, unsigned from, unsigned to)
{
	struct page *p, *q;
	uint64_t generation;
	bool ok;

	SOURCE = device_address(t, from);
	TARGET = device_address(t, to);
	LENGTH = PAGE;
	do {
		generation = find_window();
		p = expected(t, from, false);
		q = expected(t, to, true);
		ok = run(COPY, p && q);
	} while (find_window() != generation);
	check_fault(device_address(t, p ? to : from), p ? q : p, ok);
	if (ok && p && q)
		q->sum = p->sum;
}

static void check(void)
{
	unsigned t = (unsigned)random_below(tables);
	unsigned i = (unsigned)random_below(512);

	switch (random_below(4)) {
	case 0:
		check_fill(t, i);
		break;
	case 1:
		check_copy(t, i, (unsigned)random_below(512));
		break;
	default:
		check_sum(t, i);
		break;
	}
}

/* ---- a second thread ----------------------------------------------------------------------- */

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int load_stop;
static uint64_t load_writes;

/* It holds the lock while shadow and table may differ. */
static void *load(void *arg)
{
	volatile uint64_t *entry = (volatile uint64_t *)arg;

	for (uint64_t n = 0; !load_stop; n++) {
		pthread_mutex_lock(&load_lock);
		for (unsigned i = 0; i < 64; i++)
			entry[(n * 64 + i) % 512] =
				data[(n + i) % RAM_DATA].address | VALID;
		pthread_mutex_unlock(&load_lock);
		load_writes += 64;
		sched_yield();
	}
	return NULL;
}

static pthread_t start_load(void)
{
	static struct page page;
	pthread_t thread;

	make_pages(&page, sizeof(page), 1, RAM, NULL);
	store_root(LOAD_TABLE, page.address | VALID);
	if (pthread_create(&thread, NULL, load, page.memory))
		errx(2, "no thread");
	return thread;
}

static void verify(void)
{
	pthread_mutex_lock(&load_lock);
	COMMAND = VERIFY;
	pthread_mutex_unlock(&load_lock);
}

/* ---- moving ---------------------------------------------------------------------------- */

static void check_bar_memory(void)
{
	for (unsigned i = RAM_DATA; i < RAM_DATA + BAR_DATA; i += 7) {
		volatile uint64_t *word =
			(volatile uint64_t *)memory_of(&data[i]);
		uint64_t sum = 0;

		for (unsigned w = 0; w < PAGE / 8; w++)
			sum = sum_step(sum, word[w]);
		if (sum != data[i].sum)
			complain("the aperture has other bytes", sum,
				data[i].sum);
	}
}

static void bar_has_moved(uint64_t base)
{
	bar_moves++;
	munmap(bar, BAR_PAGES * PAGE);
	bar_base = base;
	bar = map_file(mem, base, BAR_PAGES * PAGE);
	for (unsigned t = RAM_TABLES; t < RAM_TABLES + BAR_TABLES; t++) {
		/* The old place has no memory: what it translated faults. */
		if (random_below(4) == 0)
			check_sum(t, (unsigned)random_below(512));
		table[t].named = address_of(&table[t].page);
		store_root(t, table[t].named | VALID);
	}
}

static void store_bar(unsigned upper, uint32_t half)
{
	if (pwrite(config, &half, 4, CONFIG_BAR2 + 4 * upper) != 4)
		err(2, "cannot store to BAR 2");
}

/* Above all that the host bridge passes on: it must stay where it is. */
static void move_bar_nowhere(void)
{
	store_bar(1, (uint32_t)(bar_base >> 32) + 0x1000);
	if (read_bar() != bar_base)
		complain("BAR 2 is nowhere", read_bar(), bar_base);
	bar_refusals++;
	store_bar(1, (uint32_t)(bar_base >> 32));
}

/* By one store to the lower half of BAR 2. */
static void move_bar(uint64_t target)
{
	uint64_t now;

	if (target >> 32 != bar_base >> 32)
		return;
	store_bar(0, (uint32_t)target | bar_flags);
	now = read_bar();
	if (now == target && now != bar_base)
		bar_has_moved(now);
	else if (now == bar_base)
		bar_refusals += target != bar_base;
	else
		complain("BAR 2 is at neither place", now, target);
}

/* To where the kernel believes it is; a failure may be in the way. */
static void move_bar_home(uint64_t home)
{
	for (unsigned n = 0; n < 1000 && bar_base != home; n++)
		move_bar(home);
}

static void move_window(void)
{
	uint64_t place = (window_base - range_base) / window_size + 1;

	SLOTCTL_TARGET =
		range_base + place % (range_size / window_size) * window_size;
	SLOTCTL_COMMAND = SLOTCTL_COMMAND_MOVE;
	find_window();
}

/* ---- all of it --------------------------------------------------------------------------- */

static void build(void)
{
	uint64_t in_bar = 0, in_window = 0;
	struct table *t = table;
	struct page *p = data;

	make_pages(&root, sizeof(root), 1, RAM, NULL);
	make_pages(&t->page, sizeof(*t), RAM_TABLES, RAM, NULL);
	t += RAM_TABLES;
	make_pages(&t->page, sizeof(*t), BAR_TABLES, BAR, &in_bar);
	t += BAR_TABLES;
	make_pages(p, sizeof(*p), RAM_DATA, RAM, NULL);
	p += RAM_DATA;
	make_pages(p, sizeof(*p), BAR_DATA, BAR, &in_bar);
	p += BAR_DATA;
	if (slotctl) {
		make_pages(&t->page, sizeof(*t), WINDOW_TABLES, WINDOW,
			&in_window);
		t += WINDOW_TABLES;
		make_pages(p, sizeof(*p), WINDOW_DATA, WINDOW, &in_window);
		p += WINDOW_DATA;
	}
	tables = (unsigned)(t - table);
	pages = (unsigned)(p - data);
	for (unsigned i = 0; i < pages; i++) {
		for (unsigned w = 0; w < PAGE / 8; w++)
			store(&data[i], 8 * w, i + 1, 8);
		data[i].sum = sum_of(i + 1);
	}
	for (unsigned i = 0; i < tables; i++)
		for (unsigned w = 0; w < PAGE / 8; w++)
			store(&table[i].page, 8 * w, 0, 8);
	ROOT = root.address;
	COMMAND = SET_ROOT;
	if (STATUS)
		errx(2, "the device does not take our root: %s",
			strerror((int)STATUS));
	find_window();
	for (unsigned i = 0; i < tables; i++) {
		table[i].named = address_of(&table[i].page);
		store_root(i, table[i].named | VALID);
	}
}

static void work(uint64_t limit, uint64_t moves, bool drive)
{
	uint64_t next_move = moves ? limit / moves : UINT64_MAX;
	uint64_t step = next_move, next_verify = 0;

	while (writes < limit) {
		for (unsigned n = 0; n < 16; n++)
			rewrite(&table[random_below(tables)]);
		check();
		if (random_below(32) == 0)
			unplug((unsigned)random_below(tables));
		if (writes >= next_verify) {
			next_verify = writes + 4096;
			verify();
		}
		if (writes >= next_move) {
			next_move += step;
			/* What the last move lost is mended by the next. */
			verify();
			if (random_below(16) == 0)
				move_bar_nowhere();
			move_bar(first_place + random_below(places) * bar_size);
			check_bar_memory();
			if (drive && slotctl)
				move_window();
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t limit =
		argc > 1 && *argv[1] ? strtoull(argv[1], NULL, 0) : 1000000;
	uint64_t moves = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000;
	pthread_t second;
	uint64_t home;
	const char *mode = argc > 3 ? argv[3] : "follow";
	/* SA_NODEFER: the jump out of it leaves no signal blocked. */
	struct sigaction fault = {
		.sa_handler = on_fault, .sa_flags = SA_NODEFER};

	setvbuf(stdout, NULL, _IOLBF, 0);
	mem = open("/dev/mem", O_RDWR | O_SYNC);
	if (mem < 0)
		err(2, "cannot open /dev/mem");
	open_device();
	if (strcmp(mode, "none") != 0)
		open_window();
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	if (slotctl)
		SLOTCTL_DONE = 0;
	build();
	home = bar_base;
	second = start_load();
	work(limit, moves, strcmp(mode, "drive") == 0);
	load_stop = 1;
	pthread_join(second, NULL);
	verify();
	move_bar_home(home);
	verify();
	COMMAND = CLEAR_ROOT; /* our pages will be somebody else's */
	if (!still_there())
		errx(1, "the kernel has moved our pages: nothing is proven");
	if (slotctl) {
		SLOTCTL_WRITES_DONE = window_writes;
		SLOTCTL_BYTES_WRONG = 0;
	}
	printf("vgtt: %lu table writes, %lu by a second thread, %lu heard, %lu "
	       "entries updated, %lu runs of the engine, %lu again\n",
		writes, load_writes, HEARD, UPDATES, runs, again);
	printf("vgtt: BAR 2 moved %lu times, refused %lu; the window moved "
	       "%lu times, %lu stores came late\n",
		bar_moves, bar_refusals, window_moves, late);
	printf("vgtt: %lu results wrong, %lu mismatches\n", wrong, MISMATCHES);
	wrong += MISMATCHES;
	if (slotctl)
		SLOTCTL_DONE = 1;
	return wrong != 0;
}
