#include "disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <raft/uv.h>
#include <uv.h>

#include "base/text.h"
#include "node.h"
#include "world.h"

#define CAPACITY_KIB (64 * 1024) /* more than replica/watch.c asks for */

enum request_kind { REQUEST_APPEND, REQUEST_TRUNCATE, REQUEST_SNAPSHOT };

struct disk_request {
    struct disk_request *next;
    enum request_kind kind;
    uint64_t due_us;
    struct disk_entry *entries; /* append */
    size_t count;
    raft_index first;               /* append, truncate: index */
    struct disk_snapshot *snapshot; /* of the disk until it is durable */
    unsigned trailing;
    struct raft_io_append *append;
    raft_io_append_cb on_appended;
    struct raft_io_snapshot_put *put;
    raft_io_snapshot_put_cb on_put;
};

struct snapshot_read;

/* raft_uv of one life. */
struct disk_io {
    struct sim_disk *disk;
    struct raft_io *io;
    uv_timer_t ticker;
    uv_prepare_t prepare;
    uv_check_t check;
    uint32_t open_count;
    raft_io_tick_cb tick;
    raft_io_close_cb closed;
    raft_index next;             /* of the next append */
    struct snapshot_read *reads; /* under way, one a peer at most */
    bool started, closing;
};

struct sim_disk *disk_own(void) {
    struct sim_node *node = sim_current();
    assert(node != NULL);
    return &node->disk;
}

static void *copy_bytes(const void *bytes, size_t size_bytes) {
    void *copy = malloc(size_bytes == 0 ? 1 : size_bytes);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, bytes, size_bytes);
    return copy;
}

static void copy_configuration(const struct raft_configuration *from,
                               struct raft_configuration *to) {
    raft_configuration_init(to);
    for (unsigned i = 0; i < from->n; i++) {
        const struct raft_server *server = &from->servers[i];
        (void)raft_configuration_add(to, server->id, server->address, server->role);
    }
}

/* --- what is durable --- */

static void drop_entries(struct sim_disk *disk, size_t from, size_t count) {
    for (size_t i = from; i < from + count; i++) {
        free(disk->entries[i].bytes);
    }
    memmove(&disk->entries[from], &disk->entries[from + count],
            (disk->count - from - count) * sizeof disk->entries[0]);
    disk->count -= count;
}

static raft_index next_index(const struct sim_disk *disk) {
    return disk->first + disk->count;
}

static void put_entry(struct sim_disk *disk, const struct disk_entry *entry) {
    if (disk->count == disk->room) {
        disk->room = disk->room == 0 ? 64 : 2 * disk->room;
        disk->entries = realloc(disk->entries, disk->room * sizeof disk->entries[0]);
        if (disk->entries == NULL) {
            abort();
        }
    }
    disk->entries[disk->count++] = *entry;
}

static void free_snapshot(struct disk_snapshot *snapshot) {
    raft_configuration_close(&snapshot->configuration);
    free(snapshot->bytes);
    memset(snapshot, 0, sizeof *snapshot);
}

static void truncate_from(struct sim_disk *disk, raft_index index) {
    if (index < next_index(disk)) {
        assert(index >= disk->first);
        size_t from = index - disk->first;
        drop_entries(disk, from, disk->count - from);
    }
}

bool disk_has(const struct sim_disk *disk, uint64_t index, uint64_t term) {
    if (disk->has_snapshot && index <= disk->snapshot.index) {
        return true;
    }
    return index >= disk->first && index < next_index(disk) &&
           disk->entries[index - disk->first].term == term;
}

const struct disk_entry *disk_entry(const struct sim_disk *disk, uint64_t index) {
    const struct disk_entry *entry = index >= disk->first && index < next_index(disk)
                                         ? &disk->entries[index - disk->first]
                                         : NULL;
    for (const struct disk_request *r = disk->requests; r != NULL; r = r->next) {
        if (r->kind == REQUEST_TRUNCATE && index >= r->first) {
            entry = NULL;
        }
        if (r->kind == REQUEST_APPEND && index >= r->first && index < r->first + r->count) {
            entry = &r->entries[index - r->first];
        }
    }
    return entry;
}

