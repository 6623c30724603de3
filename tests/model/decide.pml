/* Deciding by committed facts, from SUSPECT to the first INTENT: coordinator/core/apply_facts.c, apply_decide.c,
 * apply_step.c (check_begin), votes.c; what nodes report is made in main/reporting.c.
 *
 * Three nodes, each in a region of its own. Node 0 stands in the region that is suspected: its vote doesn't
 * count, its stopwatch does. Nodes 1 and 2 observe, and both votes are needed. The log is folded into what it
 * says; an entry is validated when it is committed, which is when it is applied. One entry may be under way: its
 * leader can commit it late, or die, and the next one finds it in its log or not.
 *
 * Indexes are kept as what the rules ask of them: whether a node had applied SUSPECT, LEADER and the last TICK
 * when a probe began (bits S, L, K); whether a report is older than what the log has from its node. Times are ages,
 * so that time has no end, but where clocks matter (CLOCKS).
 *
 * The leader's policy is anything: it proposes whatever it likes whenever it likes, and cites old reports.
 * Nodes stall anywhere, sit on results, and restart (RESTARTS). WRONG_ flags: see README.md. */
#ifndef CONFIRM
#define CONFIRM 1
#endif
#ifndef BEGIN_WITHIN
#define BEGIN_WITHIN 1
#endif
#ifndef FLIPS
#define FLIPS 1         /* changes of the region's real health */
#endif
#ifndef TERMS
#define TERMS 2
#endif
#ifndef LATE
#define LATE 1          /* entries that are committed late */
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef EXPIRES
#define EXPIRES 0
#endif
#ifndef CHANGES
#define CHANGES 0       /* of NODES: another node takes the place of node 2 */
#endif
#ifndef SPECS
#define SPECS 0
#endif
#ifndef VETOES
#define VETOES 0
#endif
#ifndef VETO_FOR
#define VETO_FOR 1
#endif
#ifndef CLOCK_COUNT
#define CLOCK_COUNT 3
#endif
#ifndef BAD_CLOCKS
#define BAD_CLOCKS 0
#endif
#ifndef HORIZON
#define HORIZON 3       /* only with CLOCKS */
#endif
#if VETOES > 0 || defined(WRONG_CONFIRM_BY_TIME)
#define CLOCKS
#endif

#define CLAIM(name, holds) assert((holds) || !name)
bool probes_after_suspect = true;   /* DESIGN, invariant 5 */
bool confirmed_in_real_time = true; /* confirm has passed since SUSPECT was committed */
bool no_alive_vote_since = true;    /* no vote of the two was up in the log since SUSPECT */
bool cites_the_last_word = true;    /* no report that is older than its node's last entry */
bool votes_are_their_own = true;    /* 5: "from reports of the right nodes" */
bool window_of_these_nodes = true;  /* NODES is what it was at SUSPECT */
bool evidence_is_fresh = true;      /* at the first INTENT the cited probes are BEGIN_WITHIN old at most */
bool no_move_under_veto = true;     /* 8 */
bool in_its_own_term = true;        /* the last LEADER decides */
bool moves_in_the_end = true;       /* 22: once the faults end */
bool never_reached = true;

#define UNKNOWN 0
#define UP 1
#define DOWN 2
#define S 1      /* the probe began after SUSPECT was applied there */
#define L 2      /* ... after the last LEADER */
#define K 4      /* ... after the last TICK */
#define AGED 8   /* the report says: I applied SUSPECT at least `confirm` ago */
#ifdef WRONG_REPORT_AFTER_SUSPECT
#define RS 16    /* the report was made after SUSPECT was applied */
#else
#define RS 0
#endif
#define SINCE 32 /* ghost: the probe began after SUSPECT was committed */
#define ALL 255

mtype = { NOTHING, OPINION, SUSPECT, DECIDE };

/* the world */
bool down; byte flips = FLIPS;
byte restarts = RESTARTS, expires = EXPIRES, changes = CHANGES, specs = SPECS, vetoes = VETOES, late = LATE;
#ifdef CLOCKS
byte now;
#endif

