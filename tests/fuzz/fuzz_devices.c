/* SPDX-License-Identifier: MIT */
/*
 * fuzz_devices.c - register accesses no driver would make
 *
 * One machine's devices on one bus, wired as in vmm/machine.c, a window slot
 * for the slot controller, and a clock that the input advances. The input is
 * a list of accesses, bytes typed at the serial port, interrupt levels and
 * host commands. After each step: the window is where the controller says,
 * inside its range, and reserved bits stay 0.
 */
#include "tests/fuzz/fuzz.h"

#include "devices/plic.h"
#include "devices/rtc.h"
#include "devices/slotctl.h"
#include "devices/syscon.h"
#include "devices/uart.h"

#define RANGE_BASE  0x40000000ull
#define RANGE_PAGES 64ull
#define PAGES       4ull
#define OTHER_GFN   ((RANGE_BASE >> MEMSLOT_PAGE_SHIFT) + 40)
#define SOURCES     31u
#define HARTS       3u

static struct {
	struct memslots *ms;
	struct uart uart;
	struct plic plic;
	struct rtc rtc;
	struct syscon syscon;
	struct slotctl slotctl;
	struct bus bus;
	uint64_t now, sent;
	unsigned level[HARTS];
	uint8_t *host;
} d;

static const gpa_t place[] = {0, 0x1000, 0x2000, 0x3000, 0x1000000};

static uint64_t now_ns(void *ctx)
{
	(void)ctx;
	return d.now;
}

static void hart_wire(void *ctx, unsigned number, bool level)
{
	(void)ctx;
	MUST(number < HARTS && d.level[number] != level);
	d.level[number] = level;
}

static void output(void *ctx, const void *bytes, size_t len)
{
	volatile uint8_t sum = 0;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	d.sent += len;
}

static void ended(void *ctx, unsigned what, unsigned code)
{
	(void)ctx;
	MUST(what == SYSCON_POWEROFF || what == SYSCON_REBOOT ||
		what == SYSCON_FAIL);
	MUST(code <= 0xffff);
}

static void add_slot(unsigned id, gfn_t gfn, uint64_t pages, uint64_t at)
{
	struct memslot_config c = {0, id, gfn << MEMSLOT_PAGE_SHIFT,
		pages << MEMSLOT_PAGE_SHIFT, d.host + at * MEMSLOT_PAGE_SIZE,
		id == 1 ? MEMSLOT_LOG_DIRTY : 0};

	MUST(memslots_create_slot(d.ms, &c, NULL) == 0);
}

static void open_devices(void)
{
	struct irq_line out[HARTS];
	struct uart_config uc = {.output = output};
	struct slotctl_config sc = {.id = 1,
		.range_base = RANGE_BASE,
		.range_size = RANGE_PAGES << MEMSLOT_PAGE_SHIFT};

	memset(&d, 0, sizeof(d));
	d.host = aligned_alloc(MEMSLOT_PAGE_SIZE, 16 * MEMSLOT_PAGE_SIZE);
	MUST(d.host != NULL);
	MUST(memslots_create(&memslot_hosted, 1, &d.ms, NULL) == 0);
	add_slot(1, RANGE_BASE >> MEMSLOT_PAGE_SHIFT, PAGES, 0);
	add_slot(2, OTHER_GFN, 2, PAGES);
	for (unsigned i = 0; i < HARTS; i++)
		out[i] = (struct irq_line){hart_wire, NULL, i};
	MUST(plic_init(&d.plic, SOURCES, HARTS, out, NULL) == 0);
	uc.irq = plic_line(&d.plic, 10);
	MUST(uart_init(&d.uart, &uc, NULL) == 0);
	MUST(rtc_init(&d.rtc, plic_line(&d.plic, 11), now_ns, NULL, NULL) == 0);
	syscon_init(&d.syscon, ended, NULL);
	sc.slots = d.ms;
	MUST(slotctl_init(&d.slotctl, &sc, NULL) == 0);
	bus_add(&d.bus, place[0], UART_SIZE, &uart_bus_ops, &d.uart, NULL);
	bus_add(&d.bus, place[1], RTC_SIZE, &rtc_bus_ops, &d.rtc, NULL);
	bus_add(&d.bus, place[2], SYSCON_SIZE, &syscon_bus_ops, &d.syscon,
		NULL);
	bus_add(&d.bus, place[3], SLOTCTL_SIZE, &slotctl_bus_ops, &d.slotctl,
		NULL);
	bus_add(&d.bus, place[4], PLIC_SIZE, &plic_bus_ops, &d.plic, NULL);
	MUST(d.bus.count == 5);
}

