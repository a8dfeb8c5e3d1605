/*
 * A session: the protocol engine on one connection, between net/conn and the exchanges. The first
 * bytes of a connection choose it: HTTP/1.1, or HTTP/2 with prior knowledge, which gRPC is. Loop
 * thread only.
 */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

struct io_thread;
struct session;

enum session_port {
    SESSION_PORT_ANY,  /* PORT: HTTP/1.1, HTTP/2 and gRPC */
    SESSION_PORT_GRPC, /* GRPC_PORT: gRPC alone */
};

/* Takes an accepted socket. Over MAX_CONNECTIONS, or without memory, it is closed at once. */
void session_accept(struct io_thread *io, int fd, enum session_port port);
/*
 * Stopping: every session answers what it has begun to read and then closes; an idle one is given a
 * moment for a request that is already on its way.
 */
void session_drain_all(struct io_thread *io);
/* Closes every connection now. */
void session_close_all(struct io_thread *io);

#endif
