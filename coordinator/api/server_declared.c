/* What a person says of the members of a replica set: these are dead, that one shall vote again.
 * The words are resolved against the set as it is seen now, and what is wrong with them is said
 * before anything is proposed; state_apply checks them once more. */
#include <inttypes.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/text.h"
#include "document_parts.h"
#include "server_private.h"

#define WORD_MAX (REGION_MAX + MONGO_MEMBER_MAX)

struct declared {
    struct api_request *request;
    const struct state *state;
    uint32_t service, to;
    struct mongo_view *view;
};

static const char *set_of(const struct declared *d) {
    return d->view->facts.set_name[0] != '\0' ? d->view->facts.set_name : "the replica set";
}

static const char *region_of(const struct declared *d, uint32_t region) {
    return region < d->state->spec.region_count ? d->state->spec.regions[region].name : "no region";
}

/* Members that the word names, as bits of their places: all of a region, or one. */
static uint32_t find_members(const struct declared *d, const char *word) {
    uint32_t region = spec_find_region(&d->state->spec, word);
    uint32_t bits = 0;
    for (uint32_t i = 0; i < d->view->facts.member_count; i++) {
        const struct mongo_member *member = &d->view->facts.members[i];
        bool named =
            region != NONE_INDEX ? member->region == region : strcasecmp(member->host, word) == 0;
        bits |= named ? UINT32_C(1) << i : 0;
    }
    return bits;
}

static bool refuse_word(const struct declared *d, const char *word) {
    struct buffer members;
    buffer_init(&members, 0);
    for (uint32_t i = 0; i < d->view->facts.member_count; i++) {
        const struct mongo_member *member = &d->view->facts.members[i];
        buffer_append_format(&members, "%s%s in %s", i == 0 ? "" : ", ", member->host,
                             region_of(d, member->region));
    }
    api_request_fail(d->request, EXIT_CODE_USAGE, "NO_MEMBER",
                     "%s has no member '%.64s', and none in a region of that name. It has: %s",
                     set_of(d), word, members.data == NULL ? "-" : members.data);
    buffer_finish(&members);
    return false;
}

static bool take_words(struct declared *d) {
    const Noctua__MoveRequest *move = d->request->message->move;
    if (move->n_dead > WORD_MAX) {
        api_request_fail(d->request, EXIT_CODE_USAGE, "MALFORMED",
                         "at most %d regions and members are declared dead", WORD_MAX);
        return false;
    }
    for (size_t i = 0; i < move->n_dead; i++) {
        uint32_t bits = find_members(d, move->dead[i]);
        if (bits == 0) {
            return refuse_word(d, move->dead[i]);
        }
        d->view->dead |= bits;
    }
    return true;
}

static bool refuse(const struct declared *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(const struct declared *d, const char *format, ...) {
    char text[ANSWER_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    api_request_fail(d->request, EXIT_CODE_REFUSED, "DECLARED", "%s", text);
    return false;
}

/* Whether a majority is lost at all, so that there is something to force. */
static bool majority_is_lost(const struct declared *d) {
    const struct spec_mongo *mongo = &d->state->spec.services[d->service].mongo;
    const struct mongo_view *view = d->view;
    struct mongo_verdict verdict;
    struct mongo_view undeclared = *view;
    undeclared.dead = 0;
    mongo_judge(mongo, &undeclared, d->to, &verdict);
    if (verdict.voters_alive >= verdict.need) {
        return refuse(d,
                      "%" PRIu32 " of %" PRIu32
                      " voters of %s answer: nothing needs to be forced; leave "
                      "--declare-dead out",
                      verdict.voters_alive, verdict.voters, set_of(d));
    }
    if (verdict.kind == MONGO_CASE_THERE) {
        return refuse(d, "%s still says that it takes writes: wait until it has seen that it can't",
                      view->facts.members[view->primary].host);
    }
    return true;
}

/* Those that are declared dead, and those that don't answer, must be the same. */
static bool the_silent_are_declared(const struct declared *d) {
    const struct mongo_facts *facts = &d->view->facts;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_member *member = &facts->members[i];
        if (member->answers && (d->view->dead >> i & 1) != 0) {
            return refuse(d,
                          "%s answers: it isn't dead. Stop it, or cut it off from the others, "
                          "first",
                          member->host);
        }
    }
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_member *member = &facts->members[i];
        if (!member->answers && (d->view->dead >> i & 1) == 0) {
            return refuse(d, "%s in %s doesn't answer either: declare it too, or wait for it",
                          member->host, region_of(d, member->region));
        }
    }
    return true;
}

