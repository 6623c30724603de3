/* What every test of base includes: cmocka with what it wants before it. */
#ifndef TEST_BASE_TEST_H
#define TEST_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#endif
