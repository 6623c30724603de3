#include "spec_reader.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char *const here_variables[] = {"region", "service"};
static const char *const other_variables[] = {"from", "to", "epoch", "eid"};

bool reader_may_serve(const struct service_reader *s, uint32_t region) {
    if (s->places->has_home && region == s->service->home) {
        return true;
    }
    for (uint32_t i = 0; i < s->service->target_count; i++) {
        if (s->service->targets[i] == region) {
            return true;
        }
    }
    return false;
}

uint32_t reader_find_region(const struct spec_reader *reader, const struct yaml_node *node,
                            const char *text, const char *what) {
    const struct spec *spec = reader->spec;
    uint32_t region = spec_find_region(spec, text);
    if (region != NONE_INDEX) {
        return region;
    }
    const char *names[REGION_MAX];
    for (uint32_t i = 0; i < spec->region_count; i++) {
        names[i] = spec->regions[i].name;
    }
    const char *near = value_nearest_word(text, names, spec->region_count);
    if (near != NULL) {
        find_error(reader->findings, node, "%s: there is no region '%.64s'; did you mean '%s'?",
                   what, text, near);
    } else {
        find_error(reader->findings, node,
                   "%s: there is no region '%.64s'; the regions stand at the top, in `regions`",
                   what, text);
    }
    return NONE_INDEX;
}

void reader_by_region(const struct service_reader *s, const struct yaml_node *mapping,
                      const char *what,
                      void (*on_region)(void *context, uint32_t region,
                                        const struct yaml_node *value),
                      void *context) {
    const struct spec *spec = s->reader->spec;
    bool seen[REGION_MAX] = {false};
    bool misspelt = false; /* then the missing one has been told in other words */
    for (const struct yaml_node *node = mapping->first; node != NULL; node = node->next) {
        uint32_t region = reader_find_region(s->reader, node->key, node->key->text, what);
        if (region == NONE_INDEX) {
            misspelt = true;
            continue;
        }
        seen[region] = true;
        if (reader_may_serve(s, region)) {
            on_region(context, region, node);
        } else if (s->places->has_home) {
            find_error_at_key(s->reader->findings, node,
                              "%s: %s is neither home nor a target of this service", what,
                              node->key->text);
        }
    }
    for (uint32_t region = 0; region < spec->region_count; region++) {
        if (reader_may_serve(s, region) && !seen[region] && !misspelt) {
            find_error_at_key(s->reader->findings, mapping, "%s: nothing for %s, %s", what,
                              spec->regions[region].name,
                              region == s->service->home ? "the home of this service"
                                                         : "to which this service may move");
        }
    }
}

const char *reader_text(const struct spec_reader *reader, const struct yaml_node *node,
                        const char *what) {
    if (node->kind != YAML_SCALAR) {
        find_error(reader->findings, node, "%s: a single value is wanted here, not a %s", what,
                   node->kind == YAML_MAPPING ? "mapping" : "list");
        return NULL;
    }
    if (yaml_is_null(node) || node->text[0] == '\0') {
        find_error_at_key(reader->findings, node, "%s has no value", what);
        return NULL;
    }
    return node->text;
}

bool reader_is_mapping(const struct spec_reader *reader, const struct yaml_node *node,
                       const char *what) {
    if (node->kind != YAML_MAPPING) {
        find_error(reader->findings, node, "%s: keys and values are wanted here", what);
    }
    return node->kind == YAML_MAPPING;
}

/* The next variable from `text` on: its name's begin and length; NULL: none. */
static const char *next_variable(const char *text, size_t *ret_length) {
    for (const char *at = strchr(text, '$'); at != NULL; at = strchr(at + 1, '$')) {
        size_t length = strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        if (length > 0) {
            *ret_length = length;
            return at + 1;
        }
    }
    return NULL;
}

static bool is_word(const char *name, size_t length, const char *word) {
    return strlen(word) == length && strncmp(name, word, length) == 0;
}

bool reader_check_variables(const struct spec_reader *reader, const struct yaml_node *node,
                            const char *text, const char *what) {
    size_t length;
    for (const char *name = next_variable(text, &length); name != NULL;
         name = next_variable(name + length, &length)) {
        bool here = false;
        bool elsewhere = false;
        for (size_t i = 0; i < ARRAY_LENGTH(here_variables); i++) {
            here = here || is_word(name, length, here_variables[i]);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(other_variables); i++) {
            elsewhere = elsewhere || is_word(name, length, other_variables[i]);
        }
        if (!here) {
            find_error(reader->findings, node,
                       elsewhere ? "%s: $%.*s means nothing here; there are $region and $service"
                                 : "%s: $%.*s is no variable; there are $region and $service",
                       what, (int)(length > 64 ? 64 : length), name);
            return false;
        }
    }
    return true;
}

bool reader_is_plain(const struct spec_reader *reader, const struct yaml_node *node,
                     const char *text, const char *what) {
    size_t length;
    const char *name = next_variable(text, &length);
    if (name != NULL) {
        find_error(reader->findings, node, "%s: no variables are known here ($%.*s)", what,
                   (int)(length > 64 ? 64 : length), name);
    }
    return name == NULL;
}

