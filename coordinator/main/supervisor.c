/* The supervisor's side of the process: datagrams to NOTIFY_SOCKET, as sd_notify(3) describes them
 * under "Notes" for programs that don't link libsystemd. Without that variable all of it is silent.
 *
 * WATCHDOG=1 comes from the main loop, twice in each period that was asked for: a loop that hangs
 * ends as a process that was restarted. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "node.h"

void node_tell(const char *state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path == NULL ? 0 : strlen(path);
    char text[256];
    if (length == 0 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* the abstract namespace */
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    /* A reload is told with its time (Type=notify-reload); elsewhere it is not looked at. */
    (void)snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%" PRIu64 "\n", state, now_us);
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)close(fd);
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    node_tell("WATCHDOG=1");
}

static void start_watchdog(struct noctuad *node) {
    const char *period = getenv("WATCHDOG_USEC");
    const char *owner = getenv("WATCHDOG_PID");
    uint64_t period_us, pid;
    bool ours =
        owner == NULL || (text_to_u64(owner, 1, UINT64_MAX, &pid) && pid == (uint64_t)getpid());
    if (ours && period != NULL && text_to_u64(period, 2000, UINT64_MAX, &period_us)) {
        (void)uv_timer_start(&node->watchdog_timer, on_watchdog, 0, period_us / 2000);
    }
}

void node_tell_ready(struct noctuad *node) {
    node_tell("READY=1");
    start_watchdog(node);
    node_tell_status(node);
}

void node_tell_status(struct noctuad *node) {
    struct replica_status status;
    char text[sizeof node->told_status];
    replica_read_status(node->replica, &status);
    uint32_t leader = state_find_node(replica_state(node->replica), status.leader_id);
    const char *name =
        leader == NONE_INDEX ? NULL : replica_state(node->replica)->nodes[leader].name;
    (void)snprintf(text, sizeof text, "STATUS=%s%s%s", status.leads ? "leads" : "follows ",
                   status.leads   ? ""
                   : name != NULL ? name
                                  : "nobody: no quorum?",
                   status.caught_up ? "" : ", catching up");
    if (!text_equal(text, node->told_status)) {
        (void)TEXT_COPY(node->told_status, text);
        node_tell(text);
    }
}