/* committed */
byte elected = 1, leader_term = 1;
bool tick_of_term;
bool open;                       /* suspect.open */
byte opinion[3]; bool alive[3];  /* last_alive_index >= suspect.index */
byte boot[3]; bool expired[3];   /* as the log knows them */
bool decided, begun, tick_changed;
byte decide_term;
#ifdef CLOCKS
byte time, suspect_time; bool veto; byte veto_until, veto_end;
#endif

/* ghosts */
byte confirm_left;               /* real time from SUSPECT's commit until `confirm` has passed */
bool was_alive, nodes_changed, others_word[3];

/* under way */
mtype under_way = NOTHING; byte under_way_term, about, value, about_boot; bool newer_than_cited;

/* nodes: what they have applied, their stopwatch, last probe */
byte applied[3], age_left[3], probe[3], probe_bits[3], process[3];
/* newest report that reached a leader, and the one to cite */
byte newest[3], newest_bits[3], newest_boot[3];
byte cited[3], cited_bits[3], cited_boot[3]; bool cited_is_newest[3], cited_old[3], overtaken[3];
bool unheard[3];                 /* the newest report is newer than the last entry of its node */
#ifdef FRESH
byte probe_age[3], newest_age[3], cited_age[3], decided_age;
#endif
byte tick_age;                   /* since the last TICK was proposed, on its leader's stopwatch */
bool calm;

#define LEADS (elected == leader_term)
#define OVER (begun || calm)

/* ---- bits ---------------------------------------------------------------------------------- */

inline clear(b) {
    i = 0;
    do
    :: i < 3 ->
        applied[i] = applied[i] & ~(b); probe_bits[i] = probe_bits[i] & ~(b);
        newest_bits[i] = newest_bits[i] & ~(b); cited_bits[i] = cited_bits[i] & ~(b); i++
    :: else -> break
    od;
    i = 0
}

inline drop_cited(n) {
    cited[n] = UNKNOWN; cited_bits[n] = 0; cited_boot[n] = 0; cited_is_newest[n] = false; cited_old[n] = false; overtaken[n] = false;
#ifdef FRESH
    cited_age[n] = 0;
#endif
    skip
}

/* ---- apply ---------------------------------------------------------------------------------- */

#ifdef WRONG_NEVER_LAPSES
#define UNDECIDE skip
#define LAPSE skip
#else
#define UNDECIDE if :: decided && !begun -> decided = false; tick_changed = false; decide_term = 0; printf("LAPSED\n") :: else fi
/* lapse: one window serves one DECIDE, so it ends, too */
#define LAPSE if :: decided && !begun -> close_window() :: else fi
#endif

/* the window's end; what was decided and not begun lapses with it */
inline close_window() {
    open = false; was_alive = false; nodes_changed = false; confirm_left = 0;
    i = 0; do :: i < 3 -> alive[i] = false; age_left[i] = 0; i++ :: else -> break od;
    clear(S | AGED | RS | SINCE);
#ifdef CLOCKS
    suspect_time = 0;
#endif
    UNDECIDE
}

inline apply_suspect() {
    if
    :: !open && !decided && opinion[1] == DOWN && opinion[2] == DOWN && tick_of_term ->
        close_window();
        CLAIM(votes_are_their_own, !others_word[1] && !others_word[2]);
        open = true; confirm_left = CONFIRM;
#ifdef CLOCKS
        suspect_time = time;
#endif
        printf("LOG SUSPECT\n")
    :: else -> printf("LOG SUSPECT is refused\n")
    fi
}

inline set_opinion(n, v) {
    if :: open && (opinion[n] == UP || v == UP) -> alive[n] = true; was_alive = true :: else fi;
    opinion[n] = v
}

/* derive_unsuspect: the down votes are short, and another region sees it alive */
inline derive_unsuspect() {
#ifndef WRONG_UNSUSPECT_PROPOSED
    if
    :: open && (opinion[1] == UP || opinion[2] == UP) -> printf("LOG UNSUSPECT follows\n"); close_window()
    :: else
    fi
#else
    skip
#endif
}

