/* tls_options.c - what a command line says of TLS: whom we trust, who we are, and how. */
#include "tls_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALPN_TEXT_MAX 256

/* The name of an option of TLS that was given, or NULL. */
static const char *any_given(const struct tool_tls *v)
{
	const struct {
		const char *name;
		bool given;
	} rows[] = {
		{ "cert", v->certificates.count > 0 },
		{ "key", v->keys.count > 0 },
		{ "staple", v->staples.count > 0 },
		{ "clients", v->clients },
		{ "ca", v->ca },
		{ "crl", v->crl },
		{ "pin", v->pin },
		{ "name", v->name },
		{ "insecure", v->insecure },
		{ "staple-needed", v->staple_needed },
		{ "alpn", v->alpn },
		{ "tls-min", v->min },
		{ "tls-max", v->max },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].given)
			return rows[i].name;
	return NULL;
}

static bool read_version(const char *text, enum soq_tls_version *ret)
{
	*ret = SOQ_TLS_ANY;
	if (text && !strcmp(text, "1.2"))
		*ret = SOQ_TLS_1_2;
	else if (text && !strcmp(text, "1.3"))
		*ret = SOQ_TLS_1_3;
	return !text || *ret != SOQ_TLS_ANY;
}

static int check_versions(const char *command, const struct tool_tls *v)
{
	enum soq_tls_version min, max;

	if (!read_version(v->min, &min))
		return tool_usage(command, "--tls-min: '%s' is not 1.2 or 1.3", v->min);
	if (!read_version(v->max, &max))
		return tool_usage(command, "--tls-max: '%s' is not 1.2 or 1.3", v->max);
	if (max && min > max)
		return tool_usage(
			command, "--tls-min %s is above --tls-max %s", v->min, v->max);
	return TOOL_GO_ON;
}

static int check_certificates(const char *command, const struct tool_tls *v)
{
	unsigned n = v->certificates.count;

	if (v->keys.count > 0 && n == 0)
		return tool_usage(
			command, "--key goes with --cert, the certificate that the key is of");
	if (v->staples.count > 0 && n == 0)
		return tool_usage(command, "--staple goes with --cert");
	if (v->keys.count > 0 && v->keys.count != n)
		return tool_usage(command,
			"--key is given %u times and --cert %u times: each certificate has its "
			"key, in the same order, or all have theirs in their own files",
			v->keys.count, n);
	if (v->staples.count > 0 && v->staples.count != n)
		return tool_usage(command,
			"--staple is given %u times and --cert %u times: to each certificate "
			"its own, in the same order",
			v->staples.count, n);
	return TOOL_GO_ON;
}

/* What clients and servers have in common. */
static int check(const char *command, const struct tool_tls *v)
{
	int status = check_versions(command, v);

	return status == TOOL_GO_ON ? check_certificates(command, v) : status;
}

int tool_tls_check_client(
	const struct tool_command *command, const struct tool_tls *v, bool is_tls)
{
	const char *given = any_given(v);

	if (v->starttls && !tool_starttls_knows(v->starttls))
		return tool_usage(command->name,
			"--starttls: '%s' is not ftp, imap, nntp, pop3 or smtp", v->starttls);
	if (v->starttls && is_tls)
		return tool_usage(command->name,
			"--starttls goes with tcp://: at tls:// TLS begins at once");
	if (given && !is_tls && !v->starttls)
		return tool_usage(command->name,
			"--%s is for TLS: an endpoint like tls://host:port, or --starttls",
			given);
	if (v->insecure && (v->ca || v->crl || v->staple_needed))
		return tool_usage(command->name,
			"--%s does not go with --insecure, which trusts anybody",
			v->ca		 ? "ca"
				: v->crl ? "crl"
					 : "staple-needed");
	if (v->certificates.count > 1)
		return tool_usage(command->name, "one --cert is enough for a client");
	return check(command->name, v);
}

