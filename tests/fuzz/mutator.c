/* How libFuzzer changes inputs that are protobuf messages (only in build/fuzz): as messages, by
 * their descriptors. Changed as bytes nearly none would get further than the decoder, which takes
 * only canonical encodings: a length byte that doesn't match, a default that is written out.
 *
 * FUZZ_MESSAGE is the descriptor's name, FUZZ_MODE_BYTES how many bytes stand before the message.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "noctua.pb-c.h"

#define MESSAGE_MAX 1024 /* of one input, those that may be chosen */
#define TEXT_MAX 1024    /* as long as a text may become here */
#define ONE_IN(n) (random_below(n) == 0)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % limit);
}

/* --- where to change something --- */

struct choice {
    ProtobufCMessage *messages[MESSAGE_MAX];
    uint32_t count;
};

static void *member(const ProtobufCMessage *message, unsigned offset) {
    return (char *)(uintptr_t)message + offset;
}

static bool is_oneof(const ProtobufCFieldDescriptor *field) {
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    return !is_oneof(field) || *(uint32_t *)member(message, field->quantifier_offset) == field->id;
}

static void collect(ProtobufCMessage *message, struct choice *choice) {
    if (choice->count == MESSAGE_MAX) {
        return;
    }
    choice->messages[choice->count++] = message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || !is_set(message, field)) {
            continue;
        }
        void *at = member(message, field->offset);
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(size_t *)member(message, field->quantifier_offset);
            for (size_t j = 0; j < count; j++) {
                collect((*(ProtobufCMessage ***)at)[j], choice);
            }
        } else if (*(ProtobufCMessage **)at != NULL) {
            collect(*(ProtobufCMessage **)at, choice);
        }
    }
}

/* --- values --- */

static uint64_t change_number(uint64_t value) {
    static const uint64_t interesting[] = {
        0,         1, 2, 3, 63, 64, 255, 4096, UINT32_MAX, UINT64_C(1) << 53, UINT64_C(1) << 56,
        UINT64_MAX};
    switch (random_below(4)) {
    case 0:
        return value + 1;
    case 1:
        return value - 1;
    case 2:
        return interesting[random_below(ARRAY_LENGTH(interesting))];
    default:
        (void)LLVMFuzzerMutate((uint8_t *)&value, sizeof value, sizeof value);
        return value;
    }
}

/* Names that mean something to the group of midlife.c. */
static const char *const names[] = {"nocturnal", "us-east-1", "us-west-2", "eu-west-1",
                                    "n1",        "n2",        "n3",        "platform",
                                    "alice",     "noctua",    "dns",       "e1:27017",
                                    "e2:27017",  "w1:27017",  "w2:27017",  "x1:27017"};

static char *change_text(const char *text) {
    char *changed = calloc(1, TEXT_MAX);
    assert(changed != NULL);
    if (ONE_IN(3)) {
        (void)snprintf(changed, TEXT_MAX, "%s", names[random_below(ARRAY_LENGTH(names))]);
        return changed;
    }
    size_t length = strnlen(text == NULL ? "" : text, TEXT_MAX - 1);
    if (length > 0) {
        memcpy(changed, text, length);
    }
    length = LLVMFuzzerMutate((uint8_t *)changed, length, TEXT_MAX - 1);
    changed[length] = '\0';
    return changed;
}

static void change_bytes(ProtobufCBinaryData *bytes) {
    uint8_t *changed = calloc(1, TEXT_MAX);
    assert(changed != NULL);
    size_t length = bytes->len < TEXT_MAX ? bytes->len : TEXT_MAX;
    if (length > 0) {
        memcpy(changed, bytes->data, length);
    }
    bytes->len = LLVMFuzzerMutate(changed, length, TEXT_MAX);
    free(bytes->data);
    bytes->data = changed;
}

static ProtobufCMessage *new_message(const ProtobufCFieldDescriptor *field) {
    const ProtobufCMessageDescriptor *descriptor = field->descriptor;
    ProtobufCMessage *message = malloc(descriptor->sizeof_message);
    assert(message != NULL);
    descriptor->message_init(message);
    return message;
}

static void change_message(ProtobufCMessage **at, const ProtobufCFieldDescriptor *field) {
    if (*at == NULL) {
        *at = new_message(field);
    } else if (ONE_IN(4)) {
        protobuf_c_message_free_unpacked(*at, NULL);
        *at = NULL;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(uint32_t);
    }
}

