/*
 * What the stand-in for a worker (worker_stand_in.c) can be told. Its model has one input, x float64
 * [-1, -1], and two outputs, echo like it and sum float64 [-1]. A first element of x that is one of
 * these commands is obeyed; all others are numbers.
 */
#ifndef WORKER_STAND_IN_H
#define WORKER_STAND_IN_H

enum stand_in_command {
    STAND_IN_KILL = -100, /* is killed by SIGKILL in the run */
    STAND_IN_EXIT,        /* ends with code 3 in the run */
    STAND_IN_HANG,        /* never answers */
    STAND_IN_WAIT,        /* the same, and says so */
    STAND_IN_BLAME,       /* ERROR: the inputs are at fault */
    STAND_IN_FAIL,        /* ERROR: something else is */
    STAND_IN_CLOSE,       /* closes its socket and lives on */
    STAND_IN_STOP,        /* answers, then stops itself (SIGSTOP) */
    STAND_IN_LEAVE,       /* answers, then ends with code 4 */
    STAND_IN_ORPHAN,      /* ends, but a child of its own keeps the socket */
    STAND_IN_CHATTER,     /* 1000 lines to stdout, then answers */
    STAND_IN_GROW,        /* 256 MiB more, then answers */
    STAND_IN_SHORT,       /* from here on it breaks the protocol: a packet too short, */
    STAND_IN_EMPTY,       /* an empty one, */
    STAND_IN_LONG,        /* one of 5000 bytes, */
    STAND_IN_MAGIC,       /* a wrong magic, */
    STAND_IN_NUMBER,      /* another run's number, */
    STAND_IN_TYPE,        /* READY in place of RESULT, */
    STAND_IN_AREA,        /* an area larger than it is, */
    STAND_IN_PLACE,       /* data outside the area, */
    STAND_IN_DTYPE,       /* another dtype than promised, */
    STAND_IN_COUNT,       /* fewer outputs than wanted */
    STAND_IN_LAST
};

#endif