#ifdef WRONG_NO_BOOT /* the order of a node's reports is that of their sequence numbers alone */
#define BOOT_FITS(n) true
#define OUTDATES(n, b) (cited_boot[n] == (b))
#else
#define BOOT_FITS(n) (cited_boot[n] == boot[n])
#define OUTDATES(n, b) true
#endif

inline apply_opinion(n, v, b, newer) {
    if
    :: b < boot[n] -> printf("LOG OPINION of node %d is stale\n", n)
    :: else ->
        if :: b != boot[n] -> set_opinion(n, UNKNOWN); boot[n] = b :: else fi;
        expired[n] = false; others_word[n] = false;
        if
        :: newer -> overtaken[n] = (cited[n] != UNKNOWN || cited_bits[n] != 0);
            if :: overtaken[n] && OUTDATES(n, b) -> cited_old[n] = true :: else fi
        :: else
        fi;
        set_opinion(n, v);
        printf("LOG OPINION of node %d (boot %d): [%d]\n", n, b, v);
        derive_unsuspect()
    fi
}

inline apply_expire(n) {
    expired[n] = true; unheard[n] = false;
    if :: newest_boot[n] > boot[n] -> boot[n] = newest_boot[n] :: else fi;
    set_opinion(n, UNKNOWN);
    if :: cited[n] != UNKNOWN || cited_bits[n] != 0 -> overtaken[n] = true; cited_old[n] = true :: else fi;
    printf("LOG EXPIRE of node %d\n", n);
    derive_unsuspect()
}

inline apply_tick() {
    tick_of_term = true; tick_age = 0; clear(K);
    if :: decided -> tick_changed = true :: else fi;
#ifdef CLOCKS
    if :: clock > time -> time = clock :: else fi;
    printf("TIME %d: LOG TICK, committed time is %d\n", now, time)
#else
    printf("LOG TICK\n")
#endif
}

/* check_citation */
#if defined(WRONG_PROBES_BEFORE_LEADER)
#define NEEDS S
#elif defined(WRONG_REPORT_AFTER_SUSPECT)
#define NEEDS (RS | L | K)
#else
#define NEEDS (S | L | K)
#endif
#ifdef WRONG_PROBES_BEFORE_LEADER
#define TICK_FITS true
#else
#define TICK_FITS tick_of_term
#endif
#ifdef WRONG_ANY_REPORT
#define LAST_WORD(n) !expired[n]
#else
#define LAST_WORD(n) (!cited_old[n] && !expired[n])
#endif
#ifdef WRONG_ALIVE_FORGIVEN
#define DOWN_SINCE(n) (opinion[n] == DOWN)
#else
#define DOWN_SINCE(n) (opinion[n] == DOWN && !alive[n])
#endif
#define CITABLE(n) (BOOT_FITS(n) && LAST_WORD(n))
#define VOTES_DOWN(n) (CITABLE(n) && cited[n] == DOWN && (cited_bits[n] & NEEDS) == NEEDS && DOWN_SINCE(n))
#define SAYS_AGED(n) (CITABLE(n) && (cited_bits[n] & AGED) != 0)
#if defined(WRONG_CONFIRM_BY_TIME)
#define CONFIRMED (time >= suspect_time + CONFIRM)
#elif defined(WRONG_ONE_STOPWATCH)
#define CONFIRMED (SAYS_AGED(0) || SAYS_AGED(1) || SAYS_AGED(2))
#else
#define CONFIRMED (SAYS_AGED(0) + SAYS_AGED(1) + SAYS_AGED(2) >= 2)
#endif
#ifdef CLOCKS
#define VETOED (veto && time < veto_until)
#else
#define VETOED false
#endif
#ifdef WRONG_VETO_IN_POLICY_ALONE
#define VETO_REFUSES false
#else
#define VETO_REFUSES VETOED
#endif
#ifdef WRONG_STALE_TERM
#define TERM_FITS(t) true
#else
#define TERM_FITS(t) ((t) == leader_term)
#endif