/* The whole of a request, or of an append the first `entries`. */
static void make_durable(struct sim_disk *disk, struct disk_request *request, size_t entries) {
    switch (request->kind) {
    case REQUEST_APPEND:
        assert(request->first == next_index(disk) || entries == 0);
        for (size_t i = 0; i < entries; i++) {
            put_entry(disk, &request->entries[i]);
            request->entries[i].bytes = NULL;
        }
        break;
    case REQUEST_TRUNCATE:
        truncate_from(disk, request->first);
        break;
    case REQUEST_SNAPSHOT:
        if (disk->has_snapshot) {
            free_snapshot(&disk->snapshot);
        }
        disk->snapshot = *request->snapshot;
        disk->has_snapshot = true;
        free(request->snapshot);
        request->snapshot = NULL;
        if (request->trailing == 0) { /* installed: the log begins anew behind it */
            drop_entries(disk, 0, disk->count);
            disk->first = disk->snapshot.index + 1;
        } else if (disk->snapshot.index > request->trailing) {
            raft_index keep = disk->snapshot.index - request->trailing + 1;
            size_t old = keep > disk->first ? keep - disk->first : 0;
            old = old < disk->count ? old : disk->count;
            drop_entries(disk, 0, old);
            disk->first += old;
        }
        break;
    }
}

static void free_request(struct disk_request *request) {
    for (size_t i = 0; i < request->count; i++) {
        free(request->entries[i].bytes);
    }
    if (request->snapshot != NULL) {
        free_snapshot(request->snapshot);
        free(request->snapshot);
    }
    free(request->entries);
    free(request);
}

void disk_settle(struct sim_disk *disk) {
    struct sim *sim = sim_of(disk->node);
    struct chance *chance = sim_chance(sim);
    bool ended = disk->fails; /* one before was lost: nothing behind it counts */
    while (disk->requests != NULL) {
        struct disk_request *request = disk->requests;
        disk->requests = request->next;
        if (!ended) {
            uint64_t how = chance_below(chance, 4);
            if (how == 0 && world_has(sim, SIM_DISK_TORN) && request->kind == REQUEST_APPEND &&
                request->count > 1) {
                make_durable(disk, request, chance_between(chance, 1, request->count - 1));
                sim_count(sim, SIM_DISK_TORN);
                ended = true;
            } else if (how == 1 && world_has(sim, SIM_DISK_LOST)) {
                sim_count(sim, SIM_DISK_LOST);
                ended = true;
            } else {
                make_durable(disk, request, request->count);
            }
        }
        free_request(request);
    }
    if (disk->stuck != NULL) {
        free_request(disk->stuck);
        disk->stuck = NULL;
    }
    disk->fails = false;
    disk->files_fail = false;
}

void disk_create(struct sim_disk *disk, struct sim_node *node) {
    memset(disk, 0, sizeof *disk);
    disk->node = node;
    disk->first = 1;
}

bool disk_is_stuck(const struct sim_disk *disk) {
    return disk->stuck != NULL;
}

bool disk_is_full(const struct sim_disk *disk) {
    return sim_now(sim_of(disk->node)) < disk->full_until_us;
}

static void empty(struct sim_disk *disk) {
    drop_entries(disk, 0, disk->count);
    if (disk->has_snapshot) {
        free_snapshot(&disk->snapshot);
        disk->has_snapshot = false;
    }
    disk->first = 1;
    disk->term = 0;
    disk->vote = 0;
    disk->mark = 0;
}

bool disk_wipe(struct sim_disk *disk) {
    struct sim_node *node = disk->node;
    empty(disk);
    if (chance_below(&node->chance, 2) == 0) {
        disk_join(disk, WORLD_CLUSTER, node->name, node->id);
        return true;
    }
    struct raft_configuration members;
    world_first_members(node->sim, &members);
    disk_bootstrap(disk, WORLD_CLUSTER, node->name, node->id, &members);
    raft_configuration_close(&members);
    return true;
}

bool disk_lose_tail(struct sim_disk *disk) {
    if (disk->count == 0 || disk->mark < disk->first) {
        return false;
    }
    size_t acknowledged = (size_t)(disk->mark - disk->first + 1);
    acknowledged = acknowledged < disk->count ? acknowledged : disk->count;
    uint64_t most = acknowledged < 8 ? acknowledged : 8;
    truncate_from(disk, disk->first + acknowledged - chance_between(&disk->node->chance, 1, most));
    return true;
}

void disk_destroy(struct sim_disk *disk) {
    while (disk->requests != NULL) {
        struct disk_request *request = disk->requests;
        disk->requests = request->next;
        free_request(request);
    }
    drop_entries(disk, 0, disk->count);
    free(disk->entries);
    if (disk->has_snapshot) {
        free_snapshot(&disk->snapshot);
    }
}

