/* SPDX-License-Identifier: MIT */
/*
 * protocol.pml - the protocol of a transaction, its readers and the tracker
 *
 * For Spin; run.sh runs it, docs/model.md says what is in it. Every step
 * below is one access to shared state of memslot/reader.c, memslot/txn.c,
 * pagetrack/ or vmm/soft/. Sections under the tracker's lock are one step
 * where nothing inside them is visible without the lock. All atomics of the
 * code are sequentially consistent, and so is Spin.
 *
 * Switches (-D):
 *   LEGACY           the legacy order of phases
 *   KIND_MOVE        a slot moves from page 0 to page 1. Without: two slots
 *                    swap, so that both pages are RAM before and after
 *   POLICY=n         0 stay, 1 follow, 2 refuse
 *   DIRECT           translations are dropped by a shootdown as hardware
 *                    does it; without: by mail and a grace period (vmm/soft)
 *   NCPU=n NDEV=n    writers; ADDS=n, TRIES=n: what client and writer do
 *   WRITES=n         how often each writes; without: for ever
 *   FIXED_PAGES      writer n writes page n modulo 2 only; without: any
 *   COARSE           enter and leave are one step each
 *   NO_TRACKER, NO_REMOVE, NO_BREAK
 *                    no client; it only adds and unregisters; no undo is
 *                    refused
 *   UNSEEN_ONLY      do not check the tracked set after an abort: wait for
 *                    the write that nobody hears of
 *   LIVE_WAIT, LIVE_GRACE
 *                    check that waits and grace periods end
 *   CHART            say what happens, for chart.py
 *   M_...            mutations, each of which must be caught
 */
#include "phases.inc"

#ifdef LEGACY
#define PHASE(k)      LEGACY_PHASE(k)
#define FLUSH_FORGETS LEGACY_FLUSH_FORGETS
#elif defined(M_FLUSH_LATE)
/* ours, but with flush after swap in */
#define OTHER(p) \
	((p) == PHASE_FLUSH -> PHASE_APPLY : \
	((p) == PHASE_APPLY -> PHASE_SWAP_IN : \
	((p) == PHASE_SWAP_IN -> PHASE_FLUSH : (p))))
#define PHASE(k)      OTHER(OURS_PHASE(k))
#define FLUSH_FORGETS OURS_FLUSH_FORGETS
#else
#define PHASE(k)      OURS_PHASE(k)
#define FLUSH_FORGETS OURS_FLUSH_FORGETS
#endif

#ifdef CHART
#define SAY(text) printf(text);
#else
#define SAY(text)
#endif

#ifndef POLICY
#define POLICY 0
#endif
#ifndef NCPU
#define NCPU 2
#endif
#if NCPU == 0
#define CPUS 1 /* no array is empty */
#else
#define CPUS NCPU
#endif
#ifndef NDEV
#define NDEV 1
#endif
#ifndef ADDS
#define ADDS 2
#endif
#ifndef TRIES
#define TRIES 2
#endif

/* Readers: CPUs, devices, and the tracker's own (pt->reader). */
#define TR (NCPU + NDEV)
#define NR (NCPU + NDEV + 1)

#define NONE 7

/* ---- the memory map -------------------------------------------------------
 *
 * Slot objects 0 and 1 are the old ones at pages 0 and 1, objects 2 and 3 the
 * new ones there. The set is 0 (old) or 1 (new).
 */
#define PAGE(s) ((s) & 1)
#ifdef KIND_MOVE
#define SLOT(set, g) \
	((set) == 0 -> ((g) == 0 -> 0 : NONE) : ((g) == 1 -> 3 : NONE))
#define STAYS(g)   ((g) == 1 -> 1 : NONE)
#define FOLLOWS(g) 1
#else
#define SLOT(set, g) (2 * (set) + (g))
#define STAYS(g)   (g)
#define FOLLOWS(g) (1 - (g))
#endif
#if POLICY == 1
#define DESTINATION(g) FOLLOWS(g)
#else
#define DESTINATION(g) STAYS(g)
#endif

