/*
 * CHECK: an assertion about our own code that stays on in release builds. It never judges input
 * from outside; a failed one prints its place and aborts.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(condition)                                                                           \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/*
 * Every long-lived struct starts with a magic number of its own, set by its init and checked by its
 * functions: a stale or wrong pointer stops the program at the first use.
 */
#define CHECK_MAGIC(object, expected) CHECK((object) != NULL && (object)->magic == (expected))

_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
