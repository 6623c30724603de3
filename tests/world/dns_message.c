#include "dns_message.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "record_rules.h"

#define DNS_HEADER_BYTES 12
#define DNS_OPT_BYTES 11
#define DNS_FLAG_RESPONSE 0x8000
#define DNS_FLAG_AUTHORITATIVE 0x0400
#define DNS_FLAG_TRUNCATED 0x0200
#define DNS_FLAG_RECURSION_DESIRED 0x0100

/* The data of one record, in pieces; its length is known at the end. */
#define DNS_DATA_MAX_BYTES 8192

static unsigned dns_read_16(const uint8_t *bytes) {
    return ((unsigned)bytes[0] << 8) | bytes[1];
}

static void dns_put_16(uint8_t *bytes, unsigned value) {
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void dns_put_32(uint8_t *bytes, uint32_t value) {
    dns_put_16(bytes, value >> 16);
    dns_put_16(bytes + 2, value & 0xffff);
}

enum dns_query_verdict dns_query_parse(const uint8_t *bytes, size_t size_bytes,
                                       struct dns_query *ret_query) {
    struct dns_query query = {.udp_bytes = DNS_UDP_DEFAULT_BYTES};
    size_t name_bytes = 0;
    if (size_bytes < DNS_HEADER_BYTES || (dns_read_16(bytes + 2) & DNS_FLAG_RESPONSE) != 0) {
        return DNS_QUERY_IGNORE;
    }
    unsigned flags = dns_read_16(bytes + 2);
    query.id = (uint16_t)dns_read_16(bytes);
    query.opcode = (flags >> 11) & 0xf;
    query.recursion_desired = (flags & DNS_FLAG_RECURSION_DESIRED) != 0;
    *ret_query = query;
    if (dns_read_16(bytes + 4) != 1 ||
        !dns_name_from_wire(bytes + DNS_HEADER_BYTES, size_bytes - DNS_HEADER_BYTES, query.name,
                            &name_bytes) ||
        size_bytes - DNS_HEADER_BYTES - name_bytes < 4) {
        return DNS_QUERY_FORMERR;
    }
    const uint8_t *at = bytes + DNS_HEADER_BYTES + name_bytes;
    query.type = dns_read_16(at);
    query.class = dns_read_16(at + 2);
    query.question = bytes + DNS_HEADER_BYTES;
    query.question_bytes = name_bytes + 4;
    at += 4;
    /* The only thing that a client adds is OPT: root name, type, size, flags, length. */
    if (dns_read_16(bytes + 10) > 0 && size_bytes - (size_t)(at - bytes) >= DNS_OPT_BYTES &&
        at[0] == 0 && dns_read_16(at + 1) == DNS_TYPE_OPT) {
        query.edns = true;
        query.udp_bytes = dns_read_16(at + 3);
        if (query.udp_bytes < DNS_UDP_DEFAULT_BYTES) {
            query.udp_bytes = DNS_UDP_DEFAULT_BYTES;
        } else if (query.udp_bytes > DNS_UDP_MAX_BYTES) {
            query.udp_bytes = DNS_UDP_MAX_BYTES;
        }
    }
    *ret_query = query;
    return DNS_QUERY_OK;
}

void dns_writer_begin(struct dns_writer *writer, uint8_t *bytes, size_t capacity_bytes,
                      const struct dns_query *query) {
    assert(capacity_bytes >= DNS_UDP_DEFAULT_BYTES && capacity_bytes <= DNS_MESSAGE_MAX_BYTES);
    *writer = (struct dns_writer){.bytes = bytes, .capacity_bytes = capacity_bytes};
    memset(bytes, 0, DNS_HEADER_BYTES);
    if (query->question_bytes > 0) {
        memcpy(bytes + DNS_HEADER_BYTES, query->question, query->question_bytes);
    }
    writer->question_end = DNS_HEADER_BYTES + query->question_bytes;
    writer->size_bytes = writer->question_end;
}

static size_t dns_data_name(const char *text, uint8_t *data) {
    char name[DNS_NAME_SIZE];
    return dns_name_canonicalize(text, name, NULL) == ERROR_OK ? dns_name_to_wire(name, data) : 0;
}

static size_t dns_data_txt(const char *value, uint8_t data[DNS_DATA_MAX_BYTES]) {
    unsigned char bytes[RECORD_TXT_STRING_MAX];
    size_t length = 0;
    int part = 0;
    while ((part = record_rules_next_txt_string(&value, bytes)) >= 0) {
        if (length + 1 + (size_t)part > DNS_DATA_MAX_BYTES) {
            return 0;
        }
        data[length++] = (uint8_t)part;
        memcpy(data + length, bytes, (size_t)part);
        length += (size_t)part;
    }
    return length;
}

/* The next word of a value; false when there is none, or it doesn't fit. */
static bool dns_take_word(const char **cursor, char to[DNS_NAME_SIZE]) {
    const char *at = *cursor + strspn(*cursor, " \t");
    size_t length = strcspn(at, " \t");
    if (length == 0 || length >= DNS_NAME_SIZE) {
        return false;
    }
    memcpy(to, at, length);
    to[length] = '\0';
    *cursor = at + length;
    return true;
}

static size_t dns_take_name(const char **cursor, uint8_t *data) {
    char word[DNS_NAME_SIZE];
    return dns_take_word(cursor, word) ? dns_data_name(word, data) : 0;
}

static bool dns_take_number(const char **cursor, uint64_t high, uint64_t *ret_number) {
    char word[DNS_NAME_SIZE];
    return dns_take_word(cursor, word) && text_to_u64(word, 0, high, ret_number);
}

/* "server. mailbox. serial refresh retry expire minimum" */
static size_t dns_data_soa(const char *value, uint8_t *data) {
    size_t server_bytes = dns_take_name(&value, data);
    size_t mailbox_bytes = server_bytes > 0 ? dns_take_name(&value, data + server_bytes) : 0;
    if (mailbox_bytes == 0) {
        return 0;
    }
    size_t length = server_bytes + mailbox_bytes;
    for (size_t i = 0; i < 5; i++, length += 4) {
        uint64_t number = 0;
        if (!dns_take_number(&value, UINT32_MAX, &number)) {
            return 0;
        }
        dns_put_32(data + length, (uint32_t)number);
    }
    return length;
}

/* "10 mail.example.com" */
static size_t dns_data_mx(const char *value, uint8_t *data) {
    uint64_t preference = 0;
    if (!dns_take_number(&value, UINT16_MAX, &preference)) {
        return 0;
    }
    dns_put_16(data, (unsigned)preference);
    size_t name_bytes = dns_take_name(&value, data + 2);
    return name_bytes > 0 ? name_bytes + 2 : 0;
}

static size_t dns_data(enum record_type type, const char *value, uint8_t data[DNS_DATA_MAX_BYTES]) {
    switch (type) {
    case RECORD_A:
        return inet_pton(AF_INET, value, data) == 1 ? 4 : 0;
    case RECORD_AAAA:
        return inet_pton(AF_INET6, value, data) == 1 ? 16 : 0;
    case RECORD_CNAME:
    case RECORD_NS:
    case RECORD_PTR:
        return dns_data_name(value, data);
    case RECORD_TXT:
    case RECORD_SPF:
        return dns_data_txt(value, data);
    case RECORD_SOA:
        return dns_data_soa(value, data);
    case RECORD_MX:
        return dns_data_mx(value, data);
    default:
        return 0;
    }
}

bool dns_writer_add(struct dns_writer *writer, enum dns_section section, const char *name,
                    enum record_type type, uint32_t ttl_s, const char *value) {
    uint8_t owner[DNS_WIRE_MAX];
    uint8_t data[DNS_DATA_MAX_BYTES];
    size_t data_bytes = dns_data(type, value, data);
    if (data_bytes == 0) {
        return false;
    }
    size_t owner_bytes = dns_name_to_wire(name, owner);
    /* Room is kept for the OPT record. */
    size_t needed = owner_bytes + 10 + data_bytes + DNS_OPT_BYTES;
    if (writer->truncated || writer->capacity_bytes - writer->size_bytes < needed) {
        writer->truncated = true;
        return true;
    }
    uint8_t *at = writer->bytes + writer->size_bytes;
    memcpy(at, owner, owner_bytes);
    at += owner_bytes;
    dns_put_16(at, record_type_number(type));
    dns_put_16(at + 2, DNS_CLASS_IN);
    dns_put_32(at + 4, ttl_s);
    dns_put_16(at + 8, (unsigned)data_bytes);
    memcpy(at + 10, data, data_bytes);
    writer->size_bytes += needed - DNS_OPT_BYTES;
    writer->counts[section]++;
    return true;
}

size_t dns_writer_end(struct dns_writer *writer, const struct dns_query *query, enum dns_code code,
                      bool authoritative) {
    unsigned flags = DNS_FLAG_RESPONSE | (query->opcode << 11) | (unsigned)code;
    uint8_t *header = writer->bytes;
    if (writer->truncated) {
        /* Nothing rather than a part: the client asks again by TCP. */
        flags |= DNS_FLAG_TRUNCATED;
        writer->size_bytes = writer->question_end;
        writer->counts[DNS_ANSWER] = 0;
        writer->counts[DNS_AUTHORITY] = 0;
    }
    flags |= authoritative ? DNS_FLAG_AUTHORITATIVE : 0;
    flags |= query->recursion_desired ? DNS_FLAG_RECURSION_DESIRED : 0;
    dns_put_16(header, query->id);
    dns_put_16(header + 2, flags);
    dns_put_16(header + 4, query->question_bytes > 0 ? 1 : 0);
    dns_put_16(header + 6, writer->counts[DNS_ANSWER]);
    dns_put_16(header + 8, writer->counts[DNS_AUTHORITY]);
    dns_put_16(header + 10, query->edns ? 1 : 0);
    if (query->edns) {
        uint8_t *opt = writer->bytes + writer->size_bytes;
        memset(opt, 0, DNS_OPT_BYTES);
        dns_put_16(opt + 1, DNS_TYPE_OPT);
        dns_put_16(opt + 3, DNS_UDP_MAX_BYTES);
        writer->size_bytes += DNS_OPT_BYTES;
    }
    return writer->size_bytes;
}
