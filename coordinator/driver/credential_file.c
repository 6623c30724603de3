/* The shared files of the AWS tools: ~/.aws/credentials and ~/.aws/config. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "credential.h"

static const struct {
    const char *key;
    size_t offset, size;
    bool cut; /* only its presence matters */
} key_table[] = {
#define KEY(name, member, may_cut)                                                                 \
    {                                                                                              \
        name, offsetof(struct aws_profile, member), sizeof(((struct aws_profile *)0)->member),     \
            may_cut                                                                                \
    }
    KEY("aws_access_key_id", keys.access_key_id, false),
    KEY("aws_secret_access_key", keys.secret_access_key, false),
    KEY("aws_session_token", keys.session_token, false),
    KEY("role_arn", role_arn, false),
    KEY("source_profile", source_profile, false),
    KEY("external_id", external_id, false),
    KEY("web_identity_token_file", web_identity_token_file, false),
    KEY("credential_source", credential_source, false),
    KEY("credential_process", credential_process, true),
    KEY("sso_session", sso_session, true),
    KEY("sso_start_url", sso_session, true),
    KEY("region", region, false),
#undef KEY
};

struct lines {
    const char *file_name;
    const char *profile_name;
    enum aws_profile_file file;
    unsigned number;
    bool inside; /* the section that we want */
    struct aws_profile *profile;
    struct error *error;
};

static char *trim(char *text) {
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text;
}

static enum error_code read_section(struct lines *lines, char *line) {
    char *end = strchr(line, ']');
    if (end == NULL) {
        return error_set(lines->error, ERROR_INVALID, "%s:%u: a section without ']'",
                         lines->file_name, lines->number);
    }
    *end = '\0';
    char *name = trim(line + 1);
    bool prefixed = strncmp(name, "profile", 7) == 0 && (name[7] == ' ' || name[7] == '\t');
    if (prefixed && lines->file == AWS_PROFILE_CONFIG) {
        name = trim(name + 7);
    } else if (lines->file == AWS_PROFILE_CONFIG && strcmp(name, "default") != 0) {
        name = ""; /* [sso-session x], [services x], ... */
    }
    lines->inside = strcmp(name, lines->profile_name) == 0;
    lines->profile->found = lines->profile->found || lines->inside;
    return ERROR_OK;
}

static enum error_code read_setting(struct lines *lines, char *line) {
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return error_set(lines->error, ERROR_INVALID, "%s:%u: neither a section nor key = value",
                         lines->file_name, lines->number);
    }
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    for (size_t i = 0; lines->inside && i < ARRAY_LENGTH(key_table); i++) {
        if (strcmp(key, key_table[i].key) != 0) {
            continue;
        }
        char *to = (char *)lines->profile + key_table[i].offset;
        if (to[0] != '\0') {
            continue; /* the first file, and the first line of a file, win */
        }
        if (key_table[i].cut) {
            (void)snprintf(to, key_table[i].size, "%s", value);
        } else if (!text_copy(to, key_table[i].size, value)) {
            return error_set(lines->error, ERROR_LIMIT, "%s:%u: %s is too long", lines->file_name,
                             lines->number, key);
        }
    }
    return ERROR_OK;
}

static enum error_code read_line(struct lines *lines, char *line) {
    bool indented = line[0] == ' ' || line[0] == '\t';
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
        return ERROR_OK;
    }
    if (line[0] == '[') {
        return read_section(lines, line);
    }
    return indented ? ERROR_OK /* part of a nested setting, none of ours */
                    : read_setting(lines, line);
}