inline apply_decide(t) {
    if
    :: open && !decided && TICK_FITS && TERM_FITS(t) && VOTES_DOWN(1) && VOTES_DOWN(2) && CONFIRMED && !VETO_REFUSES ->
        printf("LOG DECIDE, by the leader of term %d; the region is %d [0 well, 1 down]\n", t, down);
#ifdef ASK_DECIDED
        CLAIM(never_reached, false);
#endif
        CLAIM(probes_after_suspect, (cited_bits[1] & SINCE) && (cited_bits[2] & SINCE));
        CLAIM(confirmed_in_real_time, confirm_left == 0);
        CLAIM(no_alive_vote_since, !was_alive);
        CLAIM(cites_the_last_word, !overtaken[1] && !overtaken[2]);
        CLAIM(window_of_these_nodes, !nodes_changed);
        CLAIM(in_its_own_term, t == leader_term);
#ifdef CLOCKS
        CLAIM(no_move_under_veto, !veto || now >= veto_end);
#endif
        decided = true; decide_term = t; tick_changed = false;
#ifdef FRESH
        decided_age = (cited_age[1] > cited_age[2] -> cited_age[1] : cited_age[2])
#else
        skip
#endif
    :: else -> printf("LOG DECIDE is refused\n")
    fi
}

/* check_begin */
#if defined(WRONG_BEGIN_ANYTIME)
#define MAY_BEGIN (decide_term == leader_term)
#elif defined(WRONG_NEXT_LEADER_BEGINS)
#define MAY_BEGIN (tick_of_term && tick_age <= BEGIN_WITHIN && (decide_term != leader_term || !tick_changed))
#elif defined(WRONG_ANY_TICK)
#define MAY_BEGIN (decide_term == leader_term && tick_age <= BEGIN_WITHIN)
#else
#define MAY_BEGIN (decide_term == leader_term && tick_of_term && !tick_changed && tick_age <= BEGIN_WITHIN)
#endif

inline apply_intent() {
    if
    :: decided && !begun && MAY_BEGIN && !VETO_REFUSES ->
        begun = true;
#ifdef ASK_BEGUN
        CLAIM(never_reached, false);
#endif
        printf("LOG INTENT: the move has begun; the region is %d [0 well, 1 down]\n", down);
#ifdef FRESH
        CLAIM(evidence_is_fresh, decided_age <= BEGIN_WITHIN);
#endif
#ifdef CLOCKS
        CLAIM(no_move_under_veto, !veto || now >= veto_end);
#endif
        skip
    :: else
    fi
}

inline apply_leader() {
#ifdef WRONG_STALE_TERM
#define LEFT_BEHIND false
#else
#define LEFT_BEHIND (under_way_term != elected)
#endif
    if :: LEFT_BEHIND -> under_way = NOTHING; under_way_term = 0; about = 0; value = 0; about_boot = 0; newer_than_cited = false :: else fi;
    leader_term = elected; tick_of_term = false; clear(L | K);
    if
    :: under_way != DECIDE -> drop_cited(0); drop_cited(1); drop_cited(2) /* it knows what reaches it in its own term */
    :: else
    fi;
    printf("LOG LEADER of term %d\n", elected);
#ifndef WRONG_NEXT_LEADER_BEGINS
    LAPSE
#else
    skip
#endif
}

/* NODES: node 2 is gone, another one has its place */
inline apply_nodes() {
    printf("LOG NODES: another node has the place of node 2\n");
    nodes_changed = open; boot[2] = 0; expired[2] = false; alive[2] = false;
#ifdef WRONG_OPINIONS_STAY
    others_word[2] = true;
#else
    opinion[2] = UNKNOWN;
#endif
    applied[2] = 0; age_left[2] = 0; probe[2] = UNKNOWN; probe_bits[2] = 0; process[2] = 1; newest[2] = UNKNOWN; newest_bits[2] = 0;
    newest_boot[2] = 0; unheard[2] = false;
    if :: under_way != DECIDE -> drop_cited(2) :: else fi;
#ifdef FRESH
    probe_age[2] = 0; newest_age[2] = 0;
#endif
#ifndef WRONG_NODES_KEEP_WINDOW
    if :: open || decided -> close_window() :: else fi
#else
    skip
#endif
}

