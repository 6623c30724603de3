/* The protocol of a move, as coordinator/core and coordinator/executor carry it out.
 *
 * One service with Z zones, E epochs, T terms. Committed state is global and changes only by what
 * state_apply would accept; a leader is a process of one term and one zone, which remembers nothing
 * but its round, and may stand still anywhere. So a restart, or another election, is a new term; the
 * old process may still send what it had committed, however late.
 *
 * Against it: a request that was ever sent can arrive at any time, and again; people edit records
 * (EDITS), delete the fence (DELETES), put an old one back (RESTORES); another group puts its own over
 * whatever is there (STRANGERS); the control plane loses what it had accepted but not brought in sync
 * (FORGETS), or dies (DEAD); operators cancel (CANCELS) and let steps go (RELEASES).
 *
 * Each WRONG_ flag builds in one mistake, which a search must find: see README.md and `check`. */
#ifndef E
#define E 2
#endif
#ifndef Z
#define Z 1
#endif
#ifndef T
#define T 3
#endif
#ifndef EDITS
#define EDITS 1
#endif
#ifndef DELETES
#define DELETES 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef STRANGERS
#define STRANGERS 0
#endif
#ifndef FORGETS
#define FORGETS 0
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef RELEASES
#define RELEASES 0
#endif
#ifndef ADOPTS
#define ADOPTS 0
#endif
#ifndef UNMARKS
#define UNMARKS 0
#endif

/* A claim that fails is named in the text of the assertion. */
#define CLAIM(name, holds) assert((holds) || !name)
bool one_effect_an_eid = true;     /* DESIGN, invariant 12 */
bool fences_only_rise = true;      /* 13, at one target */
bool nothing_after_the_next = true; /* 13, over the zones of a service */
bool done_was_there = true;        /* 14 */
bool done_stays = true;            /* 14, against a control plane that forgets */
bool refused_never_lands = true;   /* 14 */
bool attempted_before_effect = true; /* 11 */
bool never_reached = true;         /* asks whether something can happen at all */

/* Fences: none, eid(e) = e, void(eid(e)) = 4 + e, one of an epoch before all of these, and another
 * group's, which has no epoch of ours and puts none twice. */
#define NONE 0
#define EID(e) (e)
#define VOID(e) (4 + (e))
#define OLDER 9
#define STRANGE(n) (OLDER + (n))
#define IS_STRANGE(f) ((f) > OLDER)
#define EPOCH_OF(f) ((f) >= OLDER -> 0 : ((f) > 4 -> (f) - 4 : (f)))

/* Records: of east, of west, or anything that no plan knows. */
#define EAST 1
#define WEST 2
#define ODD 3
#define DESIRED(e) (((e) % 2) -> WEST : EAST)

mtype = { EXECUTION_MOVE, EXECUTION_ADOPT, EXECUTION_RELEASE };
mtype = { STEP_WAITING, STEP_INTENDED, STEP_ATTEMPTED, STEP_ACCEPTED, STEP_CLOSING,
          STEP_DONE, STEP_REFUSED, STEP_UNKNOWN, STEP_RELEASED };
#define RESOLVABLE(p) ((p) == STEP_ATTEMPTED || (p) == STEP_ACCEPTED || (p) == STEP_CLOSING)
#define UNSENT(p) ((p) == STEP_WAITING || (p) == STEP_INTENDED)
#define STEP_IS_ENDED(p) ((p) == STEP_DONE || (p) == STEP_REFUSED || (p) == STEP_UNKNOWN || (p) == STEP_RELEASED)

/* What GetChange says of a change that somebody holds the id of. */
#define NOT_ASKED 0
#define PENDING 1
#define INSYNC 2
#define NO_SUCH_CHANGE 3

#define AT(e, z) ((e) * Z + (z))
#define MANY ((E + 1) * Z)