enum error_code aws_profile_read(const char *text, size_t size_bytes, enum aws_profile_file file,
                                 const char *file_name, const char *profile_name,
                                 struct aws_profile *profile, struct error *error) {
    struct lines lines = {.file_name = file_name,
                          .profile_name = profile_name,
                          .file = file,
                          .profile = profile,
                          .error = error};
    enum error_code code = ERROR_OK;
    size_t at = 0;
    char line[AWS_TOKEN_SIZE + 64];
    while (at < size_bytes && code == ERROR_OK) {
        const char *end = memchr(text + at, '\n', size_bytes - at);
        size_t length = end == NULL ? size_bytes - at : (size_t)(end - (text + at));
        lines.number++;
        if (length >= sizeof line || memchr(text + at, '\0', length) != NULL) {
            code = error_set(error, ERROR_INVALID, "%s:%u: not a line of text", file_name,
                             lines.number);
            break;
        }
        memcpy(line, text + at, length);
        line[length] = '\0';
        code = read_line(&lines, line);
        at += length + 1;
    }
    explicit_bzero(line, sizeof line);
    return code;
}

enum error_code aws_file_read(const char *path, size_t limit_bytes, char **ret_text,
                              size_t *ret_size_bytes, struct error *error) {
    enum error_code code = ERROR_OK;
    char *text = NULL;
    size_t size_bytes = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not stop the loop */
    if (file < 0) {
        return error_set(error, errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_IO,
                         "%s: %s", path, strerror(errno));
    }
    text = calloc(1, limit_bytes + 2);
    if (text == NULL) {
        code = error_set(error, ERROR_NO_MEMORY, "out of memory");
        goto cleanup;
    }
    while (size_bytes <= limit_bytes) {
        ssize_t got = read(file, text + size_bytes, limit_bytes + 1 - size_bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            code = error_set(error, ERROR_IO, "%s: %s", path, strerror(errno));
            goto cleanup;
        }
        if (got == 0) {
            break;
        }
        size_bytes += (size_t)got;
    }
    if (size_bytes > limit_bytes) {
        code = error_set(error, ERROR_LIMIT, "%s: larger than %zu bytes", path, limit_bytes);
    }

cleanup:
    close(file);
    if (code == ERROR_OK) {
        assert(text != NULL);
        *ret_text = text;
        *ret_size_bytes = size_bytes;
    } else if (text != NULL) {
        explicit_bzero(text, size_bytes);
        free(text);
    }
    return code;
}

static enum error_code add_file(const char *variable, const char *name, enum aws_profile_file file,
                                const char *profile_name, struct aws_profile *profile,
                                struct error *error) {
    char path[4096];
    const char *given = getenv(variable), *home = getenv("HOME");
    int length;
    if (given != NULL && given[0] != '\0') {
        length = snprintf(path, sizeof path, "%s", given);
    } else if (home != NULL) {
        length = snprintf(path, sizeof path, "%s/.aws/%s", home, name);
    } else {
        return ERROR_OK;
    }
    if (length < 0 || (size_t)length >= sizeof path) {
        return error_set(error, ERROR_LIMIT, "%s: too long a path", variable);
    }
    char *text = NULL;
    size_t size_bytes = 0;
    struct error problem;
    enum error_code code = aws_file_read(path, PROFILE_FILE_SIZE_MAX, &text, &size_bytes, &problem);
    if (code == ERROR_NOT_FOUND) {
        return ERROR_OK;
    }
    if (code != ERROR_OK) {
        return error_set(error, code, "%s", problem.message);
    }
    assert(text != NULL);
    code = aws_profile_read(text, size_bytes, file, path, profile_name, profile, error);
    explicit_bzero(text, size_bytes);
    free(text);
    return code;
}

enum error_code aws_profile_load(const char *profile_name, struct aws_profile *ret_profile,
                                 struct error *error) {
    struct aws_profile profile = {.found = false};
    enum error_code code = add_file("AWS_SHARED_CREDENTIALS_FILE", "credentials",
                                    AWS_PROFILE_CREDENTIALS, profile_name, &profile, error);
    if (code == ERROR_OK) {
        code = add_file("AWS_CONFIG_FILE", "config", AWS_PROFILE_CONFIG, profile_name, &profile,
                        error);
    }
    if (code == ERROR_OK) {
        *ret_profile = profile;
    }
    explicit_bzero(&profile, sizeof profile);
    return code;
}
