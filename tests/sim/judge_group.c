#include "judge_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "replica_private.h"

/* --- the log --- */

static struct log_entry *known_entry(struct judged *judged, uint64_t index) {
    if (index >= judged->log_room) {
        uint64_t room = index + 1024;
        judged->log = realloc(judged->log, room * sizeof judged->log[0]);
        if (judged->log == NULL) {
            abort();
        }
        memset(judged->log + judged->log_room, 0, (room - judged->log_room) * sizeof *judged->log);
        judged->log_room = room;
    }
    return &judged->log[index];
}

/* State machine safety and log matching (Ongaro 2014, 3.2): one entry an index, once it is
 * committed, on every disk. hash 0: only its term is known. */
static void judge_log(struct sim *sim, const struct sim_node *node, uint64_t index, uint64_t term,
                      uint64_t hash) {
    struct log_entry *known = known_entry(sim->judged, index);
    if (known->term != 0 && known->term != term) {
        sim_broken(sim, "log matching", "entry %llu has term %llu on %s and %llu elsewhere",
                   (unsigned long long)index, (unsigned long long)term, node->name,
                   (unsigned long long)known->term);
    }
    if (known->hash != 0 && hash != 0 && known->hash != hash) {
        sim_broken(sim, "log matching", "entry %llu of term %llu has other bytes on %s",
                   (unsigned long long)index, (unsigned long long)term, node->name);
    }
    known->term = term;
    known->hash = hash != 0 ? hash : known->hash;
}

/* Also what it has acknowledged and lost since: it counted, and won't be one of the group again. */
static bool has_acknowledged(const struct sim_node *node, uint64_t index, uint64_t term) {
    return disk_has(&node->disk, index, term) ||
           (node->has_lost_storage && index <= node->lost_up_to);
}

static bool is_on_a_majority(struct sim *sim, const struct raft_configuration *configuration,
                             uint64_t index, uint64_t term) {
    uint32_t voters = 0;
    uint32_t have = 0;
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (server->role == RAFT_VOTER) {
            voters++;
            have += has_acknowledged(world_find_node(sim, server->id), index, term);
        }
    }
    return have * 2 > voters;
}

/* What is applied first anywhere is durable on the disks of a majority of the voters: of the
 * configuration that some node goes by, while it changes. */
static void judge_commit(struct sim *sim, uint64_t index, uint64_t term) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct replica *replica = node_replica(&sim->nodes[i]);
        if (replica != NULL && is_on_a_majority(sim, &replica->raft.configuration, index, term)) {
            return;
        }
    }
    sim_broken(sim, "committed on a majority", "entry %llu of term %llu", (unsigned long long)index,
               (unsigned long long)term);
}

/* Of the entries that are committed now the changes of the members; the log of who applies them has
 * them all. */
static void keep_changes(struct judged *judged, const struct sim_disk *disk, uint64_t index) {
    for (uint64_t i = judged->committed + 1; i <= index; i++) {
        const struct disk_entry *entry = disk_entry(disk, i);
        if (entry == NULL) { /* gone into a snapshot, between two commands that are far apart */
            judged->change_missed = true;
        }
        if (entry == NULL || entry->type != RAFT_CHANGE ||
            judged->change_count == CHANGE_KEPT_MAX) {
            continue;
        }
        struct change *change = &judged->changes[judged->change_count++];
        *change =
            (struct change){i, malloc(entry->size_bytes), entry->size_bytes, judged->change_missed};
        judged->change_missed = false;
        if (change->bytes == NULL) {
            abort();
        }
        memcpy(change->bytes, entry->bytes, entry->size_bytes);
    }
}

const struct disk_entry *judged_applied_entry(const struct sim_node *node, uint64_t *ret_index) {
    *ret_index = raft_last_applied(&node_replica(node)->raft) + 1;
    return disk_entry(&node->disk, *ret_index);
}

void judge_entry(struct sim_node *node) {
    uint64_t index;
    const struct disk_entry *entry = judged_applied_entry(node, &index);
    if (entry == NULL) {
        return;
    }
    if (index > node->sim->judged->committed) {
        judge_commit(node->sim, index, entry->term);
        keep_changes(node->sim->judged, &node->disk, index);
        node->sim->judged->committed = index;
    }
    judge_log(node->sim, node, index, entry->term,
              judged_mix(JUDGED_HASH_START, entry->bytes, entry->size_bytes));
}

void judge_snapshot(struct sim_node *node, uint64_t index, uint64_t term) {
    judge_log(node->sim, node, index, term, 0);
}

void judge_members(struct sim_node *node, uint64_t index,
                   const struct raft_configuration *members) {
    const struct judged *judged = node->sim->judged;
    uint32_t at = judged->change_count;
    struct raft_buffer bytes;
    while (at > 0 && judged->changes[at - 1].index > index) {
        at--;
    }
    bool missed =
        at == judged->change_count ? judged->change_missed : judged->changes[at].gap_before;
    if (at == 0 || index > judged->committed || missed) {
        return;
    }
    const struct change *change = &judged->changes[at - 1];
    if (raft_configuration_encode(members, &bytes) != 0) {
        abort();
    }
    if (bytes.len != change->size_bytes || memcmp(bytes.base, change->bytes, bytes.len) != 0) {
        sim_broken(node->sim, "a snapshot has the members of its time",
                   "that of %s at %llu hasn't those of %llu", node->name, (unsigned long long)index,
                   (unsigned long long)change->index);
    }
    raft_free(bytes.base);
}

/* The last one before `index` that is known to be committed; 0: none. */
static uint64_t change_before(const struct judged *judged, uint64_t index) {
    uint32_t at = judged->change_count;
    while (at > 0 && judged->changes[at - 1].index >= index) {
        at--;
    }
    return at == 0 ? 0 : judged->changes[at - 1].index;
}