void disk_bootstrap(struct sim_disk *disk, const char *cluster, const char *node, uint64_t id,
                    const struct raft_configuration *configuration) {
    struct raft_buffer bytes;
    if (raft_configuration_encode(configuration, &bytes) != 0) {
        abort();
    }
    struct disk_entry entry = {1, RAFT_CHANGE, copy_bytes(bytes.base, bytes.len), bytes.len};
    raft_free(bytes.base);
    put_entry(disk, &entry);
    disk->term = 1;
    disk_join(disk, cluster, node, id);
    disk->meta.origin = STORAGE_BOOTSTRAPPED;
}

/* As replica_prepare_join writes it: no log, no vote. */
void disk_join(struct sim_disk *disk, const char *cluster, const char *node, uint64_t id) {
    disk->meta = (struct storage_meta){.node_id = id, .origin = STORAGE_JOINED};
    (void)TEXT_COPY(disk->meta.cluster, cluster);
    (void)TEXT_COPY(disk->meta.node, node);
    for (size_t i = 0; i < sizeof disk->meta.uuid; i++) {
        disk->meta.uuid[i] = (uint8_t)chance_next(&disk->node->chance);
    }
    disk->has_meta = true;
}

/* --- requests --- */

static struct disk_request *add_request(struct sim_disk *disk, enum request_kind kind) {
    struct disk_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        abort();
    }
    struct disk_request **at = &disk->requests;
    uint64_t after_us = 0;
    while (*at != NULL) {
        after_us = (*at)->due_us;
        at = &(*at)->next;
    }
    request->kind = kind;
    request->due_us = sim_now(sim_of(disk->node)) + world_disk_us(disk->node);
    request->due_us = request->due_us > after_us ? request->due_us : after_us;
    *at = request;
    return request;
}

/* In the node: the oldest request is through. */
static void on_due(void *context) {
    struct sim_disk *disk = context;
    struct disk_request *request = disk->requests;
    if (request == NULL) {
        return;
    }
    sim_crash_point();
    disk->requests = request->next;
    if (request->kind == REQUEST_SNAPSHOT && disk_is_full(disk) && !disk->fails) {
        assert(disk->stuck == NULL); /* one at a time */
        disk->stuck = request;
        return;
    }
    int status = disk->fails ? RAFT_IOERR : 0;
    if (status == 0) {
        make_durable(disk, request, request->count);
    }
    struct disk_request done = *request;
    free_request(request);
    if (done.on_appended != NULL) {
        done.on_appended(done.append, status);
    }
    if (done.on_put != NULL) {
        done.on_put(done.put, status);
    }
}

static void schedule(struct sim_disk *disk, const struct disk_request *request) {
    sim_at_node(disk->node, request->due_us, on_due, disk, false);
}

/* --- raft_io --- */

static struct disk_io *of_io(const struct raft_io *io) {
    return io->impl;
}

static int io_init(struct raft_io *io, raft_id id, const char *address) {
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry **entries, size_t *count) {
    const struct sim_disk *disk = of_io(io)->disk;
    *term = disk->term;
    *voted_for = disk->vote;
    *snapshot = NULL;
    *start_index = disk->first;
    *count = disk->count;
    *entries = disk->count == 0 ? NULL : raft_malloc(disk->count * sizeof **entries);
    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_entry *from = &disk->entries[i];
        void *bytes = raft_malloc(from->size_bytes == 0 ? 8 : from->size_bytes);
        memcpy(bytes, from->bytes, from->size_bytes);
        (*entries)[i] = (struct raft_entry){.term = from->term,
                                            .type = from->type,
                                            .buf = {bytes, from->size_bytes},
                                            .batch = bytes};
    }
    of_io(io)->next = next_index(disk);
    if (!disk->has_snapshot) {
        return 0;
    }
    const struct disk_snapshot *kept = &disk->snapshot;
    struct raft_snapshot *loaded = raft_calloc(1, sizeof *loaded);
    loaded->index = kept->index;
    loaded->term = kept->term;
    loaded->configuration_index = kept->configuration_index;
    copy_configuration(&kept->configuration, &loaded->configuration);
    loaded->bufs = raft_malloc(sizeof loaded->bufs[0]);
    loaded->n_bufs = 1;
    loaded->bufs[0].base = raft_malloc(kept->size_bytes);
    loaded->bufs[0].len = kept->size_bytes;
    memcpy(loaded->bufs[0].base, kept->bytes, kept->size_bytes);
    *snapshot = loaded;
    if (disk->count == 0) {
        *start_index = kept->index + 1;
        of_io(io)->next = kept->index + 1;
    }
    return 0;
}

/* libraft's, not in its headers: answers what is through. raft_uv calls it before and after each
 * poll of the loop (uv.c). */
void LegacyFireCompletedRequests(struct raft *r);

