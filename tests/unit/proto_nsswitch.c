/* proto_nsswitch.c - the line "hosts:" as distributions and people write it. */
#include "test.h"
#include "proto/nsswitch.h"

#include <stdlib.h>
#include <string.h>

static struct soq__nsswitch parse(const char *text, size_t len)
{
	/* Of its exact length, so that a byte too far is seen. */
	char *copy = malloc(len > 0 ? len : 1);
	struct soq__nsswitch n;

	CHECK(copy);
	memcpy(copy, text, len);
	memset(&n, 0x5a, sizeof n);
	soq__nsswitch_parse(&n, copy, len);
	free(copy);
	return n;
}

#define OURS   SOQ__NSS_OURS
#define THEN   SOQ__NSS_THEN_SYSTEM
#define SYSTEM SOQ__NSS_SYSTEM

TEST(proto_nsswitch_services)
{
	static const struct {
		const char *services;
		enum soq__nss_hosts hosts;
		bool files_first, mdns;
	} rows[] = {
		/* Debian; Debian with a desktop; Ubuntu; Fedora; Arch; Gentoo. */
		{ "files dns", OURS, true, false },
		{ "files mdns4_minimal [NOTFOUND=return] dns", THEN, true, true },
		{ "files myhostname mdns4_minimal [NOTFOUND=return] dns", THEN, true, true },
		{ "files resolve [!UNAVAIL=return] dns", THEN, true, false },
		{ "files myhostname resolve [!UNAVAIL=return] dns", THEN, true, false },
		{ "mymachines resolve [!UNAVAIL=return] files myhostname dns", THEN, true,
			false },
		{ "files dns myhostname", THEN, true, false },
		{ "files dns mdns4", THEN, true, true },
		{ "files mdns dns", THEN, true, true },
		{ "files mdns6_minimal dns", THEN, true, true },
		/* The order. */
		{ "dns files", OURS, false, false },
		{ "dns", OURS, false, false },
		{ "dns [!UNAVAIL=return] files", OURS, false, false },
		{ "myhostname dns files", THEN, false, false },
		{ "files dns files", OURS, true, false },
		/* Others go first, or nobody asks the DNS. */
		{ "files nis dns", SYSTEM, true, false },
		{ "ldap files dns", SYSTEM, true, false },
		{ "files sss dns", SYSTEM, true, false },
		{ "files wins dns", SYSTEM, true, false },
		{ "files dns wins", THEN, true, false },
		{ "files", SYSTEM, true, false },
		{ "files resolve", SYSTEM, true, false },
		{ "files mdns4", SYSTEM, true, true },
		{ "", SYSTEM, false, false },
		{ "Files DNS", SYSTEM, false, false },
		{ "files dns4", SYSTEM, true, false },
		/* What criteria change. */
		{ "files [NOTFOUND=return] dns", SYSTEM, true, false },
		{ "files [!SUCCESS=return] dns", SYSTEM, true, false },
		{ "files [UNAVAIL=return] dns", OURS, true, false },
		{ "files [SUCCESS=continue] dns", SYSTEM, true, false },
		{ "files [SUCCESS=merge] dns", SYSTEM, true, false },
		{ "files dns [SUCCESS=continue] myhostname", SYSTEM, true, false },
		{ "files dns [NOTFOUND=return] myhostname", THEN, true, false },
		{ "files dns [!SUCCESS=return] wins", OURS, true, false },
		{ "files dns [NOTFOUND=return UNAVAIL=return TRYAGAIN=return] wins", OURS, true,
			false },
		{ "files dns [!SUCCESS=return UNAVAIL=continue] wins", THEN, true, false },
		{ "files dns [!success=RETURN] mdns4", OURS, true, true },
		{ "files resolve [!SUCCESS=return] dns", SYSTEM, true, false },
		/* Blanks. */
		{ "files[ NOTFOUND = continue ]dns", OURS, true, false },
		{ "\tfiles \t dns\r", OURS, true, false },
		/* What glibc refuses. */
		{ "files [NOTFOUND] dns", SYSTEM, false, false },
		{ "files dns [", SYSTEM, true, false },
		{ "files dns [NOTFOUND=", SYSTEM, true, false },
		{ "files dns [NOTFOUND=return", SYSTEM, true, false },
		{ "files dns [NOTFOUND=go]", SYSTEM, true, false },
		{ "files dns [MAYBE=return]", SYSTEM, true, false },
		{ "files dns []", SYSTEM, true, false },
		{ "files dns [!!NOTFOUND=return]", SYSTEM, true, false },
	};
	char text[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__nsswitch n;

		ROW("%s", rows[i].services);
		stpcpy(stpcpy(text, "hosts:"), rows[i].services);
		n = parse(text, strlen(text));
		CHECK_EQ(n.hosts, rows[i].hosts);
		CHECK_EQ(n.files_first, rows[i].files_first);
		CHECK_EQ(n.mdns, rows[i].mdns);
	}
}

#define BYTES(literal) literal, sizeof(literal) - 1

TEST(proto_nsswitch_lines)
{
	static const struct {
		const char *name, *text;
		size_t len;
		enum soq__nss_hosts hosts;
		bool files_first;
	} rows[] = {
		{ "nothing", BYTES(""), OURS, true },
		{ "no line for hosts", BYTES("passwd: files\nnetworks: nis\n"), OURS, true },
		{ "commented out", BYTES("#hosts: files nis dns\n"), OURS, true },
		{ "a comment behind", BYTES("hosts: files dns # nis\n"), OURS, true },
		{ "between others",
			BYTES("passwd: sss\nhosts: files dns\nnetworks: files nis dns\n"), OURS,
			true },
		{ "no newline", BYTES("passwd: sss\nhosts: files dns myhostname"), THEN, true },
		{ "of Windows", BYTES("hosts: files dns\r\npasswd: files\r\n"), OURS, true },
		{ "blanks", BYTES("  hosts\t:\tfiles nis dns"), SYSTEM, true },
		{ "the last counts", BYTES("hosts: files nis dns\nhosts: files dns\n"), OURS,
			true },
		{ "a longer word", BYTES("hostsx: files nis dns\n"), OURS, true },
		{ "a shorter word", BYTES("host: files nis dns\n"), OURS, true },
		{ "other letters", BYTES("HOSTS: files nis dns\n"), OURS, true },
		{ "no colon", BYTES("hosts files nis dns\n"), OURS, true },
		{ "a colon alone", BYTES(":\n: files nis dns\n"), OURS, true },
		{ "NUL", BYTES("hosts: files dns\0 nis\n"), OURS, true },
		{ "NUL in another line", BYTES("\0\nhosts: files nis dns"), SYSTEM, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__nsswitch n;

		ROW("%s", rows[i].name);
		n = parse(rows[i].text, rows[i].len);
		CHECK_EQ(n.hosts, rows[i].hosts);
		CHECK_EQ(n.files_first, rows[i].files_first);
		CHECK(!n.mdns);
	}
}