/* ---- nodes ---------------------------------------------------------------------------------- */

#define NEWS(n) (L | K | (open -> S : 0))
#ifdef WRONG_HALF_CONFIRM
#define STOPWATCH ((CONFIRM + 1) / 2)
#else
#define STOPWATCH CONFIRM
#endif

inline node_applies(n) {
    if :: open && !(applied[n] & S) -> age_left[n] = STOPWATCH :: else fi;
    applied[n] = NEWS(n)
}

inline node_probes(n) {
    probe[n] = (down -> DOWN : UP);
    probe_bits[n] = applied[n] | (open -> SINCE : 0);
#ifdef FRESH
    probe_age[n] = 0;
#endif
    skip
}

#ifdef BAD_STOPWATCH /* node 0's runs away */
#define IS_AGED(n) ((applied[n] & S) && (age_left[n] == 0 || n == 0))
#else
#define IS_AGED(n) ((applied[n] & S) && age_left[n] == 0)
#endif

inline node_reports(n) {
    newest[n] = (n == 0 -> UNKNOWN : probe[n]);
    newest_bits[n] = (n == 0 -> 0 : probe_bits[n]) | (IS_AGED(n) -> AGED : 0) | ((applied[n] & S) -> RS : 0);
    newest_boot[n] = process[n]; cited_is_newest[n] = false; unheard[n] = (n != 0);
#ifdef FRESH
    newest_age[n] = probe_age[n];
#endif
    skip
}

inline node_is_cited(n) {
    cited[n] = newest[n]; cited_bits[n] = newest_bits[n]; cited_boot[n] = newest_boot[n];
    cited_is_newest[n] = true; cited_old[n] = false; overtaken[n] = false;
    if :: about == n -> newer_than_cited = false :: else fi;
#ifdef FRESH
    cited_age[n] = newest_age[n];
#endif
    skip
}

inline node_restarts(n) {
    process[n]++; applied[n] = 0; age_left[n] = 0; probe[n] = UNKNOWN; probe_bits[n] = 0;
    printf("RESTART of node %d: boot %d\n", n, process[n])
}

#ifdef WRONG_OPINION_ON_CHANGE /* not whenever it differs from the committed one */
#define WANTS_OPINION(n) (unheard[n] && newest[n] != UNKNOWN && newest[n] != opinion[n] && newest[n] != said[n])
#else
#define WANTS_OPINION(n) (unheard[n] && (newest_boot[n] > boot[n] || expired[n] || newest[n] != opinion[n]))
#endif
#ifdef WRONG_OPINION_ON_CHANGE
byte said[3];
#define SAID(n) said[n] = newest[n]
#else
#define SAID(n) skip
#endif
#define MAY_OPINE(n) (WANTS_OPINION(n) && newest_boot[n] >= boot[n] && !(expired[n] && !unheard[n]))

inline one_unit() {
    if :: confirm_left > 0 -> confirm_left-- :: else fi;
    if :: tick_age <= BEGIN_WITHIN -> tick_age++ :: else fi;
    i = 0;
    do
    :: i < 3 ->
        if :: age_left[i] > 0 -> age_left[i]-- :: else fi;
#ifdef FRESH
        if :: probe[i] != UNKNOWN && probe_age[i] <= BEGIN_WITHIN -> probe_age[i]++ :: else fi;
        if :: newest[i] != UNKNOWN && newest_age[i] <= BEGIN_WITHIN -> newest_age[i]++ :: else fi;
        if :: cited[i] != UNKNOWN && cited_age[i] <= BEGIN_WITHIN -> cited_age[i]++ :: else fi;
#endif
        i++
    :: else -> break
    od;
    i = 0;
#ifdef FRESH
    if :: decided && decided_age <= BEGIN_WITHIN -> decided_age++ :: else fi;
#endif
#ifdef CLOCKS
    now++;
#endif
    printf("TIME passes\n")
}

/* ---- everything at once ---------------------------------------------------------------------- */

