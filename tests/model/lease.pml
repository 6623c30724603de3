/* The lease: coordinator/core/lease.c, executor/leases.c, main/leasing.c.
 *
 * Three voters, of which CHANGES may replace the first, one change at a time; two regions, east (0) and west (1). Time
 * passes in whole units and is kept as what is left or as an age, so that it has no end; any number of things happen
 * within a unit. A grant holds for at most LENGTH units after the asker's t0, a leader's wait for at least as long:
 * that is what the 1 % is for.
 *
 * Raft is abstract. One committed log; a leader commits while a majority is in its term, and what it had proposed
 * and not committed may be taken over by the next one, before that one's LEADER. Each leader applies when it
 * likes. A leader that was deposed may not know for as long as it likes; one that restarts has
 * forgotten what it gave.
 *
 * A grant takes effect at once, since a late one only holds for less; with DELAYS the asker is there too: it asks,
 * restarts, and gets answers late. With PROMOTES a move takes the primary of a replica set along: what an ATTEMPT
 * sends takes effect at any later time, again and again, or never. WRONG_ flags: see README.md. */
#ifndef LENGTH
#define LENGTH 2
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef ENTRIES
#define ENTRIES 4
#endif
#ifndef SPECS
#define SPECS 0
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef CHANGES
#define CHANGES 0
#endif

#define CLAIM(name, holds) assert((holds) || !name)
bool one_holder = true;           /* DESIGN, invariant 2 */
bool switch_after_the_last = true; /* no promotion while the old region may hold it */
bool holder_is_active = true;     /* none gets one after the switch away from it */
bool primary_is_with_the_holder = true; /* nor while the primary is elsewhere, or may still be sent there */
bool never_reached = true;

#define LEADS(v) (leader_of[v] != 0)
#if CHANGES > 0
#define VOTERS 4
#else
#define VOTERS 3
#endif
#define COMMITTED VOTERS /* the place of what all committed entries together say */

mtype = { SPEC, DECIDE, OUTCOME_LEASE_DONE, SWITCH, CANCEL };
/* DECIDE_BACK: to the region that still serves. An OUTCOME ends what was cancelled behind its ATTEMPT. */
mtype = { DECIDE_BACK, ATTEMPT_PREFER, ATTEMPT_PROMOTE, OUTCOME_UNKNOWN, OUTCOME_REFUSED };

/* Raft */
byte voter_term[VOTERS];
byte leader_of[VOTERS];     /* the term that this voter believes to lead; 0: none */
mtype log[ENTRIES]; byte committed_in[ENTRIES], log_count; /* in whose term it was committed */
mtype proposed; byte proposed_term;
byte leader_term = 1;        /* of the last LEADER: what an earlier leader left does nothing behind it */
#if CHANGES > 0
byte changed;               /* how many changes of the members are committed */
bool change_proposed;       /* the next one may be in somebody's log */
byte changed_of[VOTERS];    /* how many are in that leader's log */
#endif

/* Applied state, by voter, and of all that is committed. */
byte applied[VOTERS + 1];
bool serves[VOTERS + 1];        /* the region */
bool leaving[VOTERS + 1];       /* an execution is open, to the other region */
bool returning[VOTERS + 1];     /* ... to the one that serves */
bool outlasted[VOTERS + 1];     /* its step `lease` is STEP_DONE */
mtype attempted[VOTERS + 1];    /* its step by which the primary may move */
bool promoted_away[VOTERS + 1]; /* one ended by which the primary may have moved: no lease until `switch` */
bool is_short[VOTERS + 1];      /* the spec's lease is 1 now */
bool longest_short[VOTERS + 1]; /* longest_lease_ms is 1 */

/* struct leases, by leader */
bool leads[VOTERS];         /* on_leadership: its own barrier and LEADER are applied */
byte since_start[VOTERS];   /* since term_start_ms */
byte until[VOTERS];         /* what is left of given[].until_ms */
#ifdef WRONG_WAIT_AT_PROPOSAL
byte fixed[VOTERS];
#endif

/* The leader's open ask: 1 it came in, 2 an entry behind it is committed. */
byte round[VOTERS], asked_age[VOTERS];
#ifdef WRONG_NO_ROUND
bool contact[VOTERS];
#endif

