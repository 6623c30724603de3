/* What must be so for a forced reconfiguration, and for one that was left out to come back: the
 * majority is lost, and a person said with whom. Nothing at the set refuses it, so everything is
 * looked at right before. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config_rewrite.h"
#include "mongo_op.h"

static bool is_left_out(const struct mongo_op *op, const char *host) {
    for (uint32_t i = 0; i < op->target.host_count; i++) {
        if (text_equal(op->target.hosts[i], host)) {
            return true;
        }
    }
    return false;
}

static bool answers(const struct mongo_op *op, const char *host) {
    const struct scan_member *member = scan_find(&op->scan, host);
    return member != NULL && member->answer.result == MONGO_RESULT_OK;
}

/* What stands against forcing it now; "": nothing. */
static void find_against(const struct mongo_op *op, char *words, size_t size) {
    const struct mongo_config *config = &op->scan.set.config;
    uint32_t region;
    const struct scan_member *primary = scan_primary(&op->scan, &region);
    words[0] = '\0';
    if (primary != NULL) {
        (void)snprintf(words, size, "%.120s is primary: no config has to be forced", primary->host);
        return;
    }
    if (config->member_count > MONGO_MEMBER_MAX) {
        (void)snprintf(words, size, "the set has more than %d members: force it by hand",
                       MONGO_MEMBER_MAX);
    }
    for (uint32_t i = 0; i < config->member_count && words[0] == '\0'; i++) {
        const char *host = config->members[i].host;
        bool left_out = is_left_out(op, host);
        if (answers(op, host) == left_out) {
            (void)snprintf(words, size, "%.120s %s", host,
                           left_out ? "answers: it isn't dead"
                                    : "doesn't answer, and wasn't declared dead");
        }
    }
    if (words[0] == '\0' && !answers(op, op->target.pinned)) {
        (void)snprintf(words, size, "%.120s, which is to be asked, doesn't answer",
                       op->target.pinned);
    }
}

enum error_code mongo_op_read_survivors(const struct mongo_op *op, struct driver_reading *ret,
                                        struct error *error) {
    bool committed;
    memset(ret, 0, sizeof *ret);
    const bson_t *config = scan_newest_config(&op->scan, &committed, error);
    if (config == NULL) {
        return error->code;
    }
    const struct scan_member *primary = scan_primary(&op->scan, &ret->primary_region);
    ret->sync = committed ? DRIVER_SYNC_INSYNC : DRIVER_SYNC_PENDING;
    (void)snprintf(ret->summary, sizeof ret->summary, "%.60s config %" PRIu64 ", primary %.120s",
                   op->scan.set.name, op->scan.set.config.version,
                   primary == NULL ? "none" : primary->host);
    find_against(op, ret->against, sizeof ret->against);
    return mongo_config_split(config, ret, error);
}

/* --- who comes back --- */

/* Optimes are ordered by term before time, and one of a term is taken for the same entry wherever
 * it is. So writes of a term that the set has had without it are not what the set has at that
 * place, or ahead of everything that was acknowledged since: the member would keep what it must
 * roll back, or others would roll back to it, vote or no vote. And one that hangs would hold the
 * reconfiguration up, for up to a minute and a half. */
static void find_against_coming(const struct mongo_op *op, const struct scan_member *primary,
                                char *words, size_t size) {
    const char *host = op->target.hosts[0];
    const struct scan_member *member = scan_find(&op->scan, host);
    uint64_t without = op->target.left_out.term;
    uint64_t term = primary->answer.status.term;
    term = without != 0 && without < term ? without : term;
    if (!member->tells_oplog) {
        (void)snprintf(words, size, "%.120s doesn't tell how far its oplog goes (local.oplog.rs)",
                       host);
    } else if (member->oplog_term >= term) {
        (void)snprintf(words, size,
                       "%.100s has writes of term %" PRIu64 ", and the set was in term %" PRIu64
                       " without it: they can't be told apart. Empty its data directory first",
                       host, member->oplog_term, term);
    }
}

static bool gives_a_vote(const struct mongo_op *op) {
    const struct left_out *left_out = &op->target.left_out;
    bson_t member;
    return left_out->size_bytes == 0 || /* it is in the set already */
           (bson_init_static(&member, left_out->document, left_out->size_bytes) &&
            config_is_arbiter(&member));
}

void mongo_op_find_against_return(const struct mongo_op *op, const struct scan_member *primary,
                                  char *words, size_t size) {
    const char *host = op->target.hosts[0];
    words[0] = '\0';
    if (!answers(op, host)) {
        (void)snprintf(words, size, "%.120s doesn't answer: start it first", host);
    } else if (primary != NULL && op->target.left_out.size_bytes > 0) {
        find_against_coming(op, primary, words, size);
    }
    if (words[0] == '\0' && primary != NULL && gives_a_vote(op) &&
        !scan_commits_hold(&op->scan, primary)) {
        (void)snprintf(
            words, size,
            "no majority of the voters has all that was acknowledged yet: ask again once "
            "they have caught up");
    }
}