static void on_prepare(uv_prepare_t *prepare) {
    const struct disk_io *own = prepare->data;
    if (own->io->data != NULL) {
        LegacyFireCompletedRequests(own->io->data);
    }
}

static void on_check(uv_check_t *check) {
    const struct disk_io *own = check->data;
    if (own->io->data != NULL) {
        LegacyFireCompletedRequests(own->io->data);
    }
}

static void on_ticker(uv_timer_t *timer) {
    struct disk_io *own = timer->data;
    bool out_of_segments = disk_is_full(own->disk) && !own->disk->has_segments;
    own->io->capacity = out_of_segments ? 0 : CAPACITY_KIB - 1;
    own->tick(own->io);
}

static int io_start(struct raft_io *io, unsigned interval_ms, raft_io_tick_cb tick,
                    raft_io_recv_cb receive) {
    struct disk_io *own = of_io(io);
    (void)receive;
    own->tick = tick;
    own->started = true;
    return uv_timer_start(&own->ticker, on_ticker, interval_ms, interval_ms);
}

static int io_set_term(struct raft_io *io, raft_term term) {
    struct sim_disk *disk = of_io(io)->disk;
    sim_crash_point();
    if (disk->fails) {
        return RAFT_IOERR;
    }
    disk->term = term;
    disk->vote = 0;
    sim_crash_point();
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id vote) {
    struct sim_disk *disk = of_io(io)->disk;
    sim_crash_point();
    if (disk->fails) {
        return RAFT_IOERR;
    }
    disk->vote = vote;
    sim_crash_point();
    return 0;
}

static int io_append(struct raft_io *io, struct raft_io_append *append,
                     const struct raft_entry entries[], unsigned count,
                     raft_io_append_cb callback) {
    struct disk_io *own = of_io(io);
    sim_crash_point();
    struct disk_request *request = add_request(own->disk, REQUEST_APPEND);
    request->entries = calloc(count, sizeof request->entries[0]);
    request->count = count;
    request->first = own->next;
    for (unsigned i = 0; i < count; i++) {
        if (entries[i].type == RAFT_CHANGE) {
            judge_change(own->disk->node, own->next + i);
        } else if (entries[i].type == RAFT_COMMAND) {
            judge_proposed(own->disk->node, entries[i].buf.base, entries[i].buf.len);
        }
        request->entries[i] = (struct disk_entry){
            entries[i].term, entries[i].type, copy_bytes(entries[i].buf.base, entries[i].buf.len),
            entries[i].buf.len};
    }
    own->next += count;
    request->append = append;
    request->on_appended = callback;
    schedule(own->disk, request);
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index) {
    struct disk_io *own = of_io(io);
    sim_crash_point();
    struct disk_request *request = add_request(own->disk, REQUEST_TRUNCATE);
    request->first = index;
    own->next = index;
    schedule(own->disk, request);
    return 0;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *put,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback) {
    struct disk_io *own = of_io(io);
    sim_crash_point();
    struct disk_request *request = add_request(own->disk, REQUEST_SNAPSHOT);
    struct disk_snapshot *kept = calloc(1, sizeof *kept);
    if (kept == NULL) {
        abort();
    }
    kept->index = snapshot->index;
    kept->term = snapshot->term;
    judge_snapshot(disk_own()->node, kept->index, kept->term);
    kept->configuration_index = snapshot->configuration_index;
    copy_configuration(&snapshot->configuration, &kept->configuration);
    judge_members(disk_own()->node, kept->index, &snapshot->configuration);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        kept->size_bytes += snapshot->bufs[i].len;
    }
    kept->bytes = malloc(kept->size_bytes);
    if (kept->bytes == NULL) {
        abort();
    }
    size_t at = 0;
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        memcpy((char *)kept->bytes + at, snapshot->bufs[i].base, snapshot->bufs[i].len);
        at += snapshot->bufs[i].len;
    }
    request->snapshot = kept;
    request->trailing = trailing;
    request->put = put;
    request->on_put = callback;
    if (trailing == 0) {
        own->next = snapshot->index + 1;
    }
    schedule(own->disk, request);
    return 0;
}

struct snapshot_read {
    struct snapshot_read *next;
    struct raft_io *io;
    struct raft_io_snapshot_get *get;
    raft_io_snapshot_get_cb callback;
};

