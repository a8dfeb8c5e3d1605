#include "base/random.h"

#include <sys/random.h>
#include <sys/types.h>

#include "base/clock.h"

void random_seed(struct random *random)
{
    if (getrandom(random->state, sizeof(random->state), 0) != (ssize_t)sizeof(random->state)) {
        random->state[0] = clock_realtime_ns();
        random->state[1] = (uint64_t)(uintptr_t)random;
    }
    random->state[0] |= 1; /* the generator must not start at zero */
}
