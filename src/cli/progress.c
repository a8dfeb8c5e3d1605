#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define REDRAW_NS (CLOCK_NS_PER_S / 10)
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 20
#define BAR_CELLS_MAX 40
#define ERASE "\r\x1b[K"

/* "999", "1.23 k", "12.3 M", "123 G": three digits and a unit. */
static size_t print_count(double count, char *text, size_t size)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
    size_t unit = 0;
    while (count >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        count /= 1000;
        unit++;
    }
    int digits = unit == 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2;
    return (size_t)snprintf(text, size, "%.*f%s", digits, count, units[unit]);
}

/* "0:07", "12:34", "3:02:11" */
static void print_time(uint64_t seconds, char *text, size_t size)
{
    unsigned long long hours = seconds / 3600;
    unsigned minutes = (unsigned)(seconds / 60 % 60);
    unsigned rest = (unsigned)(seconds % 60);
    if (hours > 0) {
        snprintf(text, size, "%llu:%02u:%02u", hours, minutes, rest);
    } else {
        snprintf(text, size, "%u:%02u", minutes, rest);
    }
}

static double rate(uint64_t count, uint64_t elapsed_ns)
{
    return elapsed_ns == 0 ? 0 : (double)count / ((double)elapsed_ns / (double)CLOCK_NS_PER_S);
}

static uint64_t seconds_left(const struct progress_state *state)
{
    if (state->done_bytes == 0) {
        return 0;
    }
    double left = (double)(state->total_bytes - state->done_bytes) / (double)state->done_bytes;
    return (uint64_t)((double)state->elapsed_ns / (double)CLOCK_NS_PER_S * left + 0.5);
}

/* What stands behind the bar. */
static size_t print_numbers(const struct progress_state *state, double share, char *text,
                            size_t size)
{
    char rows[32];
    char speed[32];
    char left[32];
    print_count((double)state->rows, rows, sizeof(rows));
    print_count(rate(state->rows, state->elapsed_ns), speed, sizeof(speed));
    if (state->total_bytes == 0) {
        char bytes[32];
        print_count((double)state->done_bytes, bytes, sizeof(bytes));
        return (size_t)snprintf(text, size, "%sB  %s rows  %s rows/s", bytes, rows, speed);
    }
    if (state->done_bytes == 0) {
        return (size_t)snprintf(text, size, "  0 %%  %s rows", rows);
    }
    print_time(seconds_left(state), left, sizeof(left));
    return (size_t)snprintf(text, size, "%3d %%  %s rows  %s rows/s  %s left", (int)(share * 100),
                            rows, speed, left);
}

/* "[====>    ] " of `cells` cells. */
static size_t print_bar(double share, unsigned cells, char *text)
{
    unsigned full = (unsigned)(share * cells);
    size_t len = 0;
    text[len++] = '[';
    for (unsigned i = 0; i < cells; i++) {
        text[len++] = i < full ? '=' : i == full ? '>' : ' ';
    }
    text[len++] = ']';
    text[len++] = ' ';
    return len;
}

size_t progress_format(const struct progress_state *state, unsigned columns,
                       char line[PROGRESS_LINE_MAX])
{
    struct progress_state shown = *state;
    char numbers[PROGRESS_LINE_MAX];
    size_t len = 0;
    if (shown.total_bytes > 0 && shown.done_bytes > shown.total_bytes) {
        shown.total_bytes = shown.done_bytes; /* the file grew */
    }
    double share =
        shown.total_bytes == 0 ? 0 : (double)shown.done_bytes / (double)shown.total_bytes;
    size_t room = columns < COLUMNS_MIN ? COLUMNS_MIN : columns;
    room = room > PROGRESS_LINE_MAX - 1 ? PROGRESS_LINE_MAX - 1 : room;
    size_t numbers_len = print_numbers(&shown, share, numbers, sizeof(numbers));
    numbers_len = numbers_len > room ? room : numbers_len;
    size_t spare = room - numbers_len;
    if (shown.total_bytes > 0 && spare >= 8) { /* brackets, a blank and a bar worth the name */
        size_t cells = spare - 3 > BAR_CELLS_MAX ? BAR_CELLS_MAX : spare - 3;
        len = print_bar(share, (unsigned)cells, line);
    }
    snprintf(line + len, PROGRESS_LINE_MAX - len, "%.*s", (int)numbers_len, numbers);
    return len + numbers_len;
}

size_t progress_summarize(const struct progress_state *state, char line[PROGRESS_LINE_MAX])
{
    char speed[32];
    print_count(rate(state->rows, state->elapsed_ns), speed, sizeof(speed));
    return (size_t)snprintf(line, PROGRESS_LINE_MAX, "%llu row%s in %.2f s (%s rows/s)",
                            (unsigned long long)state->rows, state->rows == 1 ? "" : "s",
                            (double)state->elapsed_ns / (double)CLOCK_NS_PER_S, speed);
}

static unsigned terminal_columns(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                         : COLUMNS_DEFAULT;
}

void progress_init(struct progress *progress, FILE *out, uint64_t total_bytes, uint64_t now_ns)
{
    *progress = (struct progress){.started_ns = now_ns, .state.total_bytes = total_bytes};
    if (isatty(fileno(out))) {
        progress->out = out;
        progress->columns = terminal_columns(out) - 1; /* a full line would wrap on some */
    }
}

void progress_update(struct progress *progress, uint64_t done_bytes, uint64_t rows, uint64_t now_ns)
{
    char line[PROGRESS_LINE_MAX];
    progress->state.done_bytes = done_bytes;
    progress->state.rows = rows;
    progress->state.elapsed_ns = now_ns - progress->started_ns;
    if (progress->out == NULL ||
        (progress->drawn_ns != 0 && now_ns - progress->drawn_ns < REDRAW_NS)) {
        return;
    }
    progress->drawn_ns = now_ns;
    size_t len = progress_format(&progress->state, progress->columns, line);
    fprintf(progress->out, ERASE "%.*s", (int)len, line);
    fflush(progress->out);
}

void progress_finish(struct progress *progress, bool succeeded, uint64_t now_ns)
{
    char line[PROGRESS_LINE_MAX];
    progress->state.elapsed_ns = now_ns - progress->started_ns;
    if (progress->out == NULL) {
        return;
    }
    if (progress->drawn_ns != 0) {
        fputs(ERASE, progress->out);
    }
    if (succeeded) {
        size_t len = progress_summarize(&progress->state, line);
        fprintf(progress->out, "%.*s\n", (int)len, line);
    }
    fflush(progress->out);
}
