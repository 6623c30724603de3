#include "spec_scene.h"

const char good[] = "version: 1\n"                                                     /* 1 */
                    "regions:\n"                                                       /* 2 */
                    "  us-east-1: {risk_group: america, max_active: 3}\n"              /* 3 */
                    "  us-west-2: {}\n"                                                /* 4 */
                    "  eu-west-1: {role: witness}\n"                                   /* 5 */
                    "services:\n"                                                      /* 6 */
                    "  nocturnal:\n"                                                   /* 7 */
                    "    owner: platform\n"                                            /* 8 */
                    "    mode: auto\n"                                                 /* 9 */
                    "    home: us-east-1\n"                                            /* 10 */
                    "    targets: [us-west-2]\n"                                       /* 11 */
                    "    checks:\n"                                                    /* 12 */
                    "      api:\n"                                                     /* 13 */
                    "        url: https://$region.api.nocturnal.com/api/health\n"      /* 14 */
                    "        expect: 200\n"                                            /* 15 */
                    "        match: '\"ok\":true'\n"                                   /* 16 */
                    "      redis: {url: tcp://redis.$region.nocturnal.internal:6379, " /* 17 */
                    "critical: false}\n"
                    "    dns:\n"                                              /* 18 */
                    "      zone: Z1234567890ABC\n"                            /* 19 */
                    "      role: arn:aws:iam::111122223333:role/noctua-dns\n" /* 20 */
                    "      mode: [records]\n"                                 /* 21 */
                    "      records:\n"                                        /* 22 */
                    "        nocturnal.com:\n"                                /* 23 */
                    "          alias:\n"                                      /* 24 */
                    "            us-east-1: dualstack.web-1.us-east-1.elb.amazonaws.com\n"
                    "            us-west-2: dualstack.web-2.us-west-2.elb.amazonaws.com\n"
                    "    policy:\n"                           /* 27 */
                    "      confirm: 30s\n"                    /* 28 */
                    "      cooldown: 30m\n"                   /* 29 */
                    "      max_moves: 2/24h\n"                /* 30 */
                    "      failback: manual\n"                /* 31 */
                    "      foreign_change: page\n"            /* 32 */
                    "      lease: none\n"                     /* 33 */
                    "    objectives:\n"                       /* 34 */
                    "      api: {rto: 15m}\n"                 /* 35 */
                    "    plan:\n"                             /* 36 */
                    "      switch: {}\n"                      /* 37 */
                    "      dns: {dns: all, needs: switch}\n"; /* 38 */

struct spec_findings findings;
struct spec *spec;

int make_spec(void **state) {
    (void)state;
    spec = calloc(1, sizeof *spec);
    return spec == NULL ? -1 : 0;
}

int free_spec(void **state) {
    (void)state;
    free(spec);
    return 0;
}

enum error_code parse_bytes(const char *text, size_t size) {
    memset(spec, 0, offsetof(struct spec, services) + 4 * sizeof spec->services[0]);
    spec->service_count = 0;
    return spec_parse(text, size, "nocturnal.yaml", spec, &findings);
}

enum error_code parse(const char *text) {
    return parse_bytes(text, strlen(text));
}

void print_findings(void) {
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    print_message("%s", told.data == NULL ? "(nothing)\n" : told.data);
    buffer_finish(&told);
}

char *change(const struct row *row) {
    struct buffer text;
    buffer_init(&text, 0);
    const char *at = row->from[0] == '\0' ? good + strlen(good) : strstr(good, row->from);
    if (at == NULL) {
        fail_msg("no '%s' in the good spec", row->from);
    }
    buffer_append(&text, good, (size_t)(at - good));
    buffer_append_text(&text, row->to);
    buffer_append_text(&text, at + strlen(row->from));
    return buffer_take(&text);
}

bool is_told(const struct row *row, enum finding_severity severity) {
    char *text = change(row);
    enum error_code code = parse(text);
    const struct finding *finding = &findings.items[0];
    bool fine = findings.count == 1 && finding->line == row->line &&
                finding->column == row->column && finding->severity == severity &&
                strstr(finding->message, row->words) != NULL &&
                code == (severity == FINDING_ERROR ? ERROR_INVALID : ERROR_OK);
    if (!fine) {
        print_findings();
        print_message("'%s' -> '%s': wanted %u:%u %s\n\n", row->from, row->to, row->line,
                      row->column, row->words);
    }
    free(text);
    return fine;
}
