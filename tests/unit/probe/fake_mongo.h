/* mongo/client.h in memory: members that answer at once, or not before they are told to. Members
 * are asked by the real watcher; what they say is BSON, as from a server. */
#ifndef FAKE_MONGO_H
#define FAKE_MONGO_H

#include "mongo/client.h"

#define FAKE_MEMBER_MAX 5

enum fake_mode {
    FAKE_UP,
    FAKE_HUNG,
    FAKE_REFUSED,
    FAKE_CUT_OFF, /* from us alone: its fellows hear of it */
    FAKE_AUTH,
    FAKE_NO_PRIVILEGE, /* tells no more than hello */
};

enum fake_counting {
    FAKE_COUNTS,
    FAKE_COUNT_HANGS,
    FAKE_COUNT_REFUSED,
    FAKE_COUNT_MISSING, /* it answers, and says nothing of it */
};

struct fake_member {
    char host[MONGO_HOST_SIZE];
    const char *region;
    enum fake_mode mode;
    int state; /* of replSetGetStatus */
    bool writable, hidden;
    double priority;
    int64_t term;
    uint32_t seconds; /* of its optime */
    bool legacy;      /* knows isMaster only */
};

struct fake_set {
    struct fake_member members[FAKE_MEMBER_MAX];
    uint32_t member_count;
    uint32_t heard_ms; /* age of what members know of each other */
    int32_t version;
    int32_t write_code; /* 0: writes go well; else the write concern's error */
    int64_t writes;     /* of everybody, as serverStatus counts them */
    enum fake_counting counting;
    /* What was asked. */
    uint32_t hello_count, config_count, write_count, count_count, link_count;
    char written_to[MONGO_HOST_SIZE], written_id[NAME_SIZE], counted_at[MONGO_HOST_SIZE];
};

extern struct fake_set fake;

struct mongo_client *fake_client(void);
void fake_reset(void);
/* How many questions wait at members that hang. */
uint32_t fake_waiting(void);
/* ... and is given, late: that counts writes. */
void fake_count_late(void);
/* Their deadline has come. */
void fake_expire(void);

#endif
