/* SPDX-License-Identifier: MIT */
/*
 * compat.h - KVM's interface, also what is newer than the headers at hand
 *
 * The headers of Debian 12 describe Linux 6.1. Whatever came later stands
 * here with its number; whether the running kernel has it is asked of the
 * kernel (facts.c), never of the headers.
 */
#ifndef VMM_KVM_COMPAT_H
#define VMM_KVM_COMPAT_H

#include <linux/kvm.h>

/* Linux 6.7: kernel slots of other VMs' types; here only a name for reports */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* Linux 6.13: DELETE and MOVE forget the slot's mappings, not all of them */
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#endif

#endif
