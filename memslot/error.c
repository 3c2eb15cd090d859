/* SPDX-License-Identifier: MIT */
/*
 * error.c - a formatter small enough to bring along
 *
 * A freestanding build has no snprintf(), and an error without its numbers
 * helps nobody.
 */
#include "memslot/error.h"

#include <stdarg.h>

struct out {
	char *buf;
	size_t size;
	size_t len; /* what it would have been, had there been room */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_string(struct out *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		put(o, *s);
}

static void put_number(struct out *o, uint64_t v, unsigned base)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(o, digits[--n]);
}

/* The argument of a conversion with `longs` l's before it. */
static uint64_t next_unsigned(va_list *ap, unsigned longs)
{
	if (longs == 0)
		return va_arg(*ap, unsigned);
	if (longs == 1)
		return va_arg(*ap, unsigned long);
	return va_arg(*ap, unsigned long long);
}

static int64_t next_signed(va_list *ap, unsigned longs)
{
	if (longs == 0)
		return va_arg(*ap, int);
	if (longs == 1)
		return va_arg(*ap, long);
	return va_arg(*ap, long long);
}

static void put_signed(struct out *o, int64_t v)
{
	if (v < 0)
		put(o, '-');
	put_number(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

/* One conversion; f points behind the %. Returns the last character of it. */
static const char *convert(struct out *o, const char *f, va_list *ap)
{
	unsigned longs = 0;
	bool alternate = false;

	for (;; f++) {
		if (*f == '#')
			alternate = true;
		else if (*f == 'l')
			longs++;
		else if (*f == 'z')
			longs = 1; /* size_t is a long on all our hosts */
		else
			break;
	}
	switch (*f) {
	case 's':
		put_string(o, va_arg(*ap, const char *));
		break;
	case 'c':
		put(o, (char)va_arg(*ap, int));
		break;
	case 'd':
		put_signed(o, next_signed(ap, longs));
		break;
	case 'u':
		put_number(o, next_unsigned(ap, longs), 10);
		break;
	case 'x':
		if (alternate)
			put_string(o, "0x");
		put_number(o, next_unsigned(ap, longs), 16);
		break;
	case '\0':
		return f - 1;
	default:
		put(o, *f);
	}
	return f;
}

static size_t format(char *buf, size_t size, const char *f, va_list *ap)
{
	struct out o = {buf, size, 0};

	for (; *f; f++) {
		if (*f == '%')
			f = convert(&o, f + 1, ap);
		else
			put(&o, *f);
	}
	if (size)
		buf[o.len < size ? o.len : size - 1] = '\0';
	return o.len;
}

int memslot_fail(struct memslot_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err->code = code;
		format(err->text, sizeof(err->text), fmt, &ap);
		va_end(ap);
	}
	return code;
}

size_t memslot_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = format(buf, size, fmt, &ap);
	va_end(ap);
	return len;
}
