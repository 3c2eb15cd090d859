/* SPDX-License-Identifier: MIT */
/*
 * errno.h - all that memslot/ and pagetrack/ want of <errno.h>
 *
 * The numbers are Linux'. A hypervisor with names or numbers of its own puts
 * its header here instead; nothing but the names is used.
 */
#ifndef FREESTANDING_ERRNO_H
#define FREESTANDING_ERRNO_H

#define EPERM           1
#define ENOENT          2
#define EIO             5
#define ENXIO           6
#define E2BIG           7
#define EAGAIN          11
#define ENOMEM          12
#define EFAULT          14
#define EBUSY           16
#define EEXIST          17
#define EINVAL          22
#define ENOSPC          28
#define EDOM            33
#define ERANGE          34
#define EDEADLK         35
#define EOVERFLOW       75
#define ENOTRECOVERABLE 131

#endif