#ifdef CLOCKS
#define TIME_IS_LEFT (now < HORIZON)
#define CLOCK clock = 0
#else
#define TIME_IS_LEFT true
#define CLOCK skip
#endif
#define QUIET (LEADS && under_way == NOTHING && !OVER)

active proctype group() {
    byte i, n, r;
#ifdef CLOCKS
    byte clock, honest, high;
#endif
    d_step { boot[1] = 1; boot[2] = 1; process[0] = 0; process[1] = 1; process[2] = 1; opinion[1] = UP; opinion[2] = UP };
end_idle:
    do
    :: d_step { !OVER && TIME_IS_LEFT -> one_unit() }
    :: d_step { !OVER && flips > 0 -> flips--; down = !down; printf("WORLD: the region is %d [0 well, 1 down]\n", down) }

    /* nodes. Node 1 may stand still between any two of its actions; the others are prompt */
    :: d_step { !OVER && applied[1] != NEWS(1) -> node_applies(1) }
    :: d_step { !OVER -> node_probes(1); printf("NODE 1 probes: [%d]\n", probe[1]) }
    :: d_step { !OVER && probe[1] != UNKNOWN -> node_reports(1); printf("NODE 1 reports: [%d]\n", newest[1]);
#ifdef PROMPT /* the newest report is the one that is cited */
        if :: under_way != DECIDE -> node_is_cited(1) :: else fi
#endif
        }
#ifndef PROMPT
    :: d_step { !OVER && under_way != DECIDE && newest_bits[1] + newest[1] > 0 -> node_is_cited(1) }
#endif
    :: d_step { !OVER -> node_applies(2); node_probes(2); node_reports(2);
        if :: under_way != DECIDE -> node_is_cited(2) :: else fi;
        printf("NODE 2 probes and reports: [%d]\n", newest[2]) }
    :: d_step { !OVER && open -> node_applies(0); node_reports(0);
        if :: under_way != DECIDE -> node_is_cited(0) :: else fi }
#if RESTARTS > 0
    :: d_step { !OVER && restarts > 0 -> restarts--; node_restarts(1) }
#endif

    /* elections: what the last leader left is committed before LEADER, or never */
    :: d_step { !OVER && elected < TERMS -> elected++; printf("TERM %d: a leader is elected\n", elected) }
    :: d_step { !OVER && !LEADS -> apply_leader() }

    /* policy proposes what it likes */
#ifdef CLOCKS
    :: atomic { QUIET ->
        /* of all configured clocks some are honest and known, some bad and ahead, the others behind or not known */
        honest = CLOCK_COUNT - BAD_CLOCKS;
        do :: honest > 0 -> honest-- :: break od;
        high = BAD_CLOCKS;
        do :: high > 0 -> high-- :: break od;
        d_step {
#ifdef WRONG_MEDIAN_OF_CITED /* of a majority of clocks, the middle one */
#define REACHED ((honest + high + 1) / 2)
            if
            :: honest + high < CLOCK_COUNT / 2 + 1 -> clock = 0
            :: else ->
#else
#define REACHED (CLOCK_COUNT / 2 + 1)
            if
            :: true ->
#endif
                if
                :: REACHED <= high -> clock = now + VETO_FOR
                :: REACHED > high && REACHED <= high + honest -> clock = now
                :: else -> clock = 0
                fi
            fi;
            apply_tick(); clock = 0; honest = 0; high = 0 } }
#else
    :: d_step { QUIET -> apply_tick() }
#endif
    :: atomic { QUIET ->
        if :: n = 1 :: n = 2 fi;
        if
        :: d_step { MAY_OPINE(n) -> SAID(n); apply_opinion(n, newest[n], newest_boot[n], !cited_is_newest[n]) }
#if LATE > 0
        :: d_step { MAY_OPINE(n) && late > 0 -> late--; SAID(n);
            under_way = OPINION; under_way_term = leader_term; about = n; value = newest[n]; about_boot = newest_boot[n];
            newer_than_cited = !cited_is_newest[n];
            printf("LOG term %d proposes OPINION of node %d: [%d]\n", leader_term, n, value) }
#endif
#if EXPIRES > 0
        :: d_step { expires > 0 && !expired[n] -> expires--; apply_expire(n) }
#endif
        fi;
        n = 0 }
    :: d_step { QUIET && !open && !decided && opinion[1] == DOWN && opinion[2] == DOWN -> apply_suspect() }
    :: d_step { QUIET && open && !decided && !VETOED -> apply_decide(leader_term) }
#ifdef WRONG_UNSUSPECT_PROPOSED
    :: d_step { QUIET && open && (opinion[1] == UP || opinion[2] == UP) -> printf("LOG UNSUSPECT\n"); close_window() }
#endif
#if LATE > 0
    :: d_step { QUIET && late > 0 && !open && opinion[1] == DOWN && opinion[2] == DOWN -> late--;
        under_way = SUSPECT; under_way_term = leader_term; printf("LOG term %d proposes SUSPECT\n", leader_term) }
    :: d_step { QUIET && late > 0 && open && !VETOED && VOTES_DOWN(1) && VOTES_DOWN(2) -> late--;
        under_way = DECIDE; under_way_term = leader_term; printf("LOG term %d proposes DECIDE\n", leader_term) }
    /* by its leader, or in the next one's log */
    :: d_step { !OVER && under_way != NOTHING && TERM_FITS(under_way_term) ->
        if
        :: under_way == OPINION -> apply_opinion(about, value, about_boot, newer_than_cited)
        :: under_way == SUSPECT -> apply_suspect()
        :: under_way == DECIDE -> apply_decide(under_way_term)
        :: else
        fi;
        under_way = NOTHING; under_way_term = 0; about = 0; value = 0; about_boot = 0; newer_than_cited = false }
#endif

    /* people: theirs may be in the log in front of what the policy has just proposed */
#ifdef CLOCKS
    :: d_step { !OVER && LEADS && vetoes > 0 -> vetoes--; veto = true; veto_end = now + VETO_FOR;
#ifdef WRONG_VETO_BY_COMMITTED_TIME
        veto_until = time + VETO_FOR;
#else
        veto_until = veto_end; /* the latest of client's clock, leader's clock and committed time, plus it */
        if :: time + VETO_FOR > veto_until -> veto_until = time + VETO_FOR :: else fi;
#endif
        printf("TIME %d: LOG VETO until %d\n", now, veto_until);
        LAPSE }
#endif
#if SPECS > 0
    :: d_step { !OVER && LEADS && specs > 0 && (open || decided) -> specs--; printf("LOG SPEC\n"); close_window() }
#endif
#if CHANGES > 0
    :: d_step { !OVER && LEADS && changes > 0 -> changes--; apply_nodes() }
#endif

    /* the executor */
    :: d_step { LEADS && !OVER && decided -> apply_intent() }
    :: d_step { QUIET && decided && tick_age > BEGIN_WITHIN -> LAPSE }

#ifdef CALM
    /* The faults end: a leader is there, the region stays down, its node is dead. Then all is regular. */
    :: d_step { !OVER -> calm = true; down = true; under_way = NOTHING; under_way_term = 0; about = 0; newer_than_cited = false;
        printf("CALM\n");
        if :: !LEADS -> apply_leader() :: else fi;
        r = 0;
        do
        :: r < 2 * CONFIRM + 8 && !begun ->
            one_unit();
            n = 1;
            do
            :: n < 3 ->
                node_applies(n); node_probes(n); node_reports(n);
                if :: MAY_OPINE(n) -> SAID(n); apply_opinion(n, newest[n], newest_boot[n], true) :: else fi;
                node_is_cited(n); n++
            :: else -> break
            od;
            n = 0;
            if :: decided && tick_age > BEGIN_WITHIN -> LAPSE :: else fi;
            if :: open && !decided -> apply_decide(leader_term) :: else fi;
            if :: decided -> apply_intent() :: else fi;
            if :: !decided -> CLOCK; apply_tick() :: else fi;
            if :: !open && !decided && !begun -> apply_suspect() :: else fi;
            r++
        :: else -> break
        od;
        r = 0;
        CLAIM(moves_in_the_end, begun) }
#endif
    od
}