void judge_change(struct sim_node *node, uint64_t index) {
    const struct replica *replica = node_replica(node);
    uint64_t before = change_before(node->sim->judged, index);
    if (replica != NULL && replica->raft.configuration_committed_index < before) {
        sim_broken(node->sim, "an applied change of the members counts",
                   "%s has forgotten that of %llu at %llu", node->name, (unsigned long long)before,
                   (unsigned long long)index);
    }
    if (replica != NULL && raft_state((struct raft *)&replica->raft) == RAFT_LEADER) {
        faults_at_written_change(node);
    }
    staging_at_change(node);
}

/* A change of the members that a node has applied has counted there. Else it would go back to older
 * ones, and write them into its snapshots. */
static void judge_counted(struct sim_node *node, const struct replica *replica) {
    const struct judged *judged = node->sim->judged;
    raft_index applied = raft_last_applied((struct raft *)&replica->raft);
    uint64_t change = change_before(judged, applied + 1);
    if (replica->raft.configuration_committed_index < change) {
        sim_broken(node->sim, "an applied change of the members counts",
                   "%s goes by %llu, not %llu", node->name,
                   (unsigned long long)replica->raft.configuration_committed_index,
                   (unsigned long long)change);
    }
}

/* --- leaders --- */

/* Somebody has led a later term: then there is an entry of it, and what is committed may have been
 * committed in it. */
static bool was_deposed(const struct sim *sim, uint64_t term) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disk;
        if (disk->count > 0 && disk->entries[disk->count - 1].term > term) {
            return true;
        }
    }
    for (uint32_t t = 0; t < sim->judged->term_count; t++) {
        if (sim->judged->terms[t].term > term) {
            return true;
        }
    }
    return false;
}

/* Leader completeness: whoever is elected has every entry that was committed in an older term. */
static void judge_new_leader(struct sim *sim, const struct sim_node *node, uint64_t term) {
    const struct judged *judged = sim->judged;
    if (was_deposed(sim, term)) {
        return; /* before anybody has looked */
    }
    for (uint64_t index = judged->committed; index >= node->disk.first && index > 0; index--) {
        const struct log_entry *known = known_entry(sim->judged, index);
        const struct disk_entry *entry = disk_entry(&node->disk, index);
        bool older = known->term != 0 && known->term < term;
        if (older && (entry == NULL || entry->term != known->term)) {
            sim_broken(sim, "leader completeness", "%s leads term %llu %s entry %llu", node->name,
                       (unsigned long long)term, entry == NULL ? "without" : "with another",
                       (unsigned long long)index);
        }
    }
}

static void judge_leader(struct sim_node *node, struct replica *replica) {
    struct judged *judged = node->sim->judged;
    uint64_t term = raft_current_term(&replica->raft);
    /* What is behind a LEADER of its own term in its state is all that was committed before. */
    bool announced = replica->leadership.phase == LEADERSHIP_ANNOUNCED;
    if (announced && replica_state(replica)->leader_term != term) {
        sim_broken(node->sim, "acts after its barrier",
                   "%s leads term %llu by a state of term %llu", node->name,
                   (unsigned long long)term,
                   (unsigned long long)replica_state(replica)->leader_term);
    }
    uint32_t t = judged->term_count;
    while (t > 0 && judged->terms[t - 1].term != term) {
        t--;
    }
    if (t > 0 && judged->terms[t - 1].id != replica->id) {
        sim_broken(node->sim, "election safety", "two leaders in term %llu",
                   (unsigned long long)term);
    }
    if (t == 0 && judged->term_count < TERM_KEPT_MAX) {
        judge_new_leader(node->sim, node, term);
        judged->terms[judged->term_count++] = (struct leader_of_term){term, replica->id};
    }
}

void judge_ran(struct sim_node *node) {
    struct replica *replica = node_replica(node);
    if (replica == NULL) {
        return;
    }
    judge_restored(node);
    judge_counted(node, replica);
    if (raft_state(&replica->raft) == RAFT_LEADER) {
        judge_leader(node, replica);
    }
}

/* --- what people are told --- */

uint64_t judge_last_index(const struct sim *sim) {
    return sim->judged->last_index;
}

uint64_t judge_answered_index(const struct sim *sim) {
    return sim->judged->answered_index;
}

/* Linearizability (Herlihy and Wing 1990): commands take effect in the log's order, and the log
 * holds to real time: what was asked after an answer comes after it. */
void judge_answer(struct sim *sim, uint64_t asked_after, uint64_t index) {
    if (index <= asked_after) {
        sim_broken(sim, "linearizability", "a command took effect at %llu, asked after %llu",
                   (unsigned long long)index, (unsigned long long)asked_after);
    }
    uint64_t *answered = &sim->judged->answered_index;
    *answered = index > *answered ? index : *answered;
}

void judge_read(struct sim *sim, uint64_t asked_after, uint64_t index) {
    if (index < asked_after) {
        sim_broken(sim, "linearizability", "a read shows %llu, asked after %llu",
                   (unsigned long long)index, (unsigned long long)asked_after);
    }
}

void judge_command_result(struct sim *sim, const uint8_t client_id[16], uint32_t result) {
    struct judged *judged = sim->judged;
    if (result != CORE_OK) {
        return;
    }
    for (uint32_t i = 0; i < judged->client_count; i++) {
        if (memcmp(judged->clients[i], client_id, 16) == 0) {
            sim_broken(sim, "commands are idempotent (17)", "one was applied twice");
        }
    }
    if (judged->client_count < CLIENT_KEPT_MAX) {
        memcpy(judged->clients[judged->client_count++], client_id, 16);
    }
}