byte published;   /* ms->set */
bool invalid;     /* of the old slots; an access looks at one of them */
bool freed[4];
bool broken;
bool applied;     /* the backend has the new layout */

/*
 * Grace periods take turns (readers_lock), so of a count all that matters is
 * whether it is even, or odd, or odd and the one a grace period has noted:
 * FRESH becomes STALE when it is noted.
 */
#define STALE 1
#define FRESH 2
byte at[NR];      /* r->section; 0: outside */
bool asked[NR];
bool asleep[NR];  /* a grace period sleeps on asked[r] */
bool readers_lock;
bool kicked[CPUS];

byte window;
byte waiting;
bool dozing[NR];  /* reader r sleeps on window */

byte cache[CPUS]; /* slot that a CPU may write without asking, or NONE */
byte mail[CPUS];  /* pages whose translations it has to drop, a bit each */

/* ---- the tracker ---------------------------------------------------------- */

bool lock;        /* pt->lock */
bool txn;         /* pt->txn != NULL */
bool adopted;
byte table = NONE; /* the page that the node tracks: its book */
bool count[4];     /* the slots' counts: the other book */
bool dead;
bool node_freed;
byte pins;
byte running;
byte idle;
bool sleeping;     /* unregister sleeps on idle */
bool reap;

/* ---- what the properties are about: no code looks at these ---------------- */

byte wanted = NONE; /* the tracked page as calls and commits make it */
bool armed;         /* add has returned and remove was not called */
bool unregistered;  /* unregister has returned */
bool owed[NR];      /* r's write must be reported */
bool held[NR];      /* r has held: a remove comes too late */
byte told[NR];      /* how often r's write was reported */

/* ---- what writers do; a budget of WRITES, or for ever -------------------- */

#ifdef FIXED_PAGES
#define RIGHT_PAGE(r, g) ((g) == ((r) & 1))
#else
#define RIGHT_PAGE(r, g) true
#endif
#ifdef WRITES
#define MAY_WRITE(r, g) (wrote < WRITES && RIGHT_PAGE(r, g))
#define WROTE wrote++;
#else
#define MAY_WRITE(r, g) RIGHT_PAGE(r, g)
#define WROTE
#endif

/* ---- read sections (memslot/reader.c) ------------------------------------- */

/* `set` is r->set; `last` with `last_set` is the hit of the last lookup. */
inline load_set()
{
	set = published;
#ifdef LAST_HIT
#ifndef M_KEEP_LAST
	if
	:: set != last_set -> last = NONE; last_set = set
	:: else
	fi
#endif
#endif
}

inline drain(r)
{
	if
	:: r < NCPU ->
		if
		:: cache[r] != NONE && (mail[r] & (1 << PAGE(cache[r]))) ->
			cache[r] = NONE
		:: else
		fi;
		mail[r] = 0
	:: else
	fi
}

/* With COARSE, and for the tracker's own reader: each a single step. */
inline enter_at_once(r)
{
	d_step { at[r] = FRESH; set = published; drain(r) }
}

inline leave_at_once(r)
{
	d_step {
		at[r] = 0;
		if
		:: asked[r] -> asked[r] = 0; asleep[r] = 0
		:: else
		fi
	}
}

#ifdef COARSE
#define enter(r) enter_at_once(r)
#define leave(r) leave_at_once(r)
#else
/*
 * A CPU drains its mail when it loads the set. In the code a moment later:
 * more mail can have come then, and fewer permissions be left.
 */
inline enter(r)
{
#ifdef M_SET_FIRST
	d_step { load_set() };
#endif
	at[r] = FRESH;
	d_step {
#ifndef M_SET_FIRST
		load_set();
#endif
		drain(r)
	}
}

