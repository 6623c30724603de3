/* The lease: coordinator/core/lease.c, executor/leases.c, main/leasing.c.
 *
 * Three voters; two regions, east (0) and west (1). Time passes in whole units and is kept as what is left or as an age, so that
 * it has no end; any number of things happen within a unit. A grant holds for at most LENGTH units after
 * the asker's t0, a leader's wait for at least as long: that is what the 1 % is for.
 *
 * Raft is abstract. One committed log; a leader commits while a majority is in its term, and what it had proposed
 * and not committed may be taken over by the next one, before that one's LEADER. Each leader applies when it
 * likes. A leader that was deposed may not know for as long as it likes; one that restarts has
 * forgotten what it gave.
 *
 * A grant takes effect at once, since a late one only holds for less; with DELAYS the asker is there too: it asks,
 * restarts, and gets answers late. WRONG_ flags: see README.md. */
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

#define CLAIM(name, holds) assert((holds) || !name)
bool one_holder = true;           /* DESIGN, invariant 2 */
bool switch_after_the_last = true; /* no promotion while the old region may hold it */
bool holder_is_active = true;     /* none gets one after the switch away from it */
bool never_reached = true;

#define LEADS(v) (leader_of[v] != 0)
#define COMMITTED 3 /* the place of what all committed entries together say */

mtype = { SPEC, DECIDE, OUTCOME_LEASE_DONE, SWITCH, CANCEL };

/* Raft */
byte voter_term[3];
byte leader_of[3];          /* the term that this voter believes to lead; 0: none */
mtype log[ENTRIES]; byte committed_in[ENTRIES], log_count; /* in whose term it was committed */
mtype proposed; byte proposed_term;
byte leader_term = 1;        /* of the last LEADER: what an earlier leader left does nothing behind it */

/* Applied state, by voter, and of all that is committed. */
byte applied[4];
bool serves[4];             /* the region */
bool leaving[4];            /* an execution is open, to the other region */
bool outlasted[4];          /* its step `lease` is STEP_DONE */
bool is_short[4];           /* the spec's lease is 1 now */
bool longest_short[4];      /* longest_lease_ms is 1 */

/* struct leases, by leader */
bool leads[3];              /* on_leadership: its own barrier and LEADER are applied */
byte since_start[3];        /* since term_start_ms */
byte until[3];              /* what is left of given[].until_ms */
#ifdef WRONG_WAIT_AT_PROPOSAL
byte fixed[3];
#endif

/* The leader's open ask: 1 it came in, 2 an entry behind it is committed. */
byte round[3], asked_age[3];
#ifdef WRONG_NO_ROUND
bool contact[3];
#endif

/* What regions hold: until a poller's own time of asking + length. */
byte held[2];
#ifdef DELAYS
bool asks; byte ask_age;    /* the asker's last */
bool answer[2]; byte answer_age[2], answer_length[2]; bool other_boot[2];
#endif
byte restarts = RESTARTS, specs = SPECS;

#define LONGER(v) (is_short[v] -> 1 : LENGTH)
#define IN_TERM(t) ((voter_term[0] == (t)) + (voter_term[1] == (t)) + (voter_term[2] == (t)) >= 2)
#define MAX2(a, b) ((a) > (b) -> (a) : (b))
#define NEWEST_TERM MAX2(voter_term[0], MAX2(voter_term[1], voter_term[2]))

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
#ifdef WRONG_GRANT_WHILE_LEAVING
#define GRANTED(v) true
#else
#define GRANTED(v) !leaving[v]
#endif
#ifdef WRONG_NO_BARRIER
#define READY(v) true
#define CAUGHT_UP(v) true
#else
#define READY(v) leads[v]
#define CAUGHT_UP(v) (applied[v] == log_count)
#endif
#ifdef WRONG_ANY_TERM
#define ANSWERS(q, v) true
#else
#define ANSWERS(q, v) (voter_term[v] == leader_of[v] && voter_term[q] <= leader_of[v])
#endif

inline forget(v) {
    leads[v] = false; round[v] = 0; asked_age[v] = 0; until[v] = 0; since_start[v] = 0;
#ifdef WRONG_NO_ROUND
    contact[v] = false;
#endif
#ifdef WRONG_WAIT_AT_PROPOSAL
    fixed[v] = 0;
#endif
    leader_of[v] = 0
}

inline hold(r, length) {
    if :: length > held[r] -> held[r] = length :: else fi;
    if :: length > 0 -> printf("HOLDS region %d for another %d\n", r, length) :: else fi;
    CLAIM(holder_is_active, length == 0 || serves[COMMITTED] == r);
    CLAIM(one_holder, held[0] == 0 || held[1] == 0)
}

#ifdef WRONG_OUTLASTED_KEPT
#define NEW_STEP(v) skip
#else
#define NEW_STEP(v) outlasted[v] = false
#endif
#ifdef WRONG_SWITCH_NEEDS_NOTHING
#define MAY_SWITCH(v) leaving[v]
#else
#define MAY_SWITCH(v) (leaving[v] && outlasted[v])
#endif

