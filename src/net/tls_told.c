/* tls_told.c - see tls_told.h. Most texts of a server's connection are empty: each takes its
 * length and its NUL.
 */
#include "net/tls_told.h"
#include <stdlib.h>
#include <string.h>

struct soq__tls_told {
	const char *version, *cipher; /* OpenSSL's own */
	int64_t until_s;
	bool resumed, trusted;
	char texts[]; /* alpn, name, subject, issuer, pin, one behind the other */
};

static char *put(char *to, const char *text)
{
	size_t size = strlen(text) + 1;

	memcpy(to, text, size);
	return to + size;
}

struct soq__tls_told *soq__tls_told_new(const struct soq_tls_info *info)
{
	size_t size = strlen(info->alpn) + strlen(info->name) + strlen(info->subject) +
		strlen(info->issuer) + strlen(info->pin) + 5;
	struct soq__tls_told *told = malloc(sizeof(*told) + size);
	char *to;

	if (!told)
		return NULL;
	told->version = info->version;
	told->cipher = info->cipher;
	told->until_s = info->until_s;
	told->resumed = info->resumed;
	told->trusted = info->trusted;
	to = put(told->texts, info->alpn);
	to = put(to, info->name);
	to = put(to, info->subject);
	to = put(to, info->issuer);
	put(to, info->pin);
	return told;
}

static const char *get(char *to, const char *text)
{
	return put(to, text) - to + text;
}

void soq__tls_told_again(const struct soq__tls_told *told, struct soq_tls_info *ret)
{
	const char *from = told->texts;

	*ret = (struct soq_tls_info){
		.version = told->version,
		.cipher = told->cipher,
		.until_s = told->until_s,
		.resumed = told->resumed,
		.trusted = told->trusted,
	};
	from = get(ret->alpn, from);
	from = get(ret->name, from);
	from = get(ret->subject, from);
	from = get(ret->issuer, from);
	get(ret->pin, from);
}