inline leave(r)
{
	at[r] = 0;
	atomic {
		if
#ifndef M_NO_WAKE
		:: asked[r] -> asked[r] = 0; asleep[r] = 0
#endif
		:: else
		fi
	}
}
#endif

#ifdef COARSE
#define wait_valid(r) (window & 1) == 0
#else
inline wait_valid(r)
{
	waiting++;
	do
	:: seen = window;
		if
		:: (seen & 1) == 0 -> break
		:: else
		fi;
#ifdef M_FUTEX_UNCHECKED
		dozing[r] = 1;
#else
		d_step {
			if
			:: window == seen -> dozing[r] = 1
			:: else
			fi
		};
#endif
		dozing[r] == 0
	od;
	atomic { waiting--; seen = 0 }
}
#endif

#define PASSED(n) (at[n] != STALE)

/* r->seen = r->section, and the kick. In a d_step or atomic. */
inline note(r)
{
	if
	:: at[r] == FRESH ->
		at[r] = STALE;
#ifndef M_NO_KICK
		if
		:: r < NCPU -> kicked[r] = 1
		:: else
		fi
#endif
	:: else
	fi
}

#ifdef COARSE
#define NOBODY_STALE(n) \
	(PASSED(0) && PASSED(1) && (NR < 3 || PASSED(2 % NR)) && PASSED(NR - 1))

inline synchronize()
{
	atomic {
		readers_lock == 0 -> readers_lock = 1;
		n = 0;
		do
		:: n == NR -> break
		:: n < NR -> note(n); n++
		od;
		n = 0
	};
	atomic { NOBODY_STALE(n) -> readers_lock = 0 }
}
#else
inline synchronize()
{
	atomic { readers_lock == 0 -> readers_lock = 1; n = 0 };
	do
	:: n == NR -> n = 0; break
	:: n < NR -> d_step { note(n); n++ }
	od;
	do
	:: n == NR -> break
	:: n < NR ->
		if
		:: PASSED(n)
		:: else ->
			do
			::
#ifdef M_ASK_LATE
				if
				:: PASSED(n) -> break
				:: else
				fi;
				asked[n] = 1;
#else
				asked[n] = 1;
				if
				:: PASSED(n) -> break
				:: else
				fi;
#endif
				d_step {
					if
					:: asked[n] -> asleep[n] = 1
					:: else
					fi
				};
				asleep[n] == 0
			od
		fi;
		n++
	od;
	atomic { readers_lock = 0; n = 0 }
}
#endif

#ifdef COARSE
#define JOIN_BEGIN atomic {
#define JOIN_END   }
#else
#define JOIN_BEGIN
#define JOIN_END
#endif

/* ---- a write (vmm/soft/mem.c, pagetrack/report.c) ------------------------- */

inline look_up(g)
{
#ifdef LAST_HIT
	if
	:: last != NONE && PAGE(last) == g -> s = last
	:: else -> s = SLOT(set, g); last = s
	fi
#else
	s = SLOT(set, g)
#endif
}

inline hold(r, g)
{
	atomic {
		lock == 0;
		if
		:: table == g && !dead -> pinned = 1; pins++
		:: else
		fi;
		held[r] = 1
	}
}

/* The write is over: it has been reported as it had to be. In a d_step. */
inline settle(r)
{
	assert(told[r] <= 1); /* a write is reported at most once */
	assert(!owed[r] || told[r] == 1); /* no write unseen */
	owed[r] = 0;
	held[r] = 0;
	told[r] = 0
}

inline report(r)
{
	if
	:: pinned ->
		atomic {
			lock == 0;
			assert(!node_freed); /* a pin keeps its node */
			if
			:: !dead -> running++; called = 1
			:: else
			fi
		};
		/* the callback runs: judged at its latest moment */
		atomic {
			lock == 0;
			assert(!called || !unregistered); /* no callback after unregister */
			told[r] = told[r] + called;
			assert(!node_freed); /* a pin keeps its node */
			running = running - called;
			pins--;
			if
			:: dead && reap && pins == 0 -> node_freed = 1
			:: dead && !(reap && pins == 0) ->
				idle++;
				sleeping = 0
			:: else
			fi;
			pinned = 0;
			called = 0;
			settle(r)
		}
	:: else -> d_step { settle(r) }
	fi
}

