/* unix_name.c - names of simulated Unix sockets: who has them, who finds them, what a crash
 * leaves behind.
 */
#include "sim/model.h"

static struct soq__sim_socket *stream(void)
{
	return un(host_a, SOCK_STREAM);
}

static struct soq__sim_socket *dgram(void)
{
	return un(host_a, SOCK_DGRAM);
}

static struct soq__sim_socket *listen_at(const char *name, int backlog)
{
	struct soq__sim_socket *l = stream();

	CHECK_OK(bind_now(l, named(name)));
	CHECK_OK(listen_now(l, backlog));
	return l;
}

/* An address of its family alone, which asks for a name to be drawn. */
static struct soq_addr unnamed(void)
{
	struct soq_addr addr = { .len = sizeof(sa_family_t) };

	addr.sa.sa_family = AF_UNIX;
	return addr;
}

/* ---- finding ---- */

/* Paths that are not there are missing, as files would be; abstract names refuse. */
TEST(sim_unix_find_nobody)
{
	static const struct {
		const char *name;
		int64_t rc;
	} rows[] = { { "nobody", -ENOENT }, { "@nobody", -ECONNREFUSED } };

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].name);
		CHECK_EQ(connect_now(stream(), named(rows[i].name)), rows[i].rc);
		CHECK_EQ(connect_now(dgram(), named(rows[i].name)), rows[i].rc);
		CHECK_EQ(send_to(dgram(), 1, named(rows[i].name)), rows[i].rc);
	}
	CHECK_EQ(connect_now(stream(), unnamed()), -EINVAL);
	CHECK_EQ(connect_now(dgram(), unnamed()), -EINVAL);
	world_close();
}

/* What is of the other kind is found under a path, and not under an abstract name. */
TEST(sim_unix_find_other_kind)
{
	struct soq__sim_socket *l;

	world_open(1, NULL);
	l = stream();
	CHECK_OK(bind_now(l, named("path")));
	CHECK_EQ(connect_now(stream(), named("path")), -ECONNREFUSED); /* nobody listens */
	CHECK_EQ(connect_now(dgram(), named("path")), -EPROTOTYPE);
	CHECK_EQ(send_to(dgram(), 1, named("path")), -EPROTOTYPE);
	CHECK_OK(listen_now(l, 1));
	CHECK_EQ(connect_now(stream(), named("path")), 0);
	listen_at("@name", 1);
	CHECK_EQ(connect_now(dgram(), named("@name")), -ECONNREFUSED);
	world_close();
}

/* A name is of a host, and there of one socket, but that abstract ones of streams and of
 * datagrams are apart. */
TEST(sim_unix_name_taken)
{
	struct soq__sim_socket *s;

	world_open(1, NULL);
	CHECK_OK(bind_now(stream(), named("path")));
	CHECK_EQ(bind_now(stream(), named("path")), -EADDRINUSE);
	CHECK_EQ(bind_now(dgram(), named("path")), -EADDRINUSE);
	CHECK_OK(bind_now(un(host_b, SOCK_STREAM), named("path")));
	CHECK_OK(bind_now(stream(), named("@name")));
	CHECK_EQ(bind_now(stream(), named("@name")), -EADDRINUSE);
	s = dgram();
	CHECK_OK(bind_now(s, named("@name")));
	CHECK_EQ(bind_now(s, named("@other")), -EINVAL);
	CHECK_OK(bind_now(dgram(), named("@nam"))); /* no name is another's beginning */
	close_now(s);
	CHECK_OK(bind_now(dgram(), named("@name")));
	world_close();
}

TEST(sim_unix_name_drawn)
{
	enum { COUNT = 2000 };
	static struct soq__sim_socket *s[COUNT];
	struct soq_addr addr;

	world_open(1, NULL);
	for (int i = 0; i < COUNT; i++) {
		s[i] = dgram();
		CHECK_OK(bind_now(s[i], unnamed()));
		CHECK_OK(bind_now(s[i], unnamed())); /* it has one: nothing happens */
		CHECK_EQ(bind_now(s[i], named("@other")), -EINVAL);
	}
	for (int i = 0; i < COUNT; i++) {
		ROW("%s", local_text(s[i]));
		CHECK_EQ(local_text(s[i])[0], '@');
		CHECK_OK(s[i]->proto->local_addr(s[i], &addr));
		CHECK_EQ(send_to(s[0], 1, addr), 1);
		CHECK_EQ(recv_len(s[i]), 1);
	}
	world_close();
}