/* The target. */
#ifdef UNMARKED
#define FIRST NONE
#else
#define FIRST OLDER
#endif
byte fence[Z] = FIRST, rec[Z] = EAST;
bool dead;
#if FORGETS > 0
bool dirty[Z];                                  /* something accepted is not in sync yet */
byte fence_kept[Z] = FIRST, rec_kept[Z] = EAST; /* what a loss falls back to */
byte landed_kept[MANY], top_kept[Z];
byte sync_id[(T + 1) * Z], sync_fence[(T + 1) * Z]; /* task.sync_change_id, .sync_fence: by leader */
byte change_id[Z];                              /* step.change_id, committed with ACCEPTED */
#endif
#if RESTORES > 0
byte fence_deleted[Z];
#endif
#ifdef ASK_AFTER_LOST_DEBT
bool debt_lost_fence;
#endif

/* What was sent, for ever. */
bool sent[MANY];
short burns[MANY]; /* bit f: from fence f to void(eid) */
byte fence_before[MANY], state_before[MANY];
mtype kind_of[E + 1];

/* Committed state of the service. */
byte term = 1, epoch;
bool open, cancelling, settle_failed;
mtype phase[Z] = STEP_DONE;
byte debts[Z], unsettled[Z]; /* bit e; of the latter: settle steps of the open plan */
bool settling[Z];            /* the zone's settle step is CLOSING */

/* Ghosts. */
mtype outcome[MANY];
byte landed[MANY], top[Z];
#if Z > 1
byte top_of_all;
#endif

/* Budgets of the world. */
byte edits = EDITS, deletes = DELETES, restores = RESTORES, strangers = STRANGERS, forgets = FORGETS;
byte cancels = CANCELS, releases = RELEASES, adopts = ADOPTS, unmarks = UNMARKS;

#define STARTS (term == me)
#ifdef WRONG_STALE_TERM /* what a deposed leader has left in the log is applied */
#define LEADS (term >= me)
#else
#define LEADS (term == me)
#endif
#define ALL_SETTLED (unsettled[0] == 0 && unsettled[Z - 1] == 0)
#define ALL_ENDED (STEP_IS_ENDED(phase[0]) && STEP_IS_ENDED(phase[Z - 1]))

/* ---- the target: one conditional change -------------------------------------------------- */

#if defined(WRONG_UPSERT)
#define MATCHES(e, z) (fence[z] != EID(e) || rec[z] != DESIRED(e))
#elif defined(WRONG_NO_FENCE)
#define MATCHES(e, z) (rec[z] == state_before[AT(e, z)])
#else
#define MATCHES(e, z) (fence[z] == fence_before[AT(e, z)] && \
                       (kind_of[e] != EXECUTION_MOVE || rec[z] == state_before[AT(e, z)]))
#endif
#define MAY_LAND(e, z) (sent[AT(e, z)] && !dead && MATCHES(e, z))
#define MAY_BURN(e, z) ((burns[AT(e, z)] >> fence[z]) & 1)

#if FORGETS > 0
#define SOIL(z) dirty[z] = 1
#else
#define SOIL(z) skip
#endif

inline land(e, z) {
    SOIL(z);
    landed[AT(e, z)]++;
    CLAIM(one_effect_an_eid, landed[AT(e, z)] <= 1);
    CLAIM(refused_never_lands, outcome[AT(e, z)] != STEP_REFUSED); /* from now on: see step_end */
    CLAIM(fences_only_rise, top[z] < e);
    CLAIM(attempted_before_effect, outcome[AT(e, z)] != 0 || (open && epoch == e && RESOLVABLE(phase[z])));
#if Z > 1
    CLAIM(nothing_after_the_next, top_of_all <= e);
    top_of_all = e;
#endif
    top[z] = e;
    if
    :: kind_of[e] == EXECUTION_RELEASE -> fence[z] = NONE
    :: kind_of[e] == EXECUTION_ADOPT -> fence[z] = EID(e)
    :: else -> fence[z] = EID(e); rec[z] = DESIRED(e)
    fi;
    printf("TARGET zone %d: the request of epoch %d takes effect: fence <%d>, records {%d}\n", z, e, fence[z], rec[z])
}

inline land_burn(e, z) {
    SOIL(z);
    CLAIM(fences_only_rise, top[z] < e);
    top[z] = e;
    fence[z] = VOID(e);
    printf("TARGET zone %d: the burn of epoch %d takes effect: fence <%d>, records {%d}\n", z, e, fence[z], rec[z])
}

