/* SPDX-License-Identifier: MIT */
/* machine_pci.c - the PCI bus of a machine, and which devices are on it */
#include "vmm/platform.h"

#include "memslot/error.h"

#include <errno.h>

/* Memory in a window would be in the way of BARs for ever. */
static int check_window(struct vmm_machine *m, const struct pci_window *w,
	struct memslot_error *err)
{
	const struct memslot *s;
	int r = 0;

	memslot_enter(&m->reader);
	s = memslot_next(&m->reader, 0, w->gpa >> MEMSLOT_PAGE_SHIFT);
	if (s && s->base_gfn << MEMSLOT_PAGE_SHIFT < w->gpa + w->size)
		r = memslot_fail(err, -EINVAL,
			"slot %u reaches into [%#llx, %#llx), where PCI "
			"devices have their memory: take less, or another "
			"place",
			s->id, (unsigned long long)w->gpa,
			(unsigned long long)(w->gpa + w->size));
	memslot_leave(&m->reader);
	return r;
}

static int add_vgtt(struct vmm_machine *m, struct memslot_error *err)
{
	const struct vgtt_config c = {
		.slots = m->slots,
		.track = m->track,
		.bus = &m->pci,
		.slot = VMM_SLOT_VGTT,
		.aperture = m->config.vgtt_aperture,
	};

	return m->config.vgtt ? vgtt_create(&c, &m->vgtt, err) : 0;
}

int machine_add_pci(struct vmm_machine *m, struct pci_bus_config *config,
	gpa_t ecam, struct memslot_error *err)
{
	int r = 0;

	config->slots = m->slots;
	config->log = m->config.log;
	config->log_ctx = m->config.ctx;
	for (unsigned i = 0; !r && i < PCI_WINDOWS_MAX; i++)
		r = check_window(m, &config->window[i], err);
	if (!r)
		r = pci_bus_init(&m->pci, config, err);
	if (r)
		return r;
	m->has_pci = true;
	r = add_vgtt(m, err);
	if (!r)
		r = machine_add_virtio(m, err);
	return r ? r : pci_bus_attach(&m->pci, &m->mmio, ecam, err);
}

void machine_remove_pci(struct vmm_machine *m)
{
	machine_remove_virtio(m);
	vgtt_destroy(m->vgtt);
	m->vgtt = NULL;
	if (m->has_pci)
		pci_bus_fini(&m->pci);
	m->has_pci = false;
}