static bool take_dead(struct declared *d, enum execution_kind kind) {
    const struct mongo_facts *facts = &d->view->facts;
    const char *service = d->state->spec.services[d->service].name;
    if (kind != EXECUTION_FAILOVER) {
        api_request_fail(d->request, EXIT_CODE_USAGE, "MALFORMED",
                         "only a failover goes on without members that are declared dead");
        return false;
    }
    if (facts->member_total == 0) {
        return refuse(d, "nobody has read the config of the replica set of %s: who is in it?",
                      service);
    }
    if (!take_words(d)) {
        return false;
    }
    if (d->state->spec.services[d->service].mongo.on_majority_lost == MONGO_LOST_NEVER) {
        return refuse(d,
                      "the spec says on_majority_lost: never, so nothing is forced upon %s. By "
                      "hand: docs/mongodb.md, \"By hand\"",
                      set_of(d));
    }
    if (facts->member_total > facts->member_count) {
        return refuse(d,
                      "%s has %" PRIu32 " members, and only %" PRIu32
                      " are told: not all that stay could be named. By hand: docs/mongodb.md",
                      set_of(d), facts->member_total, facts->member_count);
    }
    return majority_is_lost(d) && the_silent_are_declared(d);
}

/* One that a forced config left out: no report tells of it. */
static const char *find_left_out(const struct declared *d, const char *word) {
    const struct service *s = &d->state->services[d->service];
    for (uint32_t i = 0; i < s->left_out_count; i++) {
        if (strcasecmp(s->left_out[i].host, word) == 0) {
            return s->left_out[i].host;
        }
    }
    return NULL;
}

static bool take_member(struct declared *d) {
    const char *word = d->request->message->move->member;
    const char *service = d->state->spec.services[d->service].name;
    const struct mongo_facts *facts = &d->view->facts;
    if (facts->member_total == 0) {
        return refuse(d, "nobody has read the config of the replica set of %s: who is in it?",
                      service);
    }
    bool is_region = spec_find_region(&d->state->spec, word) != NONE_INDEX;
    uint32_t bits = is_region ? 0 : find_members(d, word);
    const char *host = bits != 0 ? NULL : find_left_out(d, word);
    for (uint32_t i = 0; i < facts->member_count && host == NULL; i++) {
        host = (bits >> i & 1) != 0 ? facts->members[i].host : NULL;
    }
    if (host == NULL) {
        return refuse_word(d, word);
    }
    (void)TEXT_COPY(d->view->readmit, host);
    const char *why = mongo_readmit_refusal(d->state, d->service, d->view);
    return why == NULL || refuse(d, "%s can't come back now: %s", word, why);
}

bool api_declared_take(struct api_request *request, const struct api_facts *facts, uint32_t service,
                       enum execution_kind kind, uint32_t to, struct mongo_view *ret) {
    const Noctua__MoveRequest *move = request->message->move;
    const struct state *state = facts->state;
    struct declared d = {request, state, service, to, ret};
    bool readmits = kind == EXECUTION_READMIT;
    struct policy_input nothing;
    policy_view_set(state, document_policy(facts, &nothing), service, ret);
    if ((move->member[0] != '\0') != readmits) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         readmits ? "which member is to be readmitted?"
                                  : "a member is named to be readmitted, and for nothing else");
        return false;
    }
    if ((move->n_dead > 0 || readmits) && !state->spec.services[service].mongo.used) {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_MEMBER", "%s has no replica set in its spec",
                         state->spec.services[service].name);
        return false;
    }
    if (move->n_dead > 0 && !take_dead(&d, kind)) {
        return false;
    }
    return !readmits || take_member(&d);
}
