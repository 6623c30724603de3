/* DNS answers, and what malformed packets do (nothing). */
#include <stdio.h>
#include <string.h>

#include "world_kit.h"

#include "dns_answer.h"

#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_SOA 6
#define TYPE_TXT 16
#define TYPE_AAAA 28

static uint8_t answer[DNS_MESSAGE_MAX_BYTES];

struct world_of_dns {
    struct hosted_zones zones;
    struct dns_view view;
};

static int setup(void **state) {
    struct world_of_dns *dns = test_calloc(1, sizeof(*dns));
    struct hosted_zone *zone = kit_zone(&dns->zones, 100);
    dns->view.zones = &dns->zones;
    dns->view.regions[0] = "us-east-1";
    dns->view.regions[1] = "us-west-2";
    dns->view.region_count = 2;
    assert_int_equal(dns_view_add_alias(&dns->view, "lb.example.test=192.0.2.9", NULL), ERROR_OK);
    kit_change(zone, CHANGE_CREATE, kit_set("www." KIT_ZONE, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("c." KIT_ZONE, RECORD_CNAME, "www." KIT_ZONE), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("loop." KIT_ZONE, RECORD_CNAME, "loop." KIT_ZONE),
               NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("t." KIT_ZONE, RECORD_TXT, "\"a\\\"b\" \"c\""), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("*.wild." KIT_ZONE, RECORD_A, "192.0.2.2"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("x.y." KIT_ZONE, RECORD_A, "192.0.2.3"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_weighted("w." KIT_ZONE, "a", 0, "192.0.2.4"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_weighted("w." KIT_ZONE, "b", 7, "192.0.2.5"), NULL);
    kit_change(zone, CHANGE_CREATE,
               kit_alias(KIT_ZONE, "dualstack.web-2.us-west-2.elb.amazonaws.com"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_alias("n." KIT_ZONE, "dualstack.lb.example.test"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_alias("i." KIT_ZONE, "www." KIT_ZONE), NULL);
    kit_change(zone, CHANGE_CREATE, kit_alias("o." KIT_ZONE, "elsewhere.test"), NULL);
    *state = dns;
    return 0;
}

static int teardown(void **state) {
    struct world_of_dns *dns = *state;
    hosted_zones_finish(&dns->zones);
    test_free(dns);
    return 0;
}

static size_t make_query(uint8_t *query, const char *name, unsigned type) {
    char canonical[DNS_NAME_SIZE];
    static const uint8_t header[12] = {0x12, 0x34, 0x01, 0, 0, 1};
    memcpy(query, header, sizeof(header));
    assert_int_equal(dns_name_canonicalize(name, canonical, NULL), ERROR_OK);
    size_t size = sizeof(header) + dns_name_to_wire(canonical, query + sizeof(header));
    query[size++] = 0;
    query[size++] = (uint8_t)type;
    query[size++] = 0;
    query[size++] = DNS_CLASS_IN;
    return size;
}

static size_t ask(void **state, const char *name, unsigned type) {
    const struct world_of_dns *dns = *state;
    uint8_t query[512];
    size_t size = make_query(query, name, type);
    size_t answered = dns_answer(&dns->view, query, size, false, answer);
    assert_true(answered >= size);
    assert_memory_equal(answer, "\x12\x34", 2);
    assert_memory_equal(answer + 12, query + 12, size - 12);
    return answered;
}

static unsigned code(void) {
    return answer[3] & 0xf;
}

static unsigned count(unsigned section) {
    return answer[6 + 2 * section] * 256U + answer[7 + 2 * section];
}

/* The last four bytes of an answer with one A record. */
static void assert_address(void **state, const char *name, unsigned a, unsigned b, unsigned c,
                           unsigned d) {
    size_t size = ask(state, name, TYPE_A);
    assert_int_equal(code(), DNS_NOERROR);
    assert_true(count(0) >= 1);
    const uint8_t expected[] = {0, 4, (uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d};
    assert_memory_equal(answer + size - 6, expected, 6);
}

static void test_addresses(void **state) {
    assert_address(state, "www.nocturnal.com", 192, 0, 2, 1);
    assert_address(state, "WWW.nocturnal.com", 192, 0, 2, 1);
    assert_address(state, "c.nocturnal.com", 192, 0, 2, 1);
    assert_int_equal(count(0), 2); /* CNAME and A */
    assert_address(state, "w.nocturnal.com", 192, 0, 2, 5);
    assert_address(state, "deep.below.wild.nocturnal.com", 192, 0, 2, 2);
}

static void test_aliases(void **state) {
    assert_address(state, "nocturnal.com", 127, 0, 2, 1);
    assert_address(state, "n.nocturnal.com", 192, 0, 2, 9);
    assert_address(state, "i.nocturnal.com", 192, 0, 2, 1);
    ask(state, "o.nocturnal.com", TYPE_A);
    assert_int_equal(code(), DNS_NOERROR);
    assert_int_equal(count(0), 0);
}

static void test_text(void **state) {
    static const uint8_t data[] = {0, 6, 3, 'a', '"', 'b', 1, 'c'};
    size_t size = ask(state, "t.nocturnal.com", TYPE_TXT);
    assert_int_equal(count(0), 1);
    assert_memory_equal(answer + size - sizeof(data), data, sizeof(data));
}

static void test_what_is_not_there(void **state) {
    ask(state, "no.nocturnal.com", TYPE_A);
    assert_int_equal(code(), DNS_NXDOMAIN);
    assert_int_equal(count(1), 1); /* SOA */
    ask(state, "www.nocturnal.com", TYPE_AAAA);
    assert_int_equal(code(), DNS_NOERROR);
    assert_int_equal(count(0), 0);
    ask(state, "y.nocturnal.com", TYPE_A); /* only something below it */
    assert_int_equal(code(), DNS_NOERROR);
    assert_int_equal(count(0), 0);
    ask(state, "other.com", TYPE_A);
    assert_int_equal(code(), DNS_REFUSED);
    ask(state, "loop.nocturnal.com", TYPE_A);
    assert_int_equal(code(), DNS_SERVFAIL);
}

static void test_failover_answers_the_primary(void **state) {
    struct world_of_dns *dns = *state;
    struct hosted_zone *zone = dns->zones.zones[0];
    for (int i = 0; i < 2; i++) {
        struct record_set *set =
            kit_set("f." KIT_ZONE, RECORD_A, i == 0 ? "192.0.2.11" : "192.0.2.12");
        set->fields |= RECORD_FIELD_FAILOVER | RECORD_FIELD_SET_IDENTIFIER;
        set->failover = i == 0 ? RECORD_SECONDARY : RECORD_PRIMARY;
        assert_true(TEXT_COPY(set->set_identifier, i == 0 ? "a" : "b"));
        kit_change(zone, CHANGE_CREATE, set, NULL);
    }
    assert_address(state, "f.nocturnal.com", 192, 0, 2, 12);
}

static void test_insync_only(void **state) {
    struct world_of_dns *dns = *state;
    dns->view.insync_only = true;
    ask(state, "www.nocturnal.com", TYPE_A);
    assert_int_equal(code(), DNS_NXDOMAIN);
    hosted_zone_settle(dns->zones.zones[0], 100);
    assert_address(state, "www.nocturnal.com", 192, 0, 2, 1);
}

static void test_truncation_and_edns(void **state) {
    struct world_of_dns *dns = *state;
    struct record_set *big = kit_set("big." KIT_ZONE, RECORD_A, "198.51.100.0");
    uint8_t query[512];
    for (int i = 1; i < 40; i++) {
        char address[32];
        (void)snprintf(address, sizeof(address), "198.51.100.%d", i);
        record_set_add_value(big, address);
    }
    kit_change(dns->zones.zones[0], CHANGE_CREATE, big, NULL);
    ask(state, "big.nocturnal.com", TYPE_A);
    assert_true((answer[2] & 0x02) != 0); /* TC */
    assert_int_equal(count(0), 0);

    size_t size = make_query(query, "big.nocturnal.com", TYPE_A);
    assert_true(dns_answer(&dns->view, query, size, true, answer) > DNS_UDP_DEFAULT_BYTES);
    assert_int_equal(count(0), 40);

    static const uint8_t opt[] = {0, 0, DNS_TYPE_OPT, 0xff, 0xff, 0, 0, 0, 0, 0, 0};
    memcpy(query + size, opt, sizeof(opt));
    query[11] = 1;
    size_t answered = dns_answer(&dns->view, query, size + sizeof(opt), false, answer);
    assert_true(answered <= DNS_UDP_MAX_BYTES);
    assert_int_equal(count(2), 1);
}

static void test_malformed_packets(void **state) {
    const struct world_of_dns *dns = *state;
    uint8_t query[600];
    size_t size = make_query(query, "www.nocturnal.com", TYPE_A);
    for (size_t cut = 0; cut < size; cut++) {
        size_t answered = dns_answer(&dns->view, query, cut, false, answer);
        assert_int_equal(answered, cut < 12 ? 0 : 12);
        if (answered > 0) {
            assert_int_equal(code(), DNS_FORMERR);
        }
    }
    /* Every value of every byte. */
    for (size_t at = 0; at < size; at++) {
        const uint8_t kept = query[at];
        for (unsigned value = 0; value < 256; value++) {
            query[at] = (uint8_t)value;
            (void)dns_answer(&dns->view, query, size, (value & 1) != 0, answer);
        }
        query[at] = kept;
    }
    query[2] |= 0x80; /* an answer is never answered */
    assert_int_equal(dns_answer(&dns->view, query, size, false, answer), 0);
    query[2] = 0x28; /* opcode 5 */
    assert_int_equal(dns_answer(&dns->view, query, size, false, answer), size);
    assert_int_equal(code(), DNS_NOTIMP);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_addresses),
        TEST(test_aliases),
        TEST(test_text),
        TEST(test_what_is_not_there),
        TEST(test_failover_answers_the_primary),
        TEST(test_insync_only),
        TEST(test_truncation_and_edns),
        TEST(test_malformed_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