int tool_tls_check_server(
	const struct tool_command *command, const struct tool_tls *v, bool is_tls)
{
	const char *given = any_given(v);

	if (is_tls && v->certificates.count == 0)
		return tool_usage(command->name,
			"TLS needs a certificate: --cert FILE, and --key FILE unless the key "
			"is "
			"in there, too ('soquete cert' makes one to try with)");
	if (given && !is_tls)
		return tool_usage(command->name,
			"--%s is for TLS, and no endpoint is like tls://host:port", given);
	if (v->clients && strcmp(v->clients, "needed") && strcmp(v->clients, "asked"))
		return tool_usage(
			command->name, "--clients: '%s' is not needed or asked", v->clients);
	if (v->clients && !v->ca)
		return tool_usage(command->name,
			"--clients %s: whose certificates are good? --ca FILE says it",
			v->clients);
	if (!v->clients && (v->ca || v->crl))
		return tool_usage(command->name,
			"--%s is about clients' certificates: --clients needed, or asked, goes "
			"with it",
			v->ca ? "ca" : "crl");
	return check(command->name, v);
}

static const char *text_at(const struct tool_texts *texts, unsigned i)
{
	return i < texts->count ? texts->list[i] : NULL;
}

static int fail(const char *command, int rc)
{
	const char *sentence = soq_last_error();

	return tool_fail(command, "%s", *sentence ? sentence : soq_strerror(rc));
}

/* The further ones. */
static int add_certificates(struct soq_tls *tls, const struct tool_tls *v)
{
	int rc = 0;

	for (unsigned i = 1; i < v->certificates.count && rc == 0; i++)
		rc = soq_tls_add_certificate(tls, v->certificates.list[i], text_at(&v->keys, i),
			text_at(&v->staples, i));
	return rc;
}

/* Protocols may be separated by commas, as elsewhere, or by blanks. */
static bool copy_alpn(char buf[ALPN_TEXT_MAX], const char *text)
{
	size_t len = strlen(text);

	if (len >= ALPN_TEXT_MAX)
		return false;
	for (size_t i = 0; i <= len; i++)
		buf[i] = (char)(text[i] == ',' ? ' ' : text[i]);
	return true;
}

int tool_tls_new(struct soq_tls **ret, const struct tool_command *command,
	const struct tool_tls *v, const char *alpn)
{
	char list[ALPN_TEXT_MAX];
	struct soq_tls_options opt = {
		.certificate = text_at(&v->certificates, 0),
		.key = text_at(&v->keys, 0),
		.staple = text_at(&v->staples, 0),
		.ca = v->ca,
		.crl = v->crl,
		.pins = v->pin,
		.staple_needed = v->staple_needed,
		.insecure = v->insecure,
		.alpn = alpn,
	};
	struct soq_tls *tls;
	int rc;

	read_version(v->min, &opt.min_version);
	read_version(v->max, &opt.max_version);
	if (v->clients)
		opt.clients = strcmp(v->clients, "needed") ? SOQ_TLS_CLIENTS_ASKED
							   : SOQ_TLS_CLIENTS_NEEDED;
	if (v->alpn && !alpn) {
		if (!copy_alpn(list, v->alpn))
			return tool_usage(command->name, "--alpn: the list is too long");
		opt.alpn = list;
	}
	rc = soq_tls_new(&tls, &opt);
	if (rc < 0)
		return fail(command->name, rc);
	rc = add_certificates(tls, v);
	if (rc < 0) {
		soq_tls_free(tls);
		return fail(command->name, rc);
	}
	*ret = tls;
	return TOOL_GO_ON;
}

static void tell_until(int64_t until_s)
{
	time_t at = (time_t)until_s;
	char text[64];
	struct tm tm;

	if (gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		tool_print_line("tls until ", text);
}

static void tell_peer(const char *word, const struct soq_stream *s)
{
	char text[SOQ_ADDR_TEXT_MAX];
	struct soq_addr addr;

	if (soq_peer_addr(s, &addr))
		return;
	soq_addr_format(text, sizeof(text), &addr);
	tool_print_line(word, text);
}

void tool_tell(const char *word, const struct soq_stream *s)
{
	struct soq_tls_info info;

	tell_peer(word, s);
	if (soq_tls_info(s, &info) < 0)
		return;
	tool_print_line("tls version ", info.version);
	tool_print_line("tls cipher ", info.cipher);
	tool_print_line("tls resumed ", info.resumed ? "yes" : "no");
	if (*info.name)
		tool_print_line("tls name ", info.name);
	if (*info.alpn)
		tool_print_line("tls alpn ", info.alpn);
	tool_print_line("tls trusted ", info.trusted ? "yes" : "no");
	if (!*info.pin)
		return;
	tool_print_line("tls subject ", info.subject);
	tool_print_line("tls issuer ", info.issuer);
	tell_until(info.until_s);
	tool_print_line("tls pin ", info.pin);
}
