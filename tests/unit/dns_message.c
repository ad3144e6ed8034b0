/* dns_message.c - messages of the DNS, as servers send them and as an enemy might. */
#include "net/dns_message.h"
#include "test.h"
#include <soquete/error.h>

#include <stdlib.h>
#include <string.h>

/* A question for a.it, and an answer without records; what follows is put behind it. */
#define HEADER(rcode, answers, authorities) \
	"\x12\x34\x81" rcode "\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION(type)	   "\1a\2it\0\0" type "\0\1"
#define NAME		   "\xc0\x0c" /* the question's */
#define RECORD(type, size) "\0" type "\0\1\0\0\0\x3c\0" size
#define A(last)		   RECORD("\1", "\4") "\n\0\0" last
#define OTHER		   "\1b\2it\0"

struct row {
	const char *name;
	const char *bytes;
	size_t len;
	enum soq_record_type type;
	int rc;
	size_t count;	   /* of records, aliases among them */
	uint32_t ttl_s;	   /* for which the whole holds */
	const char *first; /* the first record's owner */
};

#define BYTES(text) text, sizeof(text) - 1

static const struct row rows[] = {
	{ "an address", BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME A("\7")),
		SOQ_RECORD_A, 0, 1, 60, "a.it" },
	{ "in capitals", BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") "\1A\2IT\0" A("\7")),
		SOQ_RECORD_A, 0, 1, 60, "A.IT" },
	{ "an alias, after what it leads to",
		BYTES(HEADER("\0", "\2", "\0") QUESTION("\1") OTHER A("\7")
				NAME RECORD("\5", "\6") OTHER),
		SOQ_RECORD_A, 0, 2, 60, "b.it" },
	{ "an alias alone",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME RECORD("\5", "\6") OTHER),
		SOQ_RECORD_A, -SOQ_ENORECORD, 0, 0, NULL },
	{ "an alias is what was asked for",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\5") NAME RECORD("\5", "\6") OTHER),
		SOQ_RECORD_CNAME, 0, 1, 60, "a.it" },
	{ "an alias of its own",
		BYTES(HEADER("\0", "\2", "\0") QUESTION("\1") NAME RECORD("\5", "\2")
				NAME NAME A("\7")),
		SOQ_RECORD_A, 0, 2, 60, "a.it" },
	{ "another's address", BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") OTHER A("\7")),
		SOQ_RECORD_A, -SOQ_ENORECORD, 0, 0, NULL },
	{ "another's, behind ours",
		BYTES(HEADER("\0", "\2", "\0") QUESTION("\1") NAME A("\7") OTHER A("\6")),
		SOQ_RECORD_A, 0, 1, 60, "a.it" },
	{ "another type", BYTES(HEADER("\0", "\1", "\0") QUESTION("\x1c") NAME A("\7")),
		SOQ_RECORD_AAAA, -SOQ_ENORECORD, 0, 0, NULL },
	{ "another class",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME
			"\0\1\0\3\0\0\0\x3c\0\4\n\0\0\7"),
		SOQ_RECORD_A, -SOQ_ENORECORD, 0, 0, NULL },
	{ "an address of three bytes",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME RECORD("\1", "\3") "\n\0\0"),
		SOQ_RECORD_A, -SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "a lifetime below 0",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME
			"\0\1\0\1\xff\xff\xff\xff\0\4\n\0\0\7"),
		SOQ_RECORD_A, 0, 1, 0, "a.it" },
	{ "a lifetime of years",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME
			"\0\1\0\1\x7f\xff\xff\xff\0\4\n\0\0\7"),
		SOQ_RECORD_A, 0, 1, 86400, "a.it" },
	{ "fewer records than are promised",
		BYTES(HEADER("\0", "\7", "\0") QUESTION("\1") NAME A("\7")), SOQ_RECORD_A, 0, 1,
		60, "a.it" },
	{ "cut within the first record",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") NAME
			"\0\1\0\1\0\0\0\x3c\0\4\n\0"),
		SOQ_RECORD_A, -SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "a name that points to itself",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1") "\xc0\x16" A("\7")), SOQ_RECORD_A,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "an alias that points behind the end",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\1")
				NAME RECORD("\5", "\2") "\xff\xff"),
		SOQ_RECORD_A, -SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "a text whose string is longer than it",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\x10")
				NAME RECORD("\x10", "\2") "\7x"),
		SOQ_RECORD_TXT, -SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "an empty text",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\x10") NAME RECORD("\x10", "\1") "\0"),
		SOQ_RECORD_TXT, 0, 1, 60, "a.it" },
	{ "no such name", BYTES(HEADER("\3", "\0", "\0") QUESTION("\1")), SOQ_RECORD_A,
		-SOQ_ENONAME, 0, 0, NULL },
	{ "no such name, for 7 seconds",
		BYTES(HEADER("\3", "\0", "\1") QUESTION("\1") "\2it\0" RECORD(
			"\6", "\x16") "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\7"),
		SOQ_RECORD_A, -SOQ_ENONAME, 0, 7, NULL },
	{ "no such name, for longer than is good",
		BYTES(HEADER("\3", "\0", "\1")
				QUESTION("\1") "\2it\0"
					       "\0\6\0\1\0\1\0\0\0\x16"
					       "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\1\0\0"),
		SOQ_RECORD_A, -SOQ_ENONAME, 0, 60, NULL },
	{ "the server fails", BYTES(HEADER("\2", "\0", "\0") QUESTION("\1")), SOQ_RECORD_A,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "the server refuses", BYTES(HEADER("\5", "\0", "\0") QUESTION("\1")), SOQ_RECORD_A,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "malformed beside a good one",
		BYTES(HEADER("\0", "\2", "\0") QUESTION("\1")
				NAME RECORD("\1", "\3") "\n\0\0" NAME A("\7")),
		SOQ_RECORD_A, 0, 1, 60, "a.it" },
	{ "malformed, of another type",
		BYTES(HEADER("\0", "\1", "\0") QUESTION("\x1c")
				NAME RECORD("\1", "\3") "\n\0\0"),
		SOQ_RECORD_AAAA, -SOQ_ENORECORD, 0, 0, NULL },
	{ "fewer than promised, and none of the type",
		BYTES(HEADER("\0", "\2", "\0") QUESTION("\x1c") NAME A("\7")), SOQ_RECORD_AAAA,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "the question again, as it was sent",
		BYTES("\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION("\1")), SOQ_RECORD_A,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "eleven bytes", BYTES("\x12\x34\x81\0\0\1\0\0\0\0\0"), SOQ_RECORD_A, -SOQ_ENAMEFAIL,
		0, 0, NULL },
	{ "nothing", "", 0, SOQ_RECORD_A, -SOQ_ENAMEFAIL, 0, 0, NULL },
	{ "a question that is not there", BYTES(HEADER("\0", "\1", "\0")), SOQ_RECORD_A,
		-SOQ_ENAMEFAIL, 0, 0, NULL },
};