/* The bytes are written: is this a write that the client counts on? */
#define OWED(g) (armed && wanted == (g))

/* Look up, and see whether the slot may be used. In an atomic. */
inline find(g)
{
	look_up(g);
	if
	:: s == NONE ->
#ifndef KIND_MOVE
		assert(false); /* RAM is never MMIO */
#endif
		goto no_slot
	:: else
	fi;
	assert(!freed[s]); /* no reader uses a freed slot */
	if
	:: s < 2 && invalid -> goto is_invalid
	:: else
	fi
}

inline write(r, g)
{
	d_step {
		assert(!freed[s]); /* no reader uses a freed slot */
		assert(published == 0 || s >= 2); /* no write at an old place */
		WROTE
		owed[r] = OWED(g)
	}
}

proctype cpu(byte r)
{
	byte g, s, set, seen;
#ifdef WRITES
	byte wrote;
#endif
	bool pinned, called;
#ifdef LAST_HIT
	byte last = NONE, last_set;
#endif

outside:
	atomic {
		if
		:: broken -> goto end_stopped
#ifdef WRITES
		:: wrote == WRITES -> goto end_stopped
		:: wrote < WRITES
#else
		:: goto end_stopped
		:: true
#endif
		fi
	};
	enter(r);

guest:
no_slot:
	atomic {
		s = 0;
		g = 0;
		if
		:: kicked[r] -> kicked[r] = 0; goto out
#ifndef WRITES
		:: !kicked[r] -> goto out /* WFI, a device register */
#endif
		:: !kicked[r] -> goto end_loop
		:: !kicked[r] && MAY_WRITE(r, 0) -> g = 0
		:: !kicked[r] && MAY_WRITE(r, 1) -> g = 1
		fi
	};
	/* a store */
	atomic {
		if
		:: cache[r] != NONE && PAGE(cache[r]) == g ->
			SAY("@ CPU -> memory: writes page 0 by its cached permission\n")
			assert(!OWED(g)); /* no write unseen */
			assert(published == 0 || cache[r] >= 2); /* no write at an old place */
			WROTE
			goto guest
		:: else -> find(g)
		fi
	};
	JOIN_BEGIN
	SAY("@ CPU -> memory: writes page 0\n")
	write(r, g);
	atomic {
		if
		:: !count[s] ->
			SAY("@ CPU -> CPU: page 0 is not tracked: no report\n")
			settle(r)
		:: else -> goto tracked
		fi
	};
	/* may it keep a permission? */
	atomic {
		if
		:: !count[s] -> cache[r] = s
		:: else
		fi
	};
	goto guest
	JOIN_END;

tracked:
#ifdef M_HOLD_LATE
	leave(r);
	hold(r, g);
#else
	hold(r, g);
	leave(r);
#endif
	SAY("@ CPU -> tracker: reports the write\n")
	atomic { s = 0; set = 0; g = 0 };
	report(r);
	goto outside;

end_loop: /* the guest runs, storing nothing, until kicked */
	atomic { kicked[r] -> kicked[r] = 0 };
out:
	atomic { s = 0; set = 0; g = 0 };
	leave(r);
	goto outside;

is_invalid:
	atomic { s = 0; set = 0; g = 0 };
	leave(r);
	wait_valid(r);
	goto outside;

end_stopped:
	false
}