/* What regions hold: until a poller's own time of asking + length. */
byte held[2];
/* The replica set: where its primary is, and where a request takes it. */
bool primary, sent[2];
#ifdef DELAYS
bool asks; byte ask_age;    /* the asker's last */
bool answer[2]; byte answer_age[2], answer_length[2]; bool other_boot[2];
#endif
byte restarts = RESTARTS, specs = SPECS;

#define LONGER(v) (is_short[v] -> 1 : LENGTH)
#define MAX2(a, b) ((a) > (b) -> (a) : (b))

/* Of three or four members all but one are the least majority. A leader goes by the last change in its log, committed or
 * not (Raft's dissertation, 4.1). */
#if CHANGES > 0
#ifdef WRONG_TWO_CHANGES_AT_ONCE
#define IS_MEMBER(q, changes) ((q) != ((changes) == 0 -> 3 : 0))
#else
#define IS_MEMBER(q, changes) ((changes) == 0 -> (q) < 3 : ((changes) == 1 || (q) > 0))
#endif
#define LACKS(q, v, HAS) (IS_MEMBER(q, changed_of[v]) && !HAS(q, v))
#define MAJORITY(v, HAS) (LACKS(0, v, HAS) + LACKS(1, v, HAS) + LACKS(2, v, HAS) + LACKS(3, v, HAS) <= 1)
#define NEWEST_TERM MAX2(MAX2(voter_term[0], voter_term[1]), MAX2(voter_term[2], voter_term[3]))
#define CHANGE_IS_COMMITTED(v) (changed_of[v] <= changed)
#define ANY(v) if :: v = 0 :: v = 1 :: v = 2 :: v = 3 fi
#else
#define IS_MEMBER(q, changes) true
#define MAJORITY(v, HAS) (HAS(0, v) + HAS(1, v) + HAS(2, v) >= 2)
#define NEWEST_TERM MAX2(voter_term[0], MAX2(voter_term[1], voter_term[2]))
#define CHANGE_IS_COMMITTED(v) true
#define ANY(v) if :: v = 0 :: v = 1 :: v = 2 fi
#endif
#define IS_IN_TERM(q, v) (voter_term[q] == leader_of[v])
#define IN_TERM(v) MAJORITY(v, IS_IN_TERM)

#ifdef WRONG_NO_MARGIN
#define HOLDS(length) ((length) + 1)
#else
#define HOLDS(length) (length)
#endif

/* leases_wait_ms */
#ifdef WRONG_SPEC_LENGTH
#define OLD_GRANT(v) LONGER(v)
#else
#define OLD_GRANT(v) (longest_short[v] -> 1 : LENGTH)
#endif
#ifdef WRONG_NO_ELECTION_WAIT
#define STARTED(v) true
#else
#define STARTED(v) (since_start[v] >= OLD_GRANT(v))
#endif
#ifdef WRONG_WAIT_AT_PROPOSAL
#define WAITED(v) (STARTED(v) && fixed[v] == 0)
#else
#define WAITED(v) (STARTED(v) && until[v] == 0)
#endif
/* lease_region */
#if defined(WRONG_GRANT_WHILE_LEAVING)
#define GRANTED(v) true
#elif defined(WRONG_CANCEL_GIVES_BACK)
#define GRANTED(v) !leaving[v]
#else
#define GRANTED(v) (!leaving[v] && !promoted_away[v])
#endif
#ifdef WRONG_NO_BARRIER
#define READY(v) true
#define CAUGHT_UP(v) true
#else
#define READY(v) leads[v]
#define CAUGHT_UP(v) (applied[v] == log_count)
#endif
#ifdef WRONG_ANY_TERM
#define ANSWERED(v) true
#else
#define ANSWERS(q, v) (voter_term[q] <= leader_of[v])
#define ANSWERED(v) (IS_IN_TERM(v, v) && MAJORITY(v, ANSWERS))
#endif

inline forget(v) {
    leads[v] = false; round[v] = 0; asked_age[v] = 0; until[v] = 0; since_start[v] = 0;
#ifdef WRONG_NO_ROUND
    contact[v] = false;
#endif
#ifdef WRONG_WAIT_AT_PROPOSAL
    fixed[v] = 0;
#endif
#if CHANGES > 0
    changed_of[v] = 0;
#endif
    leader_of[v] = 0
}

