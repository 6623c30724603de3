/* Nodes that join, leave, and take another one's place. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "commands.h"
#include "views.h"

#define LOOK_EVERY_S 1

static int change(const struct options *options, Noctua__MemberRequest__Kind kind,
                  const char *node) {
    Noctua__MemberRequest wanted = NOCTUA__MEMBER_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.kind = kind;
    wanted.node = (char *)node;
    wanted.reason = (char *)(options->reason == NULL ? "" : options->reason);
    request.body_case = NOCTUA__REQUEST__BODY_MEMBER;
    request.member = &wanted;
    return ask_once(options, &request);
}

int run_nodes_add(const struct options *options) {
    return change(options, NOCTUA__MEMBER_REQUEST__KIND__ADD, options->arguments[0]);
}

int run_nodes_remove(const struct options *options) {
    return change(options, NOCTUA__MEMBER_REQUEST__KIND__REMOVE, options->arguments[0]);
}

/* What the leader says of one node. */
struct seen {
    bool is_member, has_vote, leads, joins;
    uint64_t behind;
};

static int look(const struct options *options, const char *name, struct seen *ret) {
    json_t *document = NULL;
    int status = ask_document(options, "nodes", &document);
    *ret = (struct seen){.is_member = false};
    const json_t *nodes = json_object_get(document, "nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *role = field_text(node, "role");
        if (!text_equal(field_text(node, "name"), name) || text_equal(role, "not added")) {
            continue;
        }
        ret->is_member = true;
        ret->leads = text_equal(role, "leader");
        ret->joins = text_equal(role, "joining") || text_equal(role, "silent");
        ret->has_vote = ret->leads || text_equal(role, "follower");
        uint64_t last = field_u64(node, "last_index");
        uint64_t match = field_u64(node, "match_index");
        ret->behind = last > match ? last - match : 0;
    }
    json_decref(document);
    return status;
}

static int add_and_wait(const struct options *options, const char *name) {
    struct seen node;
    uint64_t begun_ms = clock_boottime_ms(&clock_system);
    int status = look(options, name, &node);
    if (status == EXIT_DONE && !node.has_vote && !node.joins) {
        status = change(options, NOCTUA__MEMBER_REQUEST__KIND__ADD, name);
    }
    while (status == EXIT_DONE && !node.has_vote) {
        status = look(options, name, &node);
        if (status != EXIT_DONE || node.has_vote) {
            break;
        }
        uint64_t passed_ms = clock_boottime_ms(&clock_system) - begun_ms;
        if (options->wait_ms > 0 && passed_ms >= options->wait_ms) {
            (void)fprintf(stderr,
                          "noctuactl: %s has no vote yet, nothing was removed; the same command "
                          "goes on from here\n",
                          name);
            return EXIT_STILL_RUNNING;
        }
        (void)printf("%s joins: %" PRIu64 " entries behind\n", name, node.behind);
        (void)fflush(stdout);
        (void)sleep(LOOK_EVERY_S);
    }
    return status;
}

static int hand_over(const struct options *options, const char *to) {
    Noctua__TransferLeaderRequest wanted = NOCTUA__TRANSFER_LEADER_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.to = (char *)to;
    wanted.reason = (char *)(options->reason == NULL ? "" : options->reason);
    request.body_case = NOCTUA__REQUEST__BODY_TRANSFER_LEADER;
    request.transfer_leader = &wanted;
    return ask_once(options, &request);
}

int run_transfer_leader(const struct options *options) {
    return hand_over(options, options->argument_count > 0 ? options->arguments[0] : "");
}

/* The new one has its vote before the old one loses its own: the group is never smaller than it
 * was. Every part of it can be asked for again, so the whole command can. */
int run_nodes_replace(const struct options *options) {
    const char *old = options->arguments[0];
    const char *new = options->arguments[1];
    struct seen node;
    int status = look(options, old, &node);
    if (status != EXIT_DONE) {
        return status;
    }
    if (!node.is_member || text_equal(old, new)) {
        (void)fprintf(stderr, "noctuactl: %s\n",
                      node.is_member ? "a node is replaced by one of another name"
                                     : "the group has no node of that name: noctuactl nodes");
        return EXIT_USAGE;
    }
    status = add_and_wait(options, new);
    if (status == EXIT_DONE) {
        (void)printf("%s has its vote\n", new);
        status = look(options, old, &node);
    }
    if (status == EXIT_DONE && node.leads) {
        status = hand_over(options, new);
    }
    return status == EXIT_DONE ? change(options, NOCTUA__MEMBER_REQUEST__KIND__REMOVE, old)
                               : status;
}