/* ---- who is who ---- */

TEST(sim_unix_names_of_ends)
{
	struct soq__sim_socket *l, *client, *accepted, *pair[2];

	world_open(1, NULL);
	l = listen_at("path", 1);
	client = stream();
	CHECK_STR(local_text(client), "-");
	CHECK_STR(peer_text(client), soq_strerror(-ENOTCONN));
	CHECK_EQ(connect_now(client, named("path")), 0);
	accepted = soq__sim_socket_of(sim, (int)CHECK_OK(accept_now(l)));
	CHECK_STR(local_text(client), "-");
	CHECK_STR(peer_text(client), "path");
	CHECK_STR(local_text(accepted), "path");
	CHECK_STR(peer_text(accepted), "-");
	close_now(l);
	CHECK_EQ(connect_now(stream(), named("path")), -ENOENT);
	CHECK_STR(peer_text(client), "path");
	un_pair(pair, SOCK_DGRAM);
	CHECK_STR(peer_text(pair[0]), "-");
	world_close();
}

/* A datagram tells its sender's name, as it was when it was sent. */
TEST(sim_unix_names_of_senders)
{
	struct soq__sim_socket *receiver, *sender;
	struct received r;

	world_open(1, NULL);
	receiver = dgram();
	CHECK_OK(bind_now(receiver, named("@to")));
	sender = dgram();
	CHECK_EQ(send_to(sender, 1, named("@to")), 1);
	CHECK_OK(bind_now(sender, named("@from")));
	CHECK_EQ(send_to(sender, 2, named("@to")), 2);
	close_now(sender);
	r = recv_msg(receiver, 10, 0, 0);
	CHECK_EQ(r.n, 1);
	CHECK_EQ(r.from.len, 0);
	r = recv_msg(receiver, 10, 0, 0);
	CHECK_EQ(r.n, 2);
	CHECK_STR(addr_text(&r.from), "@from");
	world_close();
}

/* Programs are told apart by their number at the host; who is none has 0. */
TEST(sim_unix_credentials)
{
	struct soq__sim_socket *pair[2], *lone;
	struct ucred who = { 1, 1, 1 };
	socklen_t len = sizeof(who);

	world_open(1, NULL);
	lone = stream();
	CHECK_OK(lone->proto->get_option(lone, SOL_SOCKET, SO_PEERCRED, &who, &len));
	CHECK_EQ(who.pid, 0);
	CHECK_EQ((int)who.uid, -1);
	un_pair(pair, SOCK_STREAM);
	CHECK_OK(pair[0]->proto->get_option(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &len));
	CHECK_EQ(who.pid, 0);
	CHECK_EQ(who.uid, 0);
	world_close();
}

/* ---- a crash ---- */

/* A path stays as a file does, stale, and whoever binds it next takes its place; an abstract
 * name goes with its socket. */
TEST(sim_unix_crash_leaves_paths)
{
	world_open(1, NULL);
	listen_at("stream", 1);
	CHECK_EQ(connect_now(stream(), named("stream")), 0);
	CHECK_OK(bind_now(dgram(), named("dgram")));
	CHECK_OK(bind_now(dgram(), named("@abstract")));
	CHECK_OK(soq_sim_crash(host_a));
	CHECK_EQ(host_a->descriptors, 0);
	CHECK_OK(soq_sim_restart(host_a));
	CHECK_EQ(connect_now(stream(), named("stream")), -ECONNREFUSED);
	CHECK_EQ(send_to(dgram(), 1, named("dgram")), -ECONNREFUSED);
	CHECK_EQ(send_to(dgram(), 1, named("@abstract")), -ECONNREFUSED);
	CHECK_OK(bind_now(dgram(), named("@abstract")));
	close_now(listen_at("stream", 1));
	CHECK_EQ(connect_now(stream(), named("stream")), -ENOENT);
	CHECK_OK(bind_now(stream(), named("dgram")));
	world_close();
}