/* ---- committed state: the functions of apply_step.c and apply_people.c -------------------- */

#if FORGETS > 0
#define FORGET_ID(z) change_id[z] = NOT_ASKED
#else
#define FORGET_ID(z) skip
#endif

/* step_end */
inline step_end(z, how) {
    CLAIM(refused_never_lands, how != STEP_REFUSED || landed[AT(epoch, z)] == 0);
    phase[z] = how;
    outcome[AT(epoch, z)] = how;
    FORGET_ID(z)
}

/* execution_settle: what can't start any more is refused; when all has ended, so has the execution. */
inline execution_settle() {
    if
    :: (cancelling || settle_failed) && UNSENT(phase[0]) -> step_end(0, STEP_REFUSED)
    :: else
    fi;
#if Z > 1
    if
    :: (cancelling || settle_failed) && UNSENT(phase[1]) -> step_end(1, STEP_REFUSED)
    :: else
    fi;
#endif
    if
    :: ALL_ENDED && ALL_SETTLED ->
        open = false; cancelling = false; settle_failed = false;
        phase[0] = STEP_DONE; phase[Z - 1] = STEP_DONE;
        printf("LOG epoch %d has ended\n", epoch)
    :: else
    fi
}

/* apply_outcome */
inline apply_outcome(k, z, how) {
    atomic {
        if
        :: LEADS && open && epoch == k && RESOLVABLE(phase[z]) ->
            printf("LOG leader of term %d, zone %d: OUTCOME of epoch %d is %e\n", me, z, k, how);
#ifdef ASK_AFTER_LOST_DEBT
            CLAIM(never_reached, !(debt_lost_fence && how == STEP_DONE));
#endif
            CLAIM(done_was_there, how != STEP_DONE || kind_of[k] == EXECUTION_RELEASE || landed[AT(k, z)] == 1);
            step_end(z, how);
            execution_settle()
        :: else
        fi
    }
}

/* ---- the executor: one leader, one zone ---------------------------------------------------- */

#if FORGETS > 0
#define ME AT(me, z)
#define ASK(own) \
    sync = (sync_id[ME] != NOT_ASKED -> sync_id[ME] : (own -> change_id[z] : NOT_ASKED)); \
    sync_of = (sync_id[ME] != NOT_ASKED -> sync_fence[ME] : EID(k))
#define KEEP_ID(f) sync_id[ME] = (dirty[z] -> PENDING : INSYNC); sync_fence[ME] = f
#define COMMIT_ID change_id[z] = sync_id[ME]; sync_id[ME] = NOT_ASKED; sync_fence[ME] = NONE
#define DROP_ID sync_id[ME] = NOT_ASKED; sync_fence[ME] = NONE
#define IS_INSYNC (sync_of == lf && sync == INSYNC)
#define IS_PENDING (sync_of == lf && sync == PENDING)
#define CLEAR sync = 0; sync_of = 0
#else
#define ASK(own) skip
#define KEEP_ID(f) skip
#define COMMIT_ID skip
#define DROP_ID skip
#define IS_INSYNC true
#define IS_PENDING false
#define CLEAR skip
#endif

#ifdef WRONG_DONE_ON_READ
#define DONE_IS_PROVED true
#else
#define DONE_IS_PROVED IS_INSYNC
#endif
#ifdef WRONG_REFUSED_ON_READ
#define BURN_IS_PROVED true
#else
#define BURN_IS_PROVED IS_INSYNC
#endif
#ifdef WRONG_EXPECTS_NO_FENCE
#define FENCE_SERVES(f) true
#else
#define FENCE_SERVES(f) (kind_of[k] == EXECUTION_ADOPT || ((f) != NONE && !IS_STRANGE(f)))
#endif
#ifdef WRONG_CLOSING_UNCOMMITTED
#define COMMIT_CLOSING skip
#else
#define COMMIT_CLOSING phase[z] = STEP_CLOSING
#endif

