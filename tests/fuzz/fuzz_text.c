/* Texts that stand alone: durations, sizes, numbers, addresses, references to secrets, URLs, names
 * in certificates and zones, times. A first byte says which. What is taken, written in its one
 * form and read again, is the same. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_text.h"
#include "base/buffer.h"
#include "base/text.h"
#include "codec/command_codec.h"
#include "codec/config.h"
#include "fuzz.h"
#include "net/tls.h"
#include "route53_record.h"
#include "spec_reader.h"
#include "value_table.h"

static void run_duration(const char *text) {
    uint64_t ms, again;
    char written[TEXT_DURATION_SIZE];
    fuzz_taint(&ms, sizeof ms);
    if (text_to_duration_ms(text, &ms)) {
        assert(text_to_duration_ms(text_from_duration_ms(ms, written), &again) && again == ms);
    } else {
        assert(fuzz_is_tainted(&ms, sizeof ms));
    }
}

static void run_number(const char *text) {
    uint64_t value, again;
    char written[24];
    fuzz_taint(&value, sizeof value);
    if (text_to_u64(text, 3, UINT64_MAX - 1, &value)) {
        assert(value >= 3 && value < UINT64_MAX);
        (void)snprintf(written, sizeof written, "%" PRIu64, value);
        assert(text_to_u64(written, value, value, &again) && again == value);
    } else {
        assert(fuzz_is_tainted(&value, sizeof value));
    }
    fuzz_taint(&value, sizeof value);
    assert(text_to_size_bytes(text, &value) || fuzz_is_tainted(&value, sizeof value));
}

static void run_address(const char *text) {
    struct config_address address, again;
    char written[CONFIG_HOST_SIZE + 16];
    fuzz_taint(&address, sizeof address);
    if (!value_parse_address(text, &address)) {
        assert(fuzz_is_tainted(&address, sizeof address));
        return;
    }
    bool v6 = strchr(address.host, ':') != NULL;
    (void)snprintf(written, sizeof written, "%s%s%s:%u", v6 ? "[" : "", address.host, v6 ? "]" : "",
                   address.port);
    assert(value_parse_address(written, &again));
    assert(text_equal(again.host, address.host) && again.port == address.port);
}

static void run_secret(const char *text) {
    struct secret_reference reference, again;
    struct error error;
    char written[SECRET_NAME_SIZE + 8];
    fuzz_taint(&reference, sizeof reference);
    if (secret_reference_parse(text, &reference, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&reference, sizeof reference));
        return;
    }
    (void)snprintf(written, sizeof written, "%s:%s", reference.kind == SECRET_FILE ? "file" : "env",
                   reference.name);
    assert(text_equal(written, text));
    assert(secret_reference_parse(written, &again, &error) == ERROR_OK);
    assert(reference.kind != SECRET_FILE || strchr(reference.name, '/') == NULL);
}

static void run_url(const char *text) {
    struct url url;
    fuzz_taint(&url, sizeof url);
    const char *wrong = url_parse(text, &url);
    if (wrong != NULL) {
        assert(strlen(wrong) > 0);
        return;
    }
    assert(memchr(url.scheme, '\0', sizeof url.scheme) != NULL && url.scheme[0] != '\0');
    assert(memchr(url.host, '\0', sizeof url.host) != NULL && url.host[0] != '\0');
}

static void run_certificate_name(const char *text) {
    struct tls_peer peer, again;
    struct error error;
    struct buffer written;
    fuzz_taint(&peer, sizeof peer);
    if (tls_peer_parse_uri(text, &peer, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&peer, sizeof peer));
        return;
    }
    buffer_init(&written, 0);
    buffer_append_format(&written, "noctua://%s/%s/%s", peer.cluster,
                         peer.kind == TLS_KIND_NODE ? "node" : "user", peer.name);
    if (peer.kind == TLS_KIND_USER) {
        buffer_append_format(&written, "?role=%s", tls_role_text(peer.role));
    }
    for (const char *at = peer.owners; *at != '\0';) {
        int length = (int)strcspn(at, ",");
        buffer_append_format(&written, "&owner=%.*s", length, at);
        at += length + (at[length] == ',' ? 1 : 0);
    }
    assert(text_equal(written.data, text));
    assert(tls_peer_parse_uri(written.data, &again, &error) == ERROR_OK);
    buffer_finish(&written);
}

static void run_dns_name(const char *text) {
    char once[ROUTE53_NAME_SIZE], twice[ROUTE53_NAME_SIZE];
    struct error error;
    fuzz_taint(once, sizeof once);
    if (route53_name_canonicalize(text, once, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(once, sizeof once));
        return;
    }
    assert(route53_name_canonicalize(once, twice, &error) == ERROR_OK);
    assert(text_equal(once, twice));
}

static void run_time(const char *text) {
    uint64_t ms;
    fuzz_taint(&ms, sizeof ms);
    assert(aws_parse_time(text, &ms) || fuzz_is_tainted(&ms, sizeof ms));
    (void)aws_is_id(text, 32);
    (void)aws_is_region(text);
}

static void run_utf8(const char *text) {
    size_t length = strlen(text), at = 0;
    while (at < length) {
        size_t step = text_utf8_length(text + at, length - at);
        if (step == 0) {
            break;
        }
        at += step;
    }
    assert((at == length) == text_is_utf8(text, length));
    char *cleaned = fuzz_text((const uint8_t *)text, length);
    codec_clean_text(cleaned);
    assert(strlen(cleaned) <= length && text_is_utf8(cleaned, strlen(cleaned)));
    assert(at < length || text_equal(cleaned, text));
    free(cleaned);
    if (at == length) { /* cut anywhere, only the half character goes */
        char *cut = fuzz_text((const uint8_t *)text, length - length / 3);
        aws_cut_utf8(cut);
        assert(text_is_utf8(cut, strlen(cut)) && strlen(cut) + 3 >= length - length / 3);
        free(cut);
    }
}

static void run_hex(const char *text) {
    uint8_t bytes[16];
    char written[2 * sizeof bytes + 1];
    fuzz_taint(bytes, sizeof bytes);
    if (!text_from_hex(text, bytes, sizeof bytes)) {
        assert(fuzz_is_tainted(bytes, sizeof bytes));
        return;
    }
    text_to_hex(bytes, sizeof bytes, written);
    assert(strncmp(written, text, strlen(written)) == 0);
}

static void run_distance(const char *text) {
    const char *other = strchr(text, ' ');
    if (other != NULL) {
        assert(text_distance(text, other) == text_distance(other, text));
    }
    assert(text_distance(text, text) == 0 || strlen(text) > 63);
}

static void run_encoded(const char *text) {
    struct buffer encoded;
    buffer_init(&encoded, 0);
    assert(aws_append_encoded(&encoded, text));
    assert(encoded.size_bytes <= 3 * strlen(text));
    buffer_finish(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const runs[])(const char *text) = {
        run_duration, run_number, run_address, run_secret, run_url,      run_certificate_name,
        run_dns_name, run_time,   run_utf8,    run_hex,    run_distance, run_encoded,
    };
    uint8_t mode = fuzz_take(&data, &size);
    char *text = fuzz_text(data, size);
    runs[mode % ARRAY_LENGTH(runs)](text);
    free(text);
    return 0;
}
