/* The node's own identity, from the first place that is set up, in the order of AWS's tools:
 * environment; shared files (with a profile's role over a source profile); web identity; container;
 * instance metadata (IMDSv2). A place that is set up but fails is an error: falling through to the
 * next could act as somebody else. */
#ifndef DRIVER_CREDENTIAL_SOURCE_H
#define DRIVER_CREDENTIAL_SOURCE_H

#include "aws_http.h"
#include "credential.h"
#include "sts.h"

struct credential_source {
    struct aws_http *http;
    char session_name[65]; /* "noctua-n1" */
    char region[33];       /* of the node; "": unknown. The environment's wins */
};

void credential_source_init(struct credential_source *source, struct aws_http *http,
                            const char *node, const char *region);

/* The region whose STS is asked: AWS_REGION, AWS_DEFAULT_REGION, the profile's, the node's own. */
void credential_source_find_region(const struct credential_source *source, char ret_region[33]);

/* on_result may fire from inside the call (environment and files). The source outlives it. */
void credential_source_fetch(struct credential_source *source, credential_cb on_result,
                             void *context);

#endif