/* pagetrack_guest_write() */
proctype device(byte r)
{
	byte g, s, set, seen;
#ifdef WRITES
	byte wrote;
#endif
	bool pinned, called;
#ifdef LAST_HIT
	byte last = NONE, last_set;
#endif

again:
	atomic {
		s = 0;
		set = 0;
		g = 0;
		if
		:: goto end_stopped
		:: !broken && MAY_WRITE(r, 0) -> g = 0
		:: !broken && MAY_WRITE(r, 1) -> g = 1
		fi
	};
retry:
	enter(r);
	atomic { find(g) };
	JOIN_BEGIN
	write(r, g);
	atomic {
		if
		:: count[s] -> s = 0; set = 0
		:: else -> s = 0; set = 0; settle(r); goto no_slot
		fi
	}
	JOIN_END;
#ifdef M_HOLD_LATE
	leave(r);
	hold(r, g);
#else
	hold(r, g);
	leave(r);
#endif
	g = 0;
	report(r);
	goto again;

no_slot:
	leave(r);
	goto again;

is_invalid:
	atomic {
		s = 0;
		set = 0;
		if
		:: broken -> goto no_slot
		:: else
		fi
	};
	leave(r);
	wait_valid(r);
	goto retry;

end_stopped:
	false
}

/* ---- a client (pagetrack/track.c, node.c) --------------------------------- */

/* What is owed no more since the client does not want it any more. */
inline disown()
{
	armed = 0;
	n = 0;
	do
	:: n == NR -> break
	:: n < NR ->
		if
		:: !held[n] || dying -> owed[n] = 0
		:: else
		fi;
		n++
	od;
	n = 0
}

/* Under the lock: the slot whose count stands for page g. */
inline slot_get(g)
{
	enter_at_once(TR);
	if
	:: adopted -> s = SLOT(1, g)
	:: else -> s = SLOT(set, g)
	fi;
	assert(s == NONE || !freed[s]); /* no reader uses a freed slot */
}

inline post(pages)
{
	n = 0;
	do
	:: n == NCPU -> break
	:: n < NCPU ->
#ifdef DIRECT
		if
		:: cache[n] != NONE && ((pages) & (1 << PAGE(cache[n]))) ->
			cache[n] = NONE
		:: else
		fi;
#else
		mail[n] = mail[n] | (pages);
#endif
		n++
	od;
	n = 0
}

#if POLICY == 2 && !defined(M_REFUSE_LATE)
#define MOVES_AWAY (txn && !adopted)
#else
#define MOVES_AWAY false
#endif

/* The tracker's lock is held for two steps. */
inline add(g)
{
	atomic { lock == 0 -> lock = 1; slot_get(g) };
	atomic {
		assert(s == NONE || !freed[s]); /* no reader uses a freed slot */
		if
		:: s == NONE || table != NONE -> fails = 1
		:: s != NONE && table == NONE -> fails = 1 /* no memory */
		:: s != NONE && table == NONE && !MOVES_AWAY ->
			fails = 0;
#ifndef M_COUNT_LATE
			count[s] = 1;
			table = g;
			wanted = g
#endif
		fi;
		s = 0;
		set = 0;
		leave_at_once(TR);
		lock = 0
	};
	if
	:: fails -> fails = 0
	:: else ->
		/* memslots_protect() */
		atomic { post(1 << g) };
#ifndef DIRECT
#ifndef M_PROTECT_NO_WAIT
		synchronize();
#endif
#endif
#ifdef M_COUNT_LATE
		atomic {
			lock == 0 && !txn;
			if
			:: SLOT(published, g) != NONE ->
				count[SLOT(published, g)] = 1;
				table = g;
				wanted = g
			:: else
			fi
		};
#endif
		d_step {
			armed = (wanted != NONE);
			SAY("@ tracker -> client: page 0 is tracked\n")
		}
	fi
}

/* Takes the lock and keeps it. */
inline forget()
{
	atomic {
		lock == 0 -> lock = 1;
		if
		:: table != NONE -> slot_get(table)
		:: else -> s = NONE
		fi
	};
	atomic {
		if
		:: s != NONE ->
			assert(!freed[s]); /* no reader uses a freed slot */
			count[s] = 0
		:: else
		fi;
		table = NONE;
		wanted = NONE;
		s = 0;
		set = 0;
		leave_at_once(TR)
	}
}

