/* local.c - credentials and descriptors over Unix sockets; see local.h. */
#include <soquete/local.h>
#include "net/net.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static int must_be_unix(const struct soq_stream *s)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	int rc = soq__type(s->worker)->get_option(
		&s->socket, SOL_SOCKET, SO_DOMAIN, &domain, &len);

	if (rc < 0)
		return rc;
	return domain == AF_UNIX ? 0 : -EOPNOTSUPP;
}

int soq_peer_credentials(const struct soq_stream *s, struct soq_credentials *ret)
{
	struct ucred ucred;
	socklen_t len = sizeof(ucred);
	int rc = must_be_unix(s);

	if (rc == 0)
		rc = soq__type(s->worker)->get_option(
			&s->socket, SOL_SOCKET, SO_PEERCRED, &ucred, &len);
	if (rc < 0)
		return rc;
	*ret = (struct soq_credentials){ ucred.pid, ucred.uid, ucred.gid };
	return 0;
}

/* A message of one byte with room for one descriptor. */
struct message {
	char byte;
	struct iovec iov;
	struct msghdr hdr;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static void message_init(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->iov = (struct iovec){ &m->byte, 1 };
	/* CMSG_LEN, not CMSG_SPACE: its padding would hold a second descriptor. What there
	 * is no room for, the kernel closes. */
	m->hdr = (struct msghdr){
		.msg_iov = &m->iov,
		.msg_iovlen = 1,
		.msg_control = m->control.bytes,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
}

int soq_send_fd(struct soq_stream *s, int fd)
{
	struct message m;
	struct cmsghdr *cmsg;
	struct soq__op op = { .code = SOQ__OP_SENDMSG,
		.socket = &s->socket,
		.msg = &m.hdr,
		.flags = MSG_NOSIGNAL };
	int64_t n = must_be_unix(s);

	if (n < 0)
		return (int)n;
	if (s->sending)
		return -EBUSY;
	message_init(&m);
	cmsg = CMSG_FIRSTHDR(&m.hdr);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	soq__list_init(&op.node);
	s->sending = true;
	n = soq__perform(&op, s->send_timeout_ns);
	s->sending = false;
	return n < 0 ? (int)n : 0;
}

/* The descriptor of a message, which has room for one only. */
static int take_fd(struct msghdr *hdr)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);
	int fd;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
		cmsg->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

int soq_recv_fd(struct soq_stream *s, int *ret_fd)
{
	struct message m;
	struct soq__op op = { .code = SOQ__OP_RECVMSG, .socket = &s->socket, .msg = &m.hdr };
	int64_t n = must_be_unix(s);

	if (n < 0)
		return (int)n;
	if (s->receiving)
		return -EBUSY;
	if (s->count > 0)
		return -EBADMSG; /* a byte without a descriptor comes first */
	message_init(&m);
	soq__list_init(&op.node);
	s->receiving = true;
	n = soq__perform(&op, s->recv_timeout_ns);
	s->receiving = false;
	if (n == 0)
		return -ENODATA;
	if (n > 0)
		n = take_fd(&m.hdr);
	if (n < 0)
		return (int)n;
	*ret_fd = (int)n;
	return 0;
}