/* By all others but q; its log has so many changes of the members. */
inline elect(v, q, changes) {
    new_term = NEWEST_TERM + 1; i = 0;
    do
    :: i < VOTERS ->
        if :: i != q && IS_MEMBER(i, changes) -> voter_term[i] = new_term; forget(i) :: else fi;
        i++
    :: else -> break
    od;
    i = 0; leader_of[v] = new_term; new_term = 0;
#if CHANGES > 0
    changed_of[v] = changes;
#endif
    printf("TERM %d: voter %d is elected by all but %d\n", leader_of[v], v, q)
}

inline hold(r, length) {
    if :: length > held[r] -> held[r] = length :: else fi;
    if :: length > 0 -> printf("HOLDS region %d for another %d\n", r, length) :: else fi;
    CLAIM(holder_is_active, length == 0 || serves[COMMITTED] == r);
#ifdef PROMOTES
    CLAIM(primary_is_with_the_holder, length == 0 || (primary == r && !sent[1 - r]));
#endif
    CLAIM(one_holder, held[0] == 0 || held[1] == 0)
}

#define OPEN(v) (leaving[v] || returning[v])
#define TO(v) (serves[v] != leaving[v])
#ifdef WRONG_OUTLASTED_KEPT
#define NEW_STEP(v) skip
#else
#define NEW_STEP(v) outlasted[v] = false
#endif
#ifdef WRONG_ATTEMPT_NEEDS_NOTHING
#define MAY_ATTEMPT(v) (OPEN(v) && attempted[v] == 0)
#else
#define MAY_ATTEMPT(v) ((returning[v] || (leaving[v] && outlasted[v])) && attempted[v] == 0)
#endif
#if defined(WRONG_SWITCH_NEEDS_NOTHING)
#define MAY_SWITCH(v) leaving[v]
#elif defined(PROMOTES)
#define MAY_SWITCH(v) (attempted[v] != 0)
#else
#define MAY_SWITCH(v) (leaving[v] && outlasted[v])
#endif
#ifdef WRONG_PROMOTE_ALONE
#define MOVES_PRIMARY(v) (attempted[v] == ATTEMPT_PROMOTE)
#else
#define MOVES_PRIMARY(v) (attempted[v] != 0)
#endif

inline begin(v) {
    NEW_STEP(v);
#ifdef WRONG_NEXT_MOVE_GIVES_BACK
    promoted_away[v] = false
#else
    skip
#endif
}

/* execution_end */
inline end(v) {
    leaving[v] = false; returning[v] = false; attempted[v] = 0;
    NEW_STEP(v)
}

/* What earlier moves had sent: a config's fence refuses it now; a request to step up may take the primary away once more, until
 * the priorities bring it back some ten seconds later. Only LATE_STEP_UP counts that. */
inline send(to) {
    CLAIM(primary_is_with_the_holder, held[1 - (to)] == 0);
#ifndef LATE_STEP_UP
    sent[1 - (to)] = false;
#endif
    sent[to] = true
}

/* state_apply, of what bears on the lease */
inline apply(v, what) {
    if
    :: what == SPEC && !OPEN(v) -> /* CORE_SPEC_IN_USE otherwise */
        is_short[v] = !is_short[v];
        longest_short[v] = longest_short[v] && is_short[v]
    :: what == DECIDE && !OPEN(v) -> leaving[v] = true; begin(v)
    :: what == DECIDE_BACK && !OPEN(v) && promoted_away[v] -> returning[v] = true; begin(v)
    :: what == OUTCOME_LEASE_DONE && leaving[v] -> outlasted[v] = true
    :: (what == ATTEMPT_PREFER || what == ATTEMPT_PROMOTE) && MAY_ATTEMPT(v) ->
        attempted[v] = what;
        if
        :: v == COMMITTED -> send(TO(v))
        :: else
        fi
    :: what == SWITCH && MAY_SWITCH(v) ->
        if
        :: v == COMMITTED -> CLAIM(switch_after_the_last, held[1 - TO(v)] == 0)
        :: else
        fi;
        serves[v] = TO(v); promoted_away[v] = false;
        if
        :: leaving[v] -> longest_short[v] = is_short[v] /* lease_was_outlasted */
        :: else
        fi;
        end(v)
    :: what == CANCEL && OPEN(v) && attempted[v] == 0 -> end(v)
    /* The CANCEL before it changes nothing of the lease: the execution stays open. */
    :: what == OUTCOME_UNKNOWN && attempted[v] != 0 ->
        promoted_away[v] = promoted_away[v] || MOVES_PRIMARY(v);
        end(v)
    :: what == OUTCOME_REFUSED && attempted[v] != 0 -> end(v)
    :: else
    fi;
    applied[v]++
}

