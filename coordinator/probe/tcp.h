/* A TCP check: connects to all addresses of the target at once; the first that answers makes it. */
#ifndef PROBE_TCP_H
#define PROBE_TCP_H

#include "check.h"

/* PROBE_OK: under way, probe_check_finish follows. Else it ended at once with that code. */
enum probe_result_code probe_tcp_start(struct probe_check *check);
void probe_tcp_stop(struct probe_check *check);

#endif
