/* raft_uv closes a segment of the log each 8 MiB and at each snapshot, and then calls io_destroy(2)
 * on the loop: the kernel waits for all processors (an RCU grace period), and for tens of
 * milliseconds nothing else happens. With this linked in, that one call is made by a thread of its
 * own. Nobody waits for it: the library destroys a context only when nothing is under way in it,
 * and what the process leaves behind at its end the kernel cleans up.
 *
 * It works by defining syscall(3), through which the library makes the call; every other number
 * goes through unchanged. */
#ifndef REPLICA_IO_DESTROY_H
#define REPLICA_IO_DESTROY_H

#include <stdbool.h>
#include <stdint.h>

/* On by default once called for the first time (which also links this in). Off: for measurements.
 */
void io_destroy_offload(bool on);
/* How many were taken off the caller's thread so far. */
uint64_t io_destroy_offload_count(void);

#endif
