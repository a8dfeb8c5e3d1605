#include "obs/otlp_retry.h"

#include "base/check.h"
#include "base/clock.h"

#define DELAY_FIRST_NS CLOCK_NS_PER_S
#define DOUBLINGS_MAX 5
#define COMPLAINT_NS (60 * CLOCK_NS_PER_S)

enum otlp_outcome otlp_judge(int status)
{
    switch (status) {
    case OTLP_NO_STATUS:
    case 429:
    case 502:
    case 503:
    case 504:
        return OTLP_LATER;
    default:
        return status >= 200 && status < 300 ? OTLP_TAKEN : OTLP_REFUSED;
    }
}

uint64_t otlp_retry_delay_ns(unsigned failures, uint64_t retry_after_ns, uint64_t chance)
{
    CHECK(failures >= 1);
    unsigned doublings = failures - 1 < DOUBLINGS_MAX ? failures - 1 : DOUBLINGS_MAX;
    uint64_t delay_ns = DELAY_FIRST_NS << doublings;
    uint64_t spread_ns = delay_ns / 5;
    delay_ns = delay_ns - spread_ns + chance % (2 * spread_ns + 1);
    return delay_ns > retry_after_ns ? delay_ns : retry_after_ns;
}

bool otlp_complain(struct otlp_complaints *complaints, unsigned exports, uint64_t spans,
                   uint64_t now_ns, struct otlp_complaints *ret_since)
{
    complaints->exports += exports;
    complaints->spans += spans;
    if (complaints->told_ns != 0 && now_ns - complaints->told_ns < COMPLAINT_NS) {
        return false;
    }
    *ret_since = *complaints;
    *complaints = (struct otlp_complaints){.told_ns = now_ns};
    return true;
}
