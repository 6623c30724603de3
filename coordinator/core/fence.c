/* Effect ids and fences as text: "service/incarnation.epoch/index", "group/eid" and, once burnt,
 * "void(group/eid)". What is written at a target must be readable for years: change nothing here
 * without a new form beside the old one. */
#include <string.h>

#include "base/text.h"
#include "core/execution.h"

/* Appends text to a fixed array, cutting at its end; returns where the NUL went. */
static char *append(char *at, const char *end, const char *text) {
    while (*text != '\0' && at + 1 < end) {
        *at++ = *text++;
    }
    *at = '\0';
    return at;
}

static char *append_u64(char *at, const char *end, uint64_t value) {
    char digits[24];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return append(at, end, first);
}

void eid_format(char eid[EID_SIZE], const char *service, uint64_t incarnation, uint64_t epoch,
                uint32_t step) {
    const char *end = eid + EID_SIZE;
    char *at = append(eid, end, service);
    at = append(at, end, "/");
    at = append_u64(at, end, incarnation);
    at = append(at, end, ".");
    at = append_u64(at, end, epoch);
    at = append(at, end, "/");
    (void)append_u64(at, end, step);
}

void fence_format(char fence[FENCE_SIZE], const char *cluster, const char *eid) {
    const char *end = fence + FENCE_SIZE;
    char *at = append(fence, end, cluster);
    at = append(at, end, "/");
    (void)append(at, end, eid);
}

void fence_format_void(char fence[FENCE_SIZE], const char *cluster, const char *eid) {
    const char *end = fence + FENCE_SIZE;
    char *at = append(fence, end, "void(");
    at = append(at, end, cluster);
    at = append(at, end, "/");
    at = append(at, end, eid);
    (void)append(at, end, ")");
}

/* A whole decimal number as append_u64 writes it; NULL when there is none, or it is too large. */
static const char *read_u64(const char *at, uint64_t *ret_value) {
    uint64_t value = 0;
    const char *first = at;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    bool canonical = at > first && (*first != '0' || at == first + 1);
    *ret_value = value;
    return canonical ? at : NULL;
}

static const char *read_char(const char *at, char wanted) {
    return at != NULL && *at == wanted ? at + 1 : NULL;
}

static const char *read_number(const char *at, uint64_t *ret_value) {
    return at != NULL ? read_u64(at, ret_value) : NULL;
}

bool eid_parse(const char *eid, struct fence *ret) {
    struct fence fence;
    memset(&fence, 0, sizeof fence);
    const char *slash = strchr(eid, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - eid);
    if (length == 0 || length >= sizeof fence.service) {
        return false;
    }
    memcpy(fence.service, eid, length);
    uint64_t step = 0;
    const char *at = read_number(slash + 1, &fence.incarnation);
    at = read_number(read_char(at, '.'), &fence.epoch);
    at = read_number(read_char(at, '/'), &step);
    if (at == NULL || *at != '\0' || step >= STEP_MAX) {
        return false;
    }
    fence.step = (uint32_t)step;
    *ret = fence;
    return true;
}

bool fence_parse(const char *text, const char *cluster, struct fence *ret) {
    char eid[FENCE_SIZE];
    if (strlen(text) >= sizeof eid) {
        return false;
    }
    bool burnt = text_starts_with(text, "void(");
    const char *group = burnt ? text + strlen("void(") : text;
    size_t length = strlen(cluster);
    if (strncmp(group, cluster, length) != 0 || group[length] != '/') {
        return false;
    }
    (void)TEXT_COPY(eid, group + length + 1);
    size_t end = strlen(eid);
    if (burnt) {
        if (end == 0 || eid[end - 1] != ')') {
            return false;
        }
        eid[end - 1] = '\0';
    }
    if (!eid_parse(eid, ret)) {
        return false;
    }
    ret->burnt = burnt;
    return true;
}

bool fence_is_before(const struct fence *fence, uint64_t incarnation, uint64_t epoch) {
    return fence->incarnation < incarnation ||
           (fence->incarnation == incarnation && fence->epoch < epoch);
}

bool fence_is_after(const struct fence *fence, uint64_t incarnation, uint64_t epoch) {
    return fence->incarnation > incarnation ||
           (fence->incarnation == incarnation && fence->epoch > epoch);
}

bool fence_is_of_old_side(const struct fence *fence, uint64_t forced_epoch) {
    return fence->epoch < forced_epoch;
}
