#include "aws_api.h"

#include <assert.h>

#include "base/text.h"
#include "held.h"

#define AWS_TOKENS_PER_REQUEST 1000

/* The account's rate (5 requests a second in the real one): a bucket of one second's worth. */
static bool aws_api_is_throttled(struct world *world) {
    const uint64_t rate = world->options->throttle_per_second;
    const uint64_t now_ms = clock_boottime_ms(&world->clock);
    if (rate == 0) {
        return false;
    }
    world->throttle_tokens += (now_ms - world->throttle_filled_ms) * rate;
    world->throttle_filled_ms = now_ms;
    if (world->throttle_tokens > rate * AWS_TOKENS_PER_REQUEST) {
        world->throttle_tokens = rate * AWS_TOKENS_PER_REQUEST;
    }
    if (world->throttle_tokens < AWS_TOKENS_PER_REQUEST) {
        world->counters.throttled++;
        return true;
    }
    world->throttle_tokens -= AWS_TOKENS_PER_REQUEST;
    return false;
}

struct hosted_change *aws_request_execute(struct world *world, struct aws_request *request) {
    if (!request->parsed) {
        struct aws_refusal refusal = request->refusal;
        aws_request_refuse(world, request, &refusal);
        return NULL;
    }
    if (request->action == AWS_STS) {
        sts_execute(world, request);
        return NULL;
    }
    return route53_api_execute(world, request);
}

static void aws_api_delay(struct world *world, struct aws_request *request, struct fault *fault) {
    request->late = "delayed";
    aws_request_log(world, request, "delayed", NULL);
    if (fault->close_client) {
        http_exchange_detach(request->exchange);
    }
    held_add(world, fault, HELD_DELIVER, request, "");
}

static void aws_api_duplicate(struct world *world, struct aws_request *request,
                              struct fault *fault) {
    struct aws_request *again = aws_request_create(http_exchange_copy(request->exchange));
    again->fault_id = fault->id;
    again->late = "duplicate";
    TEXT_COPY(again->caller_arn, request->caller_arn);
    (void)aws_request_execute(world, request);
    held_add(world, fault, HELD_DELIVER, again, "");
}

static void aws_api_forget(struct world *world, struct aws_request *request, struct fault *fault) {
    struct hosted_change *change = aws_request_execute(world, request);
    if (change == NULL) {
        fault->fired--; /* nothing was accepted: it waits for a change that is */
        return;
    }
    change->stuck = true;
    held_add(world, fault, HELD_FORGET, NULL, change->id);
}

static void aws_api_fail(struct world *world, struct aws_request *request,
                         const struct fault *fault) {
    struct aws_refusal refusal;
    const char *code = fault->code;
    if (code[0] == '\0') {
        code = fault->status == 503 ? "ServiceUnavailable" : "InternalFailure";
    }
    const char *message = "The request processing has failed because of an unknown error.";
    if (text_equal(code, "Throttling")) {
        message = "Rate exceeded";
    } else if (text_equal(code, "PriorRequestNotComplete")) {
        message = "The request was rejected because Route 53 was still processing a prior "
                  "request.";
    }
    (void)aws_refuse(&refusal, fault->status, code, "%s", message);
    aws_request_refuse(world, request, &refusal);
}

static void aws_api_carry_out(struct world *world, struct aws_request *request,
                              struct fault *fault) {
    request->fault_id = fault->id;
    switch (fault->kind) {
    case FAULT_DROP_REPLY:
        request->drop_reply = true;
        (void)aws_request_execute(world, request);
        return;
    case FAULT_DELAY:
        aws_api_delay(world, request, fault);
        return;
    case FAULT_DUPLICATE:
        aws_api_duplicate(world, request, fault);
        return;
    case FAULT_FORGET:
        aws_api_forget(world, request, fault);
        return;
    case FAULT_ERROR:
        aws_api_fail(world, request, fault);
        return;
    case FAULT_HANG:
        aws_request_log(world, request, "hung", NULL);
        held_add(world, fault, HELD_HANG, request, "");
        return;
    case FAULT_SLOW:
    case FAULT_DEAD:
    case FAULT_KIND_COUNT:
        assert(!"no fault of a single request");
    }
}

void aws_api_handle(void *context, struct http_exchange *exchange) {
    struct world *world = context;
    struct aws_request *request = aws_request_create(exchange);
    struct aws_refusal refusal;
    world->counters.requests[request->operation]++;
    if (!aws_request_verify(world, request, &refusal)) {
        aws_request_refuse(world, request, &refusal);
        return;
    }
    if (request->action != AWS_STS && aws_api_is_throttled(world)) {
        (void)aws_refuse(&refusal, 400, "Throttling", "Rate exceeded");
        aws_request_refuse(world, request, &refusal);
        return;
    }
    const struct fault_subject subject = {
        .operation = request->operation,
        .zone_id = request->zone_id,
        .comment = request->batch.comment != NULL ? request->batch.comment : "",
    };
    struct fault *slow = faults_take(&world->faults, &subject, true);
    if (slow != NULL) {
        request->exchange->reply_delay_ms = slow->delay_ms;
    }
    struct fault *fault = faults_take(&world->faults, &subject, false);
    if (fault != NULL) {
        aws_api_carry_out(world, request, fault);
    } else {
        (void)aws_request_execute(world, request);
    }
}
