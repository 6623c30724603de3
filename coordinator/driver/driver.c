#include "driver/driver.h"

#include <string.h>

bool driver_fence_is_valid(const char *fence) {
    size_t length = strnlen(fence, DRIVER_FENCE_MAX);
    return length > 0 && length < DRIVER_FENCE_MAX &&
           strspn(fence, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./():") ==
               length;
}