/* driver_read: GetChange first, then the list. SPLIT: fence and records come by two calls. */
#ifdef SPLIT
#define LIST d_step { !dead -> lf = fence[z] }; \
    d_step { !dead -> lr = rec[z]; printf("READ leader of term %d, zone %d: fence <%d>, records {%d}\n", me, z, lf, lr) }
#else
#define LIST d_step { !dead -> lf = fence[z]; lr = rec[z]; \
    printf("READ leader of term %d, zone %d: fence <%d>, records {%d}\n", me, z, lf, lr) }
#endif
#if FORGETS > 0
#ifdef WRONG_LIST_BEFORE_SYNC
#define READ(own) LIST; d_step { ASK(own) }
#else
#define READ(own) d_step { !dead -> ASK(own) }; LIST
#endif
#else
#define READ(own) LIST
#endif

/* Rewrites the fence as it is. That changes nothing, so only its id matters. */
inline touch(closing) {
#if FORGETS > 0
    atomic {
        if
        :: !dead && fence[z] == lf ->
            printf("SEND leader of term %d, zone %d: touch <%d>\n", me, z, lf);
            KEEP_ID(lf);
            if
            :: !(closing) && LEADS && open && epoch == k && RESOLVABLE(phase[z]) && phase[z] != STEP_CLOSING ->
                phase[z] = STEP_ACCEPTED; COMMIT_ID
            :: else
            fi
        :: else
        fi
    }
#else
    skip
#endif
}

/* A burn is sent; its reply may come back, or not. */
inline burn(e) {
    d_step {
        burns[AT(e, z)] = burns[AT(e, z)] | (1 << lf);
        printf("SEND leader of term %d, zone %d: burn epoch %d, from <%d>\n", me, z, e, lf)
    };
#if FORGETS > 0
    if
    :: atomic { !dead && fence[z] == lf -> land_burn(e, z); KEEP_ID(VOID(e)) }
    :: true
    fi
#endif
}

/* step_is_obscured, of a step that was sent */
#define IS_OBSCURED(k) (lf != NONE && lf != VOID(k) && lf != fence_before[AT(k, z)] && \
                        (kind_of[k] == EXECUTION_RELEASE || lf != EID(k)))

/* To a debt: a burn has nothing of ours to start from (step_is_obscured). */
#ifdef WRONG_DEBT_BURNS_STRANGE
#define IS_NO_FENCE(f) ((f) == NONE)
#else
#define IS_NO_FENCE(f) ((f) == NONE || IS_STRANGE(f))
#endif

/* What is about fences alone gets past a debt where there is none (step_after_read). */
#ifdef WRONG_DEBT_NEEDS_FENCE
#define PAYS_WITHOUT_FENCE(k) false
#else
#define PAYS_WITHOUT_FENCE(k) (kind_of[k] == EXECUTION_ADOPT || kind_of[k] == EXECUTION_RELEASE)
#endif