inline commit(what, t) {
    log[log_count] = what; committed_in[log_count] = t; log_count++;
    apply(COMMITTED, what)
}

/* It is committed at once, or left behind. */
inline propose(v, what) {
    if
    :: d_step { IN_TERM(v) && log_count < ENTRIES && !(proposed != 0 && proposed_term == leader_of[v]) ->
        printf("LOG voter %d, leader of term %d: %e\n", v, leader_of[v], what);
        commit(what, leader_of[v]) }
    :: d_step { proposed == 0 && leader_of[v] < TERMS && log_count < ENTRIES && leader_of[v] >= leader_term ->
        printf("LOG voter %d, leader of term %d, proposes %e\n", v, leader_of[v], what);
        proposed = what; proposed_term = leader_of[v] }
    fi
}

/* leases_grant */
inline grant(v) {
    if :: LONGER(v) > until[v] -> until[v] = LONGER(v) :: else fi;
    printf("GRANT voter %d, leader of term %d: to region %d, asked %d ago\n", v, leader_of[v], serves[v], asked_age[v]);
#ifdef DELAYS
    answer[serves[v]] = true; answer_age[serves[v]] = asked_age[v]; answer_length[serves[v]] = LONGER(v);
    other_boot[serves[v]] = false; /* if the asker has restarted, this is set again below */
    if :: !asks -> other_boot[serves[v]] = true :: else fi;
#else
    left = HOLDS(LONGER(v));
    left = (left > asked_age[v] -> left - asked_age[v] : 0);
    hold(serves[v], left); left = 0;
#endif
    round[v] = 0; asked_age[v] = 0
}

