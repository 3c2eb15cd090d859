/* SPDX-License-Identifier: MIT */
/*
 * soft_rvasm.c - the assembler of vmm/rvasm.h against another one
 *
 * Every encoder, with corner and random operands, is written down twice: as
 * the word it returns and as a line of assembly language. If the GNU
 * assembler for RISC-V is installed, it translates the lines, and the words
 * must be the same. The builder (labels, constants, bounds) is tested always.
 */
#include "vmm/rvasm.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define LINES_MAX 20000
#define ROUNDS    12

static struct {
	FILE *out;
	unsigned count;
	uint32_t word[LINES_MAX];
	uint8_t len[LINES_MAX];
	char text[LINES_MAX][48];
} list;

static uint64_t state = 1;

static unsigned rnd(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

__attribute__((format(printf, 3, 4))) static void line(
	uint32_t word, unsigned len, const char *format, ...)
{
	char *t = list.text[list.count];
	va_list ap;

	if (list.count == LINES_MAX)
		abort();
	va_start(ap, format);
	vsnprintf(t, sizeof(list.text[0]), format, ap);
	va_end(ap);
	list.word[list.count] = word;
	list.len[list.count++] = (uint8_t)len;
}

/* rv_fcvt_w_s is fcvt.w.s. */
static const char *dotted(const char *name)
{
	static char text[32];
	size_t i;

	for (i = 0; name[i]; i++)
		text[i] = name[i] == '_' ? '.' : name[i];
	text[i] = 0;
	return text;
}

/* A number of `bits` bits, signed, a multiple of `step`; ends included. */
static int pick(unsigned round, unsigned bits, int step)
{
	int half = 1 << (bits - 1);

	switch (round) {
	case 0:
		return -half;
	case 1:
		return half - step;
	case 2:
		return 0;
	case 3:
		return -step;
	default:
		return ((int)rnd(2 * (unsigned)half) - half) / step * step;
	}
}

/* Not signed, `low` to `high`. */
static unsigned upto(unsigned round, unsigned low, unsigned high, unsigned step)
{
	if (round == 0)
		return high;
	if (round == 1)
		return low;
	return low + rnd((high - low) / step + 1) * step;
}

static unsigned reg(unsigned round)
{
	return round == 0 ? 31 : round == 1 ? 0 : rnd(32);
}

static unsigned reg8(unsigned round)
{
	return upto(round, 8, 15, 1);
}

/* Any but x0. */
static unsigned reg1(unsigned round)
{
	return upto(round, 1, 31, 1);
}

static const char *const rm_name[] = {"rne", "rtz", "rdn", "rup", "rmm"};

static void words(unsigned r)
{
	unsigned a = reg(r), b = reg(r + (r > 3)), c = reg(r), d = reg(r);
	unsigned m = r % 5, shamt;
	int v = pick(r, 12, 1);

	if (r > 3) {
		b = rnd(32);
		c = rnd(32);
	}
#define T(name, op, f3, f7) \
	line(rv_##name(a, b, c), 4, "%s x%u, x%u, x%u", #name, a, b, c);
	RV_TABLE_R(T)
#undef T
#define T(name, op, f3) \
	line(rv_##name(a, b, v), 4, "%s x%u, x%u, %d", #name, a, b, v);
	RV_TABLE_I(T)
#undef T
#define T(name, op, f3) \
	line(rv_##name(a, b, v), 4, "%s x%u, %d(x%u)", #name, a, v, b);
	RV_TABLE_LOAD(T)
	RV_TABLE_STORE(T)
#undef T
#define T(name, op, f3) \
	line(rv_##name(a, b, v), 4, "%s f%u, %d(x%u)", #name, a, v, b);
	RV_TABLE_FLOAD(T)
	RV_TABLE_FSTORE(T)
#undef T
#define T(name, op, f3, f6, width)                  \
	shamt = upto(r, 0, (1u << (width)) - 1, 1); \
	line(rv_##name(a, b, shamt), 4, "%s x%u, x%u, %u", #name, a, b, shamt);
	RV_TABLE_SHIFT(T)
#undef T
	v = pick(r, 13, 2);
#define T(name, f3) \
	line(rv_##name(a, b, v), 4, "%s x%u, x%u, .+(%d)", #name, a, b, v);
	RV_TABLE_BRANCH(T)
#undef T
	v = pick(r, 21, 2);
	line(rv_jal(a, v), 4, "jal x%u, .+(%d)", a, v);
	v = (int)upto(r, 0, 0xfffff, 1);
#define T(name, op) \
	line(rv_##name(a, (uint32_t)v), 4, "%s x%u, %d", #name, a, v);
	RV_TABLE_U(T)
#undef T
	v = (int)upto(r, 0, 0xfff, 1);
#define T(name, f3)                                                           \
	line(rv_##name(a, (unsigned)v, b), 4, "%s x%u, %d, x%u", #name, a, v, \
		b);
	RV_TABLE_CSR(T)
#undef T
#define T(name, f3) \
	line(rv_##name(a, (unsigned)v, b), 4, "%s x%u, %d, %u", #name, a, v, b);
	RV_TABLE_CSRI(T)
#undef T
#define T(name, f5, f3)                                                        \
	line(rv_##name(a, b, c), 4, "%s x%u, x%u, (x%u)", dotted(#name), a, b, \
		c);                                                            \
	line(rv_aq(rv_##name(a, b, c)), 4, "%s.aq x%u, x%u, (x%u)",            \
		dotted(#name), a, b, c);                                       \
	line(rv_rl(rv_aq(rv_##name(a, b, c))), 4, "%s.aqrl x%u, x%u, (x%u)",   \
		dotted(#name), a, b, c);
	RV_TABLE_AMO(T)
#undef T
#define T(name, f3)                                                           \
	line(rv_##name(a, b), 4, "%s x%u, (x%u)", dotted(#name), a, b);       \
	line(rv_aq(rv_##name(a, b)), 4, "%s.aq x%u, (x%u)", dotted(#name), a, \
		b);
	RV_TABLE_LR(T)
#undef T
#define T(name, f7)                                                           \
	line(rv_##name(a, b, c, m), 4, "%s f%u, f%u, f%u, %s", dotted(#name), \
		a, b, c, rm_name[m]);                                         \
	line(rv_##name(a, b, c, RV_DYN), 4, "%s f%u, f%u, f%u, dyn",          \
		dotted(#name), a, b, c);
	RV_TABLE_FR_RM(T)
#undef T
#define T(name, f7, f3) \
	line(rv_##name(a, b, c), 4, "%s f%u, f%u, f%u", dotted(#name), a, b, c);
	RV_TABLE_FR(T)
#undef T
#define T(name, f7, f3) \
	line(rv_##name(a, b, c), 4, "%s x%u, f%u, f%u", dotted(#name), a, b, c);
	RV_TABLE_FCMP(T)
#undef T
/* The GNU assembler takes no rm where the result is exact: rne there. */
#define EXACT(f7, rs2) \
	((f7) == 0x21 || ((f7) == 0x69 && ((rs2) == 0 || (rs2) == 1)))
#define T(name, f7, rs2, x, y)                                         \
	if (EXACT(f7, rs2))                                            \
		line(rv_##name(a, b, 0), 4, "%s " x "%u, " y "%u",     \
			dotted(#name), a, b);                          \
	else                                                           \
		line(rv_##name(a, b, m), 4, "%s " x "%u, " y "%u, %s", \
			dotted(#name), a, b, rm_name[m]);
#define FF(name, f7, rs2) T(name, f7, rs2, "f", "f")
#define XF(name, f7, rs2) T(name, f7, rs2, "x", "f")
#define FX(name, f7, rs2) T(name, f7, rs2, "f", "x")
	RV_TABLE_FF_RM(FF)
	RV_TABLE_XF_RM(XF)
	RV_TABLE_FX_RM(FX)
#undef T
#define T(name, f7, f3) \
	line(rv_##name(a, b), 4, "%s x%u, f%u", dotted(#name), a, b);
	RV_TABLE_XF(T)
#undef T
#define T(name, f7, f3) \
	line(rv_##name(a, b), 4, "%s f%u, x%u", dotted(#name), a, b);
	RV_TABLE_FX(T)
#undef T
#define T(name, op, fmt)                                               \
	line(rv_##name(a, b, c, d, m), 4, "%s f%u, f%u, f%u, f%u, %s", \
		dotted(#name), a, b, c, d, rm_name[m]);
	RV_TABLE_FMA(T)
#undef T
	line(rv_sfence_vma(a, b), 4, "sfence.vma x%u, x%u", a, b);
	line(rv_mv(a, b), 4, "mv x%u, x%u", a, b);
	line(rv_csrr(a, RV_CSR_SCAUSE), 4, "csrr x%u, scause", a);
	line(rv_csrw(RV_CSR_STIMECMP, a), 4, "csrw stimecmp, x%u", a);
}

static void once(void)
{
#define T(name, word) line(rv_##name(), 4, "%s", dotted(#name));
	RV_TABLE_PLAIN(T)
#undef T
#define T(name, word) line(rv_##name(), 2, "%s", dotted(#name));
	RV_TABLE_C_PLAIN(T)
#undef T
	line(rv_ret(), 4, "ret");
	line(rv_fence(15, 15), 4, "fence iorw, iorw");
	line(rv_fence(2, 3), 4, "fence r, rw");
	line(rv_fence(8, 4), 4, "fence i, o");
	line(rv_fence_tso(), 4, "fence.tso");
#define T(name, text) line(rv_csrr(5, name), 4, "csrr x5, %s", text);
	T(RV_CSR_FFLAGS, "fflags")
	T(RV_CSR_FRM, "frm")
	T(RV_CSR_FCSR, "fcsr")
	T(RV_CSR_SSTATUS, "sstatus")
	T(RV_CSR_SIE, "sie")
	T(RV_CSR_STVEC, "stvec")
	T(RV_CSR_SCOUNTEREN, "scounteren")
	T(RV_CSR_SENVCFG, "senvcfg")
	T(RV_CSR_SSCRATCH, "sscratch")
	T(RV_CSR_SEPC, "sepc")
	T(RV_CSR_SCAUSE, "scause")
	T(RV_CSR_STVAL, "stval")
	T(RV_CSR_SIP, "sip")
	T(RV_CSR_STIMECMP, "stimecmp")
	T(RV_CSR_SATP, "satp")
	T(RV_CSR_CYCLE, "cycle")
	T(RV_CSR_TIME, "time")
	T(RV_CSR_INSTRET, "instret")
#undef T
}

static void halves(unsigned r)
{
	unsigned a8 = reg8(r), b8 = reg8(r + 2), a = reg1(r), b = reg1(r);
	unsigned v;
	int i;

#define word_   upto(r, 0, 124, 4)
#define double_ upto(r, 0, 248, 8)
#define T(name, kind, f3)                                                   \
	v = kind##_;                                                        \
	line(rv_##name(a8, b8, v), 2, "%s %c%u, %u(x%u)", dotted(#name), t, \
		a8, v, b8);
	{
		char t = 'x';
		RV_TABLE_C_MEM(T)
		t = 'f';
		RV_TABLE_C_FMEM(T)
	}
#undef T
#define T(name, kind, f3, shift)                               \
	v = upto(r, 0, shift == 2 ? 252 : 504, 1u << (shift)); \
	line(rv_##name(a, v), 2, "%s %c%u, %u(sp)", dotted(#name), t, a, v);
	{
		char t = 'x';
		RV_TABLE_C_SP(T)
		t = 'f';
		RV_TABLE_C_FSP(T)
	}
#undef T
	do
		i = pick(r == 2 ? 3 : r, 6, 1);
	while (!i); /* c.addi and c.lui exclude 0 */
#define T(name, f3) line(rv_##name(a, i), 2, "%s x%u, %d", dotted(#name), a, i);
	RV_TABLE_C_I(T)
#undef T
	line(rv_c_andi(a8, i), 2, "c.andi x%u, %d", a8, i);
	v = upto(r, 1, 63, 1);
	line(rv_c_srli(a8, (int)v), 2, "c.srli x%u, %u", a8, v);
	line(rv_c_srai(a8, (int)v), 2, "c.srai x%u, %u", a8, v);
	line(rv_c_slli(a, v), 2, "c.slli x%u, %u", a, v);
	if (a != 2)
		line(rv_c_lui(a, i), 2, "c.lui x%u, %d", a, i & 0xfffff);
#define T(name, x, y) \
	line(rv_##name(a8, b8), 2, "%s x%u, x%u", dotted(#name), a8, b8);
	RV_TABLE_C_A(T)
#undef T
	i = pick(r, 9, 2);
#define T(name, f3) \
	line(rv_##name(a8, i), 2, "%s x%u, .+(%d)", dotted(#name), a8, i);
	RV_TABLE_C_BRANCH(T)
#undef T
	i = pick(r, 12, 2);
	line(rv_c_j(i), 2, "c.j .+(%d)", i);
#define T(name, bit) \
	line(rv_##name(a, b), 2, "%s x%u, x%u", dotted(#name), a, b);
	RV_TABLE_C_R(T)
#undef T
#define T(name, bit) line(rv_##name(a), 2, "%s x%u", dotted(#name), a);
	RV_TABLE_C_JR(T)
#undef T
	v = upto(r, 4, 1020, 4);
	line(rv_c_addi4spn(a8, v), 2, "c.addi4spn x%u, sp, %u", a8, v);
	i = pick(r == 2 ? 3 : r, 10, 16);
	if (i)
		line(rv_c_addi16sp(i), 2, "c.addi16sp sp, %d", i);
}

/* Returns false if there is no assembler. */
static bool against_gas(void)
{
	char dir[] = "/tmp/rvasm-XXXXXX", command[512], path[64];
	unsigned i, r;
	FILE *f;

	if (system("command -v riscv64-linux-gnu-as >/dev/null && "
		   "command -v riscv64-linux-gnu-objcopy >/dev/null"))
		return false;
	once();
	for (r = 0; r < ROUNDS; r++) {
		words(r);
		halves(r);
	}
	if (!CHECK(mkdtemp(dir)))
		return true;
	snprintf(path, sizeof(path), "%s/a.s", dir);
	f = fopen(path, "w");
	if (!CHECK(f))
		return true;
	for (i = 0; i < list.count; i++)
		fprintf(f, ".option %s\n%s\n",
			list.len[i] == 2 ? "rvc" : "norvc", list.text[i]);
	fclose(f);
	snprintf(command, sizeof(command),
		"cd %s && riscv64-linux-gnu-as -march=rv64gc -mno-relax a.s -o "
		"a.o && riscv64-linux-gnu-objcopy -O binary -j .text a.o a",
		dir);
	snprintf(path, sizeof(path), "%s/a", dir);
	if (CHECK(!system(command)) && CHECK((f = fopen(path, "r")) != NULL)) {
		for (i = 0; i < list.count; i++) {
			uint8_t b[4] = {0};
			uint32_t w;

			if (!CHECK(fread(b, 1, list.len[i], f) == list.len[i]))
				break;
			w = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
			    (uint32_t)b[3] << 24;
			if (!CHECK_EQ(list.word[i], w))
				fprintf(stderr, "  %s\n", list.text[i]);
		}
		CHECK(fgetc(f) == EOF);
		fclose(f);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	CHECK(!system(command));
	return true;
}

/* ---- the builder ------------------------------------------------------- */

static uint32_t get32(const uint8_t *b)
{
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

/* What rv_li() may use, executed: lui, addi, addiw, slli on one register. */
static uint64_t run_li(const struct rv_program *p, unsigned rd)
{
	uint64_t x = 0xdeaddeaddeaddead;
	size_t i;

	for (i = 0; i < p->size; i += 4) {
		uint32_t w = get32(p->bytes + i);
		int64_t imm = (int32_t)w >> 20;
		uint64_t a = (w >> 15 & 31) == rd ? x : 0;

		CHECK_EQ(w >> 7 & 31, rd);
		CHECK((w & 0x7f) == 0x37 || (w >> 15 & 31) == rd ||
			(w >> 15 & 31) == 0);
		if ((w & 0x7f) == 0x37)
			x = (uint64_t)(int64_t)(int32_t)(w & 0xfffff000);
		else if ((w & 0x707f) == 0x13)
			x = a + (uint64_t)imm;
		else if ((w & 0x707f) == 0x1b)
			x = (uint64_t)(int64_t)(int32_t)(uint32_t)(a +
								   (uint64_t)
									   imm);
		else if ((w & 0xfc00707f) == 0x1013)
			x = a << (w >> 20 & 63);
		else
			CHECK(!"an instruction rv_li does not use");
	}
	return x;
}

static void check_li(uint64_t v)
{
	static struct rv_program p;
	uint8_t buffer[64];

	rv_begin(&p, buffer, sizeof(buffer));
	rv_li(&p, RV_T3, v);
	CHECK_EQ(rv_finish(&p), RV_OK);
	CHECK_EQ(run_li(&p, RV_T3), v);
	CHECK(p.size <= 32);
}

static void constants(void)
{
	unsigned bit, i;

	for (bit = 0; bit < 64; bit++) {
		uint64_t v = (uint64_t)1 << bit;

		check_li(v);
		check_li(v - 1);
		check_li(v + 1);
		check_li(-v);
		check_li(~v);
		check_li(v | 0x800);
		check_li(v - 0x800);
		check_li(v - 0x801);
		check_li(v * 0x7ff);
	}
	for (i = 0; i < 2000; i++)
		check_li((uint64_t)rnd(0x7fffffff) << 33 ^
			 (uint64_t)rnd(0x7fffffff) << rnd(40) ^ rnd(4096));
}

static void labels(void)
{
	static struct rv_program p;
	uint32_t buffer[64];
	rv_label back, forth, far;

	rv_begin(&p, buffer, sizeof(buffer));
	back = rv_label_here(&p);
	forth = rv_label_new(&p);
	far = rv_label_new(&p);
	rv_branch(&p, RV_BGEU, RV_A0, RV_A1, forth);
	rv_jump(&p, RV_RA, back);
	rv_la(&p, RV_A2, forth);
	rv_la(&p, RV_A3, back);
	rv_emit16(&p, rv_c_nop());
	rv_bind(&p, forth);
	rv_emit16(&p, rv_c_nop());
	rv_align(&p, 8);
	rv_bind(&p, far);
	rv_data64(&p, 0x0123456789abcdef);
	CHECK_EQ(rv_finish(&p), RV_OK);
	CHECK_EQ(rv_label_offset(&p, forth), 26);
	CHECK_EQ(rv_label_offset(&p, far), 32);
	CHECK_EQ(p.size, 40);
	CHECK_EQ(get32(p.bytes), rv_bgeu(RV_A0, RV_A1, 26));
	CHECK_EQ(get32(p.bytes + 4), rv_jal(RV_RA, -4));
	CHECK_EQ(get32(p.bytes + 8), rv_auipc(RV_A2, 0));
	CHECK_EQ(get32(p.bytes + 12), rv_addi(RV_A2, RV_A2, 18));
	CHECK_EQ(get32(p.bytes + 16), rv_auipc(RV_A3, 0));
	CHECK_EQ(get32(p.bytes + 20), rv_addi(RV_A3, RV_A3, -16));
	CHECK_EQ(get32(p.bytes + 32), 0x89abcdef);
	CHECK_EQ(get32(p.bytes + 36), 0x01234567);
}

static void far_labels(void)
{
	static struct rv_program p;
	static uint32_t buffer[8192];
	size_t gap, i;
	int kind;

	/* the ends of the range of a branch, forwards and backwards */
	for (kind = 0; kind < 4; kind++) {
		rv_label a, b;

		gap = kind & 1 ? 4100 : 4096;
		rv_begin(&p, buffer, sizeof(buffer));
		b = rv_label_new(&p);
		if (kind & 2) {
			a = rv_label_here(&p);
			while (p.size < gap)
				rv_emit(&p, rv_nop());
			rv_branch(&p, RV_BEQ, 0, 0, a);
			CHECK_EQ(rv_finish(&p), kind & 1 ? RV_DISTANCE : RV_OK);
		} else {
			rv_branch(&p, RV_BEQ, 0, 0, b);
			while (p.size < 4092)
				rv_emit(&p, rv_nop());
			rv_emit16(&p, rv_c_nop());
			if (kind & 1)
				rv_emit16(&p, rv_c_nop());
			rv_bind(&p, b);
			CHECK_EQ(p.size, kind & 1 ? 4096 : 4094);
			CHECK_EQ(rv_finish(&p), kind & 1 ? RV_DISTANCE : RV_OK);
		}
	}
	/* an address more than 2 KiB away needs both halves of the pair */
	for (i = 2040; i < 2060; i += 4) {
		rv_label a;

		rv_begin(&p, buffer, sizeof(buffer));
		a = rv_label_new(&p);
		rv_la(&p, RV_A0, a);
		while (p.size < i)
			rv_emit(&p, rv_nop());
		rv_bind(&p, a);
		CHECK_EQ(rv_finish(&p), RV_OK);
		CHECK_EQ((get32(p.bytes) & 0xfffff000) +
				 ((int32_t)get32(p.bytes + 4) >> 20),
			i);
	}
}

static void bounds(void)
{
	static struct rv_program p;
	uint8_t buffer[16];
	unsigned i;

	memset(buffer, 0xaa, sizeof(buffer));
	rv_begin(&p, buffer, 10);
	rv_emit(&p, rv_nop());
	rv_emit(&p, rv_nop());
	rv_emit(&p, rv_nop());
	CHECK_EQ(p.error, RV_FULL);
	rv_emit16(&p, rv_c_nop()); /* would fit, but something is missing */
	rv_align(&p, 16);
	CHECK_EQ(p.size, 8);
	for (i = 8; i < sizeof(buffer); i++)
		CHECK_EQ(buffer[i], 0xaa);
	CHECK_EQ(rv_finish(&p), RV_FULL);

	rv_begin(&p, buffer, 10);
	rv_align(&p, 16);
	rv_emit(&p, rv_nop());
	rv_align(&p, 16);
	CHECK_EQ(p.error, RV_FULL);

	rv_begin(&p, buffer, sizeof(buffer));
	rv_jump(&p, 0, rv_label_new(&p));
	CHECK_EQ(rv_finish(&p), RV_UNBOUND);

	rv_begin(&p, buffer, sizeof(buffer));
	rv_bind(&p, rv_label_here(&p));
	CHECK_EQ(rv_finish(&p), RV_UNBOUND);

	rv_begin(&p, buffer, sizeof(buffer));
	for (i = 0; i < RV_LABELS_MAX; i++)
		CHECK_EQ(rv_label_here(&p), i);
	CHECK_EQ(p.error, RV_OK);
	rv_jump(&p, 0, rv_label_here(&p));
	CHECK_EQ(rv_finish(&p), RV_FULL);
}

int main(void)
{
	constants();
	labels();
	far_labels();
	bounds();
	if (!against_gas())
		printf("soft_rvasm: no riscv64-linux-gnu-as: skipped that\n");
	return TEST_END("soft_rvasm");
}