proctype leader(byte me, z) {
    byte k, d, lf, lr;
#if FORGETS > 0
    byte sync, sync_of;
#endif
end_idle:
    do
    /* STEP_SETTLE: task_intend (CLOSING), then task_resolve */
    :: atomic { STARTS && open && unsettled[z] != 0 && (settling[z] || !cancelling) ->
            k = epoch; settling[z] = true;
            d = ((unsettled[z] & 2) -> 1 : ((unsettled[z] & 4) -> 2 : 3)) };
        READ(false);
        if
        :: IS_NO_FENCE(lf) && !PAYS_WITHOUT_FENCE(k) ->
            atomic {
                if
                :: LEADS && open && epoch == k && ((unsettled[z] >> d) & 1) ->
                    printf("LOG leader of term %d, zone %d: SETTLE of epoch %d is STEP_UNKNOWN\n", me, z, d);
                    unsettled[z] = 0; settling[z] = false; settle_failed = true;
                    execution_settle()
                :: else
                fi }
        :: (IS_NO_FENCE(lf) && PAYS_WITHOUT_FENCE(k)) ||
           (!IS_NO_FENCE(lf) && EPOCH_OF(lf) >= d && BURN_IS_PROVED) ->
            atomic {
                if
                :: LEADS && open && epoch == k && ((unsettled[z] >> d) & 1) ->
                    printf("LOG leader of term %d, zone %d: SETTLE of epoch %d is STEP_DONE\n", me, z, d);
                    unsettled[z] = unsettled[z] & ~(1 << d); debts[z] = debts[z] & ~(1 << d);
                    settling[z] = false;
                    execution_settle()
                :: else
                fi }
        :: !IS_NO_FENCE(lf) && EPOCH_OF(lf) >= d && !BURN_IS_PROVED ->
            if :: IS_PENDING :: else -> touch(true) fi
        :: !IS_NO_FENCE(lf) && EPOCH_OF(lf) < d -> burn(d)
        fi;
        goto over

    /* EFFECT_INTEND: task_intend, apply_intent */
    :: atomic { STARTS && open && ALL_SETTLED && phase[z] == STEP_WAITING && !cancelling -> k = epoch };
        LIST;
        atomic {
            if
            :: LEADS && open && epoch == k && phase[z] == STEP_WAITING && !cancelling ->
                if
                :: FENCE_SERVES(lf) ->
                    phase[z] = STEP_INTENDED;
                    fence_before[AT(k, z)] = lf; state_before[AT(k, z)] = lr;
                    printf("LOG leader of term %d, zone %d: INTENT of epoch %d expects fence <%d>, records {%d}\n", me, z, k, lf, lr)
                :: else -> /* also where a release of the service finds no fence: nothing is to be done */
                    step_end(z, STEP_REFUSED);
                    printf("LOG leader of term %d, zone %d: OUTCOME of epoch %d is STEP_REFUSED, there is no fence of ours\n", me, z, k);
                    execution_settle()
                fi
            :: else
            fi };
        goto over

    /* EFFECT_ATTEMPT */
    :: atomic { STARTS && open && phase[z] == STEP_INTENDED && !cancelling ->
            k = epoch;
#ifndef WRONG_SENDS_BEFORE_ATTEMPT
            phase[z] = STEP_ATTEMPTED;
            printf("LOG leader of term %d, zone %d: ATTEMPT of epoch %d\n", me, z, k)
#endif
        };
        goto send

    /* EFFECT_RESOLVE: task_resolve, step_after_read */
    :: atomic { STARTS && open && RESOLVABLE(phase[z]) && (Z == 1 || ALL_SETTLED) -> k = epoch };
#ifdef WRONG_NO_READ /* send again, and believe the reply */
        atomic {
            if
            :: LEADS && open && epoch == k && !cancelling && phase[z] == STEP_ATTEMPTED ->
                printf("LOG leader of term %d, zone %d: ATTEMPT of epoch %d again, without a read\n", me, z, k)
            :: else -> goto over
            fi };
        goto send;
#endif
read:
        READ(true);
        if
        :: kind_of[k] == EXECUTION_RELEASE && lf == NONE -> apply_outcome(k, z, STEP_DONE)
        :: kind_of[k] != EXECUTION_RELEASE && lf == EID(k) ->
            if
            :: DONE_IS_PROVED -> apply_outcome(k, z, STEP_DONE)
            :: !DONE_IS_PROVED && IS_PENDING
#ifdef WRONG_NO_TOUCH
            :: !DONE_IS_PROVED && !IS_PENDING
#else
            :: !DONE_IS_PROVED && !IS_PENDING -> touch(phase[z] == STEP_CLOSING)
#endif
            fi
#ifndef WRONG_GONE_IS_BURNT
        :: kind_of[k] != EXECUTION_RELEASE && lf == NONE &&
           (fence_before[AT(k, z)] != NONE || phase[z] == STEP_CLOSING || cancelling) ->
            apply_outcome(k, z, STEP_UNKNOWN)
#endif
        :: lf != NONE && lf != EID(k) && EPOCH_OF(lf) > k -> apply_outcome(k, z, STEP_UNKNOWN)
#ifndef WRONG_STRANGE_IS_BURNT
        :: IS_OBSCURED(k) && EPOCH_OF(lf) <= k -> apply_outcome(k, z, STEP_UNKNOWN)
#endif
        :: else ->
            if
            :: phase[z] != STEP_CLOSING && !cancelling && lf == fence_before[AT(k, z)] &&
               (lr == state_before[AT(k, z)] || kind_of[k] != EXECUTION_MOVE) ->
                /* ACTION_ATTEMPT */
                atomic {
                    if
                    :: LEADS && open && epoch == k && !cancelling &&
                       (phase[z] == STEP_ATTEMPTED || phase[z] == STEP_ACCEPTED) ->
                        phase[z] = STEP_ATTEMPTED; FORGET_ID(z);
                        printf("LOG leader of term %d, zone %d: ATTEMPT of epoch %d again\n", me, z, k)
                    :: else -> goto over
                    fi };
                goto send
            :: phase[z] != STEP_CLOSING && (cancelling || lf != fence_before[AT(k, z)] ||
               (lr != state_before[AT(k, z)] && kind_of[k] == EXECUTION_MOVE)) ->
#ifdef WRONG_NO_BURN
                apply_outcome(k, z, STEP_REFUSED)
#else
                /* ACTION_CLOSE */
                atomic {
                    if
                    :: LEADS && open && epoch == k && RESOLVABLE(phase[z]) && phase[z] != STEP_CLOSING ->
                        COMMIT_CLOSING;
                        printf("LOG leader of term %d, zone %d: CLOSING of epoch %d\n", me, z, k)
                    :: else
                    fi }
#ifdef WRONG_CLOSING_UNCOMMITTED
                ;
                if
                :: lf == VOID(k) && BURN_IS_PROVED -> apply_outcome(k, z, STEP_REFUSED)
                :: lf == VOID(k) && !BURN_IS_PROVED && IS_PENDING
                :: lf == VOID(k) && !BURN_IS_PROVED && !IS_PENDING -> touch(true)
                :: lf != VOID(k) -> burn(k)
                fi
#endif
#endif
            :: phase[z] == STEP_CLOSING && lf == VOID(k) ->
                if
                :: BURN_IS_PROVED -> apply_outcome(k, z, STEP_REFUSED)
                :: !BURN_IS_PROVED && IS_PENDING
                :: !BURN_IS_PROVED && !IS_PENDING -> touch(true)
                fi
            :: phase[z] == STEP_CLOSING && lf != VOID(k) -> burn(k)
            fi
        fi;
        goto over;

send:
        if
        :: d_step { true -> sent[AT(k, z)] = true; printf("SEND leader of term %d (the term is %d), zone %d: request of epoch %d\n", me, term, z, k) }
        :: term != me -> goto over /* died between the commit and the request */
        fi;
#ifdef WRONG_SENDS_BEFORE_ATTEMPT
        atomic {
            if
            :: LEADS && open && epoch == k && phase[z] == STEP_INTENDED -> phase[z] = STEP_ATTEMPTED
            :: else
            fi };
#endif
        if
        :: atomic { MAY_LAND(k, z) -> land(k, z); KEEP_ID(EID(k)) }; /* ... and the reply comes back */
            atomic {
                if
#ifdef WRONG_DONE_ON_ACCEPT
                :: LEADS && open && epoch == k && RESOLVABLE(phase[z]) ->
                    DROP_ID; apply_outcome(k, z, STEP_DONE)
#endif
                :: LEADS && open && epoch == k && (phase[z] == STEP_ATTEMPTED || phase[z] == STEP_ACCEPTED) ->
                    phase[z] = STEP_ACCEPTED; COMMIT_ID;
                    printf("LOG leader of term %d, zone %d: ACCEPTED of epoch %d\n", me, z, k)
                :: else -> DROP_ID
                fi }
        :: atomic { !dead && !MATCHES(k, z) -> /* refused. That decides nothing */
#if defined(WRONG_REPLY_DECIDES) || defined(WRONG_NO_READ)
                printf("REPLY leader of term %d, zone %d: refused\n", me, z);
                apply_outcome(k, z, STEP_REFUSED)
#endif
            }
        :: true /* no reply */
        fi;
over:
        atomic { k = 0; d = 0; lf = 0; lr = 0; CLEAR }
    od
}