proctype client()
{
	byte g, s, set, n, seen, adds;
	bool dying, fails;

	do
	:: adds < ADDS && table == NONE ->
		adds++;
		SAY("@ client -> tracker: add page 0\n")
#ifdef KIND_MOVE
		if
		:: g = 0
		:: g = 1
		fi;
#endif
		/* when two slots swap, their pages are alike: 0 will do */
		add(g);
		g = 0
#ifndef NO_REMOVE
	:: table != NONE ->
		SAY("@ client -> tracker: remove page 0\n")
		d_step { disown() };
		forget();
		lock = 0
#endif
	:: break
	od;
	if
	:: goto end_stopped
	:: true
	fi;
	/* unregister */
	adds = 0;
	d_step { dying = 1; disown() };
	forget();
	dead = 1;
#ifndef M_UNREGISTER_NO_WAIT
	do
	:: running == 0 -> break
	:: running > 0 ->
		seen = idle;
		lock = 0;
		d_step {
			if
			:: idle == seen -> sleeping = 1
			:: else
			fi
		};
		sleeping == 0;
		atomic { lock == 0 -> lock = 1 }
	od;
#endif
	atomic {
		if
		:: pins > 0 -> reap = 1
		:: else -> node_freed = 1
		fi
	};
	d_step { lock = 0; unregistered = 1; seen = 0 };
end_stopped:
	false
}

/* ---- the transaction (memslot/txn.c, pagetrack/moves.c) -------------------- */

inline window_close()
{
	window++;
	if
	:: waiting > 0 ->
		d_step {
			n = 0;
			do
			:: n == NR -> break
			:: n < NR -> dozing[n] = 0; n++
			od;
			n = 0
		}
	:: else
	fi
}

inline do_prepare()
{
	SAY("@ transaction -> transaction: prepare\n")
	if
	:: fail = 1 /* no memory */
	:: true ->
		atomic {
			lock == 0;
			if
			:: POLICY == 2 && table != NONE -> fail = 1
			:: else -> txn = 1; prepared = 1
			fi
		}
	fi;
	if
	:: !fail -> fail = 1 /* a later participant refuses */
	:: true
	fi
}

inline do_swap_out()
{
	SAY("@ transaction -> slots: swap out, old slot is invalid\n")
	window++;
	d_step { invalid = 1; swapped = 1 };
#ifndef M_NO_GRACE
	synchronize()
#endif
}

inline do_flush()
{
	SAY("@ transaction -> tracker: flush\n")
#if FLUSH_FORGETS
	/* the contract of 2022: a flush means "gone" */
	atomic {
		lock == 0;
		if
		:: table != NONE && SLOT(0, table) != NONE ->
			SAY("@ tracker -> tracker: gone? forgets page 0\n")
			count[SLOT(0, table)] = 0;
			table = NONE
		:: else
		fi
	};
#endif
	atomic { post(3) };
#ifndef DIRECT
	synchronize()
#endif
}

inline do_apply()
{
	if
	:: fail = 1
	:: applied = 1;
		if
		:: fail = 1 /* a later participant refuses */
		:: true
		fi
	fi
}

inline adopt()
{
	atomic {
		lock == 0;
		/* the code, by its two books */
		if
		:: table != NONE && SLOT(0, table) != NONE && count[SLOT(0, table)] ->
#if POLICY == 2
			assert(false); /* who refuses moves is never moved */
#endif
			table = DESTINATION(table);
			if
			:: table != NONE -> count[SLOT(1, table)] = 1
			:: else
			fi
		:: else
		fi;
		adopted = 1;
		/* what it has to come to */
		if
		:: wanted != NONE && FLUSH_FORGETS -> wanted = table
		:: wanted != NONE && !FLUSH_FORGETS ->
			wanted = DESTINATION(wanted)
		:: else
		fi;
		if
		:: wanted == NONE -> armed = 0
		:: else
		fi
	}
}

