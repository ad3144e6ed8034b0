/* local.h - what only a Unix socket can do: say who the peer is, and pass descriptors. */
#ifndef SOQUETE_LOCAL_H
#define SOQUETE_LOCAL_H

#include <soquete/base.h>
#include <soquete/stream.h>

SOQ_BEGIN_C

struct soq_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/**
 * Who connected, as the kernel knows it since the connect (unix(7), SO_PEERCRED).
 * @return 0; -EOPNOTSUPP for a stream that is not a Unix socket
 */
SOQ_API int soq_peer_credentials(const struct soq_stream *s, struct soq_credentials *ret);

/**
 * Pass a copy of a descriptor to the peer, with one byte of data. Suspends as soq_send().
 * @fd  borrowed: the caller may close it after return
 * @return 0; -EOPNOTSUPP, others as soq_send()
 * Source: unix(7), SCM_RIGHTS.
 */
SOQ_API int soq_send_fd(struct soq_stream *s, int fd);

/**
 * Receive a descriptor sent by soq_send_fd(). Suspends as soq_recv().
 * @ret_fd  owned by the caller, close-on-exec
 * @return 0; -ENODATA (the peer finished), -EBADMSG (a byte came without a descriptor),
 *         -EOPNOTSUPP, others as soq_recv()
 */
SOQ_API int soq_recv_fd(struct soq_stream *s, int *ret_fd);

SOQ_END_C

#endif