static void close_devices(void)
{
	slotctl_fini(&d.slotctl);
	rtc_fini(&d.rtc);
	uart_fini(&d.uart);
	plic_fini(&d.plic);
	memslots_destroy(d.ms);
	free(d.host);
}

/* Where an access goes: mostly to a place where there is something. */
static gpa_t take_address(struct supply *s, unsigned device)
{
	static const uint32_t plic_bank[] = {
		0, 0x1000, 0x2000, 0x2080, 0x200000, 0x201000};
	uint8_t how = take8(s);

	if (how == 255)
		return place[device] + take(s, 3);
	if (device == 4)
		return place[4] + plic_bank[(how >> 5) % 6] + (how & 31) * 4;
	return place[device] + how;
}

static void access_register(struct supply *s, uint8_t what)
{
	unsigned len = 1u << (what >> 3 & 3);
	gpa_t gpa = take_address(s, (what & 7) % 5);
	uint64_t value = 0;
	int r;

	if (what & 0x20) {
		r = bus_read(&d.bus, gpa, len, &value);
		MUST(r || len == 8 || value >> 8 * len == 0);
	} else {
		bus_write(&d.bus, gpa, len, take(s, len));
	}
}

static void outside(struct supply *s, uint8_t what)
{
	struct memslot_result result;
	struct memslot_error err;
	struct irq_line line;
	uint8_t bytes[64];

	switch (what & 7) {
	case 0:
		memset(bytes, take8(s), sizeof(bytes));
		MUST(uart_input(&d.uart, bytes, what >> 3 & 31) <= 31);
		break;
	case 1:
		d.now += take(s, 5);
		rtc_check(&d.rtc);
		break;
	case 2:
		line = plic_line(&d.plic, take8(s));
		irq_set(&line, what & 8);
		break;
	case 3:
		slotctl_command(&d.slotctl, what >> 3 & 7,
			RANGE_BASE + take(s, 3), &result, &err);
		break;
	case 4: /* the window goes away and comes again */
		if (memslots_delete_slot(d.ms, 0, 1, NULL))
			memslots_move_slot(d.ms, 0, 2, take(s, 4) << 12,
				MEMSLOT_MOVE_KEEP, NULL);
		break;
	default:
		rtc_check(&d.rtc);
	}
}

static void check_window(void)
{
	uint64_t size, base = 0;
	gpa_t gpa;

	if (slotctl_window(&d.slotctl, &gpa, &size)) {
		gpa = 0;
	} else {
		MUST(gpa >= RANGE_BASE &&
			gpa + size <=
				RANGE_BASE +
					(RANGE_PAGES << MEMSLOT_PAGE_SHIFT));
		MUST(size == PAGES << MEMSLOT_PAGE_SHIFT);
	}
	MUST(bus_read(&d.bus, place[3] + SLOTCTL_REG_WINDOW_BASE, 8, &base) ==
		0);
	MUST(base == gpa);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct supply s = {bytes, len};

	open_devices();
	for (unsigned steps = 0; s.left && steps < 400; steps++) {
		uint8_t what = take8(&s);

		if (what & 0x40)
			outside(&s, what);
		else
			access_register(&s, what);
		/* Reading the controller moves its latch: not every time. */
		if (!(what & 0x80))
			check_window();
	}
	close_devices();
	return 0;
}
