/* SPDX-License-Identifier: MIT */
/*
 * test_error.c - the small formatter says what printf() would, cuts what is
 * too long and never writes past the end
 */
#include "memslot/error.h"

#include <errno.h>
#include <limits.h>

#include "tests/unit/test.h"

/* The same call to both. %#x of 0 is the one wanted difference. */
#define AGREES(...)                                                            \
	do {                                                                   \
		char ours_[300], libc_[300];                                   \
		size_t n_ = memslot_format(ours_, sizeof(ours_), __VA_ARGS__); \
		int m_ = snprintf(libc_, sizeof(libc_), __VA_ARGS__);          \
		CHECK_EQ(n_, m_);                                              \
		CHECK(strcmp(ours_, libc_) == 0);                              \
	} while (0)

static void test_conversions(void)
{
	AGREES("plain");
	AGREES("%s", "");
	AGREES("%s and %s", "one", "two");
	AGREES("%c%c", 'x', '%');
	AGREES("100%% of %u%%", 7u);
	AGREES("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	AGREES("%u %u", 0u, UINT_MAX);
	AGREES("%x %#x %#x", 0xau, 0xdeadbeefu, UINT_MAX);
	AGREES("%ld %ld", LONG_MAX, LONG_MIN);
	AGREES("%lu %lx %#lx", ULONG_MAX, ULONG_MAX, 1ul);
	AGREES("%lld %lld", LLONG_MAX, LLONG_MIN);
	AGREES("%llu %llx %#llx", ULLONG_MAX, ULLONG_MAX, 0x10ull);
	AGREES("%zu %zx", SIZE_MAX, (size_t)0);
	/* mixed widths: one wrong fetch shifts all that follow */
	AGREES("%u %llu %d %s %lx %c %zu %lld", 1u, 2ull, -3, "four", 5ul, '6',
		(size_t)7, -8ll);
	AGREES("%d %s %u %s %d %s %u %s %llx %s", 1, "a", 2u, "b", 3, "c", 4u,
		"d", 5ull, "e");
}

static void test_zero_in_hex(void)
{
	char buf[16];

	CHECK_EQ(memslot_format(buf, sizeof(buf), "%#x", 0u), 3);
	CHECK_TEXT(buf, "0x0");
}

static void test_null_string(void)
{
	char buf[16];
	const char *volatile none = NULL;

	memslot_format(buf, sizeof(buf), "<%s>", none);
	CHECK_TEXT(buf, "<(null)>");
}

/* Whatever the size: as much as fits, a terminator, and not a byte more. */
static void test_cut(void)
{
	const char want[] = "slot 12 of 0xabc";
	char buf[64];

	for (size_t size = 0; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		CHECK_EQ(memslot_format(
				 buf, size, "slot %u of %#x", 12u, 0xabcu),
			sizeof(want) - 1);
		if (size) {
			size_t len = size - 1 < sizeof(want) - 1
					     ? size - 1
					     : sizeof(want) - 1;

			CHECK_EQ(strlen(buf), len);
			CHECK(strncmp(buf, want, len) == 0);
		}
		CHECK(buf[size] == '#');
	}
	CHECK_EQ(memslot_format(NULL, 0, "%s", "counted only"), 12);
}

static void test_dangling_percent(void)
{
	char buf[16];
	const char *volatile bad[] = {"50%", "50%l", "50%#"};

	for (unsigned i = 0; i < 3; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		memslot_format(buf, sizeof(buf), bad[i]);
#pragma GCC diagnostic pop
		CHECK(strncmp(buf, "50", 2) == 0);
		CHECK(strlen(buf) <= 3);
	}
}

static void test_fail(void)
{
	struct memslot_error err = {0};
	char long_text[600];

	CHECK_EQ(memslot_fail(&err, -EBUSY, "slot %u is busy", 5u), -EBUSY);
	CHECK_EQ(err.code, -EBUSY);
	CHECK(strcmp(err.text, "slot 5 is busy") == 0);
	CHECK_EQ(memslot_fail(NULL, -ENOENT, "nobody reads %d", 1), -ENOENT);

	memset(long_text, 'y', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	CHECK_EQ(memslot_fail(&err, -EINVAL, "%s", long_text), -EINVAL);
	CHECK_EQ(err.code, -EINVAL);
	CHECK_EQ(strlen(err.text), sizeof(err.text) - 1);
	/* a short sentence leaves nothing of the long one */
	memslot_fail(&err, -EIO, "no");
	CHECK(strcmp(err.text, "no") == 0);
}

int main(void)
{
	test_conversions();
	test_zero_in_hex();
	test_null_string();
	test_cut();
	test_dangling_percent();
	test_fail();
	return TEST_END("error");
}