TEST(dns_message_table)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct soq_records list = { 0 };
		uint32_t ttl_s = 99;

		ROW("%s", r->name);
		CHECK_ERR(soq__dns_parse(&list, &ttl_s, (const unsigned char *)r->bytes, r->len,
				  "a.it", r->type),
			r->rc);
		CHECK_EQ(list.count, r->count);
		CHECK_EQ(ttl_s, r->ttl_s);
		if (r->count > 0)
			CHECK_STR(list.list[0].owner, r->first);
		soq_records_done(&list);
	}
}

/* No prefix of a message is read beyond its end: the sanitizers would tell. */
TEST(dns_message_cut_anywhere)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t len = 0; len <= rows[i].len; len++) {
			unsigned char *exact = malloc(len + !len);
			struct soq_records list = { 0 };
			uint32_t ttl_s;

			CHECK(exact);
			memcpy(exact, rows[i].bytes, len);
			soq__dns_parse(&list, &ttl_s, exact, len, "a.it", rows[i].type);
			soq_records_done(&list);
			free(exact);
		}
	}
}

/* However many records a message has, only so many are taken. */
TEST(dns_message_of_many_records)
{
	static const char head[] = HEADER("\0", "\0", "\0") QUESTION("\1"),
			  record[] = NAME A("\7");
	static unsigned char msg[65535];
	struct soq_records list;
	size_t len = sizeof(head) - 1;
	uint32_t ttl_s;

	memcpy(msg, head, len);
	for (unsigned count = 1; len + sizeof(record) - 1 <= sizeof(msg); count++) {
		memcpy(msg + len, record, sizeof(record) - 1);
		len += sizeof(record) - 1;
		msg[6] = (unsigned char)(count >> 8);
		msg[7] = (unsigned char)count;
	}
	CHECK_OK(soq__dns_parse(&list, &ttl_s, msg, len, "a.it", SOQ_RECORD_A));
	CHECK_EQ(list.count, SOQ__RECORDS_MAX);
	soq_records_done(&list);
}

/* A chain of aliases is followed among so many records as are taken, no further: the time that
 * it takes grows with their product. Whether there is an address is not known then. */
TEST(dns_message_whose_address_is_far)
{
	static const char head[] = HEADER("\0", "\0", "\0") QUESTION("\1"),
			  other[] = OTHER A("\6"), record[] = NAME A("\7");

	for (unsigned others = SOQ__RECORDS_MAX - 1; others <= SOQ__RECORDS_MAX; others++) {
		static unsigned char msg[65535];
		struct soq_records list = { 0 };
		size_t len = sizeof(head) - 1;
		uint32_t ttl_s;

		memcpy(msg, head, len);
		for (unsigned i = 0; i < others; i++, len += sizeof(other) - 1)
			memcpy(msg + len, other, sizeof(other) - 1);
		memcpy(msg + len, record, sizeof(record) - 1);
		len += sizeof(record) - 1;
		msg[6] = (unsigned char)((others + 1) >> 8);
		msg[7] = (unsigned char)(others + 1);
		ROW("%u others", others);
		CHECK_ERR(soq__dns_parse(&list, &ttl_s, msg, len, "a.it", SOQ_RECORD_A),
			others < SOQ__RECORDS_MAX ? 0 : -SOQ_ENAMEFAIL);
		soq_records_done(&list);
	}
}

TEST(dns_same_name)
{
	CHECK(soq__dns_same_name("a.it", "A.IT."));
	CHECK(soq__dns_same_name("", "."));
	CHECK(!soq__dns_same_name("a.it", "a.i"));
	CHECK(!soq__dns_same_name("a.it", "b.a.it"));
}
