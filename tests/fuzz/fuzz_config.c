/* The node's own file. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "codec/config.h"
#include "fuzz.h"

static void check_address(const struct config_address *address) {
    assert(memchr(address->host, '\0', sizeof address->host) != NULL);
    assert((address->port == 0) == (address->host[0] == '\0'));
}

static void check_config(const struct node_config *config) {
    assert(text_is_name(config->cluster, NAME_SIZE - 1));
    assert(text_is_name(config->node, NAME_SIZE - 1));
    assert(text_is_name(config->region, NAME_SIZE - 1));
    assert(config->peer_count >= 1 && config->peer_count <= NODE_MAX);
    assert(config->self < config->peer_count);
    assert(text_equal(config->peers[config->self].name, config->node));
    for (uint32_t i = 0; i < config->peer_count; i++) {
        assert(text_is_name(config->peers[i].name, NAME_SIZE - 1));
        assert(config->peers[i].address.port != 0);
        check_address(&config->peers[i].address);
        assert(i == 0 || strcmp(config->peers[i - 1].name, config->peers[i].name) < 0);
    }
    assert(config->control_count <= CONFIG_CONTROL_MAX);
    for (uint32_t i = 0; i < config->control_count; i++) {
        check_address(&config->control[i]);
    }
    assert(config->data[0] == '/' && config->tls[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    data = size == 0 ? NULL : data; /* as an empty protobuf field is */
    static struct spec_findings findings;
    static struct node_config config, again;
    struct buffer text;
    const char *key = NULL;
    fuzz_taint(&config, sizeof config);
    enum error_code code = config_parse((const char *)data, size, "f.yaml", &config, &findings);
    assert((code == ERROR_OK) == (findings.error_count == 0));
    if (code == ERROR_OK) {
        check_config(&config);
        memset(&again, 0, sizeof again);
        assert(config_parse((const char *)data, size, "f.yaml", &again, &findings) == ERROR_OK);
        assert(config_can_reload(&config, &again, &key)); /* no difference to itself */
    } else {
        assert(fuzz_is_tainted(&config, sizeof config));
    }
    buffer_init(&text, 0);
    findings_format(&findings, &text);
    assert(text.size_bytes == 0 || text_is_utf8(text.data, text.size_bytes));
    buffer_finish(&text);
    return 0;
}