/* ---- the world ------------------------------------------------------------------------------ */

#ifdef LOST_LOOKS_INSYNC /* INSYNC says no more than "not pending" */
#define LOST INSYNC
#else
#define LOST NO_SUCH_CHANGE
#endif
#if FORGETS > 0
#define ALL_IDS(from, to) \
    i = 0; \
    do \
    :: i < (T + 1) * Z -> if :: i % Z == z && sync_id[i] == from -> sync_id[i] = to :: else fi; i++ \
    :: else -> break \
    od; \
    i = 0; \
    if :: change_id[z] == from -> change_id[z] = to :: else fi
#define IS_CLEAN(z) !dirty[z]
#else
#define IS_CLEAN(z) true
#endif

#define DELIVER(e, z) \
    :: d_step { MAY_LAND(e, z) -> land(e, z) } \
    :: d_step { !dead && MAY_BURN(e, z) -> land_burn(e, z) }

inline decide(what) {
    epoch++; open = true; kind_of[epoch] = what;
    phase[0] = STEP_WAITING; phase[Z - 1] = STEP_WAITING;
#ifndef WRONG_DEBT_FORGOTTEN
    unsettled[0] = debts[0]; unsettled[Z - 1] = debts[Z - 1];
#endif
    printf("LOG epoch %d: %e is decided\n", epoch, what)
}

