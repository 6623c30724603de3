/* noctuactl pki: the small certificate authority of a group. Works on files only. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "commands.h"
#include "pki/pki.h"

#define DAYS_CA 3650
#define DAYS_CERTIFICATE 365

static struct pki authority(const struct options *options) {
    return (struct pki){.directory = options->directory == NULL ? "pki" : options->directory,
                        .cluster = options->cluster,
                        .clock = &clock_system,
                        .overwrite = options->force};
}

int run_pki_init(const struct options *options) {
    struct pki pki = authority(options);
    struct error error = {ERROR_OK, ""};
    pki.cluster = options->arguments[0];
    if (pki_init(&pki, options->days == 0 ? DAYS_CA : options->days, &error) != ERROR_OK) {
        return complain(&error);
    }
    (void)printf("%s/ca.pem  the group's certificate authority for %s; keep %s/ca.key offline\n",
                 pki.directory, pki.cluster, pki.directory);
    return EXIT_DONE;
}

int run_pki_issue(const struct options *options) {
    struct pki pki = authority(options);
    struct error error = {ERROR_OK, ""};
    const char *kind = options->arguments[0];
    const char *name = options->arguments[1];
    const char *out = options->out == NULL ? name : options->out;
    char serial[PKI_SERIAL_SIZE];
    unsigned days = options->days == 0 ? DAYS_CERTIFICATE : options->days;
    enum error_code code;
    if (text_equal(kind, "node")) {
        code = pki_issue_node(&pki, name, options->names, options->name_count, days, out, serial,
                              &error);
    } else if (text_equal(kind, "user")) {
        code = pki_issue_user(&pki, name, options->role == NULL ? "viewer" : options->role,
                              options->owners, options->owner_count, days, out, serial, &error);
    } else {
        code = error_set(&error, ERROR_INVALID,
                         "pki issue node NAME or pki issue user NAME, not '%s'", kind);
    }
    if (code != ERROR_OK) {
        return complain(&error);
    }
    (void)printf("%s/%s.pem  serial %s, %u days\n", out, kind, serial, days);
    return EXIT_DONE;
}

int run_pki_revoke(const struct options *options) {
    struct pki pki = authority(options);
    struct error error = {ERROR_OK, ""};
    if (pki_revoke(&pki, options->arguments[0], &error) != ERROR_OK) {
        return complain(&error);
    }
    (void)printf("%s/crl.pem  copy it to every node's tls directory\n", pki.directory);
    return EXIT_DONE;
}
