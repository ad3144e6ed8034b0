/* nsswitch.c - the line "hosts:" of nsswitch.conf(5), service by service.
 *
 * What glibc accepts is accepted as it does (nss/nss_action_parse.c): blanks around a
 * database's colon and inside brackets, statuses and actions in any case of letters, services
 * in theirs.
 */
#include "nsswitch.h"
#include "base/util.h"
#include "text.h"

#include <string.h>

/* What may come of asking a service. */
enum { SUCCESS = 1, NOTFOUND = 2, UNAVAIL = 4, TRYAGAIN = 8, ANY = 15 };

struct keyword {
	struct soq__text word;
	unsigned value;
};

static const struct keyword statuses[] = {
	{ { "SUCCESS", 7 }, SUCCESS },
	{ { "NOTFOUND", 8 }, NOTFOUND },
	{ { "UNAVAIL", 7 }, UNAVAIL },
	{ { "TRYAGAIN", 8 }, TRYAGAIN },
	{ { NULL, 0 }, 0 },
};

enum { RETURN = 1, CONTINUE, MERGE };

static const struct keyword actions[] = {
	{ { "RETURN", 6 }, RETURN },
	{ { "CONTINUE", 8 }, CONTINUE },
	{ { "MERGE", 5 }, MERGE },
	{ { NULL, 0 }, 0 },
};

/* A service of the line, and on which statuses nobody is asked after it. */
struct service {
	struct soq__text name;
	unsigned returns;
};

/* What has been read of the line. */
struct reading {
	bool has_dns;
	bool adds;	 /* some service adds names to those of files and DNS */
	bool is_foreign; /* what is to happen is not ours to do */
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_spaces(struct soq__text *t)
{
	size_t n = 0;

	while (n < t->len && is_space(t->at[n]))
		n++;
	*t = soq__text_from(*t, n);
}

/* Take bytes off up to a space or one of @stops. */
static struct soq__text take_word(struct soq__text *t, const char *stops)
{
	struct soq__text word = *t;
	size_t n = 0;

	while (n < t->len && !is_space(t->at[n]) && !strchr(stops, t->at[n]))
		n++;
	word.len = n;
	*t = soq__text_from(*t, n);
	return word;
}

static bool take_char(struct soq__text *t, char c)
{
	bool is_there = t->len > 0 && t->at[0] == c;

	if (is_there)
		*t = soq__text_from(*t, 1);
	return is_there;
}

/* @return the keyword's value, 0 when it is none */
static unsigned find_keyword(const struct keyword *k, struct soq__text word)
{
	while (k->word.at && !soq__text_equal_nocase(k->word, word))
		k++;
	return k->value;
}

/* One "[!]STATUS=ACTION". @return whether it is one */
static bool parse_criterion(struct service *s, struct soq__text *t)
{
	bool is_negated = take_char(t, '!');
	unsigned status = find_keyword(statuses, take_word(t, "=]"));
	unsigned action;

	skip_spaces(t);
	if (status == 0 || !take_char(t, '='))
		return false;
	skip_spaces(t);
	action = find_keyword(actions, take_word(t, "=]"));
	if (action == 0)
		return false;
	if (is_negated)
		status = ANY & ~status;
	if (action == RETURN)
		s->returns |= status;
	else
		s->returns &= ~status;
	return true;
}

/* What stands between brackets behind a service. @return whether it makes sense */
static bool parse_criteria(struct service *s, struct soq__text *t)
{
	skip_spaces(t);
	if (!take_char(t, '['))
		return true;
	do {
		skip_spaces(t);
		if (!parse_criterion(s, t))
			return false;
		skip_spaces(t);
	} while (!take_char(t, ']'));
	return true;
}

static bool is_mdns(struct soq__text name)
{
	return name.len >= 4 && memcmp(name.at, "mdns", 4) == 0;
}

/* Whether a service that comes before the DNS knows only names that the DNS does not. That is
 * so of resolve as well: it asks the same DNS, by way of systemd-resolved. */
static bool is_addition(struct soq__text name)
{
	return is_mdns(name) || soq__text_equal(name, SOQ__TEXT("resolve")) ||
		soq__text_equal(name, SOQ__TEXT("myhostname")) ||
		soq__text_equal(name, SOQ__TEXT("mymachines"));
}

static void add_service(struct soq__nsswitch *ret, struct reading *r, const struct service *s)
{
	bool is_files = soq__text_equal(s->name, SOQ__TEXT("files"));
	bool is_dns = soq__text_equal(s->name, SOQ__TEXT("dns"));

	/* An answer of ours would not be the last word. */
	if (!(s->returns & SUCCESS))
		r->is_foreign = true;
	if (is_files) {
		ret->files_first |= !r->has_dns;
		/* Then the DNS is for when the hosts file cannot be read. */
		if (!r->has_dns && (s->returns & NOTFOUND))
			r->is_foreign = true;
	} else if (is_dns) {
		r->has_dns = true;
	} else {
		r->adds = true;
		if (!r->has_dns && !is_addition(s->name))
			r->is_foreign = true;
	}
}

/* The services of a line. */
static void parse_services(struct soq__nsswitch *ret, struct soq__text t)
{
	struct reading r = { 0 };
	bool is_reached = true;

	*ret = (struct soq__nsswitch){ SOQ__NSS_SYSTEM, false, false };
	for (;;) {
		struct service s = { .returns = SUCCESS };

		skip_spaces(&t);
		s.name = take_word(&t, "[");
		if (s.name.len == 0)
			break;
		if (!parse_criteria(&s, &t)) {
			r.is_foreign = true;
			break;
		}
		ret->mdns |= is_mdns(s.name);
		if (is_reached)
			add_service(ret, &r, &s);
		is_reached = is_reached && s.returns != ANY;
	}
	if (r.has_dns && !r.is_foreign)
		ret->hosts = r.adds ? SOQ__NSS_THEN_SYSTEM : SOQ__NSS_OURS;
}

/* Cut off what begins at the first @c. */
static void cut(struct soq__text *t, char c)
{
	const char *at = t->len > 0 ? memchr(t->at, c, t->len) : NULL;

	if (at)
		t->len = (size_t)(at - t->at);
}

static void parse_line(struct soq__nsswitch *ret, struct soq__text line)
{
	struct soq__text database;

	cut(&line, '#');
	cut(&line, '\0');
	skip_spaces(&line);
	database = take_word(&line, ":");
	skip_spaces(&line);
	if (take_char(&line, ':') && soq__text_equal(database, SOQ__TEXT("hosts")))
		parse_services(ret, line);
}

void soq__nsswitch_parse(struct soq__nsswitch *ret, const char *text, size_t len)
{
	struct soq__text rest = { text, len };

	parse_services(ret, SOQ__TEXT("files dns"));
	while (rest.len > 0) {
		struct soq__text line = rest;

		cut(&line, '\n');
		parse_line(ret, line);
		rest = soq__text_from(rest, soq__min_size(line.len + 1, rest.len));
	}
}