bool reader_expand(const char *text, const char *region, const char *service, char *to,
                   size_t to_size) {
    size_t used = 0;
    for (const char *at = text; *at != '\0';) {
        const char *piece = at;
        size_t size = 1;
        size_t consumed = 1;
        size_t length = 0;
        const char *name = *at == '$' ? next_variable(at, &length) : NULL;
        if (name == at + 1) {
            piece = is_word(name, length, "region") ? region : service;
            size = strlen(piece);
            consumed = 1 + length;
        }
        if (used + size >= to_size) {
            return false;
        }
        memcpy(to + used, piece, size);
        used += size;
        at += consumed;
    }
    to[used] = '\0';
    return true;
}

#define DNS_NAME_MAX 253 /* RFC 1035, without the last dot */

static char lower_case(char c) {
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

static bool is_dns_name(const char *name) {
    size_t label = 0;
    size_t dots = 0;
    for (const char *at = name; *at != '\0'; at++) {
        bool inside =
            (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
        if (*at == '.') {
            if (label == 0 || at[-1] == '-') {
                return false;
            }
            label = 0;
            dots++;
        } else if (!inside || ++label > 63 || (label == 1 && *at == '-')) {
            return false;
        }
    }
    return label > 0 && dots > 0 && strlen(name) <= DNS_NAME_MAX;
}

bool reader_dns_name(const struct spec_reader *reader, const struct yaml_node *node,
                     const char *text, char to[DNS_NAME_SIZE], const char *what) {
    char name[DNS_NAME_SIZE];
    size_t length = strlen(text);
    if (length > 1 && text[length - 1] == '.') {
        length--;
    }
    bool fits = length < sizeof name;
    for (size_t i = 0; fits && i < length; i++) {
        name[i] = lower_case(text[i]);
    }
    name[fits ? length : 0] = '\0';
    if (!is_dns_name(name)) {
        find_error(reader->findings, node, "%s: '%.100s' is no DNS name", what, text);
        return false;
    }
    memset(to, 0, DNS_NAME_SIZE);
    memcpy(to, name, length);
    return true;
}

bool reader_record_name(const struct spec_reader *reader, const struct yaml_node *node,
                        const char *text, char to[DNS_NAME_SIZE], const char *what) {
    static const char escaped[] = "\\052."; /* as Route 53 lists it */
    size_t star = text_starts_with(text, "*.")      ? 2
                  : text_starts_with(text, escaped) ? sizeof escaped - 1
                                                    : 0;
    char rest[DNS_NAME_SIZE];
    if (star == 0) {
        return reader_dns_name(reader, node, text, to, what);
    }
    if (!reader_dns_name(reader, node, text + star, rest, what)) {
        return false;
    }
    if (strlen(rest) + 2 > DNS_NAME_MAX) {
        find_error(reader->findings, node, "%s: '%.100s' is no DNS name", what, text);
        return false;
    }
    memset(to, 0, DNS_NAME_SIZE);
    (void)snprintf(to, DNS_NAME_SIZE, "*.%.*s", DNS_NAME_MAX - 2, rest);
    return true;
}

const char *reader_wildcard_parent(const char *name) {
    return text_starts_with(name, "*.") ? name + 2 : NULL;
}

/* host, host:port, [v6], [v6]:port. */
static const char *parse_authority(const char *text, size_t length, struct url *ret) {
    char authority[URL_SIZE];
    if (length == 0) {
        return "has no host";
    }
    if (length >= sizeof authority) {
        return "is too long";
    }
    memcpy(authority, text, length);
    authority[length] = '\0';
    if (strchr(authority, '@') != NULL) {
        return "must not carry a user or password";
    }
    struct config_address address;
    const char *bracket = strrchr(authority, ']');
    const char *colon = strrchr(authority, ':');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    char with_port[URL_SIZE + 8];
    (void)snprintf(with_port, sizeof with_port, "%s%s", authority, has_port ? "" : ":1");
    if (!value_parse_address(with_port, &address)) {
        return "has no valid host and port";
    }
    ret->port = has_port ? address.port : 0;
    for (size_t i = 0; i < sizeof ret->host; i++) {
        ret->host[i] = lower_case(address.host[i]);
    }
    return NULL;
}

const char *url_parse(const char *text, struct url *ret) {
    memset(ret, 0, sizeof *ret);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return "has a character that a URL can't have; write it as %20 and the like";
        }
    }
    const char *mark = strstr(text, "://");
    if (mark == NULL || mark == text || (size_t)(mark - text) >= sizeof ret->scheme) {
        return "needs a scheme: http://, https:// or tcp://";
    }
    memcpy(ret->scheme, text, (size_t)(mark - text));
    const char *authority = mark + 3;
    size_t length = strcspn(authority, "/?#");
    ret->has_path = authority[length] != '\0';
    return parse_authority(authority, length, ret);
}