static void change_value(void *at, const ProtobufCFieldDescriptor *field) {
    uint64_t number = 0;
    char *text;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        text = change_text(*(char **)at);
        if (*(char **)at != field->default_value) {
            free(*(char **)at);
        }
        *(char **)at = text;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        change_bytes(at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        change_message(at, field);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = !*(protobuf_c_boolean *)at;
        break;
    default:
        memcpy(&number, at, size_of(field)); /* little-endian, as all machines this runs on */
        number = change_number(number);
        memcpy(at, &number, size_of(field));
        break;
    }
}

/* --- fields --- */

static void free_value(void *at, const ProtobufCFieldDescriptor *field) {
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(void **)at != NULL) {
        protobuf_c_message_free_unpacked(*(ProtobufCMessage **)at, NULL);
    } else if (field->type == PROTOBUF_C_TYPE_STRING && *(char **)at != field->default_value) {
        free(*(char **)at);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        free(((ProtobufCBinaryData *)at)->data);
    }
}

/* An element like another one, or an empty one (`from` NULL). */
static void make_element(void *to, const void *from, const ProtobufCFieldDescriptor *field) {
    memset(to, 0, size_of(field));
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && from != NULL) {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)from;
        size_t size = protobuf_c_message_get_packed_size(message);
        uint8_t *packed = malloc(size + 1);
        assert(packed != NULL);
        (void)protobuf_c_message_pack(message, packed);
        *(ProtobufCMessage **)to =
            protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
        free(packed);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(void **)to == NULL) {
        *(ProtobufCMessage **)to = new_message(field);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        *(char **)to = strdup(from == NULL ? "" : *(char *const *)from);
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_BYTES &&
               from != NULL) {
        memcpy(to, from, size_of(field));
    }
}

static void change_repeated(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    size_t *count = member(message, field->quantifier_offset);
    char **array = member(message, field->offset);
    size_t size = size_of(field);
    uint32_t at = *count == 0 ? 0 : random_below((uint32_t)*count);
    uint32_t what = random_below(4);
    if (*count == 0 || what == 0) { /* one more */
        char *grown = realloc(*array, (*count + 1) * size);
        assert(grown != NULL);
        *array = grown;
        make_element(grown + *count * size, *count == 0 ? NULL : grown + at * size, field);
        *count += 1;
    } else if (what == 1) { /* one less */
        free_value(*array + at * size, field);
        memmove(*array + at * size, *array + (at + 1) * size, (*count - at - 1) * size);
        *count -= 1;
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        change_value(*array + at * size, field);
    }
}

static void change_oneof(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    uint32_t *id = member(message, field->quantifier_offset);
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &message->descriptor->fields[i];
        if (is_oneof(other) && other->quantifier_offset == field->quantifier_offset &&
            other->id == *id) {
            free_value(member(message, other->offset), other);
        }
    }
    make_element(member(message, field->offset), NULL, field);
    *id = field->id;
}

static void change_field(ProtobufCMessage *message) {
    if (message->descriptor->n_fields == 0) {
        return;
    }
    const ProtobufCFieldDescriptor *field =
        &message->descriptor->fields[random_below(message->descriptor->n_fields)];
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        change_repeated(message, field);
    } else if (!is_oneof(field)) {
        change_value(member(message, field->offset), field);
    } else if (!is_set(message, field) && ONE_IN(8)) {
        change_oneof(message, field);
    }
}

/* Fields that the .proto doesn't have are for the bytes' way. */
static size_t change(ProtobufCMessage *message, uint8_t *data, size_t size, size_t max_size) {
    static struct choice choice;
    for (uint32_t n = 1 + random_below(3); n > 0; n--) {
        choice.count = 0;
        collect(message, &choice);
        change_field(choice.messages[random_below(choice.count)]);
    }
    size_t packed = protobuf_c_message_get_packed_size(message);
    if (packed > max_size) {
        return size;
    }
    return protobuf_c_message_pack(message, data);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    random_state = seed;
    if (size <= FUZZ_MODE_BYTES || ONE_IN(16)) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(
        &FUZZ_MESSAGE, NULL, size - FUZZ_MODE_BYTES, data + FUZZ_MODE_BYTES);
    if (message == NULL) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    if (FUZZ_MODE_BYTES > 0 && ONE_IN(8)) {
        data[random_below(FUZZ_MODE_BYTES)] = (uint8_t)random_below(256);
    }
    size =
        change(message, data + FUZZ_MODE_BYTES, size - FUZZ_MODE_BYTES, max_size - FUZZ_MODE_BYTES);
    protobuf_c_message_free_unpacked(message, NULL);
    return size + FUZZ_MODE_BYTES;
}