proctype world() {
    byte z = 0;
#if FORGETS > 0
    byte i, e;
#endif
end_idle:
    do
    /* requests arrive: late, and again */
    DELIVER(1, 0)
#if E > 1
    DELIVER(2, 0)
#endif
#if E > 2
    DELIVER(3, 0)
#endif
#if Z > 1
    DELIVER(1, 1)
    DELIVER(2, 1)
#if E > 2
    DELIVER(3, 1)
#endif
#endif
    /* people with other tools; what they see is in sync */
    :: atomic { edits > 0 && IS_CLEAN(0) -> edits--;
        if :: Z > 1 -> z = Z - 1 :: true fi;
        if :: rec[z] = EAST :: rec[z] = WEST :: rec[z] = ODD fi;
#if FORGETS > 0
        rec_kept[z] = rec[z];
#endif
        printf("PERSON zone %d: records are {%d} now\n", z, rec[z]); z = 0 }
#if DELETES > 0
    :: d_step { deletes > 0 && fence[0] != NONE && IS_CLEAN(0) -> deletes--;
        printf("PERSON zone 0: deletes the fence <%d>\n", fence[0]);
#if RESTORES > 0
        fence_deleted[0] = fence[0];
#endif
#ifdef ASK_AFTER_LOST_DEBT
        debt_lost_fence = (debts[0] != 0 && !open);
#endif
#if FORGETS > 0
        fence_kept[0] = NONE;
#endif
        fence[0] = NONE }
#endif
#if RESTORES > 0
    :: d_step { restores > 0 && fence_deleted[0] != NONE -> restores--; fence[0] = fence_deleted[0];
        printf("PERSON zone 0: puts the old fence <%d> back\n", fence[0]) }
#endif
#if STRANGERS > 0
    :: d_step { strangers > 0 && !dead -> SOIL(0); fence[0] = STRANGE(strangers); strangers--;
        printf("STRANGER zone 0: another group puts its fence there: <%d>\n", fence[0]) }
#endif
    /* the control plane */
#if FORGETS > 0
    :: d_step { dirty[z] -> dirty[z] = 0; fence_kept[z] = fence[z]; rec_kept[z] = rec[z]; top_kept[z] = top[z];
        e = 1; do :: e <= E -> landed_kept[AT(e, z)] = landed[AT(e, z)]; e++ :: else -> break od; e = 0;
        ALL_IDS(PENDING, INSYNC);
        printf("TARGET zone %d: in sync\n", z) }
    :: d_step { dirty[z] && forgets > 0 -> forgets--; dirty[z] = 0;
        fence[z] = fence_kept[z]; rec[z] = rec_kept[z]; top[z] = top_kept[z];
        printf("TARGET zone %d: forgets what it had accepted: fence <%d>, records {%d}\n", z, fence[z], rec[z]);
        e = 1;
        do
        :: e <= E ->
            CLAIM(done_stays, outcome[AT(e, z)] != STEP_DONE || kind_of[e] == EXECUTION_RELEASE ||
                              landed_kept[AT(e, z)] == landed[AT(e, z)]);
            landed[AT(e, z)] = landed_kept[AT(e, z)]; e++
        :: else -> break
        od;
        e = 0;
        ALL_IDS(PENDING, LOST) }
#endif
#ifdef DEAD
    :: !dead -> dead = true; printf("TARGET: the control plane dies\n")
#endif
    /* elections and restarts */
    :: d_step { term < T -> term++; printf("TERM %d begins; the leader before it may not know\n", term) }
    /* DECIDE, or an operator's MOVE or ADOPT */
    :: atomic { !open && epoch < E ->
        if
        :: decide(EXECUTION_MOVE)
        :: adopts > 0 -> adopts--; decide(EXECUTION_ADOPT)
        :: unmarks > 0 -> unmarks--; decide(EXECUTION_RELEASE)
        fi }
#ifdef ASK_ALL_MOVED
    :: atomic { !open && epoch == E && outcome[AT(1, 0)] == STEP_DONE && outcome[AT(E, 0)] == STEP_DONE ->
        CLAIM(never_reached, false) }
#endif
    od
}