/* io_close() has ended it, if `io` is NULL. */
static void on_snapshot_read(void *context) {
    struct snapshot_read *read = context;
    if (read->io == NULL) {
        free(read);
        return;
    }
    struct snapshot_read **at = &of_io(read->io)->reads;
    while (*at != read) {
        at = &(*at)->next;
    }
    *at = read->next;
    raft_term term;
    raft_id vote;
    struct raft_snapshot *snapshot = NULL;
    raft_index start = 0;
    struct raft_entry *entries = NULL;
    size_t count = 0;
    raft_index next = of_io(read->io)->next;
    (void)io_load(read->io, &term, &vote, &snapshot, &start, &entries, &count);
    of_io(read->io)->next = next;
    for (size_t i = 0; i < count; i++) {
        raft_free(entries[i].buf.base);
    }
    raft_free(entries);
    assert(snapshot != NULL);
    read->callback(read->get, snapshot, 0);
    free(read);
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *get,
                           raft_io_snapshot_get_cb callback) {
    struct snapshot_read *read = malloc(sizeof *read);
    if (read == NULL) {
        abort();
    }
    *read = (struct snapshot_read){of_io(io)->reads, io, get, callback};
    of_io(io)->reads = read;
    struct sim_node *node = of_io(io)->disk->node;
    sim_at_node(node, sim_now(sim_of(node)) + world_disk_us(node), on_snapshot_read, read, true);
    return 0;
}

static raft_time io_time(struct raft_io *io) {
    return uv_now(of_io(io)->ticker.loop);
}

static int io_random(struct raft_io *io, int low, int high) {
    return (int)chance_between(&of_io(io)->disk->node->chance, (uint64_t)low, (uint64_t)high);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct disk_io *own = handle->data;
    if (--own->open_count == 0) {
        own->closed(own->io);
    }
}

static void io_close(struct raft_io *io, raft_io_close_cb callback) {
    struct disk_io *own = of_io(io);
    own->closing = true;
    own->closed = callback;
    /* What waits is through, or never will be: the library has its requests back as cancelled. */
    while (own->disk->requests != NULL) {
        struct disk_request *request = own->disk->requests;
        own->disk->requests = request->next;
        int status = own->disk->fails ? RAFT_CANCELED : 0;
        if (status == 0) {
            make_durable(own->disk, request, request->count);
        }
        struct disk_request done = *request;
        free_request(request);
        if (done.on_appended != NULL) {
            done.on_appended(done.append, status);
        }
        if (done.on_put != NULL) {
            done.on_put(done.put, status);
        }
    }
    if (own->disk->stuck != NULL) {
        struct disk_request done = *own->disk->stuck;
        free_request(own->disk->stuck);
        own->disk->stuck = NULL;
        done.on_put(done.put, RAFT_CANCELED);
    }
    for (struct snapshot_read *read = own->reads; read != NULL; read = read->next) {
        read->callback(read->get, NULL, RAFT_CANCELED);
        read->io = NULL;
    }
    own->open_count = 3;
    uv_close((uv_handle_t *)&own->ticker, on_handle_closed);
    uv_close((uv_handle_t *)&own->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&own->check, on_handle_closed);
}

int raft_uv_init(struct raft_io *io, struct uv_loop_s *loop, const char *directory,
                 struct raft_uv_transport *transport) {
    (void)directory;
    (void)transport;
    struct disk_io *own = calloc(1, sizeof *own);
    if (own == NULL) {
        return RAFT_NOMEM;
    }
    own->disk = disk_own();
    own->io = io;
    (void)uv_timer_init(loop, &own->ticker);
    own->ticker.data = own;
    (void)uv_prepare_init(loop, &own->prepare);
    own->prepare.data = own;
    (void)uv_prepare_start(&own->prepare, on_prepare);
    (void)uv_check_init(loop, &own->check);
    own->check.data = own;
    (void)uv_check_start(&own->check, on_check);
    memset(io, 0, sizeof *io);
    io->version = 2;
    io->capacity = CAPACITY_KIB - 1;
    io->impl = own;
    io->init = io_init;
    io->close = io_close;
    io->load = io_load;
    io->start = io_start;
    io->set_term = io_set_term;
    io->set_vote = io_set_vote;
    io->append = io_append;
    io->truncate = io_truncate;
    io->snapshot_put = io_snapshot_put;
    io->snapshot_get = io_snapshot_get;
    io->time = io_time;
    io->random = io_random;
    return 0;
}

void raft_uv_close(struct raft_io *io) {
    free(io->impl);
    io->impl = NULL;
}

void raft_uv_set_tracer(struct raft_io *io, struct raft_tracer *tracer) {
    (void)io;
    (void)tracer;
}

void raft_uv_set_auto_recovery(struct raft_io *io, bool flag) {
    (void)io;
    (void)flag;
}

void raft_uv_set_disk_retry(struct raft_io *io, unsigned ms) {
    (void)io;
    (void)ms;
}