inline do_swap_in()
{
	adopt();
	d_step { published = 1 };
	if
	:: swapped -> window_close()
	:: else
	fi
}

inline do_notify()
{
	atomic {
		lock == 0;
		txn = 0;
		adopted = 0;
		assert(table == wanted); /* after a commit: re-keyed by policy */
		assert(table == NONE || count[SLOT(1, table)]);
	}
}

active proctype writer()
{
	byte k, n, tries;
	bool fail, prepared, swapped;

	n = 0;
	do
	:: n == NCPU -> break
	:: n < NCPU -> cache[n] = NONE; n++
	od;
	n = 0;
	atomic {
#if NCPU > 0
		run cpu(0);
#endif
#if NCPU > 1
		run cpu(1);
#endif
#if NDEV > 0
		run device(NCPU);
#endif
#ifndef NO_TRACKER
		run client()
#endif
	};

begin:
	SAY("@ transaction -> transaction: begin\n")
	do
	:: k == PHASES -> break
	:: k < PHASES ->
		if
		:: PHASE(k) == PHASE_VALIDATE ->
			d_step { freed[2] = 0; freed[3] = 0; count[2] = 0; count[3] = 0 }
		:: PHASE(k) == PHASE_PREPARE -> do_prepare()
		:: PHASE(k) == PHASE_SWAP_OUT -> do_swap_out()
		:: PHASE(k) == PHASE_FLUSH -> do_flush()
		:: PHASE(k) == PHASE_APPLY -> do_apply()
		:: PHASE(k) == PHASE_SWAP_IN -> do_swap_in()
		:: PHASE(k) == PHASE_NOTIFY -> do_notify()
		fi;
		if
		:: fail -> goto unwind
		:: else
		fi;
		k++
	od;
	k = 0;
	/* free_old() */
#ifndef M_FREE_EARLY
	synchronize();
#endif
	d_step { freed[0] = 1; freed[1] = 1 };
	assert(applied);
	goto end_stopped;

unwind:
	atomic { k = 0; fail = 0 };
	if
	:: applied ->
		if
		:: applied = 0
#ifndef NO_BREAK
		:: goto undo_refused
#endif
		fi
	:: else
	fi;
	if
	:: prepared -> atomic { lock == 0 -> txn = 0; adopted = 0; prepared = 0 }
	:: else
	fi;
	SAY("@ transaction -> transaction: failed, unwinds\n")
	if
	:: swapped ->
		SAY("@ transaction -> slots: swap back, old slot is valid again\n")
		invalid = 0;
		window_close();
		swapped = 0
	:: else
	fi;
	d_step { freed[2] = 1; freed[3] = 1 };
#ifndef UNSEEN_ONLY
	atomic {
		lock == 0;
		assert(table == wanted); /* after an abort: tracked set as before */
		assert(table == NONE || count[SLOT(0, table)]);
	};
#endif
	assert(!applied && !invalid && published == 0);
	SAY("@ transaction -> client: the error of commit\n")
	if
	:: tries + 1 < TRIES -> tries++; goto begin
	:: tries + 1 < TRIES -> goto end_stopped
	:: else
	fi;
	goto end_stopped;

undo_refused:
	/* slots stay invalid; who waits finds the machine broken */
	broken = 1;
	atomic { lock == 0 -> txn = 0; adopted = 0 };
	if
	:: swapped -> window_close()
	:: else
	fi;

end_stopped:
	false
}

/* ---- liveness, under weak fairness ------------------------------------------ */

#ifdef LIVE_WAIT
ltl waits_end { [] ((dozing[0] || dozing[1]) -> <> (!dozing[0] && !dozing[1])) }
#endif
#ifdef LIVE_GRACE
ltl grace_ends { [] (readers_lock -> <> !readers_lock) }
#endif