#ifdef DEAD
#define RELEASED skip
#else
#define RELEASED releases--
#endif
#define RELEASE(z) \
    :: d_step { releases > 0 && open && ALL_SETTLED && RESOLVABLE(phase[z]) -> RELEASED; \
        debts[z] = debts[z] | (1 << epoch); \
        printf("OPERATOR releases zone %d of epoch %d: a debt\n", z, epoch); \
        step_end(z, STEP_RELEASED); execution_settle() } \
    :: d_step { releases > 0 && open && ALL_SETTLED && UNSENT(phase[z]) -> RELEASED; \
        printf("OPERATOR releases zone %d of epoch %d: nothing was sent\n", z, epoch); \
        step_end(z, STEP_RELEASED); execution_settle() }

proctype operator() {
end_idle:
    do
    :: atomic { cancels > 0 && open && !cancelling -> cancels--; cancelling = true;
        printf("OPERATOR cancels epoch %d\n", epoch);
#ifdef WRONG_CANCEL_ENDS /* a cancel after an ATTEMPT ends the step without a burn */
        if :: RESOLVABLE(phase[0]) -> step_end(0, STEP_REFUSED) :: else fi;
#endif
        if :: !settling[0] -> unsettled[0] = 0 :: else fi;
        if :: !settling[Z - 1] -> unsettled[Z - 1] = 0 :: else fi;
        execution_settle() }
    /* apply_release: a step by name; what was attempted is a debt */
#if RELEASES > 0
    RELEASE(0)
#if Z > 1 && !defined(RELEASE_ZONE_0) /* with one release, zones are alike */
    RELEASE(1)
#endif
#ifdef DEAD /* a settle step can be let go, too: its debt stays */
    :: atomic { open && !ALL_SETTLED ->
        unsettled[0] = 0; settling[0] = false;
        printf("OPERATOR releases the settle step of epoch %d\n", epoch);
        execution_settle() }
#endif
#endif
#ifdef WAIVE /* MOVE --skip debts, or the release of a settle step */
    :: atomic { open && !ALL_SETTLED ->
        unsettled[0] = 0; unsettled[Z - 1] = 0; settling[0] = false; settling[Z - 1] = false;
        printf("OPERATOR waives the debts\n") }
#endif
    od
}

init {
    byte i = 1;
    atomic {
#ifdef ALONE /* the other claims aren't made */
        one_effect_an_eid = false; fences_only_rise = false; nothing_after_the_next = false; done_was_there = false;
        done_stays = false; refused_never_lands = false; attempted_before_effect = false;
        ALONE = true;
#endif
        do
        :: i <= T -> run leader(i, 0);
#if Z > 1
            run leader(i, 1);
#endif
            i++
        :: else -> break
        od;
        run world();
        run operator();
        i = 0
    }
}

ltl executions_end { [] (open -> <> !open) }