/* state_apply, of what bears on the lease */
inline apply(v, what) {
    if
    :: what == SPEC && !leaving[v] -> /* CORE_SPEC_IN_USE otherwise */
        is_short[v] = !is_short[v];
        longest_short[v] = longest_short[v] && is_short[v]
    :: what == DECIDE && !leaving[v] -> leaving[v] = true; NEW_STEP(v)
    :: what == OUTCOME_LEASE_DONE && leaving[v] -> outlasted[v] = true
    :: what == SWITCH && MAY_SWITCH(v) ->
        if
        :: v == COMMITTED -> CLAIM(switch_after_the_last, held[serves[v]] == 0)
        :: else
        fi;
        serves[v] = !serves[v]; leaving[v] = false;
        longest_short[v] = is_short[v]; /* execution_end */
        NEW_STEP(v)
    :: what == CANCEL && leaving[v] -> leaving[v] = false; NEW_STEP(v)
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
    :: d_step { IN_TERM(leader_of[v]) && log_count < ENTRIES && !(proposed != 0 && proposed_term == leader_of[v]) ->
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
    byte i, v, q, left;
    d_step {
        voter_term[0] = 1; voter_term[1] = 1; voter_term[2] = 1;
        leader_of[2] = 1; leads[2] = true; since_start[2] = LENGTH
    };
end_idle:
    do
    /* time passes */
    :: d_step { true ->
        i = 0;
        do
        :: i < 3 ->
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

    :: atomic { if :: v = 0 :: v = 1 :: v = 2 fi;
        if
        /* elections, by its own vote and q's; and their slow news */
        :: atomic { !LEADS(v) && NEWEST_TERM < TERMS && (NEWEST_TERM > 1 || v == 0) ->
            if :: q = 0 :: q = 1 :: q = 2 fi;
            d_step { q != v ->
                voter_term[v] = NEWEST_TERM + 1; voter_term[q] = voter_term[v];
                forget(q); forget(v); leader_of[v] = voter_term[v];
                printf("TERM %d: voter %d is elected by %d\n", voter_term[v], v, q) } }
        :: d_step { LEADS(v) && voter_term[v] > leader_of[v] -> forget(v) }
        :: d_step { LEADS(v) && leader_of[v] < NEWEST_TERM -> voter_term[v] = NEWEST_TERM; forget(v) }
        :: d_step { !LEADS(v) && voter_term[v] < NEWEST_TERM -> voter_term[v] = NEWEST_TERM }
        :: d_step { LEADS(v) && restarts > 0 -> restarts--; printf("RESTART of voter %d\n", v); forget(v) }

        /* the log */
        :: d_step { LEADS(v) && !leads[v] && proposed != 0 && proposed_term >= leader_term && proposed_term < leader_of[v] && IN_TERM(leader_of[v]) && log_count < ENTRIES ->
            printf("LOG voter %d, leader of term %d, takes over %e\n", v, leader_of[v], proposed);
            commit(proposed, leader_of[v]); proposed = 0; proposed_term = 0 }
        :: d_step { LEADS(v) && proposed != 0 && proposed_term == leader_of[v] && IN_TERM(leader_of[v]) && log_count < ENTRIES ->
            printf("LOG voter %d, leader of term %d: %e, at last\n", v, leader_of[v], proposed);
            commit(proposed, proposed_term); proposed = 0; proposed_term = 0 }
        :: d_step { LEADS(v) && applied[v] < log_count && committed_in[applied[v]] <= leader_of[v] ->
            printf("APPLY voter %d: %e\n", v, log[applied[v]]);
            apply(v, log[applied[v]]) }
        :: d_step { LEADS(v) && !leads[v] && applied[v] == log_count && IN_TERM(leader_of[v]) ->
            leads[v] = true; since_start[v] = 0; leader_term = leader_of[v]; proposed = 0; proposed_term = 0;
            printf("LEADER of term %d: voter %d\n", leader_of[v], v) }

        /* policy, operators and the executor propose by what this leader has applied */
        :: atomic { leads[v] && !leaving[v] ->
#ifdef WRONG_WAIT_AT_PROPOSAL
            fixed[v] = until[v];
#endif
            propose(v, DECIDE) }
        :: atomic { leads[v] && leaving[v] && !outlasted[v] && WAITED(v) ->
            propose(v, OUTCOME_LEASE_DONE) }
        :: atomic { leads[v] && MAY_SWITCH(v) -> propose(v, SWITCH) }
        :: atomic { leads[v] && leaving[v] -> propose(v, CANCEL) }
#if SPECS > 0
        :: atomic { leads[v] && !leaving[v] && specs > 0 -> specs--; propose(v, SPEC) }
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
        :: d_step { LEADS(v) && READY(v) && !contact[v] && IN_TERM(leader_of[v]) -> contact[v] = true }
#endif
        :: atomic { LEADS(v) && round[v] == 1 && READY(v) && CAUGHT_UP(v) ->
            if :: q = 0 :: q = 1 :: q = 2 fi;
            d_step { q != v && ANSWERS(q, v) -> round[v] = 2; printf("BARRIER of voter %d, by %d\n", v, q) } }
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
        :: i < 3 -> /* asks of the earlier boot that a leader still works on */
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
#ifdef ASK_WEST_HOLDS
    :: d_step { held[1] > 0 -> CLAIM(never_reached, false) }
#endif
    od
}
