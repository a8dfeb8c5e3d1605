#include "serve/spread.h"

#include <stddef.h>

#include "base/mem.h"
#include "serve/io_thread.h"

/* A socket on its way to another thread. */
struct arrival {
    struct loop_mail mail;
    struct io_thread *io;
    int fd;
    enum session_port port;
};

static void on_arrival(struct loop_mail *mail)
{
    struct arrival *arrival =
        (struct arrival *)(void *)((char *)mail - offsetof(struct arrival, mail));
    struct io_thread *io = arrival->io;
    session_accept(io, arrival->fd, arrival->port);
    atomic_fetch_sub(&io->arriving, 1); /* after: the loop must not end in between */
    mem_free(arrival);
    io_thread_on_session_end(io); /* where it was closed at once, and the server is stopping */
}

static unsigned load_of(const struct io_thread *io)
{
    return atomic_load(&io->open) + atomic_load(&io->arriving);
}

static struct io_thread *find_least_loaded(struct io_thread *io)
{
    struct io_thread *least = io;
    unsigned least_load = load_of(io);
    for (unsigned i = 0; i < io->shared->thread_count && least_load > 0; i++) {
        struct io_thread *other = &io->shared->threads[i];
        unsigned load = load_of(other);
        if (load < least_load) {
            least = other;
            least_load = load;
        }
    }
    return least;
}

/*
 * A loop that is told to stop ends when nothing is open or arriving. So the thread counts the arrival
 * first and looks after that whether it is stopping: if not, it will see the count.
 */
static bool hand_over(struct io_thread *to, int fd, enum session_port port)
{
    struct arrival *arrival = mem_alloc(sizeof(*arrival));
    if (arrival == NULL) {
        return false;
    }
    *arrival = (struct arrival){.mail = {.deliver = on_arrival}, .io = to, .fd = fd, .port = port};
    atomic_fetch_add(&to->arriving, 1);
    if (atomic_load(&to->shared->draining)) {
        atomic_fetch_sub(&to->arriving, 1);
        io_thread_wake(to); /* it may have stayed for this one alone */
        mem_free(arrival);
        return false;
    }
    loop_post(to->loop, &arrival->mail);
    return true;
}

void spread_accept(struct io_thread *io, int fd, enum session_port port)
{
    struct io_thread *to = find_least_loaded(io);
    if (to == io || !hand_over(to, fd, port)) {
        session_accept(io, fd, port);
    }
}