active proctype group() {
    byte i, v, q, left, changes, new_term;
    d_step {
        voter_term[0] = 1; voter_term[1] = 1; voter_term[2] = 1;
#if CHANGES > 0
        voter_term[3] = 1;
#endif
#ifdef ALONE /* the other claims aren't made */
        one_holder = false; switch_after_the_last = false; holder_is_active = false; primary_is_with_the_holder = false;
        ALONE = true;
#endif
        leader_of[2] = 1; leads[2] = true; since_start[2] = LENGTH
    };
end_idle:
    do
    /* time passes */
    :: d_step { true ->
        i = 0;
        do
        :: i < VOTERS ->
            if :: leads[i] && since_start[i] < LENGTH -> since_start[i]++ :: else fi;
            if :: until[i] > 0 -> until[i]-- :: else fi;
#ifdef WRONG_WAIT_AT_PROPOSAL
            if :: fixed[i] > 0 -> fixed[i]-- :: else fi;
#endif
            if
            :: round[i] != 0 -> asked_age[i]++;
                if :: asked_age[i] >= HOLDS(LENGTH) -> round[i] = 0; asked_age[i] = 0 :: else fi
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < 2 ->
            if :: held[i] > 0 -> held[i]-- :: else fi;
#ifdef DELAYS
            if
            :: answer[i] -> answer_age[i]++;
#if !defined(WRONG_FROM_REPLY) && !defined(WRONG_NO_BOOT) && !defined(WRONG_NO_NUMBER)
                if :: answer_age[i] > LENGTH -> answer[i] = false; answer_age[i] = 0; answer_length[i] = 0; other_boot[i] = false :: else fi
#else
                if :: answer_age[i] > LENGTH -> answer_age[i] = LENGTH :: else fi
#endif
            :: else
            fi;
#endif
            i++
        :: else -> break
        od;
        i = 0;
#ifdef DELAYS
        if :: asks && ask_age < LENGTH -> ask_age++ :: else fi;
#endif
        printf("TIME passes\n") }

    :: d_step { sent[1 - primary] -> primary = 1 - primary; printf("SET the primary is in region %d\n", primary) }

    :: atomic { ANY(v);
        if
        /* elections, and their slow news */
        :: atomic { !LEADS(v) && NEWEST_TERM < TERMS && (NEWEST_TERM > 1 || v == 0 || CHANGES > 0) ->
            ANY(q);
#if CHANGES > 0
            if :: changes = changed :: change_proposed -> changes = changed + 1 fi;
#endif
            d_step { q != v && IS_MEMBER(v, changes) && IS_MEMBER(q, changes) -> elect(v, q, changes); changes = 0 } }
        :: d_step { LEADS(v) && voter_term[v] > leader_of[v] -> forget(v) }
        :: d_step { LEADS(v) && leader_of[v] < NEWEST_TERM -> voter_term[v] = NEWEST_TERM; forget(v) }
        :: d_step { !LEADS(v) && voter_term[v] < NEWEST_TERM -> voter_term[v] = NEWEST_TERM }
        :: d_step { LEADS(v) && restarts > 0 -> restarts--; printf("RESTART of voter %d\n", v); forget(v) }

        /* the log */
        :: d_step { LEADS(v) && !leads[v] && proposed != 0 && proposed_term >= leader_term && proposed_term < leader_of[v] && IN_TERM(v) && log_count < ENTRIES ->
            printf("LOG voter %d, leader of term %d, takes over %e\n", v, leader_of[v], proposed);
            commit(proposed, leader_of[v]); proposed = 0; proposed_term = 0 }
        :: d_step { LEADS(v) && proposed != 0 && proposed_term == leader_of[v] && IN_TERM(v) && log_count < ENTRIES ->
            printf("LOG voter %d, leader of term %d: %e, at last\n", v, leader_of[v], proposed);
            commit(proposed, proposed_term); proposed = 0; proposed_term = 0 }
        :: d_step { LEADS(v) && applied[v] < log_count && committed_in[applied[v]] <= leader_of[v] ->
            printf("APPLY voter %d: %e\n", v, log[applied[v]]);
            apply(v, log[applied[v]]) }
        :: d_step { LEADS(v) && !leads[v] && applied[v] == log_count && IN_TERM(v) && CHANGE_IS_COMMITTED(v) ->
#if CHANGES > 0
            change_proposed = false;
#endif
            leads[v] = true; since_start[v] = 0; leader_term = leader_of[v]; proposed = 0; proposed_term = 0;
            printf("LEADER of term %d: voter %d\n", leader_of[v], v) }

#if CHANGES > 0
        :: d_step { leads[v] && changed_of[v] == changed && changed < CHANGES && IS_MEMBER(v, changed + 1) ->
            changed_of[v]++; change_proposed = true;
            printf("MEMBERS voter %d, leader of term %d, proposes change %d\n", v, leader_of[v], changed_of[v]) }
        :: d_step { LEADS(v) && !CHANGE_IS_COMMITTED(v) && IN_TERM(v) ->
            changed = changed_of[v]; change_proposed = false;
            printf("MEMBERS voter %d, leader of term %d: change %d\n", v, leader_of[v], changed) }
#endif

        /* policy, operators and the executor propose by what this leader has applied */
        :: atomic { leads[v] && !OPEN(v) ->
#ifdef WRONG_WAIT_AT_PROPOSAL
            fixed[v] = until[v];
#endif
            propose(v, DECIDE) }
        :: atomic { leads[v] && leaving[v] && !outlasted[v] && WAITED(v) ->
            propose(v, OUTCOME_LEASE_DONE) }
        :: atomic { leads[v] && OPEN(v) && attempted[v] == 0 -> propose(v, CANCEL) }
#ifndef PROMOTES
        :: atomic { leads[v] && MAY_SWITCH(v) -> propose(v, SWITCH) }
#else
        :: atomic { leads[v] && MAY_SWITCH(v) && primary == TO(v) -> propose(v, SWITCH) }
        :: atomic { leads[v] && !OPEN(v) && promoted_away[v] -> propose(v, DECIDE_BACK) }
#ifndef LATE_STEP_UP
        :: atomic { leads[v] && MAY_ATTEMPT(v) -> propose(v, ATTEMPT_PREFER) }
#endif
        :: atomic { leads[v] && MAY_ATTEMPT(v) -> propose(v, ATTEMPT_PROMOTE) }
        :: atomic { leads[v] && attempted[v] != 0 -> propose(v, OUTCOME_UNKNOWN) }
#ifdef WRONG_REFUSED_UNPROVED
        :: atomic { leads[v] && attempted[v] != 0 -> propose(v, OUTCOME_REFUSED) }
#else
        /* A burn proves it, of a config that hasn't landed; a request to step up has no fence. */
        :: atomic { leads[v] && attempted[v] == ATTEMPT_PREFER && applied[v] == log_count && primary != TO(v) ->
            sent[TO(v)] = false;
            propose(v, OUTCOME_REFUSED) }
#endif
#endif
#if SPECS > 0
        :: atomic { leads[v] && !OPEN(v) && specs > 0 -> specs--; propose(v, SPEC) }
#endif

        /* node_answer_lease: an entry behind the ask; then the answer, by what is applied */
#ifndef DELAYS
        :: d_step { LEADS(v) && (round[v] == 0 || asked_age[v] > 0) -> round[v] = 1; asked_age[v] = 0;
#else
        :: d_step { LEADS(v) && asks && (round[v] == 0 || asked_age[v] > ask_age) -> round[v] = 1; asked_age[v] = ask_age;
#endif
#ifdef WRONG_NO_ROUND
            if :: contact[v] -> round[v] = 2; contact[v] = false :: else fi;
#endif
            printf("ASK comes in at voter %d\n", v) }
#ifdef WRONG_NO_ROUND
        :: d_step { LEADS(v) && READY(v) && !contact[v] && IN_TERM(v) -> contact[v] = true }
#endif
        :: d_step { LEADS(v) && round[v] == 1 && READY(v) && CAUGHT_UP(v) && ANSWERED(v) ->
            round[v] = 2; printf("BARRIER of voter %d\n", v) }
        :: d_step { LEADS(v) && round[v] == 2 && READY(v) && GRANTED(v) -> grant(v) }
        fi;
        v = 0; q = 0 }

#ifdef DELAYS
    /* the asker */
    :: d_step { !asks || ask_age > 0 -> asks = true; ask_age = 0; printf("ASK leaves\n") }
    :: d_step { asks && restarts > 0 -> restarts--; asks = false; ask_age = 0; printf("RESTART of the asker\n");
        if :: answer[0] -> other_boot[0] = true :: else fi;
        if :: answer[1] -> other_boot[1] = true :: else fi;
        i = 0;
        do
        :: i < VOTERS -> /* asks of the earlier boot that a leader still works on */
#ifndef WRONG_NO_BOOT
            round[i] = 0; asked_age[i] = 0;
#endif
            i++
        :: else -> break
        od;
        i = 0 }
    :: atomic { if :: v = 0 :: v = 1 fi;
        d_step { answer[v] ->
            left = 0;
            if
#ifdef WRONG_NO_BOOT
            :: other_boot[v] && asks -> left = answer_length[v] - (ask_age < answer_length[v] -> ask_age : answer_length[v])
#endif
            :: !other_boot[v] ->
#if defined(WRONG_FROM_REPLY)
                left = answer_length[v]
#elif defined(WRONG_NO_NUMBER)
                left = answer_length[v] - (ask_age < answer_length[v] -> ask_age : answer_length[v])
#else
                left = answer_length[v] - (answer_age[v] < answer_length[v] -> answer_age[v] : answer_length[v])
#endif
            :: else
            fi;
            answer[v] = false; answer_age[v] = 0; answer_length[v] = 0; other_boot[v] = false;
            hold(v, left); left = 0 };
        v = 0 }
#endif
#ifdef ASK_RETURNED
    :: d_step { held[0] > 0 && log_count == ENTRIES && log[3] == OUTCOME_UNKNOWN && log[ENTRIES - 1] == SWITCH && !serves[COMMITTED] ->
        CLAIM(never_reached, false) }
#endif
#ifdef ASK_WEST_HOLDS
    :: d_step { held[1] > 0 -> CLAIM(never_reached, false) }
#endif
    od
}
